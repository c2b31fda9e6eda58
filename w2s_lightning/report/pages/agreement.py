"""Agreement: does the student follow its supervisor where it is wrong? With calibration and accuracy by difficulty."""

from collections.abc import Sequence

from w2s_lightning.metrics.choice import Calibration, DifficultyLevel
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.report.figures import Cell, Figure, Parts, Variant, single
from w2s_lightning.report.pages.overview import ROW_HEIGHT, row_labels
from w2s_lightning.report.plots import Plot, bars, categories, layout, line, marks, plain, quiet, titled
from w2s_lightning.report.pooled import Following, Pool
from w2s_lightning.report.records import Group, Section
from w2s_lightning.report.theme import SYMBOLS
from w2s_lightning.report.words import number

FOLLOWING_COLUMNS = ("pair", "arm", "supervisor is", "agreement", "low", "high", "examples")
CALIBRATION_COLUMNS = ("cell", "row", "from", "to", "confidence", "accuracy", "examples", "ece")
DIFFICULTY_COLUMNS = ("cell", "row", "from", "to", "accuracy", "low", "high", "examples")
FAINT = 20  # examples, below which a calibration bin is drawn small

Known = tuple[Group, Following]


def agreement(section: Section, pool: Pool) -> Parts:
    """The page of a section."""
    if not section.finished:
        return ("No job is done yet, so there are no answers to compare.",)
    known = [(group, found) for group in section.finished if (found := _following(group, pool))]
    calibrations = [view for group in section.finished if (view := _calibration(group, pool))]
    difficulties = [view for group in section.finished if (view := _difficulty(group, pool))]
    parts: list[Figure | str] = [_following_figure(known) if known else NOBODY]
    if calibrations:
        parts.append(Figure("calibration", "Calibration", CALIBRATION_COLUMNS, tuple(calibrations), CALIBRATED, "cell"))
    if not difficulties:
        return [*parts, "This task's examples carry no difficulty."]
    title = "Accuracy by difficulty"
    return [*parts, Figure("difficulty", title, DIFFICULTY_COLUMNS, tuple(difficulties), BY_DIFFICULTY, "cell")]


NOBODY = "No student of this sweep has a supervisor, so there is nobody to agree with."
CALIBRATED = (
    "Confidence is the probability of the answer that was given. On the grey line a model is right as often as it is "
    "confident; the expected calibration error is the mean distance from it, weighted by examples. All seeds together, "
    "ten bins of equal width, small marks for few examples."
)
BY_DIFFICULTY = (
    "Difficulty is the task's own grade of each example, in parts of about equally many examples. Means over seeds; "
    "95 % intervals over test groups, for these trained models."
)


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
    places = list(range(len(known), 0, -1))
    placed = [(group, found, place) for (group, found), place in zip(known, places, strict=True)]
    right = _marks("where it is right", [(g, f.right, p) for g, f, p in placed], "@student", "circle")
    wrong = _marks("where it is wrong", [(g, f.wrong, p) for g, f, p in placed], "@floor", "triangle-down")
    labels = row_labels([group for group, _ in known])
    share = titled("share of answers equal to the supervisor's", range=[0, 1.02])
    drawn = layout(76 + round(0.8 * ROW_HEIGHT) * len(known), xaxis=share, yaxis=categories(places, labels))
    rows = [row for group, found in known for row in _following_rows(group, found)]
    plot = {"data": [_joined(placed), right, wrong], "layout": drawn}
    title = "Following the supervisor"
    return single("following", title, _following_reading(known), FOLLOWING_COLUMNS, rows, plot, FOLLOWED)


FOLLOWED = (
    "A student that generalises follows a right supervisor and overrules a wrong one; one that imitates follows both. "
    "An answer of its own may still be wrong where there are more than two. "
    "All seeds together, 95 % intervals over test groups, for these trained models."
)


def _joined(placed: Sequence[tuple[Group, Following, int]]) -> Plot:
    both = [(found.right.value, found.wrong.value, place) for _, found, place in placed if found.right and found.wrong]
    x = [end for right, wrong, _ in both for end in (right, wrong, None)]
    y = [end for _, _, place in both for end in (place, place, None)]
    return quiet(x, y, "@line", 6)


def _marks(name: str, placed: Sequence[tuple[Group, Interval | None, int]], colour: str, symbol: str) -> Plot:
    known = [(group, part, place) for group, part, place in placed if part is not None]
    values = [part.value for _, part, _ in known]
    hover = [f"{plain(group.title)}<br>{name}: {number(part.value)} of {part.n}" for group, part, _ in known]
    trace = marks(name, values, [place for *_, place in known], colour, symbol, hover)
    return {**trace, "error_x": bars(values, [(part.low, part.high) for _, part, _ in known], colour)}


def _following_rows(group: Group, found: Following) -> list[list[Cell]]:
    parts = [("right", found.right), ("wrong", found.wrong)]
    head: list[Cell] = [group.pair, group.arm]
    return [[*head, where, part.value, part.low, part.high, part.n] for where, part in parts if part is not None]


def _following_reading(known: Sequence[Known]) -> str:
    full = [(group, found.right, found.wrong) for group, found in known if found.right and found.wrong]
    if not full:
        return "Every supervisor is always right or always wrong: there is nothing to tell apart."
    apart = [right.value - wrong.value for _, right, wrong in full]
    group, right, wrong = full[apart.index(max(apart))]
    alone = len(full) > 1 and sum(one > max(apart) - 0.005 for one in apart) == 1
    return (
        f"In {group.title} the student follows a right supervisor on {number(right.value, 2)} of its answers and a "
        f"wrong one on {number(wrong.value, 2)}" + (", further apart than in any other cell." if alone else ".")
    )


# ---------------------------------------------------------------- calibration


def _calibration(group: Group, pool: Pool) -> Variant | None:
    drawn = [(label, look, pool.calibration(group.done, name)) for name, label, look in _arms(group)]
    curves = [(label, look, found) for label, look, found in drawn if found is not None]
    if not curves:
        return None
    lowest = min(one.low for _, _, found in curves for one in found.bins if one.n)
    ends = [max(0.0, lowest - 0.05), 1.02]
    axes = {"xaxis": titled("confidence", range=ends), "yaxis": titled("accuracy", range=[-0.02, 1.04])}
    traces = [quiet([0, 1], [0, 1], "@line", 2), *(_curve(*curve) for curve in curves)]
    rows: list[list[Cell]] = [
        [group.title, label, one.low, one.high, one.confidence, one.accuracy, one.n, found.ece]
        for label, _, found in curves
        for one in found.bins
        if one.n
    ]
    errors = ", ".join(f"{number(found.ece)} for the {label}" for label, _, found in curves)
    reading = f"{group.title}: the expected calibration error is {errors}."
    return Variant(group.title, {"data": traces, "layout": layout(400, **axes)}, rows, reading)


def _looks(look: str) -> dict[str, str]:
    return {"colour": f"@{look}", "symbol": SYMBOLS[look], "dash": "solid"}


def _curve(label: str, look: str, found: Calibration) -> Plot:
    points = [(one.confidence, one.accuracy, one.n) for one in found.bins if one.confidence is not None]
    hover = [f"{plain(label)}<br>accuracy {number(accuracy, 2)} over {n} examples" for _, accuracy, n in points]
    trace = line(plain(label), [x for x, *_ in points], [y for _, y, _ in points], _looks(look), hover)
    trace["marker"]["size"] = [6 if n < FAINT else 10 for *_, n in points]
    return trace


# ---------------------------------------------------------------- difficulty


def _difficulty(group: Group, pool: Pool) -> Variant | None:
    drawn = [(label, look, pool.by_difficulty(group.done, name)) for name, label, look in _arms(group)]
    curves = [(label, look, found) for label, look, found in drawn if found is not None]
    if not curves:
        return None
    ticks = {"tickvals": list(range(len(curves[0][2]))), "ticktext": [_range(level) for level in curves[0][2]]}
    axes = {"xaxis": titled("difficulty: easy to hard", **ticks), "yaxis": titled("accuracy")}
    traces = [_level_curve(*curve, place) for place, curve in enumerate(curves)]
    rows: list[list[Cell]] = [
        [group.title, label, one.low, one.high, one.accuracy.value, one.accuracy.low, one.accuracy.high, one.accuracy.n]
        for label, _, found in curves
        for one in found
    ]
    return Variant(group.title, {"data": traces, "layout": layout(400, **axes)}, rows, _harder(group, curves))


def _range(level: DifficultyLevel) -> str:
    low, high = f"{level.low:.3g}", f"{level.high:.3g}"
    return low if low == high else f"{low}<br>to {high}"


def _level_curve(label: str, look: str, levels: Sequence[DifficultyLevel], place: int) -> Plot:
    parts = [level.accuracy for level in levels]
    values = [part.value for part in parts]
    hover = [f"{plain(label)}<br>{number(part.value)} over {part.n} examples" for part in parts]
    trace = line(plain(label), [x + 0.08 * (place - 1) for x in range(len(levels))], values, _looks(look), hover)
    return {**trace, "error_y": bars(values, [(part.low, part.high) for part in parts], f"@{look}")}


def _harder(group: Group, curves: Sequence[tuple[str, str, Sequence[DifficultyLevel]]]) -> str:
    ends = [(label, found[0].accuracy.value, found[-1].accuracy.value) for label, _, found in curves]
    told = ", ".join(f"{label} {number(easy, 2)} to {number(hard, 2)}" for label, easy, hard in ends)
    return f"{group.title}: accuracy from the easiest to the hardest part: {told}."
