"""What every task hands out, whatever its kind: examples keyed by content, in four disjoint splits.

Ids and groups are hashes of content, since the targets in people's files and all that the store keeps are joined by
them: they never depend on labels, positions or a library's random numbers. How an example is read from a row, and how
it is written down for a model, is said elsewhere (`readers`, `format`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from w2s_lightning.identity import SHORT
from w2s_lightning.tasks.draws import fingerprint

Kind = Literal["choice", "preference", "reasoning"]
Layout = Literal["text", "options"]
Split = Literal["supervise", "transfer", "validation", "test"]
SPLITS: tuple[Split, ...] = ("supervise", "transfer", "validation", "test")
TRAINING = SPLITS[:3]
FINISHED = ("eos", "stop")
"""How a drawn text ends that was brought to an end: by the end token, or before a stop string."""


class Turn(NamedTuple):
    """What one side of a conversation says."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True)
class Example:
    """One example of a task of any kind; kinds differ in which fields they fill.

    `texts`: of a choice what a network scores (one text gives K logits, or K texts one score each), of a preference
    each answer with its prompt as plain text, of a reasoning task the question. `label`: the gold class, the place of
    the better answer (None: reasoning). `group` names what stays on one side of a split: a question, a prompt, a fact.
    `difficulty` grows with difficulty in the task's own unit (None: unknown).

    `turns` are the conversation before the `completions`: a preference's answers, in the order of its texts, or a
    reasoning task's gold solution, whose final answer in canonical form is `answer`. `margin` says by how much the
    better answer is better, where the data does.
    """

    id: str
    group: str
    texts: tuple[str, ...]
    label: int | None = None
    difficulty: float | None = None
    turns: tuple[Turn, ...] = ()
    completions: tuple[str, ...] = ()
    answer: str | None = None
    subset: str | None = None
    margin: float | None = None

    @property
    def gold(self) -> int | str:
        """What is right: a class number, or a final answer."""
        found = self.answer if self.label is None else self.label
        assert found is not None
        return found

    @property
    def question(self) -> str:
        """What a reasoning task asks."""
        return self.texts[0]

    @property
    def solution(self) -> str:
        """The gold solution."""
        return self.completions[0]

    @property
    def chosen(self) -> str:
        """The better answer."""
        assert self.label is not None
        return self.completions[self.label]

    @property
    def rejected(self) -> str:
        """The worse of two answers."""
        assert self.label is not None
        return self.completions[1 - self.label]


@dataclass(frozen=True)
class Solution:
    """What a model or a file wrote to the question of example `id`; `answer` is its final answer (None: no answer).

    `finish` says how a text ended that a model drew, None of any other.
    """

    id: str
    text: str
    answer: str | None
    finish: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it was brought to an end. What was cut off has no answer, and nothing is learned from it."""
        return self.finish is None or self.finish in FINISHED


@dataclass(frozen=True)
class Splits:
    """A task's examples for one seed; `notices` says what was counted and done on the way, for people to read."""

    supervise: tuple[Example, ...]
    transfer: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    notices: tuple[str, ...]

    def __post_init__(self) -> None:
        ids = [item.id for split in SPLITS for item in self.of(split)]
        assert len(ids) == len(set(ids)), "an example stands twice"
        groups = [{item.group for item in self.of(split)} for split in SPLITS]
        assert sum(map(len, groups)) == len(set().union(*groups)), "two splits share a group"

    def of(self, split: Split) -> tuple[Example, ...]:
        """The examples of one split."""
        chosen: tuple[Example, ...] = getattr(self, split)
        return chosen


def choice(texts: Sequence[str], *, label: int, group: str, difficulty: float | None = None) -> Example:
    """A choice with its id; `group` is a ready group id."""
    return Example(example_id(texts), group, tuple(texts), label, difficulty)


def problem(question: str, solution: str, answer: str, difficulty: float | None, group: str | None = None) -> Example:
    """A question with its gold solution, as a model should write it; `group` None for the question's own."""
    return Example(
        id=question_id(question),
        group=group or question_group(question),
        texts=(question,),
        difficulty=difficulty,
        completions=(solution,),
        answer=answer,
    )


def example_id(texts: Sequence[str]) -> str:
    """16 hex digits of the sha256 of an example's texts: the key that targets and predictions are joined by."""
    return fingerprint("texts", *texts)[:SHORT]


def question_id(question: str) -> str:
    """The same of a reasoning task's question: the key that solutions are joined by."""
    return fingerprint("question", question)[:SHORT]


def group_id(name: str) -> str:
    """16 hex digits of the sha256 of a group's name (a question or prompt may be long)."""
    return fingerprint("group", name)[:SHORT]


def question_group(question: str) -> str:
    """The group of a question that stands for itself: questions that differ in case and blanks only are one."""
    return group_id(" ".join(question.split()).casefold())


def prompt_group(turns: Sequence[Turn]) -> str:
    """The group of a prompt that stands for itself: of a single turn, that of the same question."""
    return question_group("\n".join(turn.text for turn in turns))


def trained_on(splits: Splits) -> set[str]:
    """The groups of the training splits, and those of their prompts, since a task's groups may be wider."""
    items = [item for split in TRAINING for item in splits.of(split)]
    return {item.group for item in items} | {prompt_group(item.turns) for item in items if item.turns}
