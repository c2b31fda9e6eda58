"""Runs: every job with its cost, its configuration where it differs, the command that repeats it, a failure's log."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_lightning.digest import SHORT
from w2s_lightning.report.records import Job, Section
from w2s_lightning.report.words import arm_of, interval, pair_of, seconds, size

LOG_LINES = 40
LOG_CHARACTERS = 6000


@dataclass(frozen=True)
class JobLine:
    """One job as a table's row; `took` is the time of all its stages, whoever computed them, `stored` how many of
    them were in the store when it ran; `order` holds numbers that columns are sorted by."""

    number: int
    state: str
    pair: str
    arm: str
    seed: Any
    pgr: str
    student: str
    took: str
    stored: str
    memory: str
    digest: str
    order: dict[str, float]


@dataclass(frozen=True)
class StageLine:
    """One stage with its cost, from its manifest; `state` is stored, older, damaged or missing."""

    kind: str
    label: str
    digest: str
    state: str
    took: str
    memory: str
    where: str
    finished: str
    used: int
    order: dict[str, float]


@dataclass(frozen=True)
class Runs:
    """Both tables, and the details that the page shows of a job."""

    jobs: tuple[JobLine, ...]
    stages: tuple[StageLine, ...]
    details: dict[str, Any]


def runs(section: Section) -> Runs:
    """The page of a section."""
    shared = _shared([job.config for job in section.jobs if job.config])
    details = {"shared": shared, "jobs": [_details(section, job, shared) for job in section.jobs]}
    several = len({job.row["paradigm"] for job in section.jobs}) > 1
    jobs = tuple(_job_line(section, number, job, several) for number, job in enumerate(section.jobs))
    return Runs(jobs, tuple(_stage_lines(section)), details)


def _job_line(section: Section, number: int, job: Job, several: bool) -> JobLine:
    stages = (job.result or {}).get("stages") or ()
    costs = [_provenance(section, stage["digest"]) for stage in stages]
    took = sum(cost.get("seconds") or 0.0 for cost in costs)
    memory = max((cost.get("peak_memory_bytes") or 0 for cost in costs), default=0)
    pgr, student = job.row["pgr"] or {}, job.row["student"] or {}
    ends = {"pgr": pgr.get("value"), "student": student.get("value"), "took": took, "memory": memory}
    return JobLine(
        number=number,
        state=job.state,
        pair=pair_of(job.row),
        arm=arm_of(job.row, with_paradigm=several),
        seed=job.seed,
        pgr=interval(pgr, 2) if pgr.get("defined") else "undefined" if pgr else "",
        student=interval(student) if student else "",
        took=seconds(took) if stages else "",
        stored=f"{sum(bool(stage['cached']) for stage in stages)} of {len(stages)}" if stages else "",
        memory=size(memory) if memory else "",
        digest=str(job.row["digest"] or "")[:8],
        order={key: -9.0 if value is None else value for key, value in ends.items()},
    )


def _stage_lines(section: Section) -> list[StageLine]:
    used: dict[str, dict[str, Any]] = {}
    for job in section.jobs:
        for stage in (job.result or {}).get("stages") or ():
            used.setdefault(stage["digest"], {**stage, "used": 0})["used"] += 1
    return [_stage_line(section, stage) for stage in used.values()]


def _stage_line(section: Section, stage: dict[str, Any]) -> StageLine:
    digest = stage["digest"]
    section.shelf.stage(digest)
    fault = section.shelf.faults.get(digest[:SHORT])
    about = _provenance(section, digest)
    took, memory = about.get("seconds"), about.get("peak_memory_bytes")
    return StageLine(
        kind=stage["kind"],
        label=stage["label"],
        digest=digest[:8],
        state=fault.kind if fault else "stored",
        took=seconds(took),
        memory=size(memory),
        where=str(about.get("host", "")),
        finished=str(about.get("finished_at", ""))[:16].replace("T", " "),
        used=stage["used"],
        order={"took": took or 0.0, "memory": memory or 0.0},
    )


def _provenance(section: Section, digest: str) -> Mapping[str, Any]:
    manifest = section.shelf.manifest(digest)
    return manifest.provenance if manifest else {}


# ---------------------------------------------------------------- details of one job


def _details(section: Section, job: Job, shared: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": job.title,
        "state": job.state,
        "digest": job.row["digest"],
        "reason": job.row.get("reason"),
        "command": command_of(job),
        "own": {key: value for key, value in job.config.items() if key not in shared} if job.config else None,
        "notices": list(job.row.get("notices") or ()),
        "log": _tail(job.row.get("log")),
        "stages": [_stage_cells(stage) for stage in (job.result or {}).get("stages") or ()],
    }


def command_of(job: Job) -> str:
    """What to type to run this one job again."""
    return shlex.join(["python", "train.py", *job.row["overrides"]])


def _stage_cells(stage: dict[str, Any]) -> list[Any]:
    how = "from the store" if stage["cached"] else seconds(stage["seconds"])
    return [stage["kind"], stage["label"], stage["digest"][:SHORT], how]


def _shared(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is the same in all of them."""
    if not configs:
        return {}
    first, *others = configs
    return {key: value for key, value in first.items() if all(key in o and o[key] == value for o in others)}


def _tail(log: str | None) -> str | None:
    """The end of a log, None without one."""
    if log is None:
        return None
    try:
        text = Path(log).read_text(errors="replace")
    except OSError as error:
        return f"{log} cannot be read: {error.strerror}"
    return "\n".join(text.splitlines()[-LOG_LINES:])[-LOG_CHARACTERS:]
