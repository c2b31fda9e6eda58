"""Rows that reward models are judged on: RewardBench, its prior sets, files in its columns, a task's own test pairs.

Columns are `prompt` (a text or turns), `chosen`, `rejected` and `subset`. Every row counts, also one that stands twice:
the published figures are means over rows. As a task of a job (`RewardSetTask`) they are `test`, and nothing is trained
on them.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from w2s_lightning.config.bind import bind
from w2s_lightning.config.mistakes import Origin
from w2s_lightning.config.schema import record
from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import Example, Kind, Layout, Split, Splits
from w2s_lightning.tasks.format import Format
from w2s_lightning.tasks.readers import PairReader
from w2s_lightning.tasks.source import ENDINGS, Hub, SourceRow, Unusable, read_table
from w2s_lightning.tasks.split import left_out, usable
from w2s_lightning.tasks.task import mean_tokens

REWARD_BENCH = "allenai/reward-bench"
PRIOR_SETS = "allenai/pref-test-sets"
_SPLITS = {  # by the last part of the repository's name, so that a folder may hold it too
    "reward-bench": ("filtered",),
    "pref-test-sets": ("anthropic_helpful", "anthropic_hhh", "shp", "summarize"),
}
_BY_SPLIT = ("pref-test-sets",)  # where a split's name is its rows' subset
_PUBLISHED = {REWARD_BENCH: 2985, PRIOR_SETS: 17154}  # rows, for estimates without a download
_TOKENS = 1000
OWN_TEST = "test"
"""What `task.benchmark` calls the task's own test pairs."""


@dataclass(frozen=True)
class RewardSet:
    """Pairs to be scored, the place (`file:line`) of each, and what was counted on the way, for people to read."""

    pairs: tuple[Example, ...]
    places: tuple[str, ...]
    notices: tuple[str, ...]

    @property
    def subsets(self) -> tuple[str, ...]:
        """The subset of each row."""
        return tuple(pair.subset or "" for pair in self.pairs)

    @property
    def groups(self) -> tuple[str, ...]:
        """The prompt's group of each row, which is what a bootstrap resamples."""
        return tuple(pair.group for pair in self.pairs)


def located(data: str) -> DataFile | Hub:
    """A file by its ending, a folder in a hub repository's layout, or a hub repository whose commit is yet to be found.

    Raises UserError for a file or folder that is not there.
    """
    if Path(data).suffix in ENDINGS:
        return DataFile.at(data)
    folder = os.path.isdir(os.path.expanduser(data))
    if not folder and (data.startswith(("/", "~", ".")) or data.count("/") != 1):
        raise UserError(f"no such data: {data} (expected a file ({', '.join(ENDINGS)}), a folder, or {REWARD_BENCH})")
    whole = {"train": "", "test": "", "max_train_rows": None, "max_test_rows": None}
    hub = {"path": data, "config": None, "revision": "main", "commit": None, **whole}
    found: Hub = bind(Hub, hub, Origin("task.benchmark", None))
    return found


def read_reward_set(source: DataFile | Hub, format: Format, splits: Sequence[str] = ()) -> RewardSet:
    """The rows of a source, written with `format`; `splits` of a hub repository (none: those known for its name).

    Rows with equal answers are left out and counted, as are rows of published data without a comparison in them. Raises
    UserError for such a row of a file, naming file and line.
    """
    if isinstance(source, DataFile):
        table = read_table(source)
        for column in _COLUMNS.columns():
            table.require(column, "RewardBench's columns are prompt, chosen, rejected, subset")
        rows, what = list(table.rows), str(source.path)
    else:
        rows, what = _published(source, splits), source.label

    def read(row: SourceRow) -> Example:
        if not isinstance(row.values.get("subset"), str):
            raise Unusable(f"{row.place}: column 'subset' holds no name")
        return _COLUMNS.read(row, format)

    found, faults = usable(rows, read)
    if not found:
        raise UserError(f"{what} holds no pair of different answers")
    pairs, kept = zip(*found, strict=True)
    return RewardSet(pairs, tuple(row.place for row in kept), left_out(faults, what, "preference"))


_COLUMNS = PairReader(
    prompt="prompt", chosen="chosen", rejected="rejected", margin=None, subset="subset", group=None, difficulty=None
)


def _published(source: Hub, splits: Sequence[str]) -> list[SourceRow]:
    name = source.label.rsplit("/", 1)[-1]
    known = splits or _SPLITS.get(name)
    if known is None:
        raise UserError(f"{source.label}: which of its splits? Give --split NAME (known: {', '.join(_SPLITS)})")
    if name not in _BY_SPLIT:
        return [row for split in known for row in source.split(split, list(_COLUMNS.columns()), None, None)]
    columns = [column for column in _COLUMNS.columns() if column != "subset"]
    rows = [(split, row) for split in known for row in source.split(split, columns, None, None)]
    return [replace(row, values={**row.values, "subset": split}) for split, row in rows]


# ---------------------------------------------------------------- as a job's task


@record
class OwnTest:
    """The test pairs of the job's own task, to be judged by subset; pairs in none are in one named like the task."""

    task: Any

    @property
    def label(self) -> str:
        """What people call it."""
        return f"test pairs of {self.task.name}"


@record
class RewardSetTask:
    """Rows in RewardBench's columns, written as the job's own task writes its pairs (`format`, `words`)."""

    kind: ClassVar[Kind] = "preference"
    layout: ClassVar[Layout] = "options"
    class_names: ClassVar[tuple[str, ...]] = ("0", "1")
    world: ClassVar[None] = None  # models come with the job's task

    source: DataFile | Hub | OwnTest
    format: Format
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The hub set's name."""
        return self.place.rsplit("/", 1)[-1] if self._far_away else "benchmark"

    @property
    def place(self) -> str:
        """Where the rows are, for people."""
        return str(self.source.path) if isinstance(self.source, DataFile) else self.source.label

    @property
    def typical_tokens(self) -> int:
        if isinstance(self.source, OwnTest):
            return int(self.source.task.typical_tokens)
        return _TOKENS if self._far_away else mean_tokens(["".join(pair.texts) for pair in self.rows().pairs])

    @property
    def _far_away(self) -> bool:
        return isinstance(self.source, Hub) and isinstance(self.source.path, str)

    def rows(self) -> RewardSet:
        """The rows and where each of them stands; raise UserError for what cannot be used."""
        return _rows(self)

    def sizes(self) -> Mapping[Split, int]:
        """All rows are `test`; of a hub set as published."""
        if isinstance(self.source, OwnTest):
            return {**self.source.task.sizes(), "supervise": 0, "transfer": 0, "validation": 0}
        there = _PUBLISHED.get(self.place, 0) if self._far_away else len(self.rows().pairs)
        return {"supervise": 0, "transfer": 0, "validation": 0, "test": there}

    def splits(self, seed: int) -> Splits:
        """The same rows for every seed, in the order of the source."""
        rows = self.rows()
        return Splits(supervise=(), transfer=(), validation=(), test=rows.pairs, notices=rows.notices)


def benchmark_at(data: str, task: Any, find: Callable[[str, str], str]) -> RewardSetTask:
    """What a preference task's `benchmark` names; `find(repository, revision)` tells a hub set's commit."""
    if data == OWN_TEST:
        return RewardSetTask(source=OwnTest(task=task), format=task.format, words=task.words)
    source = located(data)
    if isinstance(source, Hub):
        if source.label.rsplit("/", 1)[-1] not in _SPLITS:
            raise UserError(
                f"task.benchmark={data}: expected {OWN_TEST}, a file, or {', '.join(_PUBLISHED)} (or a folder of it)"
            )
        try:
            source = source.resolved(find)
        except UserError as error:  # which speaks of a task's own data
            raise UserError(str(error).replace("task.source.path", "task.benchmark")) from None
    return RewardSetTask(source=source, format=task.format, words=task.words)


@lru_cache(maxsize=4)
def _rows(task: RewardSetTask) -> RewardSet:
    if isinstance(task.source, OwnTest):  # the same for every seed
        own = task.source.task
        test = tuple(replace(pair, subset=pair.subset or own.name) for pair in own.splits(0).test)
        return RewardSet(test, tuple(f"{task.place}: {number}" for number in range(1, len(test) + 1)), ())
    found, seen, pairs = read_reward_set(task.source, task.format), Counter[str](), list[Example]()
    for pair in found.pairs:  # a row that stands twice counts twice: later ones get ids of their own
        seen[pair.id] += 1
        pairs.append(pair if seen[pair.id] == 1 else replace(pair, id=f"{pair.id}-{seen[pair.id]}"))
    return replace(found, pairs=tuple(pairs))
