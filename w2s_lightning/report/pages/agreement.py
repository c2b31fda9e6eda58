"""Agreement: does the student follow its supervisor where it is wrong? With calibration and accuracy by difficulty."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from w2s_lightning.metrics.choice import Calibration, DifficultyLevel
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.report.figures import Cell, Figure, Variant, error_bars, layout, plain, single, titled
from w2s_lightning.report.pages.overview import ROW_HEIGHT, row_labels
from w2s_lightning.report.pooled import Following, Pool
from w2s_lightning.report.records import Group, Section
from w2s_lightning.report.theme import SYMBOLS
from w2s_lightning.report.words import number

FOLLOWING_COLUMNS = ("pair", "arm", "supervisor is", "agreement", "low", "high", "examples")
CALIBRATION_COLUMNS = ("cell", "row", "from", "to", "confidence", "accuracy", "examples", "ece")
DIFFICULTY_COLUMNS = ("cell", "row", "from", "to", "accuracy", "low", "high", "examples")
FAINT = 20  # examples, below which a calibration bin is drawn small

Known = tuple[Group, Following]


@dataclass(frozen=True)
class AgreementPage:
    """Three figures; any of them may have nothing to show."""

    following: Figure | None
    calibration: Figure | None
    difficulty: Figure | None


def agreement_page(section: Section, pool: Pool) -> AgreementPage | None:
    """The page of a section, None without a result."""
    if not section.finished:
        return None
    known = [(group, found) for group in section.finished if (found := _following(group, pool))]
    calibrations = [view for group in section.finished if (view := _calibration(group, pool))]
    difficulties = [view for group in section.finished if (view := _difficulty(group, pool))]
    return AgreementPage(
        _following_figure(known) if known else None,
        _figure("calibration", "Calibration", CALIBRATION_COLUMNS, calibrations, CALIBRATED),
        _figure("difficulty", "Accuracy by difficulty", DIFFICULTY_COLUMNS, difficulties, BY_DIFFICULTY),
    )


CALIBRATED = "All seeds together, ten bins of equal width; small marks are bins of few examples. On the line confidence is accuracy."
BY_DIFFICULTY = "Difficulty is the task's own, in parts of about equally many examples; intervals are for these trained models."


def _figure(key: str, title: str, columns: tuple[str, ...], views: Sequence[Variant], note: str) -> Figure | None:
    return Figure(key, title, columns, tuple(views), note, "cell") if views else None


def _arms(group: Group) -> list[tuple[str, str, str]]:
    """(row, label, look) of supervisor, student and ceiling."""
    job = group.done[0]
    arms = [(job.student, "student", "student"), ("ceiling", "ceiling", "ceiling")]
    if job.supervisor is None:
        return arms
    label = "supervisor" if job.supervisor == "floor" else f"supervisor ({job.supervisor})"
    return [(job.supervisor, label, "floor"), *arms]


def _following(group: Group, pool: Pool) -> Following | None:
    job = group.done[0]
    return pool.following(group.done, job.student, job.supervisor) if job.supervisor else None


# ---------------------------------------------------------------- following the supervisor


def _following_figure(known: Sequence[Known]) -> Figure:
    labels = row_labels([group for group, _ in known])
    places = list(range(len(known), 0, -1))
    lines = [(group, found, place) for (group, found), place in zip(known, places, strict=True)]
    traces = [_joined(lines)]
    traces += [_marks("where it is right", [(g, f.right, p) for g, f, p in lines], "@student", "circle")]
    traces += [_marks("where it is wrong", [(g, f.wrong, p) for g, f, p in lines], "@floor", "triangle-down")]
    axis = {"tickvals": places, "ticktext": labels, "range": [0.4, len(known) + 0.6], "showgrid": False, "zeroline": False}
    share = {**titled("share of answers equal to the supervisor's"), "range": [0, 1.02]}
    plot = {"data": traces, "layout": layout(76 + round(0.8 * ROW_HEIGHT) * len(known), xaxis=share, yaxis=axis)}
    rows = [line for group, found in known for line in _following_rows(group, found)]
    title = "Following the supervisor"
    return single("following", title, _following_reading(known), FOLLOWING_COLUMNS, rows, plot, FOLLOWED)


FOLLOWED = (
    "A student that generalises follows a right supervisor and overrules a wrong one; one that imitates follows both. "
    "All seeds together, 95 % intervals over test groups, for these trained models."
)


def _joined(lines: Sequence[tuple[Group, Following, int]]) -> dict[str, Any]:
    both = [(f.right.value, f.wrong.value, place) for _, f, place in lines if f.right and f.wrong]
    x = [end for right, wrong, _ in both for end in (right, wrong, None)]
    y = [end for _, _, place in both for end in (place, place, None)]
    line = {"color": "@line", "width": 6}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "hoverinfo": "skip", "showlegend": False}


def _marks(name: str, lines: Sequence[tuple[Group, Interval | None, int]], colour: str, symbol: str) -> dict[str, Any]:
    known = [(group, part, place) for group, part, place in lines if part is not None]
    values = [part.value for _, part, _ in known]
    bars = error_bars([part.low for _, part, _ in known], values, [part.high for _, part, _ in known])
    hover = [f"{plain(group.title)}<br>{name}: {number(part.value)} of {part.n}" for group, part, _ in known]
    trace = {"type": "scatter", "mode": "markers", "name": name, "x": values, "y": [place for *_, place in known]}
    marker = {"color": colour, "symbol": symbol, "size": 12}
    return {**trace, "marker": marker, "error_x": {**bars, "color": colour}, "hoverinfo": "text", "hovertext": hover}


def _following_rows(group: Group, found: Following) -> list[list[Cell]]:
    parts = [("right", found.right), ("wrong", found.wrong)]
    return [
        [group.pair, group.arm, where, part.value, part.low, part.high, part.n] for where, part in parts if part is not None
    ]


def _following_reading(known: Sequence[Known]) -> str:
    full = [(group, found.right, found.wrong) for group, found in known if found.right and found.wrong]
    if not full:
        return "Every supervisor is always right or always wrong: there is nothing to tell apart."
    group, right, wrong = max(full, key=lambda item: item[1].value - item[2].value)
    best = (
        f"in {group.title} the student follows a right supervisor on {number(right.value, 2)} of its answers and a wrong "
        f"one on {number(wrong.value, 2)}"
    )
    return f"{best[0].upper()}{best[1:]}." if len(full) == 1 else f"They are furthest apart where they should be: {best}."


# ---------------------------------------------------------------- calibration


def _calibration(group: Group, pool: Pool) -> Variant | None:
    curves = [(label, look, found) for name, label, look in _arms(group) if (found := pool.calibration(group.done, name))]
    if not curves:
        return None
    ideal = {"type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "line": {"color": "@line", "width": 2}}
    ideal |= {"hoverinfo": "skip", "showlegend": False}
    traces = [ideal, *(_curve(label, look, found) for label, look, found in curves)]
    lowest = min(one.low for _, _, found in curves for one in found.bins if one.n)
    ends = [max(0.0, lowest - 0.05), 1.02]
    axes = {"xaxis": {**titled("confidence"), "range": ends}, "yaxis": {**titled("accuracy"), "range": [-0.02, 1.04]}}
    rows: list[list[Cell]] = [
        [group.title, label, one.low, one.high, one.confidence, one.accuracy, one.n, found.ece]
        for label, _, found in curves
        for one in found.bins
        if one.n
    ]
    errors = ", ".join(f"{number(found.ece)} for the {label}" for label, _, found in curves)
    reading = f"{group.title}: the expected calibration error is {errors}."
    return Variant(group.title, {"data": traces, "layout": layout(400, **axes)}, rows, reading)


def _curve(label: str, look: str, found: Calibration) -> dict[str, Any]:
    bins = [one for one in found.bins if one.n]
    hover = [f"{plain(label)}<br>accuracy {number(one.accuracy, 2)} over {one.n} examples" for one in bins]
    trace = {"type": "scatter", "mode": "lines+markers", "name": plain(label), "hoverinfo": "text", "hovertext": hover}
    sizes = [6 if one.n < FAINT else 10 for one in bins]
    marker = {"color": f"@{look}", "symbol": SYMBOLS[look], "size": sizes, "opacity": 1}
    x, y = [one.confidence for one in bins], [one.accuracy for one in bins]
    return {**trace, "x": x, "y": y, "marker": marker, "line": {"color": f"@{look}", "width": 1.5}}


# ---------------------------------------------------------------- difficulty


def _difficulty(group: Group, pool: Pool) -> Variant | None:
    curves = [(label, look, found) for name, label, look in _arms(group) if (found := pool.by_difficulty(group.done, name))]
    if not curves:
        return None
    levels = curves[0][2]
    ticks = {"tickvals": list(range(len(levels))), "ticktext": [_range(level) for level in levels]}
    axes = {"xaxis": {**titled("difficulty: easy to hard"), **ticks}, "yaxis": titled("accuracy")}
    traces = [_level_curve(label, look, found, place) for place, (label, look, found) in enumerate(curves)]
    rows: list[list[Cell]] = [
        [group.title, label, one.low, one.high, one.accuracy.value, one.accuracy.low, one.accuracy.high, one.accuracy.n]
        for label, _, found in curves
        for one in found
    ]
    return Variant(group.title, {"data": traces, "layout": layout(400, **axes)}, rows, _harder(group, curves))


def _range(level: DifficultyLevel) -> str:
    low, high = f"{level.low:.3g}", f"{level.high:.3g}"
    return low if low == high else f"{low} to {high}"


def _level_curve(label: str, look: str, levels: Sequence[DifficultyLevel], place: int) -> dict[str, Any]:
    parts = [level.accuracy for level in levels]
    values = [part.value for part in parts]
    bars = error_bars([part.low for part in parts], values, [part.high for part in parts])
    hover = [f"{plain(label)}<br>{number(part.value)} over {part.n} examples" for part in parts]
    trace = {"type": "scatter", "mode": "lines+markers", "name": plain(label), "hoverinfo": "text", "hovertext": hover}
    x = [number_of + 0.08 * (place - 1) for number_of in range(len(levels))]
    marker = {"color": f"@{look}", "symbol": SYMBOLS[look], "size": 9}
    line = {"color": f"@{look}", "width": 1.5}
    return {**trace, "x": x, "y": values, "marker": marker, "line": line, "error_y": {**bars, "color": f"@{look}"}}


def _harder(group: Group, curves: Sequence[tuple[str, str, Sequence[DifficultyLevel]]]) -> str:
    ends = [f"the {label} from {number(one[0].accuracy.value, 2)} to {number(one[-1].accuracy.value, 2)}" for label, _, one in curves]
    return f"{group.title}: from the easiest to the hardest part accuracy goes, {'; '.join(ends)}."
