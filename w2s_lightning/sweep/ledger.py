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

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.store import Store
from w2s_lightning.sweep.board import Board
from w2s_lightning.sweep.finished import Finished
from w2s_lightning.sweep.grid import Grid, PlannedJob, Refused
from w2s_lightning.sweep.groups import ARMS, Groups, Scored, SharedTest
from w2s_lightning.sweep.readouts import compared

VERSION = 1
_FROM_RESULT = ("metric", *ARMS, "pgr", "gain_over_untuned", "agreement", "cheats", "notices")


class Ledger:
    """The rows of one sweep, as the disk and the board have them now."""

    def __init__(self, grid: Grid, store: Store, head: Mapping[str, Any], finished: Finished) -> None:
        self._grid = grid
        self._store = store
        self._head = head
        self._finished = finished
        rows = [row for job in grid.jobs for row in job.plan.rows]
        self._evaluates = {stage.digest: stage for row in rows for stage in row.evaluates}
        self._scored: dict[str, Scored] = {}
        self._tests: dict[tuple[str, ...], SharedTest] = {}
        self._groups = Groups(self._read)

    def content(self, board: Board | None, times: Mapping[str, Any]) -> dict[str, Any]:
        """What sweep.json holds."""
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
            "readouts": compared(jobs, self._read),
            "times": dict(times),
        }

    def _job(self, job: PlannedJob, board: Board | None) -> dict[str, Any]:
        result = self._finished.result(job)
        state, reason, log = ("done", None, None) if result else _state(job, board)
        found = {name: (result or {}).get(name) for name in _FROM_RESULT}
        return {
            **job.plan.name,
            "axes": dict(job.axes),
            "overrides": list(job.overrides),
            "also": [list(others) for others in self._grid.also.get(job.plan.digest, ())],
            "digest": job.plan.digest,
            "folder": job.folder.name,
            "state": state,
            "reason": reason,
            "log": log,
            "arms": _arms(job),
            "benchmark_arms": _benchmark_arms(job),
            **found,
            "metric": job.plan.metric,
            "cheats": found["cheats"] or [],
            "notices": found["notices"] or [],
        }

    def _read(self, digest: str) -> Scored:
        """The scores of one evaluate stage; test sets are shared between them."""
        if digest not in self._scored:
            file = self._store.file(self._evaluates[digest], "predictions.parquet")
            table = pq.read_table(file).sort_by("example_id")
            ids = tuple(table.column("example_id").to_pylist())
            if ids not in self._tests:
                gold = np.array(table.column("gold").to_pylist())
                subsets = tuple(table.column("subset").to_pylist()) if "subset" in table.column_names else ()
                self._tests[ids] = SharedTest(ids, tuple(table.column("group_id").to_pylist()), gold, subsets)
            probs = table.column("probs").to_pylist() if "probs" in table.column_names else []  # worked solutions: none
            probability = np.array([of_classes[1] for of_classes in probs])
            correct = np.array(table.column("correct").to_pylist(), dtype=float)
            self._scored[digest] = Scored(self._tests[ids], correct, probability)
        return self._scored[digest]


def _state(job: PlannedJob, board: Board | None) -> tuple[str, str | None, str | None]:
    """State, reason and log of a job without a result."""
    if board is None:
        return "waiting", None, None
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
    empty = dict.fromkeys(_FROM_RESULT)
    return {
        **cell.name,
        "axes": dict(cell.axes),
        "overrides": list(cell.overrides),
        "also": [],
        "digest": None,
        "folder": None,
        "state": "failed",
        "reason": cell.reason,
        "log": None,
        "arms": dict.fromkeys(ARMS),
        "benchmark_arms": None,
        **empty,
        "metric": cell.metric,
        "cheats": [],
        "notices": [],
    }


# ---------------------------------------------------------------- files


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Rewrite both files so that a reader sees the old or the new content, never half of it."""
    _replace(folder / "sweep.json", (json.dumps(content, indent=1) + "\n").encode())
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([_flat(job) for job in content["jobs"]]), sink)
    _replace(folder / "sweep.parquet", sink.getvalue().to_pybytes())


def _replace(path: Path, content: bytes) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(content)
    scratch.replace(path)


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
