"""Paradigms side by side: every row of a pair with its interval, grouped by the information it saw.

Differences are tested only between rows of one group, and only where a student of record is one of the two; all p-values
of one figure are corrected together (Holm).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from w2s_lightning.metrics.differences import holm
from w2s_lightning.report.figures import Cell, Figure, Variant, error_bars, layout, plain, shares, titled
from w2s_lightning.report.pooled import Difference, Pool
from w2s_lightning.report.records import Group, Job, Section
from w2s_lightning.report.theme import ROLES, SYMBOLS
from w2s_lightning.report.words import counted, listed, number, saw, signed

COLUMNS = ("pair", "information", "row", "role", "model", "value", "low", "high", "seeds")
LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Line:
    """One row of a pair: `digests` tell whether two lines are the same model."""

    name: str
    row: str
    role: str
    model: str
    jobs: tuple[Job, ...]
    part: dict[str, Any]
    information: dict[str, Any]
    digests: tuple[str, ...]

    @property
    def saw(self) -> tuple[int, int, bool]:
        """What rows must share to be compared: gold labels seen, gold labels behind, whether pseudo-labels were."""
        seen = self.information
        return seen["gold_seen_by_student"], seen["gold_upstream"], bool(seen["pseudo_labels"])


@dataclass(frozen=True)
class Tested:
    """One tested difference; `p_value` is Holm's, `sentence` says it in words."""

    first: str
    second: str
    difference: Difference
    p_value: float
    sentence: str


@dataclass(frozen=True)
class Block:
    """Rows that saw the same, and what is known of their differences."""

    title: str
    lines: tuple[Line, ...]
    tests: tuple[Tested, ...]


@dataclass(frozen=True)
class Paradigms:
    """The figure with a view for each pair, and each view's blocks."""

    figure: Figure
    blocks: tuple[tuple[Block, ...], ...]


def paradigms(section: Section, pool: Pool) -> Paradigms | None:
    """The page of a section, None without a result."""
    pairs = list(dict.fromkeys(group.pair for group in section.finished))
    views, blocks = [], []
    for pair in pairs:
        own = _blocks([group for group in section.finished if group.pair == pair], pool)
        blocks.append(own)
        views.append(Variant(pair, _plot(own, section.metric), _rows(pair, own), _reading(own)))
    if not views:
        return None
    note = (
        "Rows of one group learned from the same labels; rows of different groups are shown side by side without a "
        "verdict. Intervals are at 95 %, p-values corrected for all tests of the figure (Holm)."
    )
    figure = Figure("paradigms", "Rows by the information they saw", COLUMNS, tuple(views), note, "pair")
    return Paradigms(figure, tuple(blocks))


def _blocks(groups: Sequence[Group], pool: Pool) -> tuple[Block, ...]:
    lines: dict[tuple[str, ...], Line] = {}
    for group in groups:
        for line in _lines_of(group, pool, several=len(groups) > 1):
            lines.setdefault(line.digests, line)
    by_information: dict[tuple[int, int, bool], list[Line]] = {}
    for line in lines.values():
        by_information.setdefault(line.saw, []).append(line)
    ordered = sorted(by_information.items(), key=lambda item: (item[0][0], item[0][2], item[0][1]))
    tested = _tests([own for _, own in ordered], pool)
    return tuple(
        Block(_title(own), tuple(own), tuple(tests)) for (_, own), tests in zip(ordered, tested, strict=True)
    )


def _lines_of(group: Group, pool: Pool, *, several: bool) -> list[Line]:
    """Every row that all finished jobs of a group have."""
    jobs, found = group.done, []
    for row in jobs[0].rows:
        part = pool.row(jobs, row["name"])
        if part is None:
            continue
        of_record = row["name"] == jobs[0].student
        shared = row["role"] in ("untuned", "floor", "ceiling")
        name = group.arm if of_record else row["name"] if shared or not several else f"{row['name']} ({group.arm})"
        digests = tuple(str(one["evaluate"]) for job in jobs if (one := job.named(row["name"])))
        information = dict(row["information"])
        role = "student" if of_record else str(row["role"])
        found.append(Line(name, row["name"], role, row["model"], jobs, part, information, digests))
    return found


def _title(lines: Sequence[Line]) -> str:
    counts = {line.information["pseudo_labels"] for line in lines}
    if len(counts) == 1:
        return f"Saw {saw(lines[0].information)}"
    return f"Saw pseudo-labels from {lines[0].information['gold_upstream']} gold labels"


# ---------------------------------------------------------------- tests of difference


def _tests(blocks: Sequence[Sequence[Line]], pool: Pool) -> list[list[Tested]]:
    """Every comparison within a block that has a student of record in it, corrected over all blocks."""
    raw = [[(a, b, found) for a, b in _compared(own) if (found := _differ(a, b, pool))] for own in blocks]
    adjusted = iter(holm([found.p_value for own in raw for _, _, found in own]))
    total = sum(map(len, raw))
    return [[_tested(a, b, found, next(adjusted), total) for a, b, found in own] for own in raw]


def _compared(lines: Sequence[Line]) -> list[tuple[Line, Line]]:
    pairs = [(one, other) for place, one in enumerate(lines) for other in lines[place + 1 :]]
    return [(a, b) if a.role == "student" else (b, a) for a, b in pairs if "student" in (a.role, b.role)]


def _differ(one: Line, other: Line, pool: Pool) -> Difference | None:
    """Over the seeds that both have."""
    shared = {job.seed for job in one.jobs} & {job.seed for job in other.jobs}
    left, right = ([job for job in line.jobs if job.seed in shared] for line in (one, other))
    return pool.difference(left, one.row, right, other.row) if shared else None


def _tested(one: Line, other: Line, found: Difference, p_value: float, total: int) -> Tested:
    far = signed(found.value)
    ends = f" [{signed(found.low)}, {signed(found.high)}]" if found.low is not None and found.high is not None else ""
    how = f"p = {p_value:.3f}" if p_value >= 0.001 else "p < 0.001"
    told = "a difference" if p_value < LEVEL else "not told apart"
    over = f", Holm over {counted(total, 'test')}" if total > 1 else ""
    sentence = f"{one.name} − {other.name}: {far}{ends}, {told} ({how}{over})."
    return Tested(one.name, other.name, found, p_value, sentence)


def _reading(blocks: Sequence[Block]) -> str:
    tests = [test for block in blocks for test in block.tests]
    students = [line for block in blocks for line in block.lines if line.role == "student"]
    if not tests:
        named = listed(line.name for line in students)
        return f"Nothing is tested here: {named or 'no row'} has no other row that saw the same labels."
    clear = [test for test in tests if test.p_value < LEVEL]
    if not clear:
        return f"None of {counted(len(tests), 'tested difference')} between rows that saw the same is told apart from 0."
    largest = max(clear, key=lambda test: abs(test.difference.value))
    return (
        f"{len(clear)} of {counted(len(tests), 'tested difference')} {'is' if len(clear) == 1 else 'are'} told apart "
        f"from 0; the largest is "
        f"{largest.first} − {largest.second}: {signed(largest.difference.value)}."
    )


# ---------------------------------------------------------------- the drawing


def _plot(blocks: Sequence[Block], metric: str) -> dict[str, Any]:
    places: list[tuple[float, Line]] = []
    heads: list[tuple[float, str]] = []
    y = 0.0
    for block in blocks:
        heads.append((y, block.title))
        for number_of, line in enumerate(block.lines, start=1):
            places.append((y - number_of, line))
        y -= len(block.lines) + 1.5
    traces = [_trace(role, [(place, line) for place, line in places if _look(line) == role]) for role in ROLES]
    names = [plain(line.name).replace(" (", "<br>(") for _, line in places]
    ticks = {"tickvals": [place for place, _ in places], "ticktext": names}
    ends = shares([line.part[end] for _, line in places for end in ("low", "high")])
    axis = {**ticks, "range": [y + 1, 0.6], "showgrid": False, "zeroline": False}
    drawn = layout(round(60 + 30 * (1 - y)), xaxis={**titled(metric), "range": ends}, yaxis=axis, showlegend=False)
    drawn["annotations"] = [_head(place, title) for place, title in heads]
    return {"data": [trace for trace in traces if trace["x"]], "layout": drawn}


def _head(y: float, title: str) -> dict[str, Any]:
    place = {"x": 0, "xref": "paper", "xanchor": "left", "y": y + 0.1, "yref": "y", "showarrow": False}
    return {**place, "text": plain(title), "font": {"color": "@muted", "size": 12}}


def _look(line: Line) -> str:
    return line.role if line.role in ROLES else "untuned" if line.role == "control" else "ceiling"


def _trace(role: str, lines: Sequence[tuple[float, Line]]) -> dict[str, Any]:
    values = [line.part["value"] for _, line in lines]
    bars = error_bars([line.part["low"] for _, line in lines], values, [line.part["high"] for _, line in lines])
    marker = {"color": f"@{role}", "symbol": SYMBOLS[role], "size": 11, "line": {"color": f"@{role}", "width": 2}}
    hover = [f"{plain(line.name)} ({plain(line.model)})<br>{number(line.part['value'])}" for _, line in lines]
    shared = {"type": "scatter", "mode": "markers", "hoverinfo": "text", "name": role}
    y = [place for place, _ in lines]
    return {**shared, "x": values, "y": y, "hovertext": hover, "marker": marker, "error_x": {**bars, "color": f"@{role}"}}


def _rows(pair: str, blocks: Sequence[Block]) -> list[list[Cell]]:
    return [
        [pair, block.title, line.name, line.role, line.model]
        + [line.part["value"], line.part["low"], line.part["high"], len(line.jobs)]
        for block in blocks
        for line in block.lines
    ]
