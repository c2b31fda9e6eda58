"""Text classification from a hub data set: one text, one label column (`conf/task/boolq.yaml` and others)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import ClassVar

from w2s_lightning.errors import UserError
from w2s_lightning.schema import record
from w2s_lightning.tasks.example import Example, Kind, Layout, Split, Splits, choice, group_id
from w2s_lightning.tasks.files import Row
from w2s_lightning.tasks.hub_source import HubSource, Reading
from w2s_lightning.tasks.labels import class_index
from w2s_lightning.tasks.split import Limits, Pool, Shares, make_pool, make_splits
from w2s_lightning.tasks.templates import Template, TemplateText


@record
class HubChoice:
    """Examples from one text column or several; `template` and `group` (what splits go by) name the columns.

    `classes` are the label column's values as text, in class order; `words` is a verdict word for each. `limits` are
    what a plan counts with, since it downloads nothing; fewer come out where the data set is smaller.
    """

    kind: ClassVar[Kind] = "choice"
    layout: ClassVar[Layout] = "text"
    world: ClassVar[None] = None
    typical_tokens: ClassVar[int] = 200

    name: str
    source: HubSource
    reading: Reading
    template: TemplateText
    group: TemplateText
    label_column: str
    classes: tuple[str, ...]
    words: tuple[str, ...]
    shares: Shares
    limits: Limits

    def __post_init__(self) -> None:
        if len(set(self.classes)) < 2 or len(self.classes) != len(self.words):
            raise UserError(
                f"task {self.name}: classes={list(self.classes)} must be two or more different labels, "
                f"and words={list(self.words)} one word for each"
            )

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classes

    def resolved(self, find: Callable[[str, str], str]) -> "HubChoice":
        """The same task with the commit of its data set filled in."""
        return replace(self, source=self.source.resolved(find))

    def sizes(self) -> Mapping[Split, int]:
        """The limits: an upper bound that needs no download."""
        return planned_sizes(self.limits)

    def splits(self, seed: int) -> Splits:
        """The examples of job seed `seed`; raise UserError when the data set cannot be loaded or used."""
        train, test = _pools(self)
        return make_splits(train, test, shares=self.shares, limits=self.limits, seed=seed)


def planned_sizes(limits: Limits) -> dict[Split, int]:
    """Limits as sizes; 0 stands for "not known" where there is no limit."""
    return {split: limit or 0 for split, limit in limits.by_split().items()}


@lru_cache(maxsize=4)
def _pools(task: HubChoice) -> tuple[Pool, Pool]:
    template, group = Template.parse(task.template), Template.parse(task.group)
    columns = list(dict.fromkeys([*template.columns, *group.columns, task.label_column]))

    def pool(split: str, most: int | None) -> Pool:
        rows = task.source.rows(split, columns, most)
        read = partial(_example, task, template, group)
        return make_pool(rows, read, f"{task.name} ({split})", kind=task.kind, own=False)

    return pool(task.reading.train, task.reading.max_train_rows), pool(task.reading.test, task.reading.max_test_rows)


def _example(task: HubChoice, template: Template, group: Template, row: Row) -> Example:
    text = template.fill({column: row.text_or_blank(column) for column in template.columns})
    name = group.fill({column: row.text_or_blank(column) for column in group.columns})
    label = class_index(row, task.label_column, task.classes)
    return choice([text], label=label, group=group_id(name))
