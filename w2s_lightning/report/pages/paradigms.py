"""Paradigms side by side: every row of a pair with its interval, grouped by the information it saw.

Differences are tested only between rows that saw the same (`tested`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from w2s_lightning.report.figures import Cell, Figure, Variant
from w2s_lightning.report.pages.tested import LEVEL, Line, Tested, test_all
from w2s_lightning.report.plots import Plot, bars, categories, layout, marks, plain, shares, titled
from w2s_lightning.report.pooled import Pool
from w2s_lightning.report.records import Group, Job, Section
from w2s_lightning.report.theme import ROLES, SYMBOLS
from w2s_lightning.report.words import counted, interval, listed, saw, signed

SEEN = ("gold_seen_by_student", "pseudo_labels", "gold_upstream", "train_tokens", "sampled_tokens")
OUTPUTS = ("strict", "truncated_share", "unparsed_share")  # of reasoning tasks
COLUMNS = ("pair", "information", "row", "role", "model", "value", "low", "high", "seeds", *SEEN, *OUTPUTS)


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

    @property
    def writes(self) -> bool:
        """Whether rows answer in texts, which may be cut off."""
        return any(line.outputs for blocks in self.blocks for block in blocks for line in block.lines)


def paradigms(section: Section, pool: Pool) -> Paradigms | None:
    """The page of a section, None without a result."""
    pairs = list(dict.fromkeys(group.pair for group in section.finished))
    if not pairs:
        return None
    ordered = [_ordered([group for group in section.finished if group.pair == pair], pool) for pair in pairs]
    tested = iter(test_all([own for informed in ordered for own in informed], pool))
    blocks = tuple(
        tuple(Block(_title(own), tuple(own), tuple(next(tested))) for own in informed) for informed in ordered
    )
    views = [
        Variant(pair, _plot(own, section.metric), _rows(pair, own), _reading(own))
        for pair, own in zip(pairs, blocks, strict=True)
    ]
    note = (
        "Rows of one group had the same information: as many gold labels, seen or behind their pseudo-labels. Rows of "
        "different groups are shown side by side without a verdict. Intervals are at 95 %, p-values corrected for the "
        "tests of all pairs (Holm)."
    )
    return Paradigms(
        Figure("paradigms", "Rows by the information they saw", COLUMNS, tuple(views), note, "pair"), blocks
    )


def _ordered(groups: Sequence[Group], pool: Pool) -> list[list[Line]]:
    """A pair's rows by the information they saw, the least gold first."""
    lines: dict[tuple[str, ...], Line] = {}
    for group in groups:
        for line in _lines_of(group, pool, several=len(groups) > 1):
            lines.setdefault(line.digests, line)
    by_information: dict[tuple[int, int, bool], list[Line]] = {}
    for line in lines.values():
        by_information.setdefault(line.saw, []).append(line)
    return [own for _, own in sorted(by_information.items(), key=lambda item: (item[0][0], item[0][2], item[0][1]))]


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
        found.append(
            Line(name, row["name"], role, row["model"], jobs, part, information, digests, _outputs(jobs, row["name"]))
        )
    return found


def _outputs(jobs: Sequence[Job], name: str) -> dict[str, float]:
    """Means over seeds: accuracy on marked answers alone, texts cut off, texts without an answer; empty for labels."""
    rows = [row for job in jobs if (row := job.named(name)) and "strict" in row]
    if not rows:
        return {}
    plain = [{**row, "strict": row["strict"]["value"]} for row in rows]
    return {key: fmean(row[key] for row in plain) for key in OUTPUTS}


def _title(lines: Sequence[Line]) -> str:
    counts = {line.information["pseudo_labels"] for line in lines}
    if len(counts) == 1:
        return f"Saw {saw(lines[0].information)}"
    return f"Saw pseudo-labels from {lines[0].information['gold_upstream']} gold labels"


def _reading(blocks: Sequence[Block]) -> str:
    tests = [test for block in blocks for test in block.tests]
    students = [line for block in blocks for line in block.lines if line.role == "student"]
    if not tests:
        named = listed(line.name for line in students)
        return f"Nothing is tested here: {named or 'no row'} has no other row that saw the same labels."
    clear = [test for test in tests if test.p_value < LEVEL]
    if not clear:
        return (
            f"None of {counted(len(tests), 'tested difference')} between rows that saw the same is told apart from 0."
        )
    largest = max(clear, key=lambda test: abs(test.difference.value))
    return (
        f"{len(clear)} of {counted(len(tests), 'tested difference')} {'is' if len(clear) == 1 else 'are'} told apart "
        f"from 0; the largest is "
        f"{largest.first} − {largest.second}: {signed(largest.difference.value)}."
    )


# ---------------------------------------------------------------- the drawing


def _plot(blocks: Sequence[Block], metric: str) -> Plot:
    placed: list[tuple[float, Line]] = []
    heads: list[Plot] = []
    y = 0.0
    for block in blocks:
        heads.append(_head(y, block.title))
        placed += [(y - place, line) for place, line in enumerate(block.lines, start=1)]
        y -= len(block.lines) + 1.5
    names = [plain(line.name).replace(" (", "<br>(") for _, line in placed]
    ends = shares([(line.part["low"], line.part["high"]) for _, line in placed])
    axis = categories([place for place, _ in placed], names, ends=(y + 1, 0.6))
    row_height = 38 if any("<br>" in name for name in names) else 30
    drawn = layout(round(60 + row_height * (1 - y)), xaxis=titled(metric, range=ends), yaxis=axis, showlegend=False)
    traces = [_trace(role, [(place, line) for place, line in placed if _look(line) == role]) for role in ROLES]
    return {"data": [trace for trace in traces if trace["x"]], "layout": {**drawn, "annotations": heads}}


def _head(y: float, title: str) -> Plot:
    place = {"x": 0, "xref": "paper", "xanchor": "left", "y": y + 0.1, "yref": "y", "showarrow": False}
    return {**place, "text": plain(title), "font": {"color": "@muted", "size": 12}}


def _look(line: Line) -> str:
    return line.role if line.role in ROLES else "untuned" if line.role == "control" else "ceiling"


def _trace(role: str, placed: Sequence[tuple[float, Line]]) -> Plot:
    values = [line.part["value"] for _, line in placed]
    hover = [f"{plain(line.name)} ({plain(line.model)})<br>{interval(line.part)}" for _, line in placed]
    trace = marks(role, values, [place for place, _ in placed], f"@{role}", SYMBOLS[role], hover)
    ends = [(line.part["low"], line.part["high"]) for _, line in placed]
    return {**trace, "error_x": bars(values, ends, f"@{role}")}


def _rows(pair: str, blocks: Sequence[Block]) -> list[list[Cell]]:
    return [
        [
            pair,
            block.title,
            line.name,
            line.role,
            line.model,
            *_ends(line),
            len(line.jobs),
            *_seen(line),
            *map(line.outputs.get, OUTPUTS),
        ]
        for block in blocks
        for line in block.lines
    ]


def _ends(line: Line) -> list[Cell]:
    return [line.part["value"], line.part["low"], line.part["high"]]


def _seen(line: Line) -> list[Cell]:
    return [line.information.get(name) for name in SEEN]
