"""A figure: what is drawn, the numbers behind it, and what it says in one sentence."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Variant:
    """One view of a figure, chosen by its label: a Plotly plot with colour tokens (None: the template draws it), and
    its data as rows."""

    label: str
    plot: Mapping[str, Any] | None
    rows: Sequence[Sequence[Cell]]
    reading: str


@dataclass(frozen=True)
class Figure:
    """`key` is its anchor, `columns` name the data of every variant."""

    key: str
    title: str
    columns: tuple[str, ...]
    variants: tuple[Variant, ...]
    note: str = ""
    choose: str = "show"

    @property
    def reading(self) -> str:
        """What the first view says."""
        return self.variants[0].reading

    def csv(self, number: int = 0) -> str:
        """A view's data; text that a spreadsheet would run as a formula is quoted."""
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_harmless(cell) for cell in row] for row in self.variants[number].rows)
        return sink.getvalue()


Parts = Sequence[Figure | str]
"""A page in order: figures, and sentences that stand where there is nothing to draw."""


def single(
    key: str,
    title: str,
    reading: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    plot: Mapping[str, Any] | None,
    note: str = "",
) -> Figure:
    """A figure with one view."""
    return Figure(key, title, tuple(columns), (Variant("", plot, rows, reading),), note)


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
