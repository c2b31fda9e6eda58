"""Parts of the test set: does the student follow its supervisor where it is wrong, calibration, accuracy by difficulty,
and the sections of a benchmark where jobs were judged on one."""

from collections.abc import Sequence

from w2s_lightning.report.figures import Figure, Row, View, axis, drawing, guide, places, plain, series, shares, spread
from w2s_lightning.report.overview import ROW_HEIGHT, row_labels
from w2s_lightning.report.records import Group, Section
from w2s_lightning.report.theme import Look, of_role
from w2s_lightning.results.pooled import Pooled, supervisor_of
from w2s_lightning.show.numbers import number, without_ends

FAINT = 20  # examples, below which a calibration bin is drawn small
NOBODY = "No student of this sweep has a supervisor, so there is nobody to agree with."
NO_DIFFICULTY = "This task's examples carry no difficulty."


def agreement(section: Section) -> list[Figure | str]:
    """The page of a section with results: figures, and sentences that stand where there is nothing to draw."""
    finished, pooled = section.finished, section.pooled
    calibrations = [view for group in finished if (view := _calibration(group, pooled))]
    difficulties = [view for group in finished if (view := _difficulty(group, pooled))]
    parts: list[Figure | str] = [_following(finished, pooled)]
    parts += [Figure("calibration", calibrations)] if calibrations else []
    return [*parts, Figure("difficulty", difficulties) if difficulties else NO_DIFFICULTY]


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
    x: list[float | None] = []
    y: list[float | None] = []
    for height, (group, (right, wrong)) in zip(range(len(known), 0, -1), known, strict=True):
        for where, part in (("right", right), ("wrong", wrong)):
            head = {"cell": group.title, "pair": group.pair, "arm": group.arm, "supervisor is": where}
            rows += [{**head, **vars(part), "_y": height, "_row": f"where it is {where}"}] if part else []
        if right and wrong:  # a bar joins the two
            x += [right.value, wrong.value, None]
            y += [height] * 3
    looks = {"where it is right": of_role("student"), "where it is wrong": of_role("floor")}
    marks = series(rows, "value", "_y", by="_row", looks=looks.__getitem__, error="x")
    share = axis("share of answers equal to the supervisor's", range=[0, 1.02])
    labels = places(row_labels([group for group, _ in known]))
    height = 76 + round(0.8 * ROW_HEIGHT) * len(known)
    wrong_ones = [row for row in rows if row["supervisor is"] == "wrong"]
    reading = spread("Agreement with a supervisor that is wrong", wrong_ones)
    plot = drawing([guide(x, y, "var(--line)", 6), *marks], height, xaxis=share, yaxis=labels)
    return Figure("following", [View("", rows, plot, reading)])


def _calibration(group: Group, pooled: Pooled) -> View | None:
    arms = _arms(group)
    known = {label: found for label, (name, _) in arms.items() if (found := pooled.calibration(group.results, name))}
    if not known:
        return None
    rows: list[Row] = [
        {"cell": group.title, "row": label, **vars(one), "ece": found.ece, "_size": 6 if one.n < FAINT else 10}
        for label, found in known.items()
        for one in found.bins
        if one.n
    ]
    bare = [{**row, "low": None, "high": None} for row in rows]  # the ends of a bin are no interval
    curves = series(
        bare, "confidence", "accuracy", by="row", looks=lambda label: arms[label][1], lines=True, told="row"
    )
    xaxis = axis("confidence", range=[max(0.0, min(row["low"] for row in rows) - 0.05), 1.02])
    diagonal = guide([0, 1], [0, 1], "var(--line)", 2)
    plot = drawing([diagonal, *curves], 400, xaxis=xaxis, yaxis=axis("accuracy", range=[-0.02, 1.04]))
    errors = ", ".join(f"{label} {number(found.ece)}" for label, found in known.items())
    return View(group.title, rows, plot, f"Expected calibration error of {group.title}: {errors}.")


def _difficulty(group: Group, pooled: Pooled) -> View | None:
    arms = _arms(group)
    known = {label: found for label, (name, _) in arms.items() if (found := pooled.by_difficulty(group.results, name))}
    if not known:
        return None
    rows: list[Row] = []
    ticks: dict[int, str] = {}
    for number_of_row, (label, levels) in enumerate(known.items()):
        for place, level in enumerate(levels):
            ends = dict.fromkeys((f"{level.low:.3g}", f"{level.high:.3g}"))  # one where they are equal
            ticks[place] = "<br>to ".join(ends)
            head = {"cell": group.title, "row": label, "difficulty": " to ".join(ends)}
            about = {"from": level.low, "to": level.high, **vars(level.accuracy)}
            rows.append({**head, **about, "_x": place + 0.08 * (number_of_row - 1)})
    traces = series(
        rows, "_x", "value", by="row", looks=lambda label: arms[label][1], error="y", lines=True, told="difficulty"
    )
    shown = {"tickvals": list(ticks), "ticktext": list(ticks.values())}
    plot = drawing(traces, 400, xaxis=axis("difficulty: easy to hard", **shown), yaxis=axis("accuracy"))
    students = [row for row in rows if row["row"] == "student"]
    return View(group.title, rows, plot, spread(f"The student of {group.title}", students, label="difficulty"))


# ---------------------------------------------------------------- a benchmark's sections


def sections(section: Section) -> list[Figure | str]:
    """A view for every group that was judged on a benchmark; empty when none was."""
    views = [view for group in section.finished if (view := _sections(group, section.pooled))]
    return [Figure("sections", views)] if views else []


def _sections(group: Group, pooled: Pooled) -> View | None:
    rows: list[Row] = []
    seeds = len(group.results)
    for place, (label, name) in enumerate({"floor": "floor", "student": group.student, "ceiling": "ceiling"}.items()):
        for number_of_part, (part, found) in enumerate(pooled.sections(group.results, name).items()):
            head = {
                "cell": group.title,
                "row": label,
                "section": part,
                **without_ends(vars(found), seeds),
                "seeds": seeds,
            }
            rows.append({**head, "reason": None, "_x": number_of_part + 0.12 * (place - 1)})
    if not rows:
        return None
    names = list(dict.fromkeys(row["section"] for row in rows))
    ticks = {"tickvals": list(range(len(names))), "ticktext": [plain(name) for name in names], "zeroline": False}
    traces = series(rows, "_x", "value", by="row", looks=of_role, error="y", told="section")
    plot = drawing(traces, 380, xaxis=ticks, yaxis=axis("accuracy", range=shares(rows)))
    pgrs: list[Row] = []
    for part in group.row["sections"]:
        own = without_ends(part["pgr"], seeds)
        ends = {end: own[end] for end in ("value", "low", "high", "reason")}
        pgrs.append({**rows[0], "row": "PGR", "section": part["name"], "n": None, **ends})
    reading = spread(f"PGR of {group.title}", pgrs, label="section", digits=2)
    return View(group.title, [*rows, *pgrs], plot, reading)
