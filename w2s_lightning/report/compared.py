"""Paradigms side by side: every row of a pair with its interval, grouped by the information it saw.

Differences are tested only between rows that saw the same, paired by seed and example, where a student of record is one
of the two; all tests of the page are corrected together (Holm), so that the correction is over questions somebody asks.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.rates import holm
from w2s_lightning.report.figures import Figure, Plot, Row, View, axis, drawing, places, plain, series, shares, spread
from w2s_lightning.report.records import Group, Section
from w2s_lightning.report.theme import of_role
from w2s_lightning.results.pooled import OUTPUTS, Pooled, row_named
from w2s_lightning.show.numbers import counted, interval, listed, saw, without_ends

LEVEL = 0.05
SEEN = ("gold_seen_by_student", "pseudo_labels", "gold_upstream", "train_tokens", "sampled_tokens")


@dataclass
class Block:
    """Rows that saw the same, and their tested differences: Holm's p-value, and the sentence that says it."""

    title: str
    rows: list[Row]
    tests: list[tuple[float, str]] = field(default_factory=list)


def compared_by_pair(section: Section) -> dict[str, list[Block]]:
    """The blocks of every pair that has a result, the least gold first."""
    pairs = list(dict.fromkeys(group.pair for group in section.finished))
    found = {pair: _blocks([g for g in section.finished if g.pair == pair], section.pooled) for pair in pairs}
    _test([block for blocks in found.values() for block in blocks], section.pooled)
    return found


def paradigms(by_pair: Mapping[str, Sequence[Block]], metric: str) -> Figure:
    """A view for each pair."""
    views = []
    for pair, blocks in by_pair.items():
        rows = [{**row, "information": block.title} for block in blocks for row in block.rows]
        students = [row for row in rows if row["role"] == "student"]
        views.append(View(pair, rows, _plot(blocks, metric), spread("The student", students, label="row")))
    return Figure("paradigms", views, "pair")


def _blocks(groups: Sequence[Group], pooled: Pooled) -> list[Block]:
    """A pair's rows by the information they saw, the least gold first; the same model once."""
    rows: dict[tuple[str, ...], Row] = {}
    arms: dict[tuple[str, ...], list[str]] = {}  # that share a row
    for group in groups:
        for row in _rows_of(group, pooled, several=len(groups) > 1):
            rows.setdefault(row["_digests"], row)
            arms.setdefault(row["_digests"], []).append(group.arm)
    named = Counter(row["row"] for row in rows.values())
    for digests, row in rows.items():
        if named[row["row"]] > 1:  # a floor for each of two conditions, say
            row["row"] += f" ({listed(arms[digests], 2)})"
    by_information: dict[tuple[int, bool, int], list[Row]] = {}
    for row in rows.values():
        key = (row["gold_seen_by_student"], bool(row["pseudo_labels"]), row["gold_upstream"])
        by_information.setdefault(key, []).append(row)
    found = []
    for _, own in sorted(by_information.items()):
        alike = len({row["pseudo_labels"] for row in own}) == 1
        seen = saw(own[0]) if alike else f"pseudo-labels from {own[0]['gold_upstream']} gold labels"
        found.append(Block(f"Saw {seen}", own))
    return found


def _rows_of(group: Group, pooled: Pooled, *, several: bool) -> list[Row]:
    """Every row that all finished jobs of a group have."""
    found: list[Row] = []
    for row in group.results[0]["rows"]:
        name, part = row["name"], pooled.row(group.results, row["name"])
        if part is None:
            continue
        part = without_ends(part, len(group.results))
        of_record = name == group.student
        shared = row["role"] in ("untuned", "floor", "ceiling")
        label = name if shared or not several else f"{name} ({group.arm})"
        known = {"pair": group.pair, "information": "", "row": label, "role": "student" if of_record else row["role"]}
        figures = {end: part[end] for end in ("value", "low", "high")}
        seen = {column: row["information"].get(column) or 0 for column in SEEN}
        outputs = {column: part.get(column) for column in OUTPUTS}
        digests = tuple(str(one["evaluate"]) for result in group.results if (one := row_named(result, name)))
        own = {"_digests": digests, "_results": group.results, "_name": name}
        found.append({**known, "model": row["model"], **figures, "seeds": len(group.results), **seen, **outputs, **own})
    return found


def _test(blocks: Sequence[Block], pooled: Pooled) -> None:
    """Every comparison within a block that has a student of record in it, corrected over all blocks."""
    raw: list[tuple[Block, Row, Row, Interval, float]] = []
    for block in blocks:
        for one, other in combinations(block.rows, 2):
            if "student" in (one["role"], other["role"]):
                a, b = (one, other) if one["role"] == "student" else (other, one)
                found = pooled.difference(a["_results"], a["_name"], b["_results"], b["_name"])
                raw += [] if found is None else [(block, a, b, *found)]
    over = f", Holm over {counted(len(raw), 'test')}" if len(raw) > 1 else ""
    for (block, a, b, gap, _), p_value in zip(raw, holm([chance for *_, chance in raw]), strict=True):
        how = f"p = {p_value:.3f}" if p_value >= 0.001 else "p < 0.001"
        told = "a difference" if p_value < LEVEL else "not told apart"
        seeds = min(len(a["_results"]), len(b["_results"]))
        told += " for these two trained models" if seeds == 1 else ""  # examples are drawn anew, and no seed is
        figure = interval(without_ends(vars(gap), seeds), sign="+")
        block.tests.append((p_value, f"{a['row']} − {b['row']}: {figure}, {told} ({how}{over})."))


def _plot(blocks: Sequence[Block], metric: str) -> Plot:
    rows: list[Row] = []
    labels: dict[float, str] = {}
    heads: list[dict[str, Any]] = []
    y = 0.0
    for block in blocks:
        place = {"x": 0, "xref": "paper", "xanchor": "left", "y": y + 0.1, "yref": "y", "showarrow": False}
        heads.append({**place, "text": plain(block.title), "font": {"color": "var(--muted)", "size": 12}})
        for number, row in enumerate(block.rows, start=1):
            labels[y - number] = plain(row["row"]).replace(" (", "<br>(")
            rows.append({**row, "_y": y - number, "_told": f"{row['row']} ({row['model']})"})
        y -= len(block.rows) + 1.5
    height = 38 if any("<br>" in name for name in labels.values()) else 30
    traces = series(rows, "value", "_y", by="role", looks=of_role, error="x", told="_told")
    xaxis, yaxis = axis(metric, range=shares(rows)), places(labels, range=(y + 1, 0.6))
    return drawing(traces, round(60 + height * (1 - y)), xaxis=xaxis, yaxis=yaxis, showlegend=False, annotations=heads)
