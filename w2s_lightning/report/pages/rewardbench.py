"""RewardBench: sections of a benchmark, where jobs were judged on one: accuracy of the arms, and the student's PGR."""

from collections.abc import Mapping
from typing import Any

from w2s_lightning.benchmarked import WEIGHED, sections_shown
from w2s_lightning.report.figures import Cell, Figure, Variant
from w2s_lightning.report.plots import Plot, layout, marks, plain, titled
from w2s_lightning.report.records import Group, Section
from w2s_lightning.report.theme import SYMBOLS
from w2s_lightning.report.words import interval, mean, number

COLUMNS = ("cell", "row", "section", "value", "low", "high", "seeds")
_ROWS = ("floor", "student", "ceiling")


def rewardbench(section: Section) -> Figure | None:
    """A view for every group that has sections, None when none has."""
    views = [view for group in section.finished if (view := _view(section, group))]
    note = "Means over seeds. Sections differ in size, so their mean is not the accuracy on the whole set."
    return Figure("sections", "Accuracy by section", COLUMNS, tuple(views), note, "cell") if views else None


def _view(section: Section, group: Group) -> Variant | None:
    found = {row: _sections(section, group, row) for row in _ROWS}
    known = {row: parts for row, parts in found.items() if parts}
    if not known:
        return None
    names = list(dict.fromkeys(name for parts in known.values() for name in parts))
    traces = [_trace(row, parts, names) for row, parts in known.items()]
    axes = {"xaxis": {"tickvals": list(range(len(names))), "ticktext": [plain(name) for name in names]}}
    rows: list[list[Cell]] = [
        [group.title, row, name, parts[name], None, None, len(group.done)]
        for row, parts in known.items()
        for name in names
        if name in parts
    ]
    pgrs = _pgrs(group)
    rows += [
        [group.title, "PGR", name, pgr["value"], pgr["low"], pgr["high"], len(group.done)] for name, pgr in pgrs.items()
    ]
    drawn = layout(380, yaxis=titled("accuracy"), **axes)
    return Variant(group.title, {"data": traces, "layout": drawn}, rows, _reading(group, known, pgrs))


def _sections(section: Section, group: Group, row: str) -> dict[str, float]:
    """Mean over seeds of each section, and of each subset that is in none, where all seeds have it."""
    by_job = []
    for job in group.done:
        found = job.named(job.student if row == "student" else row)
        judged = found.get("benchmark") or found["evaluate"] if found else None
        metrics = section.shelf.metrics(judged) if judged else {}
        subsets = {name: value for name, value in (metrics.get("subsets") or {}).items() if name not in WEIGHED}
        scored: Mapping[str, Any] = {**(metrics.get("sections") or {}), **subsets}
        by_job.append({name: part["value"] if isinstance(part, Mapping) else part for name, part in scored.items()})
    shared = [name for name in by_job[0] if all(name in one for one in by_job)]
    return {name: float(mean([one[name] for one in by_job]) or 0.0) for name in shared}


def _pgrs(group: Group) -> dict[str, Mapping[str, Any]]:
    """The student's PGR by section: over seeds as its sweep has it, else of the one job."""
    parts = group.row.get("sections")
    if parts is not None:
        return {part["name"]: part["pgr"] for part in parts}
    found = ((group.done[0].result or {}).get("benchmark") or {}) if len(group.done) == 1 else {}
    student = group.done[0].student
    shown = sections_shown(found) if found else ()
    return {part["name"]: part["pgr"][student] for part in shown if student in part["pgr"]}


def _trace(row: str, parts: Mapping[str, float], names: list[str]) -> Plot:
    shown = [name for name in names if name in parts]
    hover = [f"{row}, {plain(name)}<br>{number(parts[name])}" for name in shown]
    places = [names.index(name) for name in shown]
    return marks(row, places, [parts[name] for name in shown], f"@{row}", SYMBOLS[row], hover)


def _reading(group: Group, known: Mapping[str, Mapping[str, float]], pgrs: Mapping[str, Mapping[str, Any]]) -> str:
    student = known.get("student")
    if not student:
        return f"{group.title}: the student has no sections."
    worst, best = (end(student, key=lambda name: student[name]) for end in (min, max))
    ends = [f"{name} ({number(student[name])})" for name in (best, worst)]
    said = [f"{name} {interval(pgr) if pgr['defined'] else 'undefined'}" for name, pgr in pgrs.items()]
    told = f" PGR: {', '.join(said)}." if said else ""
    return f"{group.title}: the student is best in {ends[0]} and worst in {ends[1]}.{told}"
