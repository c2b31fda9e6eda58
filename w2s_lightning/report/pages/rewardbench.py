"""RewardBench: sections of a benchmark, where jobs were judged on one: accuracy of the arms, and the student's PGR."""

from collections.abc import Mapping
from typing import Any

from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.report.figures import Cell, Figure, Variant
from w2s_lightning.report.plots import Plot, bars, layout, marks, plain, shares, titled
from w2s_lightning.report.pooled import Pool
from w2s_lightning.report.records import Group, Section
from w2s_lightning.report.theme import SYMBOLS
from w2s_lightning.report.words import interval, number
from w2s_lightning.show.tables import sections_shown

COLUMNS = ("cell", "row", "section", "value", "low", "high", "seeds", "reason")
_ROWS = ("floor", "student", "ceiling")


def rewardbench(section: Section, pool: Pool) -> Figure | None:
    """A view for every group that has sections, None when none has."""
    views = [view for group in section.finished if (view := _view(group, pool))]
    return Figure("sections", "Accuracy by section", COLUMNS, tuple(views), NOTE, "cell") if views else None


NOTE = (
    "A pair counts where the better completion's reward is the higher one; a tie does not. Means over seeds with 95 % "
    "intervals over seeds and prompts (of one seed: over prompts), cut where they leave the axis. Sections differ in "
    "size, so their mean is not the accuracy on the whole set. Why a PGR is undefined stands in the data."
)


def _view(group: Group, pool: Pool) -> Variant | None:
    student = group.done[0].student
    known = {row: found for row in _ROWS if (found := pool.sections(group.done, student if row == "student" else row))}
    if not known:
        return None
    names = list(dict.fromkeys(name for parts in known.values() for name in parts))
    traces = [_trace(row, parts, names) for row, parts in known.items()]
    ticks = {"tickvals": list(range(len(names))), "ticktext": [plain(name) for name in names]}
    pgrs = _pgrs(group)
    rows: list[list[Cell]] = [
        [group.title, row, name, part.value, part.low, part.high, len(group.done), None]
        for row, parts in known.items()
        for name, part in parts.items()
    ]
    rows += [
        [group.title, "PGR", name, *(pgr[end] for end in ("value", "low", "high")), len(group.done), pgr["reason"]]
        for name, pgr in pgrs.items()
    ]
    ends = shares([(part.low, part.high) for parts in known.values() for part in parts.values()])
    drawn = layout(380, xaxis={**ticks, "zeroline": False}, yaxis=titled("accuracy", range=ends))
    return Variant(group.title, {"data": traces, "layout": drawn}, rows, _reading(group, known, pgrs))


def _pgrs(group: Group) -> dict[str, Mapping[str, Any]]:
    """The student's PGR by section: over seeds as its sweep has it, else of the one job."""
    parts = group.row.get("sections")
    if parts is not None:
        return {part["name"]: part["pgr"] for part in parts}
    found = ((group.done[0].result or {}).get("benchmark") or {}) if len(group.done) == 1 else {}
    student = group.done[0].student
    shown = sections_shown(found) if found else ()
    return {part["name"]: part["pgr"][student] for part in shown if student in part["pgr"]}


def _trace(row: str, parts: Mapping[str, Interval], names: list[str]) -> Plot:
    hover = [f"{row}, {plain(name)}<br>{interval(vars(part))}" for name, part in parts.items()]
    places = [names.index(name) + 0.12 * (_ROWS.index(row) - 1) for name in parts]
    trace = marks(row, places, [part.value for part in parts.values()], f"@{row}", SYMBOLS[row], hover)
    ends = [(part.low, part.high) for part in parts.values()]
    return {**trace, "error_y": bars([part.value for part in parts.values()], ends, f"@{row}")}


def _reading(group: Group, known: Mapping[str, Mapping[str, Interval]], pgrs: Mapping[str, Mapping[str, Any]]) -> str:
    student = known.get("student")
    if not student:
        return f"{group.title}: the student has no sections."
    worst, best = (end(student, key=lambda name: student[name].value) for end in (min, max))
    ends = [f"{name} ({number(student[name].value)})" for name in (best, worst)]
    said = [f"{name} {interval(pgr) if pgr['defined'] else 'undefined'}" for name, pgr in pgrs.items()]
    told = f" PGR: {', '.join(said)}." if said else ""
    return f"{group.title}: the student is best in {ends[0]} and worst in {ends[1]}.{told}"
