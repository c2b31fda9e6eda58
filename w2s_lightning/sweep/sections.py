"""A sweep's benchmark in the terminal: PGR of every group by section, over seeds and benchmark rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from w2s_lightning.sweep.matrix import Labels
from w2s_lightning.terminal.words import print_table

Row = Mapping[str, Any]


def print_sections(console: Console, groups: Sequence[Row]) -> None:
    """Sections x groups, where any group has a benchmark."""
    judged = [group for group in groups if group.get("sections")]
    if not judged:
        return
    labels = Labels.among(groups)
    alone = len({labels.pair(group) for group in judged}) == 1
    names = list(dict.fromkeys(part["name"] for group in judged for part in group["sections"]))
    console.print("PGR [95 %] on the benchmark, by section", highlight=False)
    rows = []
    for group in judged:
        found = {part["name"]: part["pgr"] for part in group["sections"]}
        label = labels.arm(group) if alone else labels.full(group)
        rows.append([label, *(_cell(found.get(name)) for name in names)])
    print_table(console, ["", *names], rows)


def _cell(pgr: Row | None) -> str:
    """PGR with its interval."""
    if pgr is None:
        return ""
    return f"{pgr['value']:.2f} [{pgr['low']:.2f}, {pgr['high']:.2f}]" if pgr["defined"] else "undefined"
