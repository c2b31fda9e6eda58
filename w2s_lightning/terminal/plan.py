"""The plan on paper."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from w2s_lightning.cost import Cost, total
from w2s_lightning.plan import Plan
from w2s_lightning.terminal.words import in_bytes, shown, title

SHORT = 10


def print_plan(console: Console, plan: Plan, stored: Mapping[str, bool], costs: Mapping[str, Cost]) -> None:
    """Stages in order with what is in the store and what the rest would cost; runs nothing."""
    heading = shown(title(plan.name))
    table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("kind", no_wrap=True)
    table.add_column("stage", overflow="fold")
    table.add_column("digest", no_wrap=True)
    for column in ("FLOPs", "seconds", "disk", "store"):
        table.add_column(column, justify="right", no_wrap=True)
    for stage in plan.stages:
        there, price = stored[stage.digest], costs[stage.digest]
        figures = ("", "", "") if there else (f"{price.flops:.1e}", f"{price.seconds:.1f}", in_bytes(price.bytes))
        cells = (stage.kind, stage.label, stage.digest[:SHORT], *figures, "there" if there else "missing")
        table.add_row(*(shown(cell) for cell in cells))
    console.print(table)
    missing = [costs[stage.digest] for stage in plan.stages if not stored[stage.digest]]
    price = total(missing)
    console.print(
        f"{len(plan.stages)} stages, {len(plan.stages) - len(missing)} in the store, {len(missing)} to compute: about "
        f"{price.flops:.1e} FLOPs, {price.seconds:.0f} s on this machine, {in_bytes(price.bytes)} of disk",
        highlight=False,
    )
    for notice in plan.notices:
        console.print(f"note: {shown(notice)}")
