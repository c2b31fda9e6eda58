"""What a task offers to everything above it: its kind, how it is read out and judged, and its examples."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from w2s_lightning.tasks.answers import AnswerKey, Verdict
from w2s_lightning.tasks.conversations import Form
from w2s_lightning.tasks.example import Example, Kind, Layout, Split, Splits
from w2s_lightning.tasks.prompts import Demonstration, Message, Prompts


class ChoiceTask(Protocol):
    """What every task of kind choice offers.

    `words` holds one verdict word per class in layout `text`, and (not the right one, the right one) in layout
    `options`, where every text is a statement of its own. `class_names` always has `num_classes` names, the ones that
    label files use. `typical_tokens` is a rough number of tokens per example, all its texts together, for estimates.
    """

    kind: ClassVar[Kind]

    @property
    def name(self) -> str: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def words(self) -> tuple[str, ...]: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def world(self) -> Any | None: ...
    @property
    def typical_tokens(self) -> int: ...
    def splits(self, seed: int) -> Splits: ...
    def sizes(self) -> Mapping[Split, int]: ...
    def __hash__(self) -> int: ...


class PreferenceTask(ChoiceTask, Protocol):
    """What every task of kind preference offers: a `ChoiceTask` of layout `options`, its texts written by `form`."""

    @property
    def form(self) -> Form: ...


class Preference:
    """The part of `PreferenceTask` that all such tasks have in common."""

    kind: ClassVar[Kind] = "preference"
    num_classes: ClassVar[int] = 2
    layout: ClassVar[Layout] = "options"
    class_names: ClassVar[tuple[str, ...]] = ("0", "1")


class ReasoningTask(Protocol):
    """What every task of kind reasoning offers.

    `stop` are the strings that end a solution; a model's end-of-text token ends it too. `typical_tokens` is a rough
    number of tokens of a question with its solution, `typical_solution_tokens` of the solution alone, for estimates.
    """

    kind: ClassVar[Kind]

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
    def splits(self, seed: int) -> Splits: ...
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

    kind: ClassVar[Kind] = "reasoning"
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


_CHARACTERS_PER_TOKEN = 4


def mean_tokens(examples: Sequence[Example]) -> int:
    """A rough number of tokens of an example's texts together, from the first five hundred."""
    lengths = [len(text) for example in examples[:500] for text in example.texts]
    return 1 + 2 * sum(lengths) // (max(1, len(lengths)) * _CHARACTERS_PER_TOKEN)
