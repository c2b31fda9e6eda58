"""The first page: how far the sweep is, the PGR matrix, the four arms with a dot a seed, the claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from w2s_lightning.report.figures import Figure, Row, View, axis, drawing, places, plain, series, shares, spread
from w2s_lightning.report.records import STATES, Group, Section
from w2s_lightning.report.theme import ROLES, of_role
from w2s_lightning.show.matrix import (
    Matrix,
    below_untuned,
    cell_text,
    explanation,
    explanations,
    matrix_of,
    seeds_of,
    state_of,
    told_apart,
)
from w2s_lightning.show.numbers import (
    DASH,
    counted,
    interval,
    number,
    over_seeds,
    p_value,
    seconds,
    tells_nothing,
    without_ends,
)

STEPS = 10  # shades on each side of 0
ROW_HEIGHT = 60
_OFFSETS = {"untuned": 0.27, "floor": 0.09, "student": -0.09, "ceiling": -0.27}
_MARKS = {"above": "↑", "below": "↓", "equivalent": "=", "undecided": "≈", "waiting": "…"}


@dataclass(frozen=True)
class Overview:
    """What the first page says besides its figures; `progress` is how far the sweep is."""

    progress: str
    matrix: Matrix
    squares: Sequence[tuple[str, Sequence[Row]]]
    reasons: Sequence[str]
    claims: Sequence[Mapping[str, Any]]
    remarks: Sequence[str]
    below: Sequence[str]


def overview(section: Section, claims: Mapping[str, str]) -> Overview:
    """Everything above the fold; `claims` gives the sentences of claims that their verdicts do not carry."""
    groups = [group.row for group in section.groups]
    matrix = matrix_of(groups)
    squares = {id(group.row): _square(group) for group in section.groups}
    absent = {"state": "absent", "shade": 0, "tip": "not part of the sweep", "place": ""}
    notices = dict.fromkeys(f"{notice}." for job in section.jobs for notice in job.row.get("notices") or ())
    said = [section.content["remark"]] if section.content.get("remark") else []
    cheats = [group.title for group in section.groups if group.row["cheats"]]
    cheated = [f"CHEAT: {one} used hidden gold; it is no result of the paradigm." for one in cheats]
    return Overview(
        progress=_progress(section),
        matrix=matrix,
        squares=[
            (row, [squares.get(id(matrix.cells.get((row, column))), absent) for column in matrix.columns])
            for row in matrix.rows
        ],
        reasons=explanations(groups),
        claims=[_claim(verdict, claims) for verdict in section.content.get("verdicts") or ()],
        remarks=[*said, *cheated, *notices],
        below=[*told_apart(groups), *below_untuned(groups)],
    )


def _progress(section: Section) -> str:
    counts, total = section.counts, len(section.jobs)
    if counts["done"] == total:
        took = (section.content.get("times") or {}).get("seconds")
        return f"All {counted(total, 'job')} done" + (f" in {seconds(took)}." if took else ".")
    words = {**{state: state for state in STATES}, "waiting": "to come"}
    parts = [f"{counts[state]} {words[state]}" for state in STATES if counts[state] or state == "done"]
    return f"{', '.join(parts)} of {counted(total, 'job')}."


def _claim(verdict: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    return {
        **verdict,
        "text": verdict.get("text") or texts.get(str(verdict["claim"]), ""),
        "mark": _MARKS.get(verdict["verdict"], ""),
        "figure": interval(verdict),
        "as_claimed": verdict.get("as_claimed", DASH),
        "p": p_value(verdict.get("p")),
        "seeds": ", ".join(number(value, 2) for value in verdict["per_seed"]),
    }


def _square(group: Group) -> Row:
    """A cell as the page draws it: `shade` is -STEPS to STEPS, `place` where it leads to."""
    state, (text, _, ends) = state_of(group.row), over_seeds(group.row["pgr"], 2).partition(" ")
    value = group.row["pgr"]["value"] if state == "defined" and not tells_nothing(group.row["pgr"]) else 0.0
    return {
        "state": state,
        "text": text if state == "defined" else state,
        "below": ends,
        "seeds": seeds_of(group.row),
        "shade": round(max(-1.0, min(1.0, value)) * STEPS),
        "tip": explanation(group.row, group.title),
        "title": group.title,
        "place": "examples" if group.results else "runs",
    }


def matrix_figure(groups: Sequence[Group], matrix: Matrix) -> Figure:
    """PGR of every cell. The drawing is for places that show figures: the page has a table of its own."""
    rows: list[Row] = []
    for group in groups:
        row, pgr = group.row, group.row["pgr"]
        words = {"task": row["task"], "arm": group.arm, "weak": row["weak"], "strong": row["strong"]}
        figures = {"pgr": pgr["value"], "low": pgr["low"], "high": pgr["high"]}
        seeds = {"seeds": row["n"], "expected": row["expected"], "state": state_of(row), "reason": pgr["reason"]}
        rows.append({**words, **figures, **seeds, "_cell": group.title})
    cells = [[matrix.cells.get((row, column)) for column in matrix.columns] for row in matrix.rows]
    trace = {
        "type": "heatmap",
        "z": [[cell["pgr"]["value"] if cell is not None and cell["n"] else None for cell in row] for row in cells],
        "x": [plain(name) for name in matrix.columns],
        "y": [plain(name) for name in matrix.rows],
        "text": [[plain(cell_text(cell)) for cell in row] for row in cells],
        "texttemplate": "%{text}",
        "hoverinfo": "text",
        "colorscale": [[0, "rgb(194,87,26)"], [0.5, "rgb(255,255,255)"], [1, "rgb(31,95,168)"]],
        "zmin": -1,
        "zmax": 1,
        "showscale": False,
        "xgap": 3,
        "ygap": 3,
    }
    above, downwards = {"side": "top", "showgrid": False}, {"autorange": "reversed", "showgrid": False}
    plot = drawing([trace], 60 + 70 * len(cells), xaxis=above, yaxis=downwards)
    ends = [without_ends(row, row["seeds"]) for row in rows]
    said = " ".join(told_apart([group.row for group in groups])) or spread("PGR", ends, "pgr", "_cell", digits=2)
    return Figure("matrix", [View("", rows, plot, said)])


def arms_figure(groups: Sequence[Group], metric: str) -> Figure:
    """The four arms of every group with a result, with a dot a seed."""
    rows = [
        {**row, "_y": len(groups) - place + _OFFSETS[role]}
        for place, group in enumerate(groups)
        for role in ROLES
        for row in group.rows(role, role)
    ]
    traces = series(rows, "value", "_y", by="row", looks=of_role, error="x", dots=("seed's", "_y"))
    axes = {"xaxis": axis(metric, range=shares(rows)), "yaxis": places(row_labels(groups))}
    students = [row for row in rows if row["row"] == "student"]
    view = View("", rows, drawing(traces, 76 + ROW_HEIGHT * len(groups), **axes), spread("The student", students))
    return Figure("arms", [view])


def row_labels(groups: Sequence[Group]) -> dict[float, str]:
    """What tells the groups apart, from the top down, on two lines where both pair and arm do."""
    return {
        float(len(groups) - place): "<br>".join(map(plain, group.title.split(" · ")))
        for place, group in enumerate(groups)
    }
