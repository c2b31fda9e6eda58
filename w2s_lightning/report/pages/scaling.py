"""Scaling: student and ceiling against the strong model's size, a line a supervisor; PGR against the gap."""

from collections.abc import Sequence
from typing import Any

from w2s_lightning.report.figures import Cell, Figure, Parts, Variant, single
from w2s_lightning.report.pages.matrix import state_of
from w2s_lightning.report.plots import Plot, band, bars, dots, layout, line, marks, plain, shares, titled
from w2s_lightning.report.records import Group, Job, Section
from w2s_lightning.report.theme import SYMBOLS, series
from w2s_lightning.report.words import counted, interval, listed, number

SIZE_COLUMNS = ("arm", "line", "strong", "parameters", "mean", "lowest seed", "highest seed", "seeds")
GAP_COLUMNS = ("pair", "arm", "floor", "ceiling", "gap", "pgr", "low", "high", "state", "reason")
ONE_SIZE = "This sweep has one size of the strong model: `python train.py -m sweeps=size_pairs` has several."
Point = tuple[float, str, dict[str, Any], int]


def scaling(section: Section) -> Parts:
    """The page of a section."""
    if not section.finished:
        return ("No job is done yet, so there is nothing to scale.",)
    known = [(group, size) for group in section.finished if (size := parameters(section, group.done[0])) is not None]
    strong = {group.row["strong"] for group, _ in known}
    lost = [group.title for group in section.finished if group not in [one for one, _ in known]]
    why = f"The number of parameters is not known of {listed(lost)}." if lost else ONE_SIZE
    return (_sizes(known, section.metric) if len(strong) > 1 else why), _gap(section.finished)


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
        for label, part in _named_parts(group):
            point = (size, str(group.row["strong"]), part, group.row["n"])
            if part and all(point[:2] != other[:2] for other in lines.get(label, ())):
                lines.setdefault(label, []).append(point)
    ordered = sorted(lines.items(), key=lambda item: item[0] == "ceiling")
    traces = [trace for place, (label, points) in enumerate(ordered) for trace in _traces(label, points, place)]
    sizes = sorted({(size, str(group.row["strong"])) for group, size in known})
    ticks = {"tickvals": [size for size, _ in sizes], "ticktext": [_sized(name, size) for size, name in sizes]}
    seeds = [value for points in lines.values() for _, _, part, _ in points for value in _seeds(part)]
    height = titled(metric, range=shares([(min(seeds), max(seeds))]))
    axes = {"xaxis": titled("parameters of the strong model", type="log", **ticks), "yaxis": height}
    rows = [_size_row(arm, label, point) for label, points in lines.items() for point in points]
    return Variant(arm, {"data": traces, "layout": layout(430, **axes)}, rows, _sizes_reading(lines))


def _named_parts(group: Group) -> list[tuple[str, Any]]:
    return [(f"student of {group.row['weak']}", group.row["student"]), ("ceiling", group.row["ceiling"])]


def _sized(name: str, size: float) -> str:
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if size >= scale:
            return f"{plain(name)}<br>{size / scale:.3g}{unit}"
    return f"{plain(name)}<br>{size:.0f}"


def _traces(label: str, points: Sequence[Point], place: int) -> list[Plot]:
    """The mean as a line, the seeds' range as a band, the seeds as dots."""
    ceiling = {"colour": "@ceiling", "symbol": SYMBOLS["ceiling"], "dash": "dot"}
    look, name = ceiling if label == "ceiling" else series(place), plain(label)
    x = [size for size, *_ in points]
    low, high = ([end(_seeds(part)) for _, _, part, _ in points] for end in (min, max))
    hover = [f"{name}, {plain(strong)}<br>{interval(part)}" for _, strong, part, _ in points]
    seeds = [(size, value) for size, _, part, _ in points for value in _seeds(part)]
    mean = line(name, x, [part["value"] for _, _, part, _ in points], look, hover)
    return [band(name, x, low, high, f"{look['colour']}/14"), mean, dots(name, seeds, look["colour"])]


def _seeds(part: dict[str, Any]) -> list[float]:
    return list(part.get("per_seed") or [part["value"]])


def _size_row(arm: str, label: str, point: Point) -> list[Cell]:
    size, name, part, seeds = point
    return [arm, label, name, size, part["value"], min(_seeds(part)), max(_seeds(part)), seeds]


def _sizes_reading(lines: dict[str, list[Point]]) -> str:
    ends = {label: points[-1][2]["value"] - points[0][2]["value"] for label, points in lines.items() if len(points) > 1}
    ordered = sorted(ends.items(), key=lambda item: item[0] == "ceiling")
    told = [f"the {label} {_moved(end)}" for label, end in ordered]
    if not told:
        return "Every line has one size only."
    return f"From the smallest to the largest strong model, {listed(told, 5)}."


def _moved(end: float) -> str:
    far = number(abs(end))
    return "stays where it is" if float(far) == 0 else f"{'rises' if end > 0 else 'falls'} by {far}"


# ---------------------------------------------------------------- PGR against the gap


def _gap(groups: Sequence[Group]) -> Figure | str:
    if not any(group.row["pgr"]["defined"] for group in groups):
        return "No cell has a defined PGR, so there is nothing to draw against the gap: the overview says why."
    several = len({group.arm for group in groups}) > 1
    lines: dict[str, list[Group]] = {}
    for group in groups:
        if group.row["pgr"]["defined"]:
            lines.setdefault(group.arm if several else f"from {group.row['weak']}", []).append(group)
    traces = [trace for place, (name, own) in enumerate(lines.items()) for trace in _gap_traces(name, own, place)]
    plot = {"data": traces, "layout": layout(400, xaxis=titled("gap: ceiling − floor"), yaxis=titled("PGR"))}
    rows = [_gap_row(group) for group in groups]
    return single("gap", "PGR against the gap", _gap_reading(groups), GAP_COLUMNS, rows, plot, GAP_NOTE)


GAP_NOTE = "A point is a cell with its 95 % interval, dots are its seeds. A small gap makes PGR uncertain by itself."


def _gap_row(group: Group) -> list[Cell]:
    floor, ceiling, pgr = (group.row[name] for name in ("floor", "ceiling", "pgr"))
    ends: list[Cell] = [part["value"] if part else None for part in (floor, ceiling)]
    figures: list[Cell] = [pgr["value"], pgr["low"], pgr["high"]]
    gap = _gap_of(group) if floor and ceiling else None
    return [group.pair, group.arm, *ends, gap, *figures, state_of(group), pgr["reason"]]


def _gap_of(group: Group) -> float:
    return float(group.row["ceiling"]["value"] - group.row["floor"]["value"])


def _gap_traces(name: str, groups: Sequence[Group], place: int) -> list[Plot]:
    look = series(place)
    parts = [group.row["pgr"] for group in groups]
    values = [part["value"] for part in parts]
    hover = [f"{plain(group.title)}<br>PGR {interval(group.row['pgr'], 2)}" for group in groups]
    trace = marks(plain(name), [_gap_of(group) for group in groups], values, look["colour"], look["symbol"], hover)
    trace["error_y"] = bars(values, [(part["low"], part["high"]) for part in parts], look["colour"])
    seeds = [point for group in groups for point in _gap_seeds(group)]
    return [trace, dots(plain(name), seeds, look["colour"])]


def _gap_seeds(group: Group) -> list[tuple[float, float]]:
    parts = [_seeds(group.row[arm]) for arm in ("ceiling", "floor")]
    per_seed = group.row["pgr"].get("per_seed") or ()
    return [(top - low, one) for top, low, one in zip(*parts, per_seed, strict=False) if one is not None]


def _gap_reading(groups: Sequence[Group]) -> str:
    drawn = [group for group in groups if group.row["pgr"]["defined"]]
    lost = len(groups) - len(drawn)
    left = f" {lost} without a defined PGR {'is' if lost == 1 else 'are'} not drawn." if lost else ""
    if len(drawn) < 3:
        has = "has" if len(drawn) == 1 else "have"
        return f"{len(drawn)} of {counted(len(groups), 'cell')} {has} a PGR: too few to see a trend.{left}"
    narrow, *_, wide = sorted(drawn, key=_gap_of)
    ends = [f"{number(group.row['pgr']['value'], 2)} at the" for group in (narrow, wide)]
    return (
        f"Gaps run from {number(_gap_of(narrow))} to {number(_gap_of(wide))}; "
        f"PGR is {ends[0]} smallest and {ends[1]} largest.{left}"
    )
