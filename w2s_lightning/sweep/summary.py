"""One wandb run for the sweep as a whole, beside its jobs' runs in one group: the report's figures and tables."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from w2s_lightning.report.mirrored import mirrored
from w2s_lightning.schema import Tracking
from w2s_lightning.show.mirror import log_report, mirror


def log_sweep(
    content: Mapping[str, Any], group: str, settings: Tracking, folder: Path, store: Path
) -> dict[str, str | None]:
    """Mirror what lies in a sweep's folder; returns id, mode and folder of the run, and raises nothing."""
    naming = {
        "project": settings.project,
        "entity": settings.entity,
        "job_type": "sweep",
        "group": group,
        "name": f"summary-{group}",
        "tags": list(settings.tags),
    }
    about = {"sweep": content["sweep"], "digest": content["digest"], "command": content["command"]}

    def write(wandb: ModuleType, run: Any) -> None:
        log_report(wandb, run, *mirrored(folder, store))
        run.summary.update({f"jobs_{state}": count for state, count in content["counts"].items()})

    return mirror(naming, about, write, settings=settings, folder=folder)
