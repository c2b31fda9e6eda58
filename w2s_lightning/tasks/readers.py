"""From a row to an example, where columns say all there is to say; `published_readers` holds data sets that need more.

A reader is a frozen record, named by `task.reader._target_`; its settings name columns and are identity of the data.
It sees one row at a time: duplicates, contradictions and splits are `split`'s. What a person's file may not lack is
refused with file and line; what published data lacks is `Unusable`, and counted.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from w2s_lightning.config.schema import Count, record
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.draws import fingerprint
from w2s_lightning.tasks.example import Example, Kind, Layout, Turn, choice, group_id, problem
from w2s_lightning.tasks.final_answer import GSM8K_KEY, AnswerKey
from w2s_lightning.tasks.format import Format, Template, TemplateText, answered, conversation, pair
from w2s_lightning.tasks.math_answer import MATH_KEY
from w2s_lightning.tasks.source import OddOptions, SourceRow, Table, UnparsedAnswer, Unusable, brief, classes

_MOST_CLASSES = 20  # a label column with more that are rarely repeated is more likely a wrong column


@record
class Reader:
    """What every reader offers; `typical_tokens` are those of one text, for estimates without reading the data.

    `published` are the columns of one published data set, for readers that do not let settings name them.
    """

    kind: ClassVar[Kind]
    published: ClassVar[Mapping[str, str]]
    typical_tokens: ClassVar[int]
    typical_solution_tokens: ClassVar[int] = 0

    @property
    def layout(self) -> Layout:
        """Whether an example is one text with K classes, or a text for each of K options."""
        return "options" if self.kind == "preference" else "text"

    @property
    def class_names(self) -> tuple[str, ...]:
        """What label files call the classes: of a preference the places of the two answers."""
        return ("0", "1") if self.kind == "preference" else ()

    @property
    def key(self) -> AnswerKey:
        """How final answers are read and compared."""
        raise AssertionError(f"{type(self).__name__} reads no final answers")

    def columns(self) -> Mapping[str, str]:
        """The columns to read, each with the setting (or the rule) that asks for it."""
        return self.published

    @abstractmethod
    def read(self, row: SourceRow, format: Format) -> Example:
        """The example in a row; raise Unusable where there is none, UserError for a row that nothing can be made of."""

    def fitted(self, table: Table | None) -> Self:
        """The same reader with what it takes from a training file (None: from the hub, before anything is read)."""
        return self

    def _named(self, *settings: str) -> dict[str, str]:
        named = {setting: getattr(self, setting) for setting in settings}
        return {column: f"task.reader.{setting}" for setting, column in named.items() if column is not None}


# ---------------------------------------------------------------- choice


@record
class TextReader(Reader):
    """A text and its class. In `template`, {text} is the column `text`, and any other column goes by its own name.

    `classes`: the label column's values in class order (null: the training file's). `group` is the column that splits
    go by (null: the text itself), `difficulty` a column of numbers that grow with difficulty.
    """

    kind = "choice"
    typical_tokens = 200

    text: str
    template: TemplateText
    label: str
    group: str | None
    difficulty: str | None
    classes: tuple[str, ...] | None

    def __post_init__(self) -> None:
        if self.classes is not None and not len(self.classes) == len(classes(self.classes)) > 1:
            raise UserError(f"task.reader.classes={list(self.classes)} must be two or more different labels")

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classes or ()

    def columns(self) -> Mapping[str, str]:
        written = {
            column: "task.reader.text" if name == "text" else "task.reader.template"
            for name, column in self._written().items()
        }
        return written | self._named("label", "group", "difficulty")

    def read(self, row: SourceRow, format: Format) -> Example:
        template, label = Template.parse(self.template), row.label(self.label)
        text = template.fill({name: row.published_text(column) for name, column in self._written().items()})
        if (place := classes(self.class_names).get(label)) is None:
            known = ", ".join(self.class_names[:20])
            raise UserError(f"{row.place}: label {label!r} in column {self.label!r} is none of {known}")
        return choice(
            [text],
            label=place,
            group=group_id(text if self.group is None else row.published_text(self.group)),
            difficulty=row.number(self.difficulty),
        )

    def fitted(self, table: Table | None) -> Self:
        if self.classes is not None:
            return self
        if table is None:
            raise UserError("task.reader.classes: name the labels of a hub data set, in class order")
        table.require(self.label, "task.reader.label")
        labels = {row.label(self.label) for row in table.rows}
        if len(labels) == 1:
            only = labels.pop()
            raise UserError(f"{table.path}: column {self.label!r} holds one class only, {only!r}; expected 2 or more")
        if len(labels) > max(_MOST_CLASSES, len(table.rows) // 10):
            raise UserError(
                f"{table.path}: column {self.label!r} holds {len(labels)} different labels in {len(table.rows)} rows; "
                f"give the column of classes: task.reader.label=..."
            )
        try:
            ordered = sorted(labels, key=lambda label: (int(label), label))  # "1" and "01" are two labels
        except ValueError:
            ordered = sorted(labels)
        return replace(self, classes=tuple(ordered))

    def _written(self) -> dict[str, str]:
        """The template's names with their columns."""
        return {name: self.text if name == "text" else name for name in Template.parse(self.template).columns}


@record
class OptionsReader(Reader):
    """A question with options, of which one is right; `template` joins a question's columns and {option}.

    `form=options`: one text an option, one score each. `form=statements`: each question once, with its right answer or
    with a wrong one (half and half), to be judged right or wrong, as in Burns et al. 2023 (arXiv 2312.09390) and their
    code (openai/weak-to-strong, weak_to_strong/datasets.py). Which one, and the order of options, are hashes of the
    question, so they are the same for every seed. A statement never calls an answer right that contains `never_right`
    ("None of the above ..." says nothing on its own).

    `options` are columns, one an option, or one that holds all in a list (`choices.text`: a list in a column). `right`
    is one of these, where always the same is right; else a column that holds the right one's number from 0, or one of
    the list `keys`. `group` is the column that splits go by.
    """

    kind = "choice"
    typical_tokens = 60

    form: Literal["options", "statements"]
    template: TemplateText
    group: str
    options: tuple[str, ...]
    right: str
    keys: str | None
    num_options: Count
    never_right: str | None

    def __post_init__(self) -> None:
        if "option" not in Template.parse(self.template).columns:
            raise UserError(f"task.reader.template={self.template!r} must contain {{option}}")
        if not self.options or (self.keys is not None and self.right in self.options):
            raise UserError(
                "task.reader.options must name columns, and keys a list only where task.reader.right is none of them"
            )

    @property
    def layout(self) -> Layout:
        return "options" if self.form == "options" else "text"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Places of the options; a statement's classes are called by the task's verdict words."""
        return tuple(map(str, range(self.num_options))) if self.form == "options" else ()

    def columns(self) -> Mapping[str, str]:
        named = {"template": Template.parse(self.template).columns, "group": (self.group,), "options": self.options}
        named |= {"right": (self.right,), "keys": () if self.keys is None else (self.keys,)}
        return {
            path.split(".")[0]: f"task.reader.{setting}"
            for setting, paths in named.items()
            for path in paths
            if path != "option"
        }

    def read(self, row: SourceRow, format: Format) -> Example:
        options, right = self._options(row)
        if len(options) != self.num_options:
            raise OddOptions(f"{row.place}: {len(options)} options, not task.reader.num_options={self.num_options}")
        template, group = Template.parse(self.template), group_id(row.published_text(self.group))
        values = {column: row.published_text(column) for column in template.columns if column != "option"}
        texts = [template.fill({**values, "option": option}) for option in options]
        # By hash, since the right one first would be an answer by position.
        order = sorted(range(len(texts)), key=lambda n: (fingerprint("option", *sorted(texts), texts[n]), n))
        if self.form == "options":
            return choice([texts[n] for n in order], label=order.index(right), group=group)
        draw = int(fingerprint("statement", *sorted(texts)), 16)
        wrong = [texts[n] for n in order if options[n] != options[right]]
        barred = self.never_right is not None and self.never_right in options[right]
        if wrong and (draw % 2 == 0 or barred):
            return choice([wrong[draw // 2 % len(wrong)]], label=0, group=group)
        return choice([texts[right]], label=1, group=group)

    def _options(self, row: SourceRow) -> tuple[list[str], int]:
        """The options of a row, and the place of the right one."""
        if len(self.options) > 1:
            options = [row.published_text(column) for column in self.options]
        else:
            options = _list_at(row, self.options[0])
        if self.right in self.options:
            return options, self.options.index(self.right)
        label = row.label(self.right)
        keys = list(map(str, range(len(options)))) if self.keys is None else _list_at(row, self.keys)
        if (place := classes(tuple(keys)).get(label)) is None:
            raise UserError(
                f"{row.place}: answer {label!r} in column {self.right!r} is none of {', '.join(keys)} "
                f"(is this split published without its answers?)"
            )
        return options, place


def _list_at(row: SourceRow, path: str) -> list[str]:
    first, *rest = path.split(".")
    value = row.get(first)
    for part in rest:
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, list) or not value:
        raise UserError(f"{row.place}: {path!r} is no list of options")
    return list(map(str, value))


# ---------------------------------------------------------------- preference


@record
class PairReader(Reader):
    """A prompt with a better and a worse answer; null: there is no such column.

    `prompt` is a text or a list of messages (null: chosen and rejected are whole conversations). `chosen` and
    `rejected` are texts, or messages that end with the assistant's. `group` names what splits go by (null: the prompt),
    `difficulty` is a number that grows with difficulty, `margin` one that says by how much the chosen is better.
    """

    kind = "preference"
    typical_tokens = 300

    prompt: str | None
    chosen: str
    rejected: str
    margin: str | None
    subset: str | None
    group: str | None
    difficulty: str | None

    def columns(self) -> Mapping[str, str]:
        return self._named("prompt", "chosen", "rejected", "margin", "subset", "group", "difficulty")

    def read(self, row: SourceRow, format: Format) -> Example:
        before_chosen, chosen = answered(_filled(row, self.chosen), row.place)
        before_rejected, rejected = answered(_filled(row, self.rejected), row.place)
        given = None if self.prompt is None else conversation(_filled(row, self.prompt), row.place)
        return pair(
            _agreed(row, given, before_chosen, before_rejected),
            chosen,
            rejected,
            format,
            place=row.place,
            group=None if self.group is None else group_id(row.text(self.group)),
            subset=None if self.subset is None else row.text(self.subset),
            margin=row.number(self.margin),
            difficulty=row.number(self.difficulty),
        )


def _filled(row: SourceRow, column: str) -> Any:
    value = row.values.get(column)
    if value is None or value == [] or (isinstance(value, str) and not value.strip()):
        raise Unusable(f"{row.place}: column {column!r} is empty")
    return value


def _agreed(row: SourceRow, *conversations: tuple[Turn, ...] | None) -> tuple[Turn, ...]:
    """The one conversation that the prompt and both answers tell of, those that tell."""
    told = [one for one in conversations if one is not None]
    if not told:
        raise Unusable(
            f"{row.place}: no prompt: name its column, or give answers as turns with the conversation before"
        )
    if any(one != told[0] for one in told):
        raise Unusable(
            f"{row.place}: the turns before the chosen and the rejected answer differ, or are not the prompt"
        )
    return told[0]


# ---------------------------------------------------------------- reasoning

_MARKS = {"number": "#### {answer}", "math": "The answer is: {answer}"}


@record
class ProblemReader(Reader):
    """A question, a worked solution and a final answer alone: a `number` (marked `#### 18`) or `math` (LaTeX, marked
    `The answer is: x`). `group` names what splits go by (null: the question), `difficulty` grows with difficulty.
    """

    kind = "reasoning"
    typical_tokens = 190
    typical_solution_tokens = 120

    question: str
    solution: str
    answer: str
    answers: Literal["number", "math"]
    group: str | None
    difficulty: str | None

    @property
    def key(self) -> AnswerKey:
        return GSM8K_KEY if self.answers == "number" else MATH_KEY

    def columns(self) -> Mapping[str, str]:
        return self._named("question", "solution", "answer", "group", "difficulty")

    def read(self, row: SourceRow, format: Format) -> Example:
        given, answer = row.text(self.answer), self.key.parse_bare(row.text(self.answer))
        if answer is None:
            wanted = "one number" if self.answers == "number" else "a LaTeX expression"
            raise UnparsedAnswer(f"{row.place}: the gold answer {brief(given)} does not parse: expected {wanted}")
        solution = format.gold_solution(row.text(self.solution), answer)
        if self.key.parse(solution) != answer:
            raise UnparsedAnswer(
                f"{row.place}: the solution ends in {brief(self.key.parse(solution))}, the gold is {brief(answer)}; "
                f"let task.format.worked end in {_MARKS[self.answers]!r}"
            )
        group = None if self.group is None else group_id(row.text(self.group))
        return problem(row.text(self.question), solution, answer, row.number(self.difficulty), group)
