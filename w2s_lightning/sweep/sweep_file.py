"""`sweep.json` and `sweep.parquet`: a row a job and a row a group of seeds, rewritten while a sweep runs.

They are made from results and predictions on disk, so two runs of one sweep end with the same rows; all that differs
between two runs stands under `times`.
"""

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.atomic import read_json, write_whole
from w2s_lightning.errors import UserError
from w2s_lightning.plan import name_of
from w2s_lightning.results.groups import ARMS, SeedGroups, compared, job_row
from w2s_lightning.results.job_result import VERSION as RESULT_VERSION
from w2s_lightning.results.read_back import read_result, read_sweep
from w2s_lightning.results.stored import StoreReader
from w2s_lightning.sweep.grid import Grid, PlannedJob
from w2s_lightning.sweep.units import UnitStates

VERSION = 1
LOOK_SECONDS = 10.0
REST = 10.0  # times as long as the last write took, so that writing never costs more than a tenth of the time
LEAST_REST = 0.5

logger = logging.getLogger(__name__)


class JobResults:
    """Results of finished jobs, as they lie on disk: read once, read again when they change."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, dict[str, Any] | None]] = {}

    def of(self, job: PlannedJob) -> dict[str, Any] | None:
        """The job's result, None while there is none that belongs to this plan and to this version of results."""
        file = job.folder / "result.json"
        try:
            stamp = file.stat().st_mtime_ns
        except OSError:
            return None
        known = self._read.get(job.plan.digest)
        if known is None or known[0] != stamp:
            known = self._read[job.plan.digest] = (stamp, _result_in(file, job))
        return known[1]

    def missing(self, job: PlannedJob) -> bool:
        """Whether the job is still to be run."""
        return self.of(job) is None

    @staticmethod
    def damaged(job: PlannedJob) -> bool:
        """Whether something lies where its result belongs that is no result of any job."""
        file = job.folder / "result.json"
        return os.path.lexists(file) and "digest" not in _json_in(file)


def _result_in(file: Path, job: PlannedJob) -> dict[str, Any] | None:
    """The content of a `result.json`, if it is this job's and in wandb as that is asked for now."""
    try:
        found = read_result(file)
    except (OSError, ValueError):
        return None
    if found["digest"] != job.plan.digest or found.get("version") != RESULT_VERSION or "wandb" not in found:
        return None
    mirrored = job.runtime.tracking.mode in ("auto", "disabled", (found["wandb"] or {}).get("mode"))
    return found if mirrored else None


def _json_in(file: Path) -> dict[str, Any]:
    """The object in a JSON file, an empty one when there is none."""
    try:
        found = read_json(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class SweepFile:
    """What stands in the files of one sweep, of which it is the one writer; `head` holds its name, digest, command."""

    def __init__(
        self, folder: Path, grid: Grid, reader: StoreReader, results: JobResults, head: Mapping[str, Any]
    ) -> None:
        self._folder, self._grid, self._reader, self._results, self._head = folder, grid, reader, results, head
        self._groups = SeedGroups(reader.required_answers)
        self.content: dict[str, Any] = {}
        self.was_damaged = False
        try:  # of a former run of the same sweep
            earlier = read_sweep(folder / "sweep.json")
            self.content = earlier if earlier.get("digest") == head["digest"] else {}
        except (OSError, ValueError):
            self.was_damaged = os.path.lexists(folder / "sweep.json")
        launched = dict((self.content.get("times") or {}).get("launched") or {})
        self.times: dict[str, Any] = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "launched": launched,
        }

    def refresh(self, states: UnitStates) -> None:
        """Write what disk and states say now; verdicts and the run in wandb stay until there are new ones."""
        self._reader.refresh()
        jobs = [self._row(job, states) for job in self._grid.jobs]
        for cell in self._grid.refused:
            unplanned = {"state": "failed", "reason": cell.reason, "metric": cell.job.judge.metric}
            jobs.append(job_row(name_of(cell.job), cell.axes, cell.overrides, None, **unplanned))
        found = [job["state"] for job in jobs]
        counts = {state: found.count(state) for state in ("done", "failed", "running", "waiting")}
        left_out = {"inverted": self._grid.inverted, "repeated": self._grid.repeated}
        self.write(
            version=VERSION,
            **self._head,
            counts={"jobs": len(jobs), **counts, **left_out},
            jobs=jobs,
            groups=self._groups.rows(jobs),
            readouts=compared(jobs, self._reader.required_answers),
            times=dict(self.times),
        )

    def write(self, **changed: Any) -> None:
        """Write with these keys changed."""
        self.content = {**self.content, **changed}
        write(self._folder, self.content)

    def rows_digest(self) -> str:
        """Tells whether two runs of the sweep say the same of jobs and groups."""
        text = json.dumps([self.content["jobs"], self.content["groups"]], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _row(self, job: PlannedJob, states: UnitStates) -> dict[str, Any]:
        result, rows = self._results.of(job), job.plan.rows
        state, reason, log = ("done", None, None) if result else states.of(job)
        student = next(row for row in rows if row.name == job.plan.student_of_record)
        arms = {role: next((row for row in rows if row.role == role), None) for role in ARMS} | {"student": student}
        judged = {arm: row.benchmark.digest for arm, row in arms.items() if row is not None and row.benchmark}
        return job_row(
            job.plan.name,
            job.axes,
            job.overrides,
            result,
            also=[list(others) for others in self._grid.also.get(job.plan.digest, ())],
            digest=job.plan.digest,
            folder=job.folder.name,
            state=state,
            reason=reason,
            log=log,
            arms={arm: row and row.evaluate.digest for arm, row in arms.items()},
            benchmark_arms=judged or None,
            metric=job.plan.metric,
        )


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Rewrite both files so that a reader sees the old or the new content, never half of it.

    Raises UserError where the folder cannot be written to.
    """
    table = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([_flat(job) for job in content["jobs"]]), table)
    contents = {"sweep.json": json.dumps(content, indent=1) + "\n", "sweep.parquet": table.getvalue().to_pybytes()}
    for name, whole in contents.items():
        try:
            write_whole(folder / name, whole)
        except OSError as error:
            raise UserError(
                f"cannot write {folder / name} ({error.strerror}): finished stages and results are kept. Make room, "
                "and the same command goes on from there"
            ) from None


def _flat(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job's row with one column a figure: `floor`, `floor_low`, `pgr`, ..."""
    plain = ("task", "paradigm", "weak", "strong", "seed", "digest", "folder", "state", "reason", "metric")
    row: dict[str, Any] = {name: job[name] for name in plain}
    row |= {"overrides": " ".join(job["overrides"]), "cheats": ", ".join(job["cheats"])}
    for name in (*ARMS, "pgr", "gain_over_untuned"):
        for column, key in ((name, "value"), (f"{name}_low", "low"), (f"{name}_high", "high")):
            value = (job[name] or {}).get(key)
            row[column] = None if value is None else float(value)
    return {**row, "pgr_reason": (job["pgr"] or {}).get("reason")}


@contextmanager
def calling(work: Callable[[], None], changed: threading.Event) -> Iterator[None]:
    """Call `work` in a thread of its own while inside, and once more at the end.

    It is called when `changed` is set, and now and then to look at the disk itself: some launchers return only at the
    end.
    """
    ending = threading.Event()

    def watch() -> None:
        said = False
        while not ending.is_set():
            changed.wait(LOOK_SECONDS)
            changed.clear()
            started = time.monotonic()
            try:
                work()
            except Exception:
                # The sweep matters more than its file, which is written again at the end, or says why not.
                if not said:
                    logger.warning("sweep.json cannot be written for now: the sweep goes on and tries again")
                said = True
            ending.wait(max(LEAST_REST, REST * (time.monotonic() - started)))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        changed.set()
        thread.join()
        work()
