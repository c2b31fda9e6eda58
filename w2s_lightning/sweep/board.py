"""What is done, running, waiting or failed, and why: the one place that knows, and the one writer of a sweep's files.

The truth is on disk: a unit has ended well when its outputs are there, whatever its launcher said. `sweep.json` and
`sweep.parquet` are made from results and predictions on disk too, so two runs of one sweep end with the same rows; all
that differs between two runs stands under `times`.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.atomic import write_whole
from w2s_lightning.errors import UserError
from w2s_lightning.job import Record
from w2s_lightning.results.groups import ARMS, SeedGroups, compared, job_row
from w2s_lightning.results.job_result import VERSION as RESULT_VERSION
from w2s_lightning.results.stored import StoreReader
from w2s_lightning.show.numbers import counted
from w2s_lightning.sweep.grid import Grid, PlannedJob, Refused
from w2s_lightning.sweep.units import Unit, Units

VERSION = 1
LOG = "log.txt"  # a unit's output, in its own folder below the sweep's
LOOK_SECONDS = 10.0
REST = 10.0  # times as long as the last write took, so that writing never costs more than a tenth of the time
LEAST_REST = 0.5
MOST = 8  # failures that are listed in full

logger = logging.getLogger(__name__)


def failure(message: str, kind: str, seconds: float = 0.0) -> Record:
    """The record of something that could not tell itself how it went."""
    return Record(status="failed", type=kind, message=message, traceback="", seconds=seconds, peak_memory_bytes=0)


@dataclass(frozen=True)
class Failure:
    """A unit that failed by itself, with where to read on."""

    unit: Unit
    message: str
    log: str | None


class Board:
    """States of all units; safe to use from several threads.

    `arrived` tells whether a unit's outputs are there, `started` and `ended` are told of each launch.
    """

    def __init__(
        self,
        units: Units,
        folder: Path,
        arrived: Callable[[Unit], bool],
        started: Callable[[Unit], None] = lambda _: None,
        ended: Callable[[Unit, Record], None] = lambda *_: None,
    ) -> None:
        self.units, self.folder, self.arrived = units, folder, arrived
        self._started, self._ended = started, ended
        self._lock = threading.RLock()
        self.states: dict[str, Literal["waiting", "running", "done", "failed", "blocked"]] = dict.fromkeys(
            (unit.key for unit in units.all), "waiting"
        )
        self._failures: dict[str, Failure] = {}  # of units that failed, and of those that they block

    def ready(self) -> list[Unit]:
        """Units that can start now, the head of the longest chain first."""
        with self._lock:
            free = [unit for unit in self.units.all if self._is_ready(unit)]
        return sorted(free, key=lambda unit: -self.units.urgency[unit.key])

    def _is_ready(self, unit: Unit) -> bool:
        return self.states[unit.key] == "waiting" and all(self.states[key] == "done" for key in unit.needs)

    def start(self, unit: Unit) -> bool:
        """Mark a unit as running; False when there is nothing to launch: it is not ready, or its outputs have come."""
        with self._lock:
            if not self._is_ready(unit):
                return False
            running = not self.arrived(unit)
            self.states[unit.key] = "running" if running else "done"
        if running:
            self._started(unit)
        return running

    def log(self, unit: Unit) -> Path:
        """Where a unit's output goes."""
        return self.folder / unit.folder / LOG

    def end(self, unit: Unit, record: Record) -> None:
        """A unit has ended: well when its outputs are there, whatever the launcher says."""
        with self._lock:
            if self.arrived(unit):
                self.states[unit.key] = "done"
            else:
                log = self.log(unit)  # which some launchers do not keep
                message = record["message"] or "it ended without its outputs"
                why = Failure(unit, message, str(log) if log.is_file() else None)
                self.states[unit.key] = "failed"
                self._failures[unit.key] = why
                self._block(unit, why)
        self._ended(unit, record)

    def _block(self, unit: Unit, why: Failure) -> None:
        for other in self.units.dependants[unit.key]:
            if self.states[other.key] == "waiting":
                self.states[other.key] = "blocked"
                self._failures[other.key] = why
                self._block(other, why)

    def state(self, job: PlannedJob) -> tuple[str, str | None, str | None]:
        """State, reason and log of a job without a result: it is running while anything runs on its behalf."""
        with self._lock:
            failed = self._failures.get(job.plan.digest)
            running = [unit for unit in self.units.all if self.states[unit.key] == "running"]
        if failed is not None:
            own = failed.unit.key == job.plan.digest
            return "failed", failed.message if own else f"{failed.unit.name}: {failed.message}", failed.log
        runs = any(unit.job.plan.digest == job.plan.digest for unit in running)
        return ("running" if runs else "waiting"), None, None

    def failed(self) -> list[Failure]:
        """The units that failed by themselves, in order."""
        with self._lock:
            return [self._failures[u.key] for u in self.units.all if self.states[u.key] == "failed"]

    def jobs_lost(self, failure: Failure | None = None) -> int:
        """How many jobs will have no result, because of this failure or of any."""
        with self._lock:
            lost = [self._failures[unit.key] for unit in self.units.all if unit.scores and unit.key in self._failures]
        return sum(failure is None or one is failure for one in lost)


# ---------------------------------------------------------------- results, and sweep.json


class Finished:
    """Results of finished jobs, as they lie on disk: read once, read again when they change."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, dict[str, Any] | None]] = {}

    def result(self, job: PlannedJob) -> dict[str, Any] | None:
        """The job's result, None while there is none that belongs to this plan and to this version of results."""
        file = job.folder / "result.json"
        try:
            stamp = file.stat().st_mtime_ns
        except OSError:
            return None
        known = self._read.get(job.plan.digest)
        if known is None or known[0] != stamp:
            found = read_json(file)
            mine = isinstance(found, dict) and found.get("digest") == job.plan.digest
            known = (stamp, found if mine and _complete(found, job.runtime.tracking.mode) else None)
            self._read[job.plan.digest] = known
        return known[1]


def read_json(file: Path) -> Any:
    """A JSON file's content, None when it is not JSON."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def _complete(result: Mapping[str, Any], tracking: str) -> bool:
    """Whether a result holds all that is read of it, and is in wandb as it is asked for now."""
    needed = {"job", "rows", "pgr", "stages", "wandb", "overrides"}
    mirrored = tracking in ("auto", "disabled", (result.get("wandb") or {}).get("mode"))
    return result.get("version") == RESULT_VERSION and needed <= result.keys() and mirrored


class Ledger:
    """What sweep.json says: a row a job and a row a group of seeds, as the disk and the board have them now."""

    def __init__(self, grid: Grid, reader: StoreReader, head: Mapping[str, Any], finished: Finished) -> None:
        self._grid, self._reader, self._head, self._finished = grid, reader, head, finished
        self._groups = SeedGroups(reader.required_answers)

    def content(self, board: Board, times: Mapping[str, Any]) -> dict[str, Any]:
        """What sweep.json holds."""
        self._reader.refresh()
        jobs = [self._row(job, board) for job in self._grid.jobs]
        for cell in self._grid.refused:
            unplanned = {"state": "failed", "reason": cell.reason, "metric": cell.metric}
            jobs.append(job_row(cell.name, cell.axes, cell.overrides, None, **unplanned))
        states = [job["state"] for job in jobs]
        counts = {state: states.count(state) for state in ("done", "failed", "running", "waiting")}
        left_out = {"inverted": self._grid.inverted, "repeated": self._grid.repeated}
        return {
            "version": VERSION,
            **self._head,
            "counts": {"jobs": len(jobs), **counts, **left_out},
            "jobs": jobs,
            "groups": self._groups.rows(jobs),
            "readouts": compared(jobs, self._reader.required_answers),
            "times": dict(times),
        }

    def _row(self, job: PlannedJob, board: Board) -> dict[str, Any]:
        result, rows = self._finished.result(job), job.plan.rows
        state, reason, log = ("done", None, None) if result else board.state(job)
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


def rows_digest(content: Mapping[str, Any]) -> str:
    """Tells whether two ledgers say the same of jobs and groups."""
    text = json.dumps([content["jobs"], content["groups"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Watcher:
    """Calls `write` in a thread of its own while the block lasts, and once more at its end.

    It wakes when `changed` is set, and now and then to look at the disk itself: some launchers return only at the
    end.
    """

    def __init__(self, write: Callable[[], None], changed: threading.Event) -> None:
        self._write, self._changed = write, changed
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._changed.set()
        self._thread.join()
        self._write()

    def _watch(self) -> None:
        while not self._ending.is_set():
            self._changed.wait(LOOK_SECONDS)
            self._changed.clear()
            started = time.monotonic()
            try:
                self._write()
            except Exception as error:  # the sweep matters more than its ledger, which is written again at the end
                logger.warning("the sweep's ledger could not be written: %s: %s", type(error).__name__, error)
            self._ending.wait(max(LEAST_REST, REST * (time.monotonic() - started)))


def last_words(board: Board, refused: Sequence[Refused], command: str) -> str | None:
    """What failed, where its log is, and the command that finishes the rest; None when all went well."""
    failures = board.failed()
    if not failures and not refused:
        return None
    lines = [f"{counted(board.jobs_lost() + len(refused), 'job')} failed; all others are done"]
    for failure in failures[:MOST]:
        waiting = board.jobs_lost(failure)
        needed = f" (needed by {counted(waiting, 'job')})" if waiting and not failure.unit.scores else ""
        log = f"\n  log: {failure.log}" if failure.log else ""
        lines.append(f"  {failure.unit.name}: {failure.message}{needed}{log}")
    if len(failures) > MOST:
        lines.append(f"  and {len(failures) - MOST} more: see sweep.json")
    lines += [f"  not planned: {' '.join(cell.overrides)}: {cell.reason}" for cell in refused[:MOST]]
    return "\n".join([*lines, f"once that is mended, this finishes the rest: {command}"])
