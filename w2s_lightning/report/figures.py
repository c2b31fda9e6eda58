"""A figure: what is drawn, the numbers behind it, and what it says in one sentence."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
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


def plain(text: object) -> str:
    """A name for Plotly, which reads markup and templates in labels: as text, whatever it holds."""
    return escape(str(text), quote=False).replace("%{", "%&#123;").replace("{", "&#123;")


def layout(height: int, **more: Any) -> dict[str, Any]:
    """A calm layout: no frame, faint grid, legend above. Colours are tokens."""
    axis = {"gridcolor": "@line", "zerolinecolor": "@line", "linecolor": "@line", "automargin": True, "ticks": ""}
    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 36, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "@ink", "size": 13, "family": "system-ui, sans-serif"},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "xanchor": "left"},
        "hoverlabel": {"bgcolor": "@surface", "bordercolor": "@line", "font": {"color": "@ink"}},
        "xaxis": dict(axis),
        "yaxis": dict(axis),
    }
    for key, value in more.items():
        base[key] = {**base[key], **value} if isinstance(base.get(key), dict) else value
    return base


def titled(text: str) -> dict[str, Any]:
    """An axis title."""
    return {"title": {"text": text, "font": {"color": "@muted", "size": 12}}}


def shares(values: Sequence[float | None]) -> list[float]:
    """A range for an axis of shares: all of the values, but not much beyond 0 and 1; wider intervals are cut there."""
    known = [value for value in values if value is not None]
    return [max(-0.02, min(known, default=0.0) - 0.03), min(1.03, max(known, default=1.0) + 0.03)]


def error_bars(low: Sequence[float | None], value: Sequence[float], high: Sequence[float | None]) -> dict[str, Any]:
    """Asymmetric error bars from interval ends; no bar where there is no interval."""
    up = [0 if end is None else end - mid for end, mid in zip(high, value, strict=True)]
    down = [0 if end is None else mid - end for end, mid in zip(low, value, strict=True)]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.5, "width": 0}
