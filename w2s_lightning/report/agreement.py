"""Parts of the test set: does the student follow its supervisor where it is wrong, calibration, accuracy by difficulty,
and the sections of a benchmark where jobs were judged on one."""

from collections.abc import Sequence
from typing import Any

from w2s_lightning.report.figures import Figure, Row, View, axis, drawing, guide, places, plain, series, shares, spread
from w2s_lightning.report.overview import ROW_HEIGHT, row_labels
from w2s_lightning.report.records import Group, Section
from w2s_lightning.report.theme import Look, of_role
from w2s_lightning.results.pooled import Pooled, supervisor_of
from w2s_lightning.show.numbers import number

FAINT = 20  # examples, below which a calibration bin is drawn small
NOTHING = "No job is done yet, so there are no answers to compare."
NOBODY = "No student of this sweep has a supervisor, so there is nobody to agree with."
NO_DIFFICULTY = "This task's examples carry no difficulty."
FOLLOWED = (
    "A student that generalises follows a right supervisor and overrules a wrong one; one that imitates follows both. "
    "An answer of its own may still be wrong where there are more than two. "
    "All seeds together, 95 % intervals over test groups, for these trained models."
)
CALIBRATED = (
    "Confidence is the probability of the answer that was given. On the grey line a model is right as often as it is "
    "confident; the expected calibration error is the mean distance from it, weighted by examples. All seeds together, "
    "ten bins of equal width, small marks for few examples."
)
BY_DIFFICULTY = (
    "Difficulty is the task's own grade of each example, in parts of about equally many examples. Means over seeds; "
    "95 % intervals over test groups, for these trained models."
)
JUDGED = (
    "A pair counts where the better completion's reward is the higher one; a tie does not. Means over seeds with 95 % "
    "intervals over seeds and prompts (of one seed: over prompts), cut where they leave the axis. Sections differ in "
    "size, so their mean is not the accuracy on the whole set. Why a PGR is undefined stands in the data."
)


def agreement(section: Section) -> list[Figure | str]:
    """The page of a section: figures, and sentences that stand where there is nothing to draw."""
    if not section.finished:
        return [NOTHING]
    finished, pooled = section.finished, section.pooled
    calibrations = [view for group in finished if (view := _calibration(group, pooled))]
    difficulties = [view for group in finished if (view := _difficulty(group, pooled))]
    parts: list[Figure | str] = [_following(finished, pooled)]
    parts += [Figure("calibration", "Calibration", calibrations, CALIBRATED)] if calibrations else []
    title = "Accuracy by difficulty"
    return [*parts, Figure("difficulty", title, difficulties, BY_DIFFICULTY) if difficulties else NO_DIFFICULTY]


def _arms(group: Group) -> dict[str, tuple[str, Look]]:
    """Labels of supervisor, student and ceiling with their rows and looks."""
    supervisor = supervisor_of(group.results[0])
    label = "supervisor" if supervisor == "floor" else f"supervisor ({supervisor})"
    arms = {label: (supervisor, of_role("floor"))} if supervisor else {}
    return {**arms, "student": (group.student, of_role("student")), "ceiling": ("ceiling", of_role("ceiling"))}


def _following(groups: Sequence[Group], pooled: Pooled) -> Figure | str:
    known = [(group, found) for group in groups if (found := pooled.following(group.results))]
    if not known:
        return NOBODY
    rows: list[Row] = []
    for place, (group, found) in enumerate(known):
        for where, part in zip(("right", "wrong"), found, strict=True):
            head = {"cell": group.title, "pair": group.pair, "arm": group.arm, "supervisor is": where}
            if part is not None:
                rows.append({**head, **vars(part), "_y": len(known) - place, "_row": f"where it is {where}"})
    looks = {"where it is right": of_role("student"), "where it is wrong": of_role("floor")}
    x = [end for _, (right, wrong) in known if right and wrong for end in (right.value, wrong.value, None)]
    y = [end for place, (_, (right, wrong)) in enumerate(known) if right and wrong for end in (len(known) - place,) * 3]
    marks = series(rows, "value", "_y", by="_row", looks=looks.__getitem__, error="x")
    axes = {
        "xaxis": axis("share of answers equal to the supervisor's", range=[0, 1.02]),
        "yaxis": places(row_labels([group for group, _ in known])),
    }
    height = 76 + round(0.8 * ROW_HEIGHT) * len(known)
    wrong = [row for row in rows if row["supervisor is"] == "wrong"]
    reading = spread("Agreement with a supervisor that is wrong", wrong)
    plot = drawing([guide(x, y, "var(--line)", 6), *marks], height, **axes)
    return Figure("following", "Following the supervisor", [View("", rows, plot, reading)], FOLLOWED)


def _calibration(group: Group, pooled: Pooled) -> View | None:
    curves = {label: pooled.calibration(group.results, name) for label, (name, _) in _arms(group).items()}
    known = {label: found for label, found in curves.items() if found is not None}
    if not known:
        return None
    rows: list[Row] = [
        {"cell": group.title, "row": label, **vars(one), "ece": found.ece, "_size": 6 if one.n < FAINT else 10}
        for label, found in known.items()
        for one in found.bins
        if one.n
    ]
    lowest = max(0.0, min(row["low"] for row in rows) - 0.05)
    axes = {"xaxis": axis("confidence", range=[lowest, 1.02]), "yaxis": axis("accuracy", range=[-0.02, 1.04])}
    bare = [{**row, "low": None, "high": None} for row in rows]  # the ends of a bin are no interval
    curves_drawn = series(bare, "confidence", "accuracy", by="row", looks=_looks(group), lines=True, told="row")
    errors = ", ".join(f"{label} {number(found.ece)}" for label, found in known.items())
    plot = drawing([guide([0, 1], [0, 1], "var(--line)", 2), *curves_drawn], 400, **axes)
    return View(group.title, rows, plot, f"Expected calibration error of {group.title}: {errors}.")


def _difficulty(group: Group, pooled: Pooled) -> View | None:
    curves = {label: pooled.by_difficulty(group.results, name) for label, (name, _) in _arms(group).items()}
    known = {label: levels for label, levels in curves.items() if levels}
    if not known:
        return None
    rows: list[Row] = []
    ticks: dict[int, str] = {}
    for number_of_row, (label, levels) in enumerate(known.items()):
        for place, level in enumerate(levels):
            low, high = f"{level.low:.3g}", f"{level.high:.3g}"
            ticks[place] = low if low == high else f"{low}<br>to {high}"
            grade = low if low == high else f"{low} to {high}"
            head = {"cell": group.title, "row": label, "difficulty": grade, "from": level.low, "to": level.high}
            rows.append({**head, **vars(level.accuracy), "_x": place + 0.08 * (number_of_row - 1)})
    traces = series(rows, "_x", "value", by="row", looks=_looks(group), error="y", lines=True, told="difficulty")
    shown = {"tickvals": list(ticks), "ticktext": list(ticks.values())}
    plot = drawing(traces, 400, xaxis=axis("difficulty: easy to hard", **shown), yaxis=axis("accuracy"))
    students = [row for row in rows if row["row"] == "student"]
    return View(group.title, rows, plot, spread(f"The student of {group.title}", students, label="difficulty"))


def _looks(group: Group) -> Any:
    arms = _arms(group)
    return lambda label: arms[label][1]


# ---------------------------------------------------------------- a benchmark's sections


def sections(section: Section) -> Figure | None:
    """A view for every group that was judged on a benchmark, None when none was."""
    views = [view for group in section.finished if (view := _sections(group, section.pooled))]
    return Figure("sections", "Accuracy by section", views, JUDGED) if views else None


def _sections(group: Group, pooled: Pooled) -> View | None:
    rows: list[Row] = []
    for place, (label, name) in enumerate({"floor": "floor", "student": group.student, "ceiling": "ceiling"}.items()):
        for number_of_part, (part, found) in enumerate(pooled.sections(group.results, name).items()):
            head = {"cell": group.title, "row": label, "section": part, **vars(found), "seeds": len(group.results)}
            rows.append({**head, "reason": None, "_x": number_of_part + 0.12 * (place - 1)})
    if not rows:
        return None
    names = list(dict.fromkeys(row["section"] for row in rows))
    ticks = {"tickvals": list(range(len(names))), "ticktext": [plain(name) for name in names], "zeroline": False}
    traces = series(rows, "_x", "value", by="row", looks=of_role, error="y", told="section")
    plot = drawing(traces, 380, xaxis=ticks, yaxis=axis("accuracy", range=shares(rows)))
    pgrs: list[Row] = []
    for part in group.row["sections"]:
        ends = {end: part["pgr"][end] for end in ("value", "low", "high", "reason")}
        pgrs.append({**rows[0], "row": "PGR", "section": part["name"], "n": None, **ends})
    reading = spread(f"PGR of {group.title}", pgrs, label="section", digits=2)
    return View(group.title, [*rows, *pgrs], plot, reading)
