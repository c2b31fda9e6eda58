"""Scaling: student and ceiling against the strong model's size, a line a supervisor; PGR against the gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from w2s_lightning.report.figures import Cell, Figure, Variant, error_bars, layout, plain, single, titled
from w2s_lightning.report.pages.matrix import state_of
from w2s_lightning.report.records import Group, Job, Section
from w2s_lightning.report.theme import SYMBOLS, series
from w2s_lightning.report.words import listed, number

SIZE_COLUMNS = ("arm", "line", "strong", "parameters", "mean", "lowest seed", "highest seed", "seeds")
GAP_COLUMNS = ("pair", "arm", "floor", "ceiling", "gap", "pgr", "low", "high", "state", "reason")
Point = tuple[float, str, dict[str, Any], int]


@dataclass(frozen=True)
class Scaling:
    """Both figures; `sizes` is None while the sweep has one strong size or sizes are not known."""

    sizes: Figure | None
    gap: Figure
    why: str


def scaling(section: Section) -> Scaling | None:
    """The page of a section, None without a result."""
    if not section.finished:
        return None
    known = [(group, size) for group in section.finished if (size := parameters(section, group.done[0])) is not None]
    strong = {group.row["strong"] for group, _ in known}
    sizes = _sizes(known, section.metric) if len(strong) > 1 else None
    lost = [group.title for group in section.finished if group not in [one for one, _ in known]]
    why = "" if sizes else "This sweep has one size of the strong model: `python train.py -m sweeps=size_pairs` has several."
    if lost and not sizes:
        why = f"The number of parameters is not known of {listed(lost)}."
    return Scaling(sizes, _gap(section.finished), why)


def parameters(section: Section, job: Job) -> float | None:
    """Parameters of the strong model: as its configuration states them, else as its pretraining counted them."""
    stated = job.config.get("strong.params")
    if isinstance(stated, int | float):
        return float(stated)
    stages = (job.result or {}).get("stages") or ()
    for stage in stages:
        if stage["kind"] == "pretrain" and stage["label"].startswith(f"{job.row['strong']}-"):
            counted = section.shelf.metrics(stage["digest"]).get("num_params")
            return None if counted is None else float(counted)
    return None


def _sizes(known: Sequence[tuple[Group, float]], metric: str) -> Figure:
    arms = list(dict.fromkeys(group.arm for group, _ in known))
    views = [_sizes_of(arm, [(group, size) for group, size in known if group.arm == arm], metric) for arm in arms]
    note = "Lines are means over seeds, bands reach from the lowest to the highest seed, dots are seeds."
    return Figure("sizes", "Accuracy against the strong model's size", SIZE_COLUMNS, tuple(views), note, "arm")


def _sizes_of(arm: str, known: Sequence[tuple[Group, float]], metric: str) -> Variant:
    lines: dict[str, list[Point]] = {}
    for group, size in sorted(known, key=lambda item: item[1]):
        for label, part in ((f"student of {group.row['weak']}", group.row["student"]), ("ceiling", group.row["ceiling"])):
            point = (size, str(group.row["strong"]), part, group.row["n"])
            if part and all(point[:2] != other[:2] for other in lines.get(label, ())):
                lines.setdefault(label, []).append(point)
    traces: list[dict[str, Any]] = []
    for place, (label, points) in enumerate(sorted(lines.items(), key=lambda item: item[0] == "ceiling")):
        traces += _band_and_line(label, points, place)
    sizes = sorted({(size, str(group.row["strong"])) for group, size in known})
    ticks = {"tickvals": [size for size, _ in sizes], "ticktext": [_sized(name, size) for size, name in sizes]}
    axis = {**titled("parameters of the strong model"), "type": "log", **ticks}
    drawn = layout(430, xaxis=axis, yaxis=titled(metric))
    rows = [_size_row(arm, label, point) for label, points in lines.items() for point in points]
    return Variant(arm, {"data": traces, "layout": drawn}, rows, _sizes_reading(lines))


def _sized(name: str, size: float) -> str:
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= scale:
            return f"{plain(name)}<br>{size / scale:.3g}{unit}"
    return f"{plain(name)}<br>{size:.0f}"


def _band_and_line(label: str, points: Sequence[Point], place: int) -> list[dict[str, Any]]:
    look = series(place)
    colour, symbol = (look["colour"], look["symbol"]) if label != "ceiling" else ("@ceiling", SYMBOLS["ceiling"])
    x = [size for size, *_ in points]
    low, high = ([end(_seeds(part)) for _, _, part, _ in points] for end in (min, max))
    shared = {"type": "scatter", "legendgroup": label, "name": plain(label)}
    band = {**shared, "x": [*x, *x[::-1]], "y": [*high, *low[::-1]], "fill": "toself", "mode": "none"}
    band |= {"fillcolor": f"{colour}/14", "showlegend": False, "hoverinfo": "skip"}
    dots = [(size, one) for size, _, part, _ in points for one in _seeds(part)]
    small = {**shared, "x": [size for size, _ in dots], "y": [one for _, one in dots], "mode": "markers"}
    small |= {"marker": {"color": f"{colour}/55", "size": 5}, "showlegend": False, "hoverinfo": "y"}
    line = {**shared, "x": x, "y": [part["value"] for _, _, part, _ in points], "mode": "lines+markers"}
    line |= {"line": {"color": colour, "width": 2, "dash": "dot" if label == "ceiling" else look["dash"]}}
    line["hovertext"] = [f"{plain(label)}, {plain(name)}<br>{number(part['value'])}" for _, name, part, _ in points]
    return [band, small, {**line, "hoverinfo": "text", "marker": {"color": colour, "symbol": symbol, "size": 9}}]


def _seeds(part: dict[str, Any]) -> list[float]:
    return list(part.get("per_seed") or [part["value"]])


def _size_row(arm: str, label: str, point: Point) -> list[Cell]:
    size, name, part, seeds = point
    return [arm, label, name, size, part["value"], min(_seeds(part)), max(_seeds(part)), seeds]


def _sizes_reading(lines: dict[str, list[Point]]) -> str:
    ends = {label: points[-1][2]["value"] - points[0][2]["value"] for label, points in lines.items() if len(points) > 1}
    ordered = sorted(ends.items(), key=lambda item: item[0] == "ceiling")
    told = [f"the {label} {'rises' if end > 0 else 'falls'} by {number(abs(end))}" for label, end in ordered]
    if not told:
        return "Every line has one size only."
    return f"From the smallest to the largest strong model, {listed(told, 5)}."


# ---------------------------------------------------------------- PGR against the gap


def _gap(groups: Sequence[Group]) -> Figure:
    rows: list[list[Cell]] = []
    for group in groups:
        floor, ceiling, pgr = (group.row[name] for name in ("floor", "ceiling", "pgr"))
        ends: list[Cell] = [part["value"] if part else None for part in (floor, ceiling)]
        gap = ceiling["value"] - floor["value"] if floor and ceiling else None
        figures: list[Cell] = [pgr["value"], pgr["low"], pgr["high"]]
        rows.append([group.pair, group.arm, *ends, gap, *figures, state_of(group), pgr["reason"]])
    drawn = [group for group in groups if group.row["pgr"]["defined"]]
    lines: dict[str, list[Group]] = {}
    several = len({group.arm for group in groups}) > 1
    for group in drawn:
        lines.setdefault(group.arm if several else f"from {group.row['weak']}", []).append(group)
    traces = [trace for place, (name, own) in enumerate(lines.items()) for trace in _gap_traces(name, own, place)]
    plot = {"data": traces, "layout": layout(400, xaxis=titled("gap: ceiling − floor"), yaxis=titled("PGR"))}
    return single("gap", "PGR against the gap", _gap_reading(groups), GAP_COLUMNS, rows, plot, GAP_NOTE)


GAP_NOTE = "A point is a cell with its 95 % interval, small dots are its seeds. A small gap makes PGR uncertain by itself."


def _gap_traces(name: str, groups: Sequence[Group], place: int) -> list[dict[str, Any]]:
    look = series(place)
    x = [group.row["ceiling"]["value"] - group.row["floor"]["value"] for group in groups]
    parts = [group.row["pgr"] for group in groups]
    values = [part["value"] for part in parts]
    bars = error_bars([part["low"] for part in parts], values, [part["high"] for part in parts])
    dots = [
        (top - bottom, one)
        for group in groups
        for top, bottom, one in zip(
            *(_seeds(group.row[arm]) for arm in ("ceiling", "floor")), group.row["pgr"].get("per_seed") or (), strict=False
        )
        if one is not None
    ]
    shared = {"type": "scatter", "mode": "markers", "legendgroup": name, "name": plain(name)}
    small = {**shared, "x": [gap for gap, _ in dots], "y": [one for _, one in dots], "showlegend": False}
    small |= {"marker": {"color": f"{look['colour']}/45", "size": 5}, "hoverinfo": "skip"}
    hover = [f"{plain(group.title)}<br>PGR {number(part['value'], 2)}" for group, part in zip(groups, parts, strict=True)]
    large = {**shared, "x": x, "y": values, "error_y": {**bars, "color": look["colour"]}, "hoverinfo": "text"}
    large |= {"hovertext": hover, "marker": {"color": look["colour"], "symbol": look["symbol"], "size": 10}}
    return [small, large]


def _gap_reading(groups: Sequence[Group]) -> str:
    drawn = [group for group in groups if group.row["pgr"]["defined"]]
    lost = len(groups) - len(drawn)
    left = f" {lost} without a defined PGR {'is' if lost == 1 else 'are'} not drawn." if lost else ""
    if len(drawn) < 3:
        return f"{len(drawn)} of {len(groups)} cells have a PGR: too few to see a trend.{left}"
    gaps = [group.row["ceiling"]["value"] - group.row["floor"]["value"] for group in drawn]
    low, high = min(gaps), max(gaps)
    wide, narrow = (drawn[gaps.index(end)].row["pgr"]["value"] for end in (high, low))
    return (
        f"Gaps run from {number(low)} to {number(high)}; PGR is {number(narrow, 2)} at the smallest and "
        f"{number(wide, 2)} at the largest.{left}"
    )
