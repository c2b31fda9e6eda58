"""The first page: the question, how far the sweep is, the PGR matrix, the four arms with a dot a seed, the claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from w2s_lightning.report.figures import Cell, Figure, single
from w2s_lightning.report.pages.matrix import Matrix, matrix_figure, matrix_of, reasons
from w2s_lightning.report.plots import Plot, bars, categories, dots, layout, marks, plain, shares, titled
from w2s_lightning.report.records import STATES, Group, Section
from w2s_lightning.report.theme import ROLES, SYMBOLS
from w2s_lightning.report.words import counted, interval, number, seconds, signed

ARM_COLUMNS = ("pair", "arm", "row", "value", "low", "high", "seed", "value of the seed")
ROW_HEIGHT = 60
_OFFSETS = {"untuned": 0.27, "floor": 0.09, "student": -0.09, "ceiling": -0.27}
_MARKS = {"held": "✓", "refuted": "✕", "undecided": "≈", "waiting": "…"}


@dataclass(frozen=True)
class ClaimLine:
    """One claim with its verdict, as it is shown."""

    name: str
    text: str
    verdict: str
    mark: str
    value: str
    per_seed: str


@dataclass(frozen=True)
class Overview:
    """What the first page shows; `progress` lists states with their counts, `words` says them."""

    progress: tuple[tuple[str, int], ...]
    words: str
    matrix: Matrix
    matrix_figure: Figure
    reasons: tuple[str, ...]
    arms: Figure | None
    claims: tuple[ClaimLine, ...]
    remarks: tuple[str, ...]


def overview(section: Section, claims: Mapping[str, str]) -> Overview:
    """Everything above the fold; `claims` gives the sentences of claims that their verdicts do not carry."""
    return Overview(
        progress=tuple((state, section.counts[state]) for state in STATES if section.counts[state]),
        words=_progress(section),
        matrix=matrix_of(section.groups),
        matrix_figure=matrix_figure(section.groups),
        reasons=reasons(section.groups),
        arms=arms_figure(section.finished, section.metric) if section.finished else None,
        claims=tuple(_claim(verdict, claims) for verdict in section.verdicts),
        remarks=_remarks(section),
    )


def _progress(section: Section) -> str:
    counts, total = section.counts, len(section.jobs)
    if counts["done"] == total:
        took = section.times.get("seconds")
        return f"All {counted(total, 'job')} done" + (f" in {seconds(took)}." if took else ".")
    words = {"done": "done", "running": "running", "waiting": "to come", "failed": "failed"}
    parts = [f"{counts[state]} {words[state]}" for state in STATES if counts[state] or state == "done"]
    return f"{', '.join(parts)} of {counted(total, 'job')}."


def _remarks(section: Section) -> tuple[str, ...]:
    """Notices of the jobs, each once; controls beside objectives that can gain by themselves."""
    notices = dict.fromkeys(notice for job in section.jobs for notice in job.row.get("notices") or ())
    cheats = [group.title for group in section.groups if group.row["cheats"]]
    marked = [f"CHEAT: {title} used hidden gold; it is no result of the paradigm." for title in cheats]
    return (*marked, *(f"{notice}." for notice in notices))


def _claim(verdict: Mapping[str, Any], texts: Mapping[str, str]) -> ClaimLine:
    name = str(verdict["claim"])
    value = number(verdict["value"])
    if verdict["value"] is not None and verdict["low"] != verdict["high"]:
        value += f" [{number(verdict['low'])}, {number(verdict['high'])}]"
    per_seed = ", ".join(number(one, 2) if one is not None and one == one else "–" for one in verdict["per_seed"])
    text = str(verdict.get("text") or texts.get(name, ""))
    return ClaimLine(name, text, str(verdict["verdict"]), _MARKS.get(verdict["verdict"], ""), value, per_seed)


# ---------------------------------------------------------------- the four arms


def arms_figure(groups: Sequence[Group], metric: str) -> Figure:
    """Untuned, floor, student and ceiling of every group: mean, interval, and a dot a seed."""
    places = list(range(len(groups), 0, -1))
    traces = [trace for role in ROLES for trace in _role_traces(role, list(zip(groups, places, strict=True)))]
    ends = [(part["low"], part["high"]) for group in groups for role in ROLES if (part := group.row[role])]
    axes = {"xaxis": titled(metric, range=shares(ends)), "yaxis": categories(places, row_labels(groups))}
    plot = {"data": traces, "layout": layout(76 + ROW_HEIGHT * len(groups), **axes)}
    rows = [line for group in groups for line in _lines(group)]
    note = "Large marks are means over seeds with 95 % intervals, cut where they leave the axis; dots are single seeds."
    return single("arms", "Untuned, floor, student, ceiling", _arms_reading(groups), ARM_COLUMNS, rows, plot, note)


def row_labels(groups: Sequence[Group]) -> list[str]:
    """What tells the groups apart, on two lines where both pair and arm do."""
    return ["<br>".join(map(plain, group.title.split(" · "))) for group in groups]


def _role_traces(role: str, placed: Sequence[tuple[Group, int]]) -> list[Plot]:
    known = [(group, place + _OFFSETS[role], group.row[role]) for group, place in placed if group.row[role]]
    values = [part["value"] for *_, part in known]
    hover = [f"{plain(group.title)}<br>{role} {interval(part)}" for group, _, part in known]
    trace = marks(role, values, [place for _, place, _ in known], f"@{role}", SYMBOLS[role], hover)
    trace["error_x"] = bars(values, [(part["low"], part["high"]) for *_, part in known], f"@{role}")
    seeds = [(value, place) for _, place, part in known for value in part.get("per_seed") or ()]
    return [trace, dots(role, seeds, f"@{role}")]


def _lines(group: Group) -> list[list[Cell]]:
    lines: list[list[Cell]] = []
    for role in ROLES:
        part = group.row[role]
        if part:
            seeds = zip(group.row["seeds"], part.get("per_seed") or (part["value"],), strict=False)
            head: list[Cell] = [group.pair, group.arm, role, part["value"], part["low"], part["high"]]
            lines += [[*head, seed, value] for seed, value in seeds]
    return lines


def _arms_reading(groups: Sequence[Group]) -> str:
    both = [group for group in groups if group.row["floor"] and group.row["student"]]
    if not both:
        return "There is no floor to compare the students with."
    gains = [group.row["student"]["value"] - group.row["floor"]["value"] for group in both]
    best = max(zip(gains, both, strict=True), key=lambda item: item[0])
    if len(both) == 1:
        where = f"{number(abs(gains[0]))} {'above' if gains[0] > 0 else 'below'}" if gains[0] else "at"
        return f"The student ends {where} its floor."
    above = sum(gain > 0 for gain in gains)
    if not above:
        return f"In none of {len(both)} cells does the mean student lie above its floor."
    return (
        f"The mean student lies above its floor in {above} of {len(both)} cells, "
        f"most for {best[1].title} ({signed(best[0])})."
    )
