"""Multiple-choice questions from a hub data set, as K options or as right/wrong statements.

`format=options`: one text per option, one score each. `format=statements`: each question once, with its right answer
or with a wrong one (half and half), to be judged right or wrong, as in Burns et al. 2023 (arXiv 2312.09390) and their
code (openai/weak-to-strong, weak_to_strong/datasets.py). Which one, and the order of options, are hashes of the
question, so they are the same for every seed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

from w2s_lightning.errors import UserError
from w2s_lightning.schema import Count, record
from w2s_lightning.tasks.draws import fingerprint
from w2s_lightning.tasks.example import Example, Kind, Layout, Split, Splits, choice, group_id
from w2s_lightning.tasks.files import Row, Unusable
from w2s_lightning.tasks.hub_choice import planned_sizes
from w2s_lightning.tasks.hub_source import HubSource, Reading
from w2s_lightning.tasks.labels import label_text
from w2s_lightning.tasks.split import Limits, Pool, Shares, make_pool, make_splits
from w2s_lightning.tasks.templates import Template, TemplateText


@record
class Answers:
    """Where a row keeps its options: in `columns`, one each, or all in one list (`choices.text`: a list in a column).

    `right_by` says how the right one is told. `column`: `right` names the column that always holds it; `index`: column
    `right` holds its number from 0; `key`: column `right` holds one of the list `keys`.
    """

    columns: tuple[str, ...]
    right_by: Literal["column", "index", "key"]
    right: str
    keys: str | None

    def __post_init__(self) -> None:
        if not self.columns or (self.right_by == "key") != (self.keys is not None):
            raise UserError("task.answers: columns must name columns, and keys a list exactly when right_by is key")
        if self.right_by == "column" and self.right not in self.columns:
            raise UserError(f"task.answers.right={self.right!r} must be one of the columns {list(self.columns)}")

    def needed(self) -> list[str]:
        """The top-level columns to read."""
        paths = [*self.columns, *([] if self.right_by == "column" else [self.right]), *filter(None, [self.keys])]
        return [path.split(".")[0] for path in paths]


@record
class HubQuestions:
    """Questions with options; `template` joins a question's columns and {option}, `group` names what splits go by.

    `words`: the verdict on a wrong and on a right answer. A statement never calls an answer right that contains
    `never_right` ("None of the above ..." says nothing on its own). `limits` are what a plan counts with.
    """

    kind: ClassVar[Kind] = "choice"
    world: ClassVar[None] = None

    name: str
    source: HubSource
    reading: Reading
    format: Literal["options", "statements"]
    template: TemplateText
    group: TemplateText
    answers: Answers
    num_options: Count
    never_right: str | None
    words: tuple[str, str]
    shares: Shares
    limits: Limits

    def __post_init__(self) -> None:
        if "option" not in Template.parse(self.template).columns:
            raise UserError(f"task.template={self.template!r} must contain {{option}}")

    @property
    def layout(self) -> Layout:
        return "options" if self.format == "options" else "text"

    @property
    def num_classes(self) -> int:
        return self.num_options if self.format == "options" else 2

    @property
    def typical_tokens(self) -> int:
        return 60 * (self.num_options if self.format == "options" else 1)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Positions of the options from 0 ("0", "1", ...), or the two words."""
        return tuple(map(str, range(self.num_options))) if self.format == "options" else self.words

    def resolved(self, find: Callable[[str, str], str]) -> "HubQuestions":
        """The same task with the commit of its data set filled in."""
        return replace(self, source=self.source.resolved(find))

    def sizes(self) -> Mapping[Split, int]:
        """The limits: an upper bound that needs no download."""
        return planned_sizes(self.limits)

    def splits(self, seed: int) -> Splits:
        """The examples of job seed `seed`; raise UserError when the data set cannot be loaded or used."""
        train, test = _pools(self)
        return make_splits(train, test, shares=self.shares, limits=self.limits, seed=seed)


class OddOptions(Unusable):
    """A question with more or fewer options than the others."""

    reason = "with another number of options"


class _Question(NamedTuple):
    texts: tuple[str, ...]
    options: tuple[str, ...]
    right: int
    group: str


@lru_cache(maxsize=4)
def _pools(task: HubQuestions) -> tuple[Pool, Pool]:
    template, group = Template.parse(task.template), Template.parse(task.group)
    plain = [column for column in (*template.columns, *group.columns) if column != "option"]
    columns = list(dict.fromkeys([*plain, *task.answers.needed()]))

    def pool(split: str, most: int | None) -> Pool:
        rows, what = task.source.rows(split, columns, most), f"{task.name} ({split})"

        def read(row: Row) -> Example:
            question = _question(task, row, template, group)
            if len(question.options) != task.num_options:
                raise OddOptions(
                    f"{row.place}: {len(question.options)} options, not task.num_options={task.num_options}"
                )
            return _choice(task, question)

        return make_pool(rows, read, what, kind=task.kind, own=False)

    return pool(task.reading.train, task.reading.max_train_rows), pool(task.reading.test, task.reading.max_test_rows)


def _question(task: HubQuestions, row: Row, template: Template, group: Template) -> _Question:
    """A row with its options in a hashed order: the right one first would be an answer by position."""
    options, right = _options(task.answers, row)
    values = {column: row.text_or_blank(column) for column in template.columns if column != "option"}
    texts = [template.fill({**values, "option": option}) for option in options]
    order = sorted(range(len(options)), key=lambda n: (fingerprint("option", *sorted(texts), texts[n]), n))
    name = group.fill({column: row.text_or_blank(column) for column in group.columns})
    shuffled = tuple(texts[n] for n in order), tuple(options[n] for n in order)
    return _Question(*shuffled, order.index(right), group_id(name))


def _options(answers: Answers, row: Row) -> tuple[list[str], int]:
    if len(answers.columns) > 1:
        options = [row.text_or_blank(column) for column in answers.columns]
    else:
        options = [str(option) for option in _list_at(row, answers.columns[0])]
    return options, _right(answers, row, len(options))


def _right(answers: Answers, row: Row, num_options: int) -> int:
    if answers.right_by == "column":
        return answers.columns.index(answers.right)
    label = label_text(row, answers.right)
    keys = list(map(str, range(num_options)))
    if answers.keys is not None:
        keys = [str(key) for key in _list_at(row, answers.keys)]
    if label not in keys:
        raise UserError(
            f"{row.place}: answer {label!r} in column {answers.right!r} is none of {', '.join(keys)} "
            f"(is this split published without its answers?)"
        )
    return keys.index(label)


def _list_at(row: Row, path: str) -> list[Any]:
    first, *rest = path.split(".")
    value = row.get(first)
    for part in rest:
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, list) or not value:
        raise UserError(f"{row.place}: {path!r} is no list of options")
    return value


def _choice(task: HubQuestions, question: _Question) -> Example:
    if task.format == "options":
        return choice(question.texts, label=question.right, group=question.group)
    draw = int(fingerprint("statement", *sorted(question.texts)), 16)
    right, wrong = question.options[question.right], _wrong(question)
    barred = task.never_right is not None and task.never_right in right
    if wrong and (draw % 2 == 0 or barred):
        return choice([wrong[draw // 2 % len(wrong)]], label=0, group=question.group)
    return choice([question.texts[question.right]], label=1, group=question.group)


def _wrong(question: _Question) -> list[str]:
    right = question.options[question.right]
    return [text for text, option in zip(question.texts, question.options, strict=True) if option != right]
