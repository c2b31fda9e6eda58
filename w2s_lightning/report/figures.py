"""A figure: tidy rows, the Plotly drawing of them, and the one sentence that states its own numbers.

Rows are dicts with a key a column; keys that begin with `_` are for the drawing alone. Colours are `var(--name)` of
`theme`, which the page resolves for the theme in use and `theme.resolve` for the light one. Names that enter a drawing
go through `plain`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from w2s_lightning.report.theme import Look
from w2s_lightning.show.numbers import interval

Row = dict[str, Any]
Plot = dict[str, Any]

STYLE: Plot = {  # of every figure: no frame, faint grid, legend above
    "margin": {"l": 8, "r": 12, "t": 36, "b": 8},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": "var(--ink)", "size": 13, "family": "system-ui, sans-serif"},
    "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "xanchor": "left"},
    "hoverlabel": {"bgcolor": "var(--surface)", "bordercolor": "var(--line)", "font": {"color": "var(--ink)"}},
}
_AXIS: Plot = {
    **dict.fromkeys(("gridcolor", "zerolinecolor", "linecolor"), "var(--line)"),
    "automargin": True,
    "ticks": "",
    "title": {"font": {"color": "var(--muted)", "size": 12}},
}
STYLE |= {"xaxis": _AXIS, "yaxis": _AXIS}


@dataclass(frozen=True)
class View:
    """One view of a figure, chosen by its label: its rows, their drawing, its sentence."""

    label: str
    rows: Sequence[Row]
    plot: Plot
    reading: str


@dataclass(frozen=True)
class Figure:
    """`key` is its anchor, and what templates/words.html calls it; `choose` names what its views differ in."""

    key: str
    views: Sequence[View]
    choose: str = "cell"

    @property
    def columns(self) -> list[str]:
        """Names of the data of every view."""
        return [name for name in self.views[0].rows[0] if not name.startswith("_")] if self.views[0].rows else []

    def table(self, view: View) -> list[list[Any]]:
        """A view's data."""
        return [[row[name] for name in self.columns] for row in view.rows]


def plain(text: object) -> str:
    """A name for Plotly, which reads markup and templates in labels: as text, whatever it holds."""
    return escape(str(text), quote=False).replace("{", "&#123;")


def spread(what: str, rows: Sequence[Row], value: str = "value", label: str = "cell", digits: int = 3) -> str:
    """The sentence of a figure: its lowest and its highest number, each with its interval."""
    known = sorted((row for row in rows if row[value] is not None), key=lambda row: float(row[value]))
    if not known:
        return f"{what}: no number is known."
    ends = [f"{interval({**row, 'value': row[value]}, digits)} ({row[label]})" for row in (known[0], known[-1])]
    if known[0][label] == known[-1][label]:
        return f"{what}: {ends[0]}."
    return f"{what} runs from {ends[0]} to {ends[1]}."


# ---------------------------------------------------------------- drawing


def drawing(traces: Sequence[Plot], height: int, *, xaxis: Plot, yaxis: Plot, **more: Any) -> Plot:
    """Traces with their axes as Plotly's JSON; `STYLE` is added where it is shown.

    Plain data and no `plotly.graph_objects`: to load those and check a page costs a tenth of a second before the first
    figure. `views.mirrored` makes them, and so do the tests, which hold that Plotly takes every figure of a page.
    """
    return {"data": list(traces), "layout": {"height": height, "xaxis": xaxis, "yaxis": yaxis, **more}}


def axis(title: str, **more: Any) -> Plot:
    """An axis with a title."""
    return {"title": {"text": plain(title)}, **more}


def places(labels: Mapping[float, str], **more: Any) -> Plot:
    """A vertical axis of named rows; `<br>` parts a name's lines."""
    span = (min(labels) - 0.6, max(labels) + 0.6)
    ticks = {"tickvals": list(labels), "ticktext": list(labels.values())}
    return {**ticks, "range": span, "showgrid": False, "zeroline": False, **more}


def shares(rows: Sequence[Row], *columns: str) -> list[float]:
    """A range for shares that shows the intervals, but not much beyond 0 and 1: wider ones are cut there."""
    known = [row[name] for row in rows for name in columns or ("low", "high") if row.get(name) is not None]
    return [max(-0.02, min(known, default=0.0) - 0.03), min(1.03, max(known, default=1.0) + 0.03)]


def series(
    rows: Sequence[Row],
    x: str,
    y: str,
    *,
    by: str,
    looks: Callable[[str], Look],
    error: str = "",
    dots: tuple[str, str] | None = None,
    lines: bool = False,
    told: str = "cell",
) -> list[Plot]:
    """A trace for each value of the column `by`: marks at columns `x` and `y`, low and high along the axis `error`.

    Of rows that differ in their seed alone the mark is drawn once, and each seed as a small dot at the columns `dots`.
    """
    value = x if error == "x" else y
    traces: list[Plot] = []
    for name in dict.fromkeys(row[by] for row in rows):
        seeds = [row for row in rows if row[by] == name]
        own = list({(row[x], row[y]): row for row in seeds}.values())
        look, label = looks(name), plain(name)
        line = {"color": look.colour, "width": 2}
        sizes = [row.get("_size", 11) for row in own]
        trace: Plot = {
            "type": "scatter",
            "name": label,
            "legendgroup": label,
            "mode": "lines+markers" if lines else "markers",
            "x": [row[x] for row in own],
            "y": [row[y] for row in own],
            "marker": {"color": look.colour, "symbol": look.symbol, "size": sizes, "opacity": 1, "line": line},
            "line": {**line, "dash": look.dash},
            "hoverinfo": "text",
            "hovertext": [f"{plain(row[told])}<br>{label} {interval({**row, 'value': row[value]})}" for row in own],
        }
        if error:
            known = [(row[value], row["low"], row["high"]) for row in own]
            trace[f"error_{error}"] = {
                "type": "data",
                "array": [0 if high is None else high - at for at, _, high in known],
                "arrayminus": [0 if low is None else at - low for at, low, _ in known],
                "symmetric": False,
                "thickness": 1.5,
                "width": 0,
                "color": look.colour,
            }
        traces.append(trace)
        if dots is not None:
            dot = {"color": look.colour, "size": 6, "line": {"color": "var(--paper)", "width": 1}}
            at = {axis: [row[column] for row in seeds] for axis, column in zip("xy", dots, strict=True)}
            about = {"mode": "markers", "marker": dot, "legendgroup": label, "showlegend": False, "hoverinfo": "x+y"}
            traces.append({"type": "scatter", **at, **about})
    return traces


def guide(x: Sequence[float | None], y: Sequence[float | None], colour: str, width: float, **more: Any) -> Plot:
    """A line that is no mark: a diagonal, a connection, a single seed."""
    quiet = {"mode": "lines", "line": {"color": colour, "width": width}, "showlegend": False, "hoverinfo": "skip"}
    return {"type": "scatter", "x": list(x), "y": list(y), **quiet, **more}
