"""Results of finished jobs, as they lie on disk: read once, read again when they change."""

import json
from typing import Any

from w2s_lightning.results.job_result import VERSION
from w2s_lightning.sweep.grid import PlannedJob


class Finished:
    """The valid results of planned jobs."""

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
            known = (stamp, _valid(json_of(file), job))
            self._read[job.plan.digest] = known
        return known[1]


def json_of(file: Any) -> Any:
    """A JSON file's content, None when it is not JSON."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def _valid(result: Any, job: PlannedJob) -> dict[str, Any] | None:
    if not isinstance(result, dict) or result.get("version") != VERSION or result.get("digest") != job.plan.digest:
        return None
    needed = {"job", "rows", "pgr", "stages", "wandb", "overrides"}
    wanted, got = job.runtime.tracking.mode, (result.get("wandb") or {}).get("mode")
    mirrored = wanted in ("auto", "disabled", got)
    return result if needed <= result.keys() and mirrored else None
