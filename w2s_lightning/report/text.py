"""Overview and paradigms in a terminal, for people on a login node."""

from collections.abc import Sequence

from rich.console import Console

from w2s_lightning.report.views import Pages
from w2s_lightning.show.matrix import print_matrices
from w2s_lightning.show.terminal import print_table
from w2s_lightning.show.words import interval, saw, shown

NOTHING = """There is no finished job and no sweep here. Run one of these, then again:
  python train.py
  python train.py -m sweeps=size_pairs"""


def print_pages(console: Console, found: Sequence[Pages]) -> None:
    """Print every section, or what to run when there is none."""
    if not found:
        console.print(NOTHING, soft_wrap=True)
    for pages in found:
        section, over = pages.section, pages.overview
        console.print(f"[bold]{shown(section.title)}[/bold]", soft_wrap=True)
        faults = (f"{fault.kind}: {fault.where}: {fault.detail}" for fault in pages.faults)
        for line in (section.question, over.words, *faults, *over.remarks):
            console.print(shown(line), soft_wrap=True)
        print_matrices(console, [group.row for group in section.groups])
        if over.claims:
            rows = [(one["verdict"], one["text"] or one["claim"], one["figure"], one["seeds"]) for one in over.claims]
            print_table(console, ("verdict", "claim", "value [95 %]", "per seed"), rows, "claims")
        if pages.paradigms:
            _print_paradigms(console, pages)


def _print_paradigms(console: Console, pages: Pages) -> None:
    assert pages.paradigms is not None
    for view, blocks in zip(pages.paradigms.figure.views, pages.paradigms.blocks, strict=True):
        rows = [(row["row"], row["model"], interval(row), saw(row)) for block in blocks for row in block.rows]
        columns = ("row", "model", f"{pages.section.metric} [95 %]", "trained on")
        print_table(console, columns, rows, view.label, folded=2)
        for test in (test for block in blocks for test in block.tests):
            console.print(f"  {shown(test.sentence)}", soft_wrap=True)
