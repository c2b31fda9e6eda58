"""Text classification from a person's own files: `task=local_choice task.train_file=... task.test_file=...`."""

from collections.abc import Mapping
from functools import lru_cache, partial
from math import isfinite, nan
from typing import ClassVar

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.schema import record
from w2s_lightning.tasks.example import SPLITS, Example, Kind, Layout, Split, Splits, choice, group_id
from w2s_lightning.tasks.files import GivenFile, Row, Table, read_table
from w2s_lightning.tasks.labels import class_index, in_order, label_text
from w2s_lightning.tasks.split import Limits, Pool, Shares, make_pool, make_splits
from w2s_lightning.tasks.templates import Template, TemplateText

_CHARACTERS_PER_TOKEN = 4
_MOST_CLASSES = 20  # a label column with more that are rarely repeated is more likely a wrong column


@record
class LocalChoice:
    """Examples from a training and a test file (JSONL, CSV or Parquet by ending).

    Classes are the distinct labels of the training file. In `template`, {text} is the text column and any other column
    goes by its own name. `group_column` names the question or prompt that splits go by (null: the text itself),
    `difficulty_column` a number that grows with difficulty, `words` a verdict word per class (null: the labels; empty:
    none, for labels that are no single tokens).
    """

    kind: ClassVar[Kind] = "choice"
    layout: ClassVar[Layout] = "text"
    world: ClassVar[None] = None

    name: str
    train_file: GivenFile
    test_file: GivenFile
    text_column: str
    label_column: str
    group_column: str | None
    difficulty_column: str | None
    template: TemplateText
    words: tuple[str, ...] | None
    shares: Shares
    limits: Limits

    def __post_init__(self) -> None:
        for file in (self.train_file, self.test_file):
            self._check_columns(_table(file))
        if self.words is None:
            object.__setattr__(self, "words", self.class_names)
        if self.words and len(self.words) != self.num_classes:
            raise UserError(
                f"task.words has {len(self.words)} words for {self.num_classes} classes "
                f"({', '.join(self.class_names)}): give one for each, in this order"
            )

    def _check_columns(self, table: Table) -> None:
        for setting in ("text_column", "label_column", "group_column", "difficulty_column"):
            column = getattr(self, setting)
            if column is not None:
                table.require(column, f"task.{setting}")
        Template.parse(self.template).check({"text", *table.columns})

    @property
    def class_names(self) -> tuple[str, ...]:
        """The training file's labels in class order."""
        return _classes(self.train_file, self.label_column)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def typical_tokens(self) -> int:
        texts = [item.texts[0] for item in _pools(self)[0].examples[:500]]
        return 1 + sum(map(len, texts)) // (len(texts) * _CHARACTERS_PER_TOKEN)

    def sizes(self) -> Mapping[Split, int]:
        """Examples per split at seed 0; by whole groups, so another seed may differ by a few."""
        splits = self.splits(0)
        return {split: len(splits.of(split)) for split in SPLITS}

    def splits(self, seed: int) -> Splits:
        """The examples of job seed `seed`; raise UserError for what cannot be used, naming file and line."""
        train, test = _pools(self)
        return make_splits(train, test, shares=self.shares, limits=self.limits, seed=seed)


@lru_cache(maxsize=4)
def _table(file: DataFile) -> Table:
    return read_table(file)


@lru_cache(maxsize=4)
def _classes(file: DataFile, column: str) -> tuple[str, ...]:
    table = _table(file)
    labels = {label_text(row, column) for row in table.rows}
    if len(labels) == 1:
        raise UserError(f"{table.path}: column {column!r} holds one class only, {labels.pop()!r}; expected 2 or more")
    if len(labels) > max(_MOST_CLASSES, len(table.rows) // 10):
        raise UserError(
            f"{table.path}: column {column!r} holds {len(labels)} different labels in {len(table.rows)} rows; "
            f"give the column of classes: task.label_column=..."
        )
    return in_order(labels)


@lru_cache(maxsize=4)
def _pools(task: LocalChoice) -> tuple[Pool, Pool]:
    names = task.class_names

    def pool(file: DataFile, what: str) -> Pool:
        read = partial(_example, task, names)
        return make_pool(_table(file).rows, read, what, kind=task.kind, own=True, class_names=names)

    return pool(task.train_file, "training file"), pool(task.test_file, "test file")


def _example(task: LocalChoice, names: tuple[str, ...], row: Row) -> Example:
    text = _text(task, row)
    group = text if task.group_column is None else row.text(task.group_column)
    return choice(
        [text],
        label=class_index(row, task.label_column, names),
        group=group_id(group),
        difficulty=_difficulty(task, row),
    )


def _text(task: LocalChoice, row: Row) -> str:
    template = Template.parse(task.template)
    return template.fill({name: row.text(task.text_column if name == "text" else name) for name in template.columns})


def _difficulty(task: LocalChoice, row: Row) -> float | None:
    if task.difficulty_column is None:
        return None
    text = row.text(task.difficulty_column)
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise UserError(f"{row.place}: difficulty {text!r} is no number (task.difficulty_column)")
    return number
