"""Text and figures as a terminal shows them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from w2s_lightning.errors import printable

_KEY = re.compile(r" (?=[\w.@]+=)")


def shown(text: str) -> str:
    """Text of others for rich to print: neither markup nor control characters, which a terminal would obey."""
    return escape(printable(text, keep="\n"))


def title(name: Mapping[str, Any]) -> str:
    """A job in words: `facts · weak_to_strong · micro -> small · seed 0`."""
    return f"{name['task']} · {name['paradigm']} · {name['weak']} -> {name['strong']} · seed {name['seed']}"


def with_interval(part: Mapping[str, Any] | None) -> str:
    """`0.812 [.790, .834]`, or a dash."""
    if part is None or part["value"] is None:
        return "-"
    return f"{part['value']:z.3f} [{_short(part['low'])}, {_short(part['high'])}]"


def _short(number: float) -> str:
    """`.790`: an end of an interval without its leading zero."""
    return f"{number:z.3f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:z.3f}"


def pgr_words(pgr: Mapping[str, Any] | None) -> str:
    return "" if pgr is None else with_interval(pgr) if pgr["defined"] else "undefined"


def broken(figure: str) -> str:
    """A figure above its interval."""
    return figure.replace(" [", "\n[")


def in_bytes(count: float) -> str:
    """`1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def print_fitting(console: Console, make: Callable[..., Table]) -> None:
    """A table as `make` makes it for this width; stacked where it has no room."""
    table = make(stacked=False)
    wanted = console.measure(table, options=console.options.update(max_width=1000)).maximum
    console.print(table if wanted <= console.width else make(stacked=True))


def print_table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table; where it has no room, intervals stand below figures and `key=value` words below one another."""
    lines = [list(row) for row in rows]

    def make(*, stacked: bool) -> Table:
        cells = [[_KEY.sub("\n", broken(cell)) for cell in line] for line in lines] if stacked else lines
        table = table_of(columns, cells)
        table.columns[0].no_wrap = stacked  # what a row is called stays whole
        return table

    print_fitting(console, make)


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]], heading: str | None = None) -> Table:
    """A plain table of texts, which are folded where the terminal is narrow."""
    table = Table(
        title=heading and shown(heading), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for column in columns:
        table.add_column(shown(column), overflow="fold")
    for row in rows:
        table.add_row(*map(shown, row))
    return table
