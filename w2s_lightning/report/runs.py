"""Runs: every job with its cost, its configuration where it differs, the command that repeats it, a failure's log."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_lightning.atomic import read_bytes
from w2s_lightning.identity import SHORT
from w2s_lightning.report.records import JobRecord, Section
from w2s_lightning.results.stored import StoreReader
from w2s_lightning.show.numbers import pair, seconds

LOG_LINES = 40
LOG_CHARACTERS = 6000


@dataclass(frozen=True)
class Runs:
    """Both tables, a mapping a row, and the details that the page shows of a job.

    Jobs: `seconds` are those of all their stages, whoever computed them, `stored` says how many of them were in the
    store when it ran. Stages: cost from their manifests; `state` is stored, older, damaged or missing.
    """

    jobs: list[dict[str, Any]]
    stages: list[dict[str, Any]]
    details: dict[str, Any]


def runs(section: Section) -> Runs:
    """The page of a section."""
    reader, configs = section.pooled.reader, [job.config for job in section.jobs if job.config]
    first = configs[0] if configs else {}
    shared = {key: value for key, value in first.items() if all(key in o and o[key] == value for o in configs)}
    used: dict[str, dict[str, Any]] = {}
    for job in section.jobs:
        for stage in job.stages:
            used.setdefault(stage["digest"], {**stage, "used": 0})["used"] += 1
    jobs = [
        {"number": number, "arm": section.labels.arm(job.row), **_job_line(reader, job)}
        for number, job in enumerate(section.jobs)
    ]
    details = [{"title": section.title_of(job), **_details(job, shared)} for job in section.jobs]
    stages = [_stage_line(reader, stage) for stage in used.values()]
    return Runs(jobs, stages, {"shared": shared, "jobs": details})


def _job_line(reader: StoreReader, job: JobRecord) -> dict[str, Any]:
    costs = [_provenance(reader, stage["digest"]) for stage in job.stages]
    stored = sum(bool(stage["cached"]) for stage in job.stages)
    return {
        **{name: job.row[name] for name in ("state", "seed", "pgr", "student")},
        "pair": pair(job.row),
        "seconds": sum(cost.get("seconds") or 0.0 for cost in costs) if costs else None,
        "stored": f"{stored} of {len(costs)}" if costs else "",
        "memory": max((cost.get("peak_memory_bytes") or 0 for cost in costs), default=0) or None,
        "digest": str(job.row["digest"] or ""),
    }


def _stage_line(reader: StoreReader, stage: dict[str, Any]) -> dict[str, Any]:
    digest = stage["digest"]
    reader.stage(digest)  # what is wrong with it becomes a fault
    fault, about = reader.faults.get(digest[:SHORT]), _provenance(reader, digest)
    return {
        **{name: stage[name] for name in ("kind", "label", "digest", "used")},
        "state": fault.kind if fault else "stored",
        "seconds": about.get("seconds"),
        "memory": about.get("peak_memory_bytes"),
        "where": str(about.get("host", "")),
        "finished": str(about.get("finished_at", ""))[:16].replace("T", " "),
    }


def _provenance(reader: StoreReader, digest: str) -> Mapping[str, Any]:
    manifest = reader.manifest(digest)
    return manifest.provenance if manifest else {}


def _details(job: JobRecord, shared: dict[str, Any]) -> dict[str, Any]:
    stages = []
    for stage in job.stages:
        how = "from the store" if stage["cached"] else seconds(stage["seconds"])
        stages.append([stage["kind"], stage["label"], stage["digest"][:SHORT], how])
    return {
        **{name: job.row.get(name) for name in ("state", "digest", "reason")},
        "command": shlex.join(["python", "train.py", *job.row["overrides"]]),
        "own": {key: value for key, value in job.config.items() if key not in shared} if job.config else None,
        "notices": list(job.row.get("notices") or ()),
        "log": _tail(job.row.get("log")),
        "stages": stages,
    }


def _tail(log: str | None) -> str | None:
    """The end of a log, None without one."""
    if log is None:
        return None
    try:
        text = read_bytes(Path(log)).decode(errors="replace")
    except (OSError, ValueError) as error:
        return f"{log} cannot be read: {error}"
    return "\n".join(text.splitlines()[-LOG_LINES:])[-LOG_CHARACTERS:]
