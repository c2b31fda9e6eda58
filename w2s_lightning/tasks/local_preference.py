"""Preferences from a person's own files: `task=local_preference task.train_file=... task.test_file=...`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import ClassVar

from w2s_lightning.content import DataFile
from w2s_lightning.schema import record
from w2s_lightning.tasks.conversations import Form
from w2s_lightning.tasks.example import SPLITS, Split, Splits
from w2s_lightning.tasks.files import GivenFile, Table, read_table
from w2s_lightning.tasks.pair_columns import PairColumns, read_pair
from w2s_lightning.tasks.preferences import Words
from w2s_lightning.tasks.split import Limits, Pool, Shares, make_pool, make_splits
from w2s_lightning.tasks.task import Preference, mean_tokens

TEST_OF = "test_of"
"""A column that names the task of which a row's prompt is a test question (`rewardbench.convert` writes it)."""


@record
class LocalPreference(Preference):
    """Pairs from a training and a test file (JSONL or Parquet by ending; CSV where prompts are plain texts)."""

    world: ClassVar[None] = None

    name: str
    train_file: GivenFile
    test_file: GivenFile
    columns: PairColumns
    form: Form
    words: Words
    shares: Shares
    limits: Limits

    def __post_init__(self) -> None:
        for file in (self.train_file, self.test_file):
            self.columns.check(_table(file), "task.columns")

    @property
    def typical_tokens(self) -> int:
        return mean_tokens(_pools(self)[0].examples)

    def sizes(self) -> Mapping[Split, int]:
        """Examples per split at seed 0; by whole groups, so another seed may differ by a few."""
        splits = self.splits(0)
        return {split: len(splits.of(split)) for split in SPLITS}

    def splits(self, seed: int) -> Splits:
        """The pairs of job seed `seed`; raise UserError for what cannot be used, naming file and line."""
        train, test = _pools(self)
        return make_splits(train, test, shares=self.shares, limits=self.limits, seed=seed)


@lru_cache(maxsize=4)
def _table(file: DataFile) -> Table:
    return read_table(file)


@lru_cache(maxsize=4)
def _pools(task: LocalPreference) -> tuple[Pool, Pool]:
    return _pool(task, task.train_file, "training file"), _pool(task, task.test_file, "test file")


def _pool(task: LocalPreference, file: DataFile, what: str) -> Pool:
    table = _table(file)
    read = partial(read_pair, columns=task.columns, form=task.form)
    pool = make_pool(table.rows, read, what, kind=task.kind, own=True)
    counts = Counter(str(row.values[TEST_OF]) for row in table.rows if row.values.get(TEST_OF))
    warnings = tuple(
        f"{what}: {count} rows are about test questions of {name}: what is trained on them must not be tested there"
        for name, count in counts.items()
    )
    return replace(pool, notices=warnings + pool.notices)
