"""Overview and paradigms in a terminal, for people on a login node."""

from collections.abc import Sequence

from rich.console import Console

from w2s_lightning.report.pages.matrix import Square
from w2s_lightning.report.view import View
from w2s_lightning.report.words import interval, saw
from w2s_lightning.show.tables import print_table
from w2s_lightning.show.words import shown

NOTHING = "There is no finished job and no sweep here. Run one of these, then again:"
COMMANDS = ("python train.py", "python train.py -m sweeps=size_pairs")


def print_views(console: Console, views: Sequence[View]) -> None:
    """Print every section, or what to run when there is none."""
    if not views:
        _say(console, NOTHING)
        for command in COMMANDS:
            _say(console, f"  {command}")
    for view in views:
        _overview(console, view)
        _paradigms(console, view)


def _overview(console: Console, view: View) -> None:
    over = view.overview
    console.print(f"[bold]{shown(view.section.title)}[/bold]", soft_wrap=True)
    _say(console, view.section.question)
    _say(console, over.words)
    for fault in view.faults:
        _say(console, f"{fault.kind}: {fault.where}: {fault.detail}")
    for remark in over.remarks:
        _say(console, remark)
    rows = ([label, *map(_cell, squares)] for label, squares in over.matrix.rows)
    print_table(console, (over.matrix.corner, *over.matrix.columns), rows, "PGR")
    _say(console, over.matrix_figure.reading)
    for tip in over.reasons:
        _say(console, f"  {tip}")
    if over.arms:
        _say(console, over.arms.reading)
    if over.claims:
        claims = ((claim.verdict, claim.text or claim.name, claim.value, claim.per_seed) for claim in over.claims)
        print_table(console, ("verdict", "claim", "value [95 %]", "per seed"), claims, "claims")


def _cell(square: Square) -> str:
    more = ", ".join(part for part in (square.below, square.seeds) if part)
    return f"{square.text} ({more})" if more else square.text


def _paradigms(console: Console, view: View) -> None:
    if view.paradigms is None:
        return
    for variant, blocks in zip(view.paradigms.figure.variants, view.paradigms.blocks, strict=True):
        lines = [line for block in blocks for line in block.lines]
        rows = [(line.name, line.model, interval(line.part), saw(line.information)) for line in lines]
        columns = ("row", "model", f"{view.section.metric} [95 %]", "trained on")
        print_table(console, columns, rows, variant.label, folded=2)
        _say(console, variant.reading)
        for test in (test for block in blocks for test in block.tests):
            _say(console, f"  {test.sentence}")


def _say(console: Console, text: str) -> None:
    console.print(shown(text), soft_wrap=True)
