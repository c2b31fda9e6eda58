"""Results that belong to no sweep, as the rows that a sweep would have: jobs run one at a time are shown as well."""

from collections.abc import Mapping, Sequence
from typing import Any

from w2s_lightning.claims import key_of
from w2s_lightning.report.pooled import Pool
from w2s_lightning.report.records import Job

ARMS = ("untuned", "floor", "student", "ceiling")
COPIED = ("metric", *ARMS, "pgr", "gain_over_untuned", "agreement", "cheats", "notices")

Row = Mapping[str, Any]


def job_row(result: Row, folder: str) -> dict[str, Any]:
    """A finished job's row; its axes are the overrides that are no matter of the machine."""
    overrides = list(result.get("overrides") or ())
    axes = dict(sorted(text.lstrip("+").split("=", 1) for text in key_of(overrides) if "=" in text))
    return {
        **result["job"],
        "axes": axes,
        "overrides": overrides,
        "digest": result["digest"],
        "folder": folder,
        "state": "done",
        "reason": None,
        "log": None,
        **{name: result.get(name) for name in COPIED},
    }


def group_rows(jobs: Sequence[Job], pool: Pool) -> list[dict[str, Any]]:
    """One row for all jobs that differ in their seed alone."""
    members: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        members.setdefault(group_key(job.row), []).append(job)
    return [_group_row(sorted(own, key=lambda job: job.seed), pool) for own in members.values()]


def group_key(row: Row) -> tuple[Any, ...]:
    """What the jobs of one group have in common."""
    axes = tuple((key, value) for key, value in row["axes"].items() if key != "seed")
    return (row["task"], row["paradigm"], row["weak"], row["strong"], axes)


def _group_row(jobs: Sequence[Job], pool: Pool) -> dict[str, Any]:
    first = jobs[0].row
    return {
        **{name: first[name] for name in ("task", "paradigm", "weak", "strong", "metric")},
        "axes": {key: value for key, value in first["axes"].items() if key != "seed"},
        "seeds": [job.seed for job in jobs],
        "n": len(jobs),
        "expected": len(jobs),
        "missing": [],
        "cheats": sorted({cheat for job in jobs for cheat in job.row["cheats"] or ()}),
        **{arm: pool.row(jobs, jobs[0].student if arm == "student" else arm) for arm in ARMS},
        "gain_over_untuned": first["gain_over_untuned"] if len(jobs) == 1 else None,
        "pgr": _pgr(jobs, pool),
    }


def _pgr(jobs: Sequence[Job], pool: Pool) -> dict[str, Any]:
    if len(jobs) == 1:
        own = jobs[0].row["pgr"]
        return {**own, "per_seed": [own["value"]]}
    found = pool.pgr(jobs, jobs[0].student)
    if found is None:
        reason = "the seeds' answers cannot be read together"
        return {"value": None, "low": None, "high": None, "defined": False, "reason": reason, "per_seed": []}
    return {**vars(found.pgr), "per_seed": list(found.per_seed)}
