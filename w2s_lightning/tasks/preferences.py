"""Preference examples: two answers to one prompt, of which one is better.

A preference is a choice with K = 2: its options are the whole texts, prompt and answer, each scored on its own. What an
implicit reward needs besides, where the answer begins, is kept beside them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Annotated, ClassVar, Protocol

from annotated_types import Len
from pydantic import BeforeValidator

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.conversations import Form, Turn, Unusable
from w2s_lightning.tasks.examples import Choice, ChoiceTask, Layout, Splits, example_id
from w2s_lightning.tasks.files import Row
from w2s_lightning.tasks.fingerprint import fingerprint
from w2s_lightning.tasks.problems import ProblemSplits, question_group
from w2s_lightning.tasks.splitting import TRAINING, Entry, Pool, dropping_conflicts


@dataclass(frozen=True)
class Answered(Choice):
    """Answers to a conversation, each to be scored on its own.

    `texts` are plain text, each `prompt` with one of the `completions`; `turns` and `answers` are what they were
    written from (a model's chat template writes them otherwise). `group` is the prompt's: for a single turn that of a
    problem with the same question.
    """

    turns: tuple[Turn, ...]
    answers: tuple[str, ...]
    prompt: str

    @property
    def completions(self) -> tuple[str, ...]:
        """What follows the plain prompt in each of the texts."""
        return tuple(text[len(self.prompt) :] for text in self.texts)


@dataclass(frozen=True)
class Pair(Answered):
    """Two answers, of which `label` is the place of the better one, drawn by a hash of the content.

    `margin`, where the data has one, says by how much the better answer is better.
    """

    answers: tuple[str, str]
    subset: str | None
    margin: float | None

    def in_group(self, group: str) -> "Pair":
        """The same pair in another group."""
        return replace(self, group=group)

    @property
    def chosen(self) -> str:
        """The better answer."""
        return self.answers[self.label]

    @property
    def rejected(self) -> str:
        """The worse answer."""
        return self.answers[1 - self.label]


class SameAnswers(Unusable):
    """A row whose two answers are equal but for blanks at their ends."""


def pair(
    turns: Sequence[Turn],
    chosen: str,
    rejected: str,
    form: Form,
    *,
    place: str,
    subset: str | None = None,
    margin: float | None = None,
    difficulty: float | None = None,
) -> Pair:
    """A checked pair; `place` is `file:line`. Raises Unusable for empty or equal answers and for a negative margin.

    Which answer stands first depends on the two texts alone, so a pair and its reverse differ in nothing but the label.
    """
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        if not answer.strip():
            raise Unusable(f"{place}: the {name} answer is empty")
    if chosen.strip() == rejected.strip():
        raise SameAnswers(f"{place}: chosen and rejected are the same")
    if margin is not None and not (isfinite(margin) and margin >= 0):
        raise Unusable(
            f"{place}: margin {margin:g} says that the rejected answer is the better one; expected 0 or more"
        )
    prompt = form.prompt(turns)
    texts = {answer: prompt + form.completion(answer) for answer in (chosen, rejected)}
    both = sorted(texts.values())
    first, second = sorted(texts, key=lambda answer: fingerprint("option", *both, texts[answer]))
    options = (texts[first], texts[second])
    return Pair(
        id=example_id(options),
        group=prompt_group(turns),
        texts=options,
        label=int(second == chosen),
        difficulty=difficulty,
        turns=tuple(turns),
        answers=(first, second),
        prompt=prompt,
        subset=subset,
        margin=margin,
    )


def prompt_group(turns: Sequence[Turn]) -> str:
    """The group of a prompt that stands for itself: of a single turn, that of a problem with the same question."""
    return question_group("\n".join(turn.text for turn in turns))


def trained_on(splits: Splits | ProblemSplits) -> set[str]:
    """The groups of the training splits, and those of their prompts, since a task's groups may be wider."""
    items = [item for split in TRAINING for item in splits.of(split)]
    return {item.group for item in items} | {prompt_group(item.turns) for item in items if isinstance(item, Pair)}


Words = Annotated[tuple[str, ...], BeforeValidator(lambda words: () if words is None else words), Len(0, 2)]
"""The verdict on a worse and on a better answer, as YAML gives it (null: the task has none)."""
_CHARACTERS_PER_TOKEN = 4


def mean_tokens(examples: Sequence[Choice]) -> int:
    """A rough number of tokens of an example's texts together, from the first five hundred."""
    lengths = [len(text) for example in examples[:500] for text in example.texts]
    return 1 + 2 * sum(lengths) // (max(1, len(lengths)) * _CHARACTERS_PER_TOKEN)


class PreferenceTask(ChoiceTask, Protocol):
    """What every task of kind preference offers: a `ChoiceTask` of layout `options` whose examples are `Pair`s."""

    @property
    def form(self) -> Form: ...


class Preference:
    """The part of `PreferenceTask` that all such tasks have in common."""

    kind: ClassVar[str] = "preference"
    num_classes: ClassVar[int] = 2
    layout: ClassVar[Layout] = "options"
    class_names: ClassVar[tuple[str, ...]] = ("0", "1")


def own_pairs(rows: Iterable[Row], read: Callable[[Row], Pair], what: str) -> Pool:
    """Pairs of a person's file without duplicates; pairs of equal answers are left out and counted.

    Raises UserError, with file and line, for any other row without a comparison in it and for one pair given both ways.
    """
    entries, faults = _read(rows, read)
    for fault in faults:
        if not isinstance(fault, SameAnswers):
            raise fault
    first = dict[str, Entry]()
    for entry in entries:
        other = first.setdefault(entry.choice.id, entry)
        if other.choice.label != entry.choice.label:
            raise UserError(f"{other.place} and {entry.place}: one pair with either answer as the better one; keep one")
    return _with_notices(dropping_conflicts(entries, what), faults, what)


def published_pairs(rows: Iterable[Row], read: Callable[[Row], Pair], what: str) -> Pool:
    """Pairs of a published data set; rows without a comparison, which the user cannot mend, are left out and counted.

    Raises the first of their errors when there is nothing else.
    """
    entries, faults = _read(rows, read)
    if faults and not entries:
        raise faults[0]
    return _with_notices(dropping_conflicts(entries, what), faults, what)


def _read(rows: Iterable[Row], read: Callable[[Row], Pair]) -> tuple[list[Entry], list[Unusable]]:
    entries, faults = list[Entry](), list[Unusable]()
    for row in rows:
        try:
            entries.append(Entry(read(row), row.place))
        except Unusable as fault:
            faults.append(fault)
    return entries, faults


def left_out(faults: Sequence[Unusable], what: str) -> tuple[str, ...]:
    """What to say of rows that were left out."""
    same = [fault for fault in faults if isinstance(fault, SameAnswers)]
    others = [fault for fault in faults if not isinstance(fault, SameAnswers)]
    notices = []
    if same:
        notices.append(f"{what}: {_pairs(same)} whose two answers are the same left out")
    if others:
        notices.append(f"{what}: {_pairs(others)} without a comparison left out (the first is {others[0]})")
    return tuple(notices)


def _with_notices(pool: Pool, faults: Sequence[Unusable], what: str) -> Pool:
    return replace(pool, notices=left_out(faults, what) + pool.notices)


def _pairs(faults: Sequence[Unusable]) -> str:
    return f"{len(faults)} {'pair' if len(faults) == 1 else 'pairs'}"
