"""Groups of seeds as a grid of PGR: weak x strong, or pairs against whatever else varied; and what a cell needs said.

The terminal prints it and the page draws it. A group is a row as `results.groups` makes it and sweep.json holds it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from w2s_lightning.show.numbers import (
    FEW,
    ONE_SEED,
    below_zero,
    counted,
    interval,
    listed,
    over_seeds,
    pair,
    tells_nothing,
    without_ends,
)
from w2s_lightning.show.terminal import print_lines, print_table

WIDE = 4  # columns of figures that fit into a terminal
SHOWN = ("seed", "task", "paradigm", "model@weak", "model@strong")  # axes that have words of their own

Group = Mapping[str, Any]


class Labels:
    """How groups are called beside one another: an arm's name holds what varied and its pair does not already tell."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._with_paradigm = len({group["paradigm"] for group in groups}) > 1
        values: dict[str, dict[str, set[str | None]]] = {}  # of each axis, by pair
        for key in dict.fromkeys(key for group in groups for key in group["axes"] if key not in SHOWN):
            for group in groups:
                values.setdefault(key, {}).setdefault(pair(group), set()).add(group["axes"].get(key))
        several = len(set(map(pair, groups))) > 1
        told = {key for key, by_pair in values.items() if several and all(len(one) == 1 for one in by_pair.values())}
        found = {key: {str(group["axes"].get(key)) for group in groups} for key in values}  # of each axis
        self._axes = tuple(key for key in values if key not in told and len(found[key]) > 1)
        # A path goes by its last part where that tells the paths apart: whole ones have no room in a table.
        self._short = {key for key in self._axes if len(set(map(_last_part, found[key]))) == len(found[key])}
        self.several_pairs, self._several_arms = several, len(set(map(self.arm, groups))) > 1

    def arm(self, group: Group) -> str:
        """`objective=logconf`, `weak_to_strong fit.lr_scale=2`: the paradigm where it varies, and the other axes."""
        own = {key: group["axes"][key] for key in self._axes if key in group["axes"]}
        parts = [f"{key}={_last_part(value) if key in self._short else value}" for key, value in own.items()]
        return " ".join([*([str(group["paradigm"])] if self._with_paradigm or not parts else []), *parts])

    def title(self, group: Group) -> str:
        """As short as telling the groups apart allows: pair, arm, or both."""
        if not self._several_arms:
            return pair(group)
        return f"{pair(group)} · {self.arm(group)}" if self.several_pairs else self.arm(group)


def _last_part(value: object) -> str:
    """The file or folder that a path ends with, anything else as it is."""
    text = str(value)
    return text.rstrip("/").rpartition("/")[2] if text.startswith(("/", "./", "../", "~")) else text


@dataclass(frozen=True)
class Matrix:
    """Groups of one task by row and column label, `corner` says which are which; a group that is not there was not
    asked for."""

    title: str
    corner: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Group]


def matrix_of(groups: Sequence[Group], wide: int | None = None) -> Matrix:
    """Weak x strong where only the pair varies, else pairs against arms, the shorter list as columns; one column where
    even that has more than `wide`."""
    labels = Labels(groups)
    task = str(groups[0]["task"]) if groups else ""
    pairs, arms = (list(dict.fromkeys(map(name, groups))) for name in (pair, labels.arm))
    weak, strong = (list(dict.fromkeys(str(group[side]) for group in groups)) for side in ("weak", "strong"))
    most = len(groups) if wide is None else wide
    if len(arms) == 1 and len(strong) <= most:
        square = {(str(group["weak"]), str(group["strong"])): group for group in groups}
        return Matrix(f"{task} · {arms[0]}", "weak ↓ strong →", tuple(weak), tuple(strong), square)
    if min(len(pairs), len(arms)) > most:
        long = {(labels.title(group), "PGR"): group for group in groups}
        return Matrix(task, "", tuple(label for label, _ in long), ("PGR",), long)
    cells = {(pair(group), labels.arm(group)): group for group in groups}
    if len(arms) <= len(pairs):
        return Matrix(task, "pair", tuple(pairs), tuple(arms), cells)
    return Matrix(task, "", tuple(arms), tuple(pairs), {(arm, two): group for (two, arm), group in cells.items()})


def state_of(group: Group | None) -> str:
    """`defined`, or why the cell has no number: undefined, failed, running, waiting, absent."""
    if group is None:
        return "absent"
    if group["n"]:
        return "defined" if group["pgr"]["defined"] else "undefined"
    states = [lost["state"] for lost in group["missing"]]
    return next((state for state in ("failed", "running") if state in states), "waiting")


def seeds_of(group: Group) -> str:
    """`2 of 3 seeds`, empty where none is missing."""
    return "" if group["n"] in (0, group["expected"]) else f"{group['n']} of {group['expected']} seeds"


def cell_text(group: Group | None) -> str:
    """PGR with its interval, or why there is none, with how many seeds are missing."""
    if group is None:
        return ""
    figure = over_seeds(group["pgr"], 2) if group["n"] else state_of(group)
    return figure + (f" ({seeds_of(group)})" if seeds_of(group) else "") + (" CHEAT" if group["cheats"] else "")


def explanation(group: Group, title: str) -> str:
    """All there is to say of a cell: its PGR or why it has none, the seeds that are missing and why, cheats."""
    pgr, state = group["pgr"], state_of(group)
    parts = [state]
    if state == "defined":
        parts = [f"PGR {over_seeds(pgr, 2)} over {counted(group['n'], 'seed')}"]
        parts += ["told apart neither from 0 nor from 1"] if tells_nothing(pgr) else []
        parts += [pgr["reason"]] if pgr["reason"] else []
    elif state == "undefined":
        same = ", the same model on both sides" if group["weak"] == group["strong"] else ""
        parts = [f"PGR is undefined{same}: {pgr['reason']}"]
    lost: dict[tuple[str, str], list[str]] = {}  # told once for equal reasons
    for one in group["missing"]:
        lost.setdefault((str(one["state"]), str(one["reason"] or "")), []).append(str(one["seed"]))
    for (what, reason), seeds in lost.items():
        word = "seed" if len(seeds) == 1 else "seeds"
        parts.append(f"{word} {listed(seeds, 8)} {what}" + (f": {reason}" if reason else ""))
    if group["cheats"]:
        parts.append(f"CHEAT, it used hidden gold ({', '.join(group['cheats'])})")
    return f"{title}: {'; '.join(parts)}"


def explanations(groups: Sequence[Group]) -> list[str]:
    """Those of cells that are more than a number: undefined, incomplete, failed, by construction, cheats."""
    labels, found = Labels(groups), []
    for group in groups:
        if group["missing"] or group["cheats"] or group["pgr"]["reason"] or not group["pgr"]["defined"]:
            found.append(explanation(group, labels.title(group)))
    return found


def below_untuned(groups: Sequence[Group]) -> list[str]:
    """One sentence on the cells whose student ends below the untuned model, none where there are none: PGR, which is
    about floor and ceiling, does not tell."""
    labels = Labels(groups)
    lost = [group for group in groups if below_zero(group.get("gain_over_untuned"))]
    cells = [f"{labels.title(group)} {interval(group['gain_over_untuned'], 2)}" for group in lost]
    return [f"The student ends below the untuned model: {listed(cells)}."] if cells else []


def told_apart(groups: Sequence[Group]) -> list[str]:
    """One sentence where not one PGR is told apart from 0 or from 1."""
    known = [group["pgr"] for group in groups if group["n"] and group["pgr"]["defined"]]
    return ["No PGR here is told apart from 0 or from 1."] if known and all(map(tells_nothing, known)) else []


def print_sections(console: Console, groups: Sequence[Group]) -> None:
    """PGR by section of a benchmark, over seeds and benchmark rows, where any group has one."""
    labels = Labels(groups)
    judged = [(labels.title(group), group["sections"]) for group in groups if group.get("sections")]
    if judged:
        console.print("PGR [95 %] on the benchmark, by section", highlight=False)
        _print_parts(
            console, [(title, {part["name"]: interval(part["pgr"], 2) for part in parts}) for title, parts in judged]
        )


def print_compared(console: Console, records: Sequence[Mapping[str, Any]]) -> None:
    """Rows x (test set and sections): how much better a classifier is than DPO."""
    if not records:
        return
    lines: dict[str, dict[str, str]] = {}
    for record in records:
        parts = [without_ends(part, record["n_seeds"]) for part in record["parts"]]
        found = {part["name"]: interval(part, sign="+") for part in parts}
        lines.setdefault(record["row"], {}).update(found)
    console.print("accuracy of classifier - DPO (fit.readout=head - implicit), paired", highlight=False)
    _print_parts(console, list(lines.items()))
    seeds = max(record["n_seeds"] for record in records)
    over = "seeds and examples, crossed" if seeds >= FEW else "examples, for these trained models"
    over = f"nothing: {seeds} seeds, take {FEW} or more" if 1 < seeds < FEW else over
    console.print(f"intervals at 95 % over {over}; not corrected for several comparisons", highlight=False)


def _print_parts(console: Console, lines: Sequence[tuple[str, Mapping[str, str]]]) -> None:
    """A table of rows with their figures by part; empty where a row has no such part."""
    names = list(dict.fromkeys(name for _, parts in lines for name in parts))
    print_table(console, ["", *names], [[row, *(parts.get(name, "") for name in names)] for row, parts in lines])


def print_matrices(console: Console, groups: Sequence[Group]) -> None:
    """A matrix a task, what the intervals speak about, and explanations of cells that have no plain PGR."""
    for task in dict.fromkeys(group["task"] for group in groups):
        matrix = matrix_of([group for group in groups if group["task"] == task], WIDE)
        cells = [[cell_text(matrix.cells.get((row, column))) for column in matrix.columns] for row in matrix.rows]
        rows = ([row, *own] for row, own in zip(matrix.rows, cells, strict=True))
        print_lines(console, [f"PGR [95 %] · {matrix.title}"])
        print_table(console, [matrix.corner, *matrix.columns], rows)
    seeds = max((group["n"] for group in groups), default=0)
    over = f"test examples, for these trained models; {ONE_SEED}"
    if seeds >= FEW:
        over = f"seeds and test examples, crossed; {seeds} seeds"
    elif seeds > 1:
        over = f"nothing: {seeds} seeds, with their own values in brackets; take {FEW} or more for an interval"
    if seeds > 1 and any(group["n"] == 1 for group in groups):
        over += "; where there is one seed, over test examples, for these trained models"
    print_lines(
        console, [f"intervals: over {over}", *told_apart(groups), *below_untuned(groups), *explanations(groups)]
    )
