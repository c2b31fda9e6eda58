"""Plotly plots as plain dicts, drawn alike everywhere: faint grid, no frame, meaning by colour and by symbol.

Colours are tokens of `theme`. Every name that enters a plot goes through `plain`.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Plot = dict[str, Any]
Ends = Sequence[tuple[float | None, float | None]]


def plain(text: object) -> str:
    """A name for Plotly, which reads markup and templates in labels: as text, whatever it holds."""
    return escape(str(text), quote=False).replace("{", "&#123;")


def layout(height: int, **more: Any) -> Plot:
    """A calm layout: no frame, faint grid, legend above; `more` changes parts of it."""
    axis = {"gridcolor": "@line", "zerolinecolor": "@line", "linecolor": "@line", "automargin": True, "ticks": ""}
    base: Plot = {
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


def titled(text: str, **more: Any) -> Plot:
    """An axis with a title."""
    return {"title": {"text": plain(text), "font": {"color": "@muted", "size": 12}}, **more}


def categories(places: Sequence[float], labels: Sequence[str], ends: tuple[float, float] | None = None) -> Plot:
    """A vertical axis of named rows."""
    span = ends or (min(places) - 0.6, max(places) + 0.6)
    return {
        "tickvals": list(places),
        "ticktext": list(labels),
        "range": list(span),
        "showgrid": False,
        "zeroline": False,
    }


def shares(ends: Ends) -> list[float]:
    """A range for an axis of shares that shows the intervals, but not much beyond 0 and 1: wider ones are cut there."""
    known = [value for pair in ends for value in pair if value is not None]
    return [max(-0.02, min(known, default=0.0) - 0.03), min(1.03, max(known, default=1.0) + 0.03)]


def bars(values: Sequence[float], ends: Ends, colour: str) -> Plot:
    """Asymmetric error bars; none where there is no interval."""
    up = [0 if high is None else high - value for value, (_, high) in zip(values, ends, strict=True)]
    down = [0 if low is None else value - low for value, (low, _) in zip(values, ends, strict=True)]
    shape = {"type": "data", "symmetric": False, "thickness": 1.5, "width": 0, "color": colour}
    return {**shape, "array": up, "arrayminus": down}


def marks(name: str, x: Sequence[float], y: Sequence[float], colour: str, symbol: str, hover: Sequence[str]) -> Plot:
    """Large marks with a story each."""
    marker = {"color": colour, "symbol": symbol, "size": 11, "line": {"color": colour, "width": 2}}
    shared = {"type": "scatter", "mode": "markers", "name": name, "legendgroup": name}
    return {**shared, "x": list(x), "y": list(y), "marker": marker, "hoverinfo": "text", "hovertext": list(hover)}


def dots(name: str, points: Sequence[tuple[float, float]], colour: str) -> Plot:
    """Small dots of single seeds, which come and go with the marks of that name."""
    marker = {"color": colour, "size": 6, "line": {"color": "@paper", "width": 1}}
    shared = {"type": "scatter", "mode": "markers", "name": name, "legendgroup": name, "showlegend": False}
    return {**shared, "x": [x for x, _ in points], "y": [y for _, y in points], "marker": marker, "hoverinfo": "x+y"}


def line(
    name: str, x: Sequence[float], y: Sequence[float | None], look: Mapping[str, str], hover: Sequence[str]
) -> Plot:
    """A line with marks; `look` has colour, symbol and dash."""
    shared = {"type": "scatter", "mode": "lines+markers", "name": name, "legendgroup": name}
    marker = {"color": look["colour"], "symbol": look["symbol"], "size": 9, "opacity": 1}
    drawn = {"color": look["colour"], "width": 2, "dash": look["dash"]}
    story = {"hoverinfo": "text", "hovertext": list(hover)}
    return {**shared, "x": list(x), "y": list(y), "marker": marker, "line": drawn, **story}


def band(name: str, x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str) -> Plot:
    """An area between two lines."""
    shared = {"type": "scatter", "mode": "none", "name": name, "legendgroup": name, "showlegend": False}
    return {
        **shared,
        "x": [*x, *x[::-1]],
        "y": [*high, *low[::-1]],
        "fill": "toself",
        "fillcolor": colour,
        "hoverinfo": "skip",
    }


def quiet(x: Sequence[float | None], y: Sequence[float | None], colour: str, width: float) -> Plot:
    """A line that is no data: a diagonal, a connection, a single seed."""
    shared = {"type": "scatter", "mode": "lines", "showlegend": False, "hoverinfo": "skip"}
    return {**shared, "x": list(x), "y": list(y), "line": {"color": colour, "width": width}}
