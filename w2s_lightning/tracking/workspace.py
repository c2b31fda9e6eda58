"""A saved wandb workspace for sweeps: figures of the summary runs, cells as bars, curves as means over seeds.

Runs are grouped by `config.cell`, which is everything but the seed; a summary run has no cell and stands alone.
"""

from collections.abc import Sequence
from typing import Any

from w2s_lightning.errors import UserError
from w2s_lightning.tracking.figures import media_key

NAME = "weak to strong"
CURVES = ("student", "floor", "ceiling")
FIGURES = ("matrix", "arms", "sizes", "gap", "following", "calibration", "difficulty")


def workspace(entity: str, project: str, tasks: Sequence[str] = ("facts",)) -> Any:
    """The layout as a `wandb_workspaces` Workspace; needs no login. `tasks` names those whose figures are shown."""
    ws, wr = _library()
    sections = [
        ws.Section(name="Sweep", is_open=True, panels=[wr.MediaBrowser(media_keys=_media(tasks), num_columns=2)]),
        ws.Section(name="Cells", is_open=True, panels=[_bars(wr, "PGR", ["pgr"]), _bars(wr, "Arms", _ARMS)]),
        ws.Section(name="Agreement", panels=[_bars(wr, "Agreement with the supervisor", _AGREEMENT)]),
        ws.Section(name="Curves", is_open=True, panels=[_curve(wr, name) for name in CURVES]),
        ws.Section(name="Runs", panels=[wr.RunComparer(diff_only="split")]),
    ]
    runs = ws.RunsetSettings(groupby=[ws.Config("cell")], order=[ws.Ordering(ws.Summary("pgr"), ascending=False)])
    return ws.Workspace(entity=entity, project=project, name=NAME, sections=sections, runset_settings=runs)


_ARMS = ["untuned", "floor", "student", "ceiling"]
_AGREEMENT = ["agreement_when_supervisor_right", "agreement_when_supervisor_wrong"]


def _library() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ModuleNotFoundError:
        raise UserError("a workspace needs wandb-workspaces: pip install 'w2s-lightning[workspace]'") from None
    return ws, wr


def _media(tasks: Sequence[str]) -> list[str]:
    return [media_key(f"{task}/{name}") for task in tasks for name in FIGURES]


def _bars(wr: Any, title: str, metrics: Sequence[str]) -> Any:
    """One bar a cell: the mean over its seeds, with their range."""
    chosen = [wr.SummaryMetric(name) for name in metrics]
    return wr.BarPlot(title=title, metrics=chosen, groupby="cell", groupby_aggfunc="mean", groupby_rangefunc="minmax")


def _curve(wr: Any, name: str) -> Any:
    """A fit's loss against its own step, as mean and range over the seeds of a cell."""
    shown = {"groupby": "cell", "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    return wr.LinePlot(title=f"Loss of the {name}", x=f"{name}/step", y=[f"{name}/loss"], **shown)
