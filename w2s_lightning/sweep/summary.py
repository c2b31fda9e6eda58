"""One wandb run for the sweep as a whole, beside its jobs' runs in one group: the matrix as a table and as a plot."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from w2s_lightning.report.writing import plotly_figures
from w2s_lightning.schema import Tracking
from w2s_lightning.sweep.matrix import Labels, cell_text
from w2s_lightning.tracking import mirror
from w2s_lightning.tracking.figures import log_figures

_COLUMNS = ["task", "pair", "arm", "weak", "strong", "PGR [95 %]", "pgr", "pgr_low", "pgr_high", "n", "expected"]


def log_sweep(
    content: Mapping[str, Any], group: str, settings: Tracking, folder: Path, store: Path
) -> dict[str, str | None]:
    """Mirror a sweep's groups and the report's figures; returns id, mode and folder of the run, and raises nothing."""
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
        groups = content["groups"]
        labels = Labels.among(groups)
        table = wandb.Table(columns=_COLUMNS, data=[_line(group, labels) for group in groups])
        values = [[labels.full(group), group["pgr"]["value"]] for group in groups if group["pgr"]["defined"]]
        bars = wandb.Table(columns=["cell", "PGR"], data=values)
        run.log({"matrix": table, "pgr": wandb.plot.bar(bars, "cell", "PGR", title="PGR (ratio of means over seeds)")})
        log_figures(wandb, run, plotly_figures(folder, store))
        run.summary.update({f"jobs_{state}": count for state, count in content["counts"].items()})

    return mirror(naming, about, write, settings=settings, folder=folder)


def _line(group: Mapping[str, Any], labels: Labels) -> list[Any]:
    pgr = group["pgr"]
    figures = [pgr["value"], pgr["low"], pgr["high"], group["n"], group["expected"]]
    names = [group["task"], labels.pair(group), labels.arm(group), group["weak"], group["strong"]]
    return [*names, cell_text(group), *figures]
