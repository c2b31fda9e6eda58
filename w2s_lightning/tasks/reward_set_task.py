"""A benchmark of reward models as a task: its rows are `test`, and nothing is trained on it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.schema import record
from w2s_lightning.tasks.conversations import Form
from w2s_lightning.tasks.example import Example, Split, Splits
from w2s_lightning.tasks.hub_source import HubSource
from w2s_lightning.tasks.reward_sets import PRIOR_SETS, REWARD_BENCH, RewardSet, located, read_reward_set
from w2s_lightning.tasks.task import Preference, mean_tokens

_PUBLISHED = {REWARD_BENCH: 2985, PRIOR_SETS: 17154}  # rows, for estimates without a download
_TOKENS = 1000
OWN_TEST = "test"
"""What `task.benchmark` calls the task's own test pairs."""


@record
class OwnTest:
    """The test pairs of the job's own task, to be judged by subset; pairs in none are in one named like the task."""

    task: Any

    @property
    def label(self) -> str:
        """What people call it."""
        return f"test pairs of {self.task.name}"

    def rows(self) -> RewardSet:
        """The pairs, which are the same for every seed."""
        pairs = [replace(pair, subset=pair.subset or self.task.name) for pair in self.task.splits(0).test]
        return RewardSet(tuple(pairs), tuple(f"{self.label}: {number}" for number in range(1, len(pairs) + 1)), ())


@record
class RewardSetTask(Preference):
    """Rows in RewardBench's columns, written as the job's own task writes its pairs (`form`, `words`)."""

    source: DataFile | HubSource | OwnTest
    form: Form
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The hub set's name; a file's is no part of its identity."""
        return self.place.rsplit("/", 1)[-1] if self._far_away else "benchmark"

    @property
    def place(self) -> str:
        """Where the rows are, for people."""
        return str(self.source.path) if isinstance(self.source, DataFile) else self.source.label

    @property
    def world(self) -> None:
        """No embedded world: models come with the job's task."""

    @property
    def typical_tokens(self) -> int:
        if isinstance(self.source, OwnTest):
            return int(self.source.task.typical_tokens)
        return _TOKENS if self._far_away else mean_tokens(self.rows().pairs)

    @property
    def _far_away(self) -> bool:
        return isinstance(self.source, HubSource) and isinstance(self.source.path, str)

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
        return RewardSetTask(source=OwnTest(task=task), form=task.form, words=task.words)
    source = located(data)
    if isinstance(source, HubSource):
        if source.label.rsplit("/", 1)[-1] not in [known.rsplit("/", 1)[-1] for known in _PUBLISHED]:
            raise UserError(
                f"task.benchmark={data}: expected {OWN_TEST}, a file, or {', '.join(_PUBLISHED)} (or a folder of it)"
            )
        try:
            source = source.resolved(find)
        except UserError as error:  # which speaks of a task's own data
            raise UserError(str(error).replace("task.source.path", "task.benchmark")) from None
    return RewardSetTask(source=source, form=task.form, words=task.words)


@lru_cache(maxsize=4)
def _rows(task: RewardSetTask) -> RewardSet:
    if isinstance(task.source, OwnTest):
        return task.source.rows()
    found = read_reward_set(task.source, task.form)
    return replace(found, pairs=_told_apart(found.pairs))


def _told_apart(pairs: tuple[Example, ...]) -> tuple[Example, ...]:
    """Every row counts, also one that stands twice: later ones get ids of their own."""
    seen: Counter[str] = Counter()
    made = []
    for pair in pairs:
        seen[pair.id] += 1
        made.append(pair if seen[pair.id] == 1 else replace(pair, id=f"{pair.id}-{seen[pair.id]}"))
    return tuple(made)
