"""`python -m w2s_lightning.show workspace`: save a wandb workspace laid out for sweeps; needs a login.

It shows figures of the summary runs, cells as bars, curves as means over seeds. Runs are grouped by `config.cell`,
which is everything but the seed; a summary run has no cell and stands alone.
"""

import sys
from collections.abc import Sequence
from typing import Any

from w2s_lightning.errors import CommandParser, UserError, run_command
from w2s_lightning.show.mirror import first_line, media_key

FIGURES = ("matrix", "arms", "sizes", "gap", "following", "calibration", "difficulty")
_BARS = {
    "PGR": ["pgr"],
    "Arms": ["untuned", "floor", "student", "ceiling"],
    "Agreement with the supervisor": ["agreement_when_supervisor_right", "agreement_when_supervisor_wrong"],
}


def save(entity: str | None, project: str, tasks: Sequence[str]) -> str:
    """The saved workspace's address; raise UserError without a login, or when wandb refuses or does not answer."""
    import wandb
    from wandb.sdk.lib import wbauth

    host = wandb.setup().settings.base_url
    try:
        if wbauth.authenticate_session(host=host, source="w2s", prompt=False, update_session=False) is None:
            raise UserError(f"not logged in to {host}: run `wandb login`")
        own = entity or str(wandb.Api().default_entity)
        return str(workspace(own, project, tasks).save().url)
    except (wandb.Error, OSError) as error:
        raise UserError(f"{host} did not save the workspace: {first_line(error)}") from None


def workspace(entity: str, project: str, tasks: Sequence[str] = ("fact_pairs",)) -> Any:
    """The layout as a `wandb_workspaces` Workspace; needs no login. `tasks` names those whose figures are shown."""
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ModuleNotFoundError:
        raise UserError("a workspace needs wandb-workspaces: pip install 'w2s-lightning[workspace]'") from None
    # A bar or line a cell: the mean over its seeds, with their range.
    pooled = {"groupby": "cell", "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    bars = [
        wr.BarPlot(title=title, metrics=[wr.SummaryMetric(name) for name in names], **pooled)
        for title, names in _BARS.items()
    ]
    curves = [
        wr.LinePlot(title=f"Loss of the {name}", x=f"{name}/step", y=[f"{name}/loss"], **pooled)
        for name in ("student", "floor", "ceiling")
    ]
    media = [media_key(f"{task}/{name}") for task in tasks for name in FIGURES]
    sections = [
        ws.Section(name="Sweep", is_open=True, panels=[wr.MediaBrowser(media_keys=media, num_columns=2)]),
        ws.Section(name="Cells", is_open=True, panels=bars[:2]),
        ws.Section(name="Agreement", panels=bars[2:]),
        ws.Section(name="Curves", is_open=True, panels=curves),
        ws.Section(name="Runs", panels=[wr.RunComparer(diff_only="split")]),
    ]
    runs = ws.RunsetSettings(groupby=[ws.Config("cell")], order=[ws.Ordering(ws.Summary("pgr"), ascending=False)])
    return ws.Workspace(entity=entity, project=project, name="weak to strong", sections=sections, runset_settings=runs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Save the workspace and print its address; the exit code is 1 for a user's mistake."""
    parser = CommandParser(prog="python -m w2s_lightning.show", description=__doc__)
    parser.add_argument("what", choices=["workspace"], help="PGR matrix, arms, curves, grouped by cell")
    parser.add_argument("--entity", help="default: yours")
    parser.add_argument("--project", default="w2s-lightning")
    parser.add_argument("--task", action="append", metavar="NAME", help="whose figures to show (default: fact_pairs)")
    given = parser.parse_args(arguments)
    return run_command(lambda: print(save(given.entity, given.project, given.task or ("fact_pairs",))))


if __name__ == "__main__":
    sys.exit(main())
