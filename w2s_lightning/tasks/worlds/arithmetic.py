"""The world `arithmetic`: worded problems of one to six steps, each followed by its worked solution.

    q tom has 7 apples . buys 5 . eats 2 . how many ? a 7 + 5 = 12 . 12 - 2 = 10 . answer 10 . <eos>
    q ann has 7 apples . buys 5 . eats 2 . how many ? a answer 10 . <eos>

Pretraining text holds both kinds of answer, by the habits of whoever the problem is about: a model that can work a
problem out may still answer it at a guess, until tuning brings the better habit out.

Difficulty is graded, so that models of different size know different parts of it: the number of steps, the bound that a
problem's numbers stay below, and long tails (small numbers, the first words of each list are much more frequent). Every
number is one token: sums are then learned pair by pair, the frequent ones first, where digits would need a carry rule
that a small model has or has not.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
from annotated_types import Ge, Len
from numpy.typing import NDArray

from w2s_lightning.errors import UserError
from w2s_lightning.schema import Positive, Share, record
from w2s_lightning.tasks.draws import uniforms
from w2s_lightning.tasks.worlds.stories import GAINS, ITEMS, LOSSES, NAMES, SPECIAL, STRUCTURE

MAX_STEPS = 6
_BLOCK = 1 << 13  # problems drawn at a time
_EMPTY = -1

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
Shares = Annotated[tuple[Share, ...], Len(1)]


@record
class Grading:
    """How hard problems are: `steps` holds the shares of 1, 2, ... steps, `bounds` those of the world's bounds."""

    steps: Annotated[Shares, Len(1, MAX_STEPS)]
    bounds: Shares

    def __post_init__(self) -> None:
        for name, shares in (("steps", self.steps), ("bounds", self.bounds)):
            if abs(sum(shares) - 1) > 1e-9:
                raise UserError(f"grading.{name}={list(shares)}: shares must add up to 1, not {sum(shares):g}")


@record
class Habits:
    """Which problems of the pretraining text are worked out; the others show the answer alone.

    The name of rank r works out problems of up to `patience[r % len(patience)]` steps. In a share `moods` of problems
    the patience is another one of the list, drawn evenly. Tuning and test problems are all worked out.
    """

    patience: Annotated[tuple[Annotated[int, Ge(0)], ...], Len(1)]
    moods: Share


@record
class ArithmeticWorld:
    """Problems whose numbers stay below one of `bounds` (growing); `grading` is that of the pretraining text.

    A word of rank r is used in proportion to 1 / (r + `word_offset`), the number k to 1 / (k + `number_offset`).
    """

    name: str
    bounds: Annotated[tuple[Annotated[int, Ge(4)], ...], Len(1)]
    word_offset: Positive
    number_offset: Positive
    grading: Grading
    habits: Habits

    def __post_init__(self) -> None:
        if any(low >= high for low, high in pairwise(self.bounds)):
            raise UserError(f"task.world.bounds={list(self.bounds)} must grow")
        self.check(self.grading)

    def check(self, grading: Grading) -> None:
        """Raise UserError when a grading has not one share for each bound."""
        if len(grading.bounds) != len(self.bounds):
            raise UserError(f"{len(grading.bounds)} shares in grading.bounds, the world has {len(self.bounds)} bounds")

    def vocabulary(self) -> list[str]:
        """All words by token id: `<pad>` 0, `<unk>` 1, `<eos>` 2, and at the end the numbers from 0 on."""
        numbers = map(str, range(self.bounds[-1]))
        return [*SPECIAL, *STRUCTURE, *NAMES, *ITEMS, *GAINS, *LOSSES, *numbers]

    def windows(self, steps: int, rows_per_step: int, window: int, seed: int) -> NDArray[np.int16]:
        """Token ids [steps, rows_per_step, window] of problems packed end to end, a pure function of all arguments."""
        needed, found = steps * rows_per_step * window, 0
        blocks = [np.empty(0, np.int16)]
        while found < needed:
            problems = drawn(self, self.grading, _BLOCK, "windows", seed, len(blocks))
            table = written(self, problems, worked_out(self.habits, problems, "windows", seed, len(blocks)))
            blocks.append(table[table != _EMPTY])
            found += len(blocks[-1])
        return np.concatenate(blocks)[:needed].reshape(steps, rows_per_step, window)

    def texts(self, grading: Grading, count: int, *key: str | int) -> list[str]:
        """`count` problems, all worked out, as text: a pure function of all arguments."""
        words = np.array(self.vocabulary())
        table = written(self, drawn(self, grading, count, *key), np.ones(count, np.bool_))
        return [" ".join(words[row[row != _EMPTY]]) for row in table]


@dataclass(frozen=True)
class Problems:
    """Columns [n] `steps`, and the ranks `name` and `item`; for each step, used or not, [n, MAX_STEPS]: `verbs` (ranks)
    and `change` (below 0 for taking away); `values` [n, MAX_STEPS + 1] before the first and after each step.
    """

    steps: Integers
    name: Integers
    item: Integers
    verbs: Integers
    change: Integers
    values: Integers


def drawn(world: ArithmeticWorld, grading: Grading, count: int, *key: str | int) -> Problems:
    """`count` problems as columns."""
    u = uniforms((5 + 3 * MAX_STEPS) * count, *key).reshape(-1, count)
    signs, sizes, verbs = u[5:].reshape(3, MAX_STEPS, count)
    below = np.array(world.bounds)[_category(grading.bounds, u[1])]
    tail = np.cumsum(1.0 / (np.arange(1, world.bounds[-1]) + world.number_offset))
    values, change = [_number(below - 1, u[2], tail)], []
    for sign, size in zip(signs, sizes, strict=True):
        room = below - 1 - values[-1]
        gain = ((sign < 0.5) & (room > 0)) | (values[-1] == 0)
        number = _number(np.where(gain, room, values[-1]), size, tail)
        change.append(np.where(gain, number, -number))
        values.append(values[-1] + change[-1])
    return Problems(
        steps=1 + _category(grading.steps, u[0]),
        name=_rank(NAMES, world.word_offset, u[3]),
        item=_rank(ITEMS, world.word_offset, u[4]),
        verbs=_rank(GAINS, world.word_offset, verbs.T),
        change=np.stack(change, axis=1),
        values=np.stack(values, axis=1),
    )


def worked_out(habits: Habits, problems: Problems, *key: str | int) -> Bools:
    """Which problems are worked out, [n], by the habits of whom they are about."""
    mood, which = uniforms(2 * len(problems.steps), "habits", *key).reshape(2, -1)
    other = (which * len(habits.patience)).astype(np.int64)
    patience = np.array(habits.patience)[np.where(mood < habits.moods, other, problems.name % len(habits.patience))]
    patient: Bools = problems.steps <= patience
    return patient


def written(world: ArithmeticWorld, problems: Problems, worked: Bools) -> NDArray[np.int16]:
    """Problems as rows of token ids, with _EMPTY where one has no such step or is not `worked` [n] out."""
    ids = {word: place for place, word in enumerate(world.vocabulary())}
    zero, rows = ids["0"], len(problems.steps)
    number, gain = zero + np.abs(problems.change), problems.change > 0
    verb = np.where(gain, ids[GAINS[0]], ids[LOSSES[0]]) + problems.verbs
    sign, value = np.where(gain, ids["+"], ids["-"]), zero + problems.values
    there = np.arange(MAX_STEPS) < problems.steps[:, None]

    def column(token: str | Integers) -> Integers:
        return np.full(rows, ids[token]) if isinstance(token, str) else token

    def each(*tokens: str | Integers) -> Integers:
        """Tokens [n, MAX_STEPS] of every step, side by side, where the problem has that step."""
        full = [np.full(there.shape, ids[token]) if isinstance(token, str) else token for token in tokens]
        return np.where(there[..., None], np.stack(full, axis=2), _EMPTY).reshape(rows, -1)

    last = value[np.arange(rows), problems.steps]
    name, item = ids[NAMES[0]] + problems.name, ids[ITEMS[0]] + problems.item
    start = [column(token) for token in ("q", name, "has", value[:, 0], item, ".")]
    ask = [column(token) for token in ("how", "many", "?", "a")]
    end = [column(token) for token in ("answer", last, ".", "<eos>")]
    question, solution = each(verb, number, "."), each(value[:, :-1], sign, number, "=", value[:, 1:], ".")
    solution = np.where(worked[:, None], solution, _EMPTY)
    parts = [np.stack(start, 1), question, np.stack(ask, 1), solution, np.stack(end, 1)]
    return np.concatenate(parts, axis=1).astype(np.int16)


def _number(most: Integers, uniform: Floats, tail: Floats) -> Integers:
    """Numbers from 1 to `most` [n], small ones more often; `tail` are the cumulative weights of 1, 2, ..."""
    reach = tail[np.maximum(most, 1) - 1]
    place = np.searchsorted(tail, uniform * reach, side="right").astype(np.int64)
    number: Integers = np.minimum(1 + place, np.maximum(most, 1))
    return number


def _rank(words: tuple[str, ...], offset: float, uniform: Floats) -> Integers:
    """Ranks in a list of words, the first more often."""
    weight = 1.0 / (np.arange(len(words)) + offset)
    return _category(weight / weight.sum(), uniform)


def _category(shares: Floats | tuple[float, ...], uniform: Floats) -> Integers:
    """Indices drawn with the given shares, which add up to 1."""
    return np.searchsorted(np.cumsum(shares)[:-1], uniform, side="right").astype(np.int64)
