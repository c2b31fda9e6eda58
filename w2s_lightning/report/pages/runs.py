"""Runs: every job with its cost, its configuration where it differs, the command that repeats it, a failure's log."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_lightning.digest import SHORT
from w2s_lightning.report.records import Job, Section
from w2s_lightning.report.words import arm_of, pair_of, seconds

LOG_LINES = 40
LOG_CHARACTERS = 6000


@dataclass(frozen=True)
class Runs:
    """Both tables, a mapping a row, and the details that the page shows of a job.

    Jobs: `seconds` are those of all their stages, whoever computed them, `stored` says how many of them were in the
    store when it ran. Stages: cost from their manifests; `state` is stored, older, damaged or missing.
    """

    jobs: tuple[dict[str, Any], ...]
    stages: tuple[dict[str, Any], ...]
    details: dict[str, Any]


def runs(section: Section) -> Runs:
    """The page of a section."""
    shared = _shared([job.config for job in section.jobs if job.config])
    details = {"shared": shared, "jobs": [_details(section, job, shared) for job in section.jobs]}
    several = len({job.row["paradigm"] for job in section.jobs}) > 1
    jobs = tuple(_job_line(section, number, job, several) for number, job in enumerate(section.jobs))
    return Runs(jobs, tuple(_stage_lines(section)), details)


def _job_line(section: Section, number: int, job: Job, several: bool) -> dict[str, Any]:
    stages = (job.result or {}).get("stages") or ()
    costs = [_provenance(section, stage["digest"]) for stage in stages]
    return {
        "number": number,
        "state": job.state,
        "pair": pair_of(job.row),
        "arm": arm_of(job.row, with_paradigm=several),
        "seed": job.seed,
        "pgr": job.row["pgr"] or {},
        "student": job.row["student"] or {},
        "seconds": sum(cost.get("seconds") or 0.0 for cost in costs) if stages else None,
        "stored": f"{sum(bool(stage['cached']) for stage in stages)} of {len(stages)}" if stages else "",
        "memory": max((cost.get("peak_memory_bytes") or 0 for cost in costs), default=0) or None,
        "digest": str(job.row["digest"] or ""),
    }


def _stage_lines(section: Section) -> list[dict[str, Any]]:
    used: dict[str, dict[str, Any]] = {}
    for job in section.jobs:
        for stage in (job.result or {}).get("stages") or ():
            used.setdefault(stage["digest"], {**stage, "used": 0})["used"] += 1
    return [_stage_line(section, stage) for stage in used.values()]


def _stage_line(section: Section, stage: dict[str, Any]) -> dict[str, Any]:
    digest = stage["digest"]
    section.shelf.stage(digest)
    fault = section.shelf.faults.get(digest[:SHORT])
    about = _provenance(section, digest)
    return {
        **{name: stage[name] for name in ("kind", "label", "digest", "used")},
        "state": fault.kind if fault else "stored",
        "seconds": about.get("seconds"),
        "memory": about.get("peak_memory_bytes"),
        "where": str(about.get("host", "")),
        "finished": str(about.get("finished_at", ""))[:16].replace("T", " "),
    }


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
