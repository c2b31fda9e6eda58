"""The sweep's groups as tables for people: weak x strong, or pairs against paradigms and whatever else varied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from w2s_lightning.terminal.words import print_table

WIDE = 4  # columns of figures that fit into a terminal
_SHOWN = ("seed", "task", "paradigm", "model@weak", "model@strong")

Group = Mapping[str, Any]


@dataclass(frozen=True)
class Matrix:
    """Cells of one task by row and column label; a cell that is not there was not asked for."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Group]


@dataclass(frozen=True)
class Labels:
    """How groups are called beside one another: an arm's name holds what varied and its pair does not already tell."""

    with_paradigm: bool
    axes: tuple[str, ...]

    @classmethod
    def among(cls, groups: Sequence[Group]) -> "Labels":
        """Labels for these groups."""
        keys = dict.fromkeys(key for group in groups for key in group["axes"] if key not in _SHOWN)
        told = [key for key in keys if _told_by_pair(groups, key)]
        several = len({group["paradigm"] for group in groups}) > 1
        return cls(several, tuple(key for key in keys if key not in told))

    def pair(self, group: Group) -> str:
        """`micro -> small`."""
        return f"{group['weak']} -> {group['strong']}"

    def arm(self, group: Group) -> str:
        """`logconf`, `weak_to_strong fit.lr_scale=2`: the paradigm where it varies, and the other axes."""
        parts = [f"{key}={group['axes'][key]}" for key in self.axes if key in group["axes"]]
        return " ".join([*([group["paradigm"]] if self.with_paradigm or not parts else []), *parts])

    def full(self, group: Group) -> str:
        """Pair and arm."""
        return f"{self.pair(group)} · {self.arm(group)}"


def _told_by_pair(groups: Sequence[Group], key: str) -> bool:
    values: dict[tuple[str, str], set[str | None]] = {}
    for group in groups:
        values.setdefault((group["weak"], group["strong"]), set()).add(group["axes"].get(key))
    return len(values) > 1 and all(len(own) == 1 for own in values.values())


def matrices(groups: Sequence[Group]) -> list[Matrix]:
    """One matrix a task."""
    tasks = dict.fromkeys(group["task"] for group in groups)
    return [_matrix(task, [group for group in groups if group["task"] == task]) for task in tasks]


def _matrix(task: str, groups: Sequence[Group]) -> Matrix:
    labels = Labels.among(groups)
    cells = {(labels.pair(group), labels.arm(group)): group for group in groups}
    pairs, arms = (tuple(dict.fromkeys(key[place] for key in cells)) for place in (0, 1))
    if len(arms) == 1 and len({group["strong"] for group in groups}) <= WIDE:
        square = {(group["weak"], group["strong"]): group for group in groups}
        title = f"{task} · {arms[0]} · weak (rows) x strong (columns)"
        return Matrix(title, _unique(groups, "weak"), _unique(groups, "strong"), square)
    if len(arms) <= WIDE:
        return Matrix(task, pairs, arms, cells)
    if len(pairs) <= WIDE:
        return Matrix(task, arms, pairs, {(arm, pair): group for (pair, arm), group in cells.items()})
    long = {(labels.full(group), "PGR"): group for group in groups}
    return Matrix(task, tuple(label for label, _ in long), ("PGR",), long)


def _unique(groups: Sequence[Group], key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(group[key] for group in groups))


def cell_text(group: Group | None) -> str:
    """PGR with its interval, or why there is none, with how many seeds are missing."""
    if group is None:
        return ""
    pgr = group["pgr"]
    if group["n"] == 0:
        return "failed" if any(lost["state"] == "failed" for lost in group["missing"]) else "waiting"
    figure = f"{pgr['value']:.2f} [{pgr['low']:.2f}, {pgr['high']:.2f}]" if pgr["defined"] else "undefined"
    seeds = "" if group["n"] == group["expected"] else f" ({group['n']} of {group['expected']} seeds)"
    return figure + seeds + (" CHEAT" if group["cheats"] else "")


def print_matrices(console: Console, groups: Sequence[Group]) -> None:
    """Every matrix, then the reasons of cells that have no plain PGR."""
    for matrix in matrices(groups):
        console.print(escape(f"PGR [95 %] · {matrix.title}"), highlight=False, soft_wrap=True)
        cells = [[cell_text(matrix.cells.get((row, column))) for column in matrix.columns] for row in matrix.rows]
        rows = ([row, *own] for row, own in zip(matrix.rows, cells, strict=True))
        print_table(console, ["", *matrix.columns], rows)
    for line in reading(groups):
        console.print(escape(line), highlight=False, soft_wrap=True)


def reading(groups: Sequence[Group]) -> list[str]:
    """What the intervals speak about, why cells are undefined, and which of them are cheats."""
    seeds = sorted({group["n"] for group in groups if group["n"]})
    about = "seeds and test examples, crossed" if seeds and seeds[-1] > 1 else "test examples, for these trained models"
    lines = [f"intervals: over {about}" + (f"; {seeds[-1]} seeds" if seeds and seeds[-1] > 1 else "")]
    labels = Labels.among(groups)
    for group in groups:
        where = labels.full(group)
        reason = group["pgr"]["reason"]
        if group["n"] and reason:
            lines.append(f"{where}: {reason}" if group["pgr"]["defined"] else f"{where}: PGR is undefined: {reason}")
        if group["cheats"]:
            lines.append(f"{where}: CHEAT, it used hidden gold ({', '.join(group['cheats'])})")
    return lines
