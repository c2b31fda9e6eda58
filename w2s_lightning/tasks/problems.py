"""What a task of kind reasoning hands out: problems with worked solutions, in four disjoint splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from w2s_lightning.digest import SHORT
from w2s_lightning.tasks.answers import AnswerKey, Verdict
from w2s_lightning.tasks.examples import SPLITS, Split, group_id
from w2s_lightning.tasks.fingerprint import fingerprint
from w2s_lightning.tasks.prompts import Demonstration, Message, Prompts


@dataclass(frozen=True)
class Problem:
    """A question, its gold worked solution and the final answer in canonical form.

    `id` is a hash of the question alone, `group` names what must stay on one side of a split (questions that differ in
    case and blanks only). `difficulty` grows with difficulty in the task's own unit (steps, level; None: unknown).
    """

    id: str
    group: str
    question: str
    solution: str
    answer: str
    difficulty: float | None
    subject: str | None


@dataclass(frozen=True)
class Solution:
    """A worked solution of problem `id` that a model or a file gave; `answer` is its final answer (None: no answer)."""

    id: str
    text: str
    answer: str | None


def problem_id(question: str) -> str:
    """16 hex digits of the sha256 of a question: the key that solutions are joined by."""
    return fingerprint("question", question)[:SHORT]


def question_group(question: str) -> str:
    """The group id of a question that stands for itself."""
    return group_id(" ".join(question.split()).casefold())


@dataclass(frozen=True)
class ProblemSplits:
    """A task's problems for one seed; `notices` says what was counted and done on the way, for people to read."""

    supervise: tuple[Problem, ...]
    transfer: tuple[Problem, ...]
    validation: tuple[Problem, ...]
    test: tuple[Problem, ...]
    notices: tuple[str, ...]

    def __post_init__(self) -> None:
        ids = [item.id for split in SPLITS for item in self.of(split)]
        assert len(ids) == len(set(ids)), "a problem stands twice"
        groups = [{item.group for item in self.of(split)} for split in SPLITS]
        assert sum(map(len, groups)) == len(set().union(*groups)), "two splits share a group"

    def of(self, split: Split) -> tuple[Problem, ...]:
        """The problems of one split."""
        chosen: tuple[Problem, ...] = getattr(self, split)
        return chosen


class ReasoningTask(Protocol):
    """What every task of kind reasoning offers.

    `stop` are the strings that end a solution; a model's end-of-text token ends it too. `typical_tokens` is a rough
    number of tokens of a question with its solution, `typical_solution_tokens` of the solution alone, for estimates.
    """

    kind: ClassVar[str]

    @property
    def name(self) -> str: ...
    @property
    def world(self) -> Any | None: ...
    @property
    def prompts(self) -> Prompts: ...
    @property
    def key(self) -> AnswerKey: ...
    @property
    def stop(self) -> tuple[str, ...]: ...
    @property
    def typical_tokens(self) -> int: ...
    @property
    def typical_solution_tokens(self) -> int: ...
    def splits(self, seed: int) -> ProblemSplits: ...
    def sizes(self) -> Mapping[Split, int]: ...
    def prompt(self, question: str, demonstrations: Sequence[Demonstration] = ()) -> str: ...
    def messages(self, question: str, demonstrations: Sequence[Demonstration] = ()) -> list[Message]: ...
    def completion(self, solution: str) -> str: ...
    def parse(self, text: str) -> str | None: ...
    def parse_strict(self, text: str) -> str | None: ...
    def equal(self, gold: str, answer: str | None) -> bool: ...
    def grade(self, golds: Sequence[str], texts: Sequence[str]) -> list[Verdict]: ...
    def __hash__(self) -> int: ...


class Reasoning:
    """The part of `ReasoningTask` that follows from a task's prompts and answer key."""

    kind: ClassVar[str] = "reasoning"
    prompts: Prompts

    @property
    def key(self) -> AnswerKey:
        raise NotImplementedError

    @property
    def stop(self) -> tuple[str, ...]:
        """The strings that end a solution."""
        return self.prompts.stop

    def prompt(self, question: str, demonstrations: Sequence[Demonstration] = ()) -> str:
        """Plain text that a solution follows, worked examples before the question."""
        return self.prompts.prompt(question, demonstrations)

    def messages(self, question: str, demonstrations: Sequence[Demonstration] = ()) -> list[Message]:
        """The same as a conversation, for `prompts.chat_template`."""
        return self.prompts.messages(question, demonstrations)

    def completion(self, solution: str) -> str:
        """What a model is trained to write after a plain prompt."""
        return self.prompts.completion(solution)

    def parse(self, text: str) -> str | None:
        """The final answer wherever a solution gives it (flexible), None when there is none."""
        return self.key.parse(text)

    def parse_strict(self, text: str) -> str | None:
        """The marked final answer alone."""
        return self.key.parse_strict(text)

    def equal(self, gold: str, answer: str | None) -> bool:
        """Whether two answers are the same, as votes and filters count them."""
        return self.key.equal(gold, answer)

    def grade(self, golds: Sequence[str], texts: Sequence[str]) -> list[Verdict]:
        """Judge one solution for each gold answer."""
        return self.key.grade(golds, texts)
