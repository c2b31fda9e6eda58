"""sweep.json and sweep.parquet: one row a job and one a group of seeds, rewritten whole and atomically.

The rows are made from results and predictions on disk, never from what a launcher said, so two runs of one sweep end
with the same rows. All that differs between two runs stands under `times`.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.errors import UserError
from w2s_lightning.results.groups import ARMS, Groups, job_row
from w2s_lightning.results.stored import StoreReader
from w2s_lightning.sweep.board import Board
from w2s_lightning.sweep.finished import Finished
from w2s_lightning.sweep.grid import Grid, PlannedJob, Refused
from w2s_lightning.sweep.readouts import compared

VERSION = 1


class Ledger:
    """The rows of one sweep, as the disk and the board have them now."""

    def __init__(self, grid: Grid, shelf: StoreReader, head: Mapping[str, Any], finished: Finished) -> None:
        self._grid, self._shelf, self._head, self._finished = grid, shelf, head, finished
        self._groups = Groups(shelf.required_answers)

    def content(self, board: Board, times: Mapping[str, Any]) -> dict[str, Any]:
        """What sweep.json holds."""
        self._shelf.refresh()
        jobs = [self._job(job, board) for job in self._grid.jobs] + [_refused(cell) for cell in self._grid.refused]
        states = [job["state"] for job in jobs]
        counts = {
            "jobs": len(jobs),
            **{state: states.count(state) for state in ("done", "failed", "running", "waiting")},
        }
        left_out = {"inverted": self._grid.inverted, "repeated": self._grid.repeated}
        return {
            "version": VERSION,
            **self._head,
            "counts": {**counts, **left_out},
            "jobs": jobs,
            "groups": self._groups.rows(jobs),
            "readouts": compared(jobs, self._shelf.required_answers),
            "times": dict(times),
        }

    def _job(self, job: PlannedJob, board: Board) -> dict[str, Any]:
        result = self._finished.result(job)
        state, reason, log = ("done", None, None) if result else _state(job, board)
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
            arms=_arms(job),
            benchmark_arms=_benchmark_arms(job),
            metric=job.plan.metric,
        )


def _state(job: PlannedJob, board: Board) -> tuple[str, str | None, str | None]:
    """State, reason and log of a job without a result."""
    failed = board.failure_of(job.plan.digest)
    if failed is not None:
        own = failed.unit.key == job.plan.digest
        return "failed", failed.message if own else f"{failed.unit.name}: {failed.message}", failed.log
    return ("running" if board.works_for(job) else "waiting"), None, None


def _arms(job: PlannedJob) -> dict[str, str | None]:
    """The evaluate stage of each arm of PGR."""
    rows = job.plan.rows
    named = {role: next((r.evaluate.digest for r in rows if r.role == role), None) for role in ARMS}
    student = next(row.evaluate.digest for row in rows if row.name == job.plan.student_of_record)
    return {**named, "student": student}


def _benchmark_arms(job: PlannedJob) -> dict[str, str] | None:
    """The same on `task.benchmark`, None without one."""
    judged = {row.evaluate.digest: row.benchmark.digest for row in job.plan.rows if row.benchmark is not None}
    return {arm: judged[own] for arm, own in _arms(job).items() if own in judged} if judged else None


def _refused(cell: Refused) -> dict[str, Any]:
    unplanned = {"state": "failed", "reason": cell.reason, "metric": cell.metric}
    return job_row(cell.name, cell.axes, cell.overrides, None, **unplanned)


# ---------------------------------------------------------------- files


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Rewrite both files so that a reader sees the old or the new content, never half of it.

    Raises UserError where the folder cannot be written to.
    """
    _replace(folder / "sweep.json", (json.dumps(content, indent=1) + "\n").encode())
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([_flat(job) for job in content["jobs"]]), sink)
    _replace(folder / "sweep.parquet", sink.getvalue().to_pybytes())


def _replace(path: Path, content: bytes) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise UserError(
            f"cannot write {path} ({error.strerror}): finished stages and results are kept. Make room, and the same "
            "command goes on from there"
        ) from None


def _flat(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job's row with one column a figure: `floor`, `floor_low`, `pgr`, ..."""
    plain = ("task", "paradigm", "weak", "strong", "seed", "digest", "folder", "state", "reason", "metric")
    row: dict[str, Any] = {name: job[name] for name in plain}
    row["overrides"] = " ".join(job["overrides"])
    row["cheats"] = ", ".join(job["cheats"])
    for name in (*ARMS, "pgr", "gain_over_untuned"):
        part = job[name] or {}
        row |= {
            name: _number(part, "value"),
            f"{name}_low": _number(part, "low"),
            f"{name}_high": _number(part, "high"),
        }
    row["pgr_reason"] = (job["pgr"] or {}).get("reason")
    return row


def _number(part: Mapping[str, Any], key: str) -> float | None:
    value = part.get(key)
    return None if value is None else float(value)


def rows_digest(content: Mapping[str, Any]) -> str:
    """Tells whether two ledgers say the same of jobs and groups."""
    text = json.dumps([content["jobs"], content["groups"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
