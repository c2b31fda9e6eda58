"""The first page: how far the sweep is, the PGR matrix, the four arms with a dot a seed, the claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from w2s_lightning.report.figures import Figure, Plot, Row, View, axis, drawing, places, plain, series, shares, spread
from w2s_lightning.report.records import STATES, Group, Section
from w2s_lightning.report.theme import ROLES, of_role
from w2s_lightning.show.matrix import Matrix, cell_text, explanation, explanations, matrix_of, seeds_of, state_of
from w2s_lightning.show.numbers import counted, interval, number, seconds

STEPS = 10  # shades on each side of 0
ROW_HEIGHT = 60
_OFFSETS = {"untuned": 0.27, "floor": 0.09, "student": -0.09, "ceiling": -0.27}
_MARKS = {"held": "✓", "refuted": "✕", "undecided": "≈", "waiting": "…"}

PGR_NOTE = (
    "PGR = (student - floor) / (ceiling - floor): 0 is no better than the weak model trained on gold labels (floor), 1 "
    "as good as the strong one (ceiling). A ratio of means over seeds, with its 95 % interval over seeds and test "
    "examples (of one seed: over test examples, for these trained models). Undefined where the interval of "
    "ceiling - floor reaches 0; never clipped."
)
ARMS_NOTE = "Large marks are means over seeds with 95 % intervals, cut where they leave the axis; dots are seeds."


@dataclass(frozen=True)
class Overview:
    """What the first page shows; `progress` lists states with their counts, `words` says them."""

    progress: Sequence[tuple[str, int]]
    words: str
    matrix: Matrix
    squares: Sequence[tuple[str, Sequence[Row]]]
    matrix_figure: Figure
    reasons: Sequence[str]
    arms: Figure | None
    claims: Sequence[Mapping[str, Any]]
    remarks: Sequence[str]


def overview(section: Section, claims: Mapping[str, str]) -> Overview:
    """Everything above the fold; `claims` gives the sentences of claims that their verdicts do not carry."""
    groups = [group.row for group in section.groups]
    matrix = matrix_of(groups)
    by_row = {id(group.row): group for group in section.groups}

    def square(row: str, column: str) -> Row:
        found = matrix.cells.get((row, column))
        return _square(None if found is None else by_row[id(found)])

    notices = dict.fromkeys(f"{notice}." for job in section.jobs for notice in job.row.get("notices") or ())
    cheats = [group.title for group in section.groups if group.row["cheats"]]
    return Overview(
        progress=[(state, section.counts[state]) for state in STATES if section.counts[state]],
        words=_progress(section),
        matrix=matrix,
        squares=[(row, [square(row, column) for column in matrix.columns]) for row in matrix.rows],
        matrix_figure=_matrix_figure(section.groups, matrix),
        reasons=explanations(groups),
        arms=_arms_figure(section.finished, section.metric) if section.finished else None,
        claims=[_claim(verdict, claims) for verdict in section.content.get("verdicts") or ()],
        remarks=[*(f"CHEAT: {one} used hidden gold; it is no result of the paradigm." for one in cheats), *notices],
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
    point = verdict["value"] is None or verdict["low"] == verdict["high"]
    return {
        **verdict,
        "text": verdict.get("text") or texts.get(str(verdict["claim"]), ""),
        "mark": _MARKS.get(verdict["verdict"], ""),
        "figure": number(verdict["value"]) if point else interval(verdict),
        "seeds": ", ".join(number(value, 2) for value in verdict["per_seed"]),
    }


# ---------------------------------------------------------------- the matrix


def _square(group: Group | None) -> Row:
    """One cell as the page draws it: `shade` is -STEPS to STEPS, `place` where it leads to."""
    if group is None:
        return {"state": "absent", "shade": 0, "tip": "not part of the sweep", "place": ""}
    state, (text, _, ends) = state_of(group.row), interval(group.row["pgr"], 2).partition(" ")
    value = group.row["pgr"]["value"] if state == "defined" else 0.0
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


def _matrix_figure(groups: Sequence[Group], matrix: Matrix) -> Figure:
    rows: list[Row] = []
    for group in groups:
        row, pgr = group.row, group.row["pgr"]
        words = {"task": row["task"], "arm": group.arm, "weak": row["weak"], "strong": row["strong"]}
        figures = {"pgr": pgr["value"], "low": pgr["low"], "high": pgr["high"]}
        seeds = {"seeds": row["n"], "expected": row["expected"], "state": state_of(row), "reason": pgr["reason"]}
        rows.append({**words, **figures, **seeds, "_cell": group.title})
    view = View("", rows, _heat_map(matrix), spread("PGR", rows, "pgr", "_cell", digits=2))
    return Figure("matrix", "Performance gap recovered", [view], PGR_NOTE)


def _heat_map(matrix: Matrix) -> Plot:
    """The grid for places that show figures and not this page, which draws a table of its own."""
    cells = [[matrix.cells.get((row, column)) for column in matrix.columns] for row in matrix.rows]
    pgrs = [[cell["pgr"]["value"] if cell is not None and cell["n"] else None for cell in row] for row in cells]
    trace = go.Heatmap(
        z=pgrs,
        x=[plain(name) for name in matrix.columns],
        y=[plain(name) for name in matrix.rows],
        text=[[plain(cell_text(cell)) for cell in row] for row in cells],
        texttemplate="%{text}",
        hoverinfo="text",
        colorscale=[[0, "rgb(194,87,26)"], [0.5, "rgb(255,255,255)"], [1, "rgb(31,95,168)"]],
        zmin=-1,
        zmax=1,
        showscale=False,
        xgap=3,
        ygap=3,
    )
    axes = {"xaxis": {"side": "top", "showgrid": False}, "yaxis": {"autorange": "reversed", "showgrid": False}}
    return drawing([trace], 60 + 70 * len(cells), xaxis=axes["xaxis"], yaxis=axes["yaxis"])


# ---------------------------------------------------------------- the four arms


def _arms_figure(groups: Sequence[Group], metric: str) -> Figure:
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
    return Figure("arms", "Untuned, floor, student, ceiling", [view], ARMS_NOTE)


def row_labels(groups: Sequence[Group]) -> dict[float, str]:
    """What tells the groups apart, from the top down, on two lines where both pair and arm do."""
    return {
        float(len(groups) - place): "<br>".join(map(plain, group.title.split(" · ")))
        for place, group in enumerate(groups)
    }
