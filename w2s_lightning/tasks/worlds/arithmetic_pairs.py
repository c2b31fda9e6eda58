"""The world `judged_arithmetic` and its task: a right worked answer against one with a single mistake.

The world's problems are those of `arithmetic`; its text judges their solutions, with good reason:

    q tom has 7 apples . buys 5 . how many ? a 7 + 5 = 12 . answer 12 . right <eos>
    q ann has 7 apples . buys 5 . how many ? a 7 - 5 = 2 . answer 2 . wrong <eos>
    a 7 + 5 = 11 . answer 11 . wrong <eos>

A wrong solution has one flaw of `flaws`. The verdict follows a solution's last token, which is where a reward model
reads. Flaws differ in what it takes to see them: one layer of attention can hold a verb against a sign, but not two
numbers against a third. Solutions that stand without their question are judged by their sums alone: with fewer tokens
between verdicts, a model learns to check sums several times sooner.

A pair's difficulty is how subtle its mistake is: the place of its flaw in `flaws.FLAWS`, from 1. Pairs are split as the
task `arithmetic` splits its problems, by what is computed.
"""

from collections.abc import Mapping
from dataclasses import field, fields, replace
from functools import cached_property
from itertools import accumulate
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Len
from numpy.typing import NDArray

from w2s_lightning.config.schema import Positive, Share, record
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.draws import Floats, Integers, fingerprint, uniforms
from w2s_lightning.tasks.example import SPLITS, Example, Kind, Layout, Split, Splits, Turn
from w2s_lightning.tasks.format import Format, pair
from w2s_lightning.tasks.worlds.arithmetic import (
    BLOCK,
    MAX_STEPS,
    Arithmetic,
    ArithmeticWorld,
    DrawnProblems,
    Grading,
    Habits,
    drawn,
    written,
)
from w2s_lightning.tasks.worlds.flaws import FAR, FLAWS, FlawWeights, flawed
from w2s_lightning.tasks.worlds.text import EMPTY, PerSplit, packed

WRONG, RIGHT = "wrong", "right"
_SOLUTION = -(6 * MAX_STEPS + 4)  # columns of a written problem from here on are its solution
_ANSWER = -3
_OFFSETS = np.array([sign * size for size in range(1, FAR + 1) for sign in (1, -1)])

_ANSWER_FLAW, _OPERATION, _OPERAND = (FLAWS.index(name) for name in ("answer", "operation", "operand"))


@record
class JudgedArithmetic:
    """Problems as in `ArithmeticWorld`, all worked out; `grading` is that of the pretraining text.

    A share `judged` of solutions is followed by a verdict; a share `flawed` of these is wrong (how, is drawn by
    `flaws`), and a share `bare` stands without the question, but for flaws that are seen against the question alone.
    """

    name: str = field(compare=False)
    bounds: Annotated[tuple[Annotated[int, Ge(4)], ...], Len(1)]
    word_offset: Positive
    number_offset: Positive
    grading: Grading
    judged: Share
    flawed: Share
    bare: Share
    flaws: FlawWeights

    def __post_init__(self) -> None:
        assert self.problems is not None  # refuses what that world does

    @cached_property
    def problems(self) -> ArithmeticWorld:
        """The world that the problems come from."""
        return ArithmeticWorld(
            name=self.name,
            bounds=self.bounds,
            word_offset=self.word_offset,
            number_offset=self.number_offset,
            grading=self.grading,
            habits=Habits(patience=(MAX_STEPS,), moods=0.0),
        )

    def vocabulary(self) -> list[str]:
        """All words by token id: those of `ArithmeticWorld`, then the verdicts."""
        return [*self.problems.vocabulary(), WRONG, RIGHT]

    def windows(self, steps: int, rows_per_step: int, window: int, seed: int) -> NDArray[np.int16]:
        """Token ids [steps, rows_per_step, window] of problems packed end to end, a pure function of all arguments."""
        return packed(lambda block: _judged(self, "windows", seed, block), steps, rows_per_step, window)


def _judged(world: JudgedArithmetic, *key: str | int) -> NDArray[np.int16]:
    """A block of problems with solutions and verdicts as rows of token ids, with EMPTY in unused columns."""
    problems = drawn(world.problems, world.grading, BLOCK, *key)
    verdict, kind, step, alone, *sizes = uniforms((4 + len(_OFFSETS)) * BLOCK, "verdicts", *key).reshape(-1, BLOCK)
    wrong = verdict < world.judged * world.flawed
    flaw = np.searchsorted(world.flaws.ends(), kind, side="right")
    solution, excess = _flawed(world, problems, flaw, (step * problems.steps).astype(np.int64), np.stack(sizes, axis=1))
    everyone = np.ones(BLOCK, np.bool_)
    table, spoiled = (written(world.problems, one, everyone) for one in (problems, solution))
    spoiled[:, _ANSWER] += excess.astype(np.int16)
    table[wrong, _SOLUTION:] = spoiled[wrong, _SOLUTION:]
    bare = (alone < world.bare) & (verdict < world.judged) & ~(wrong & np.isin(flaw, (_OPERATION, _OPERAND)))
    table[bare, : _SOLUTION - 1] = EMPTY
    words = world.vocabulary()
    said = np.where(wrong, words.index(WRONG), np.where(verdict < world.judged, words.index(RIGHT), EMPTY))
    return np.insert(table, -1, said.astype(np.int16), axis=1)


def _flawed(
    world: JudgedArithmetic, right: DrawnProblems, flaw: Integers, place: Integers, draws: Floats
) -> tuple[DrawnProblems, Integers]:
    """The steps of wrong solutions, and by how much their last lines depart from the last step, [n].

    `flaw` [n] are indices of FLAWS, `place` [n] the steps they are in; a problem without room for its flaw gets a wrong
    last line, for which there is always room.
    """
    offset = _offset(world, right, flaw, place, draws)
    answer = (flaw == _ANSWER_FLAW) | (offset == 0)
    offset = np.where(answer, _offset(world, right, np.zeros_like(flaw), right.steps - 1, draws), offset)
    rows, change = np.arange(len(flaw)), right.change.copy()
    own = change[rows, place]
    new = np.where(flaw == _OPERATION, -own, np.where(flaw == _OPERAND, own + offset, own))
    change[rows, place] = np.where(answer, own, new)
    moved = np.where(answer, 0, offset)[:, None] * (np.arange(MAX_STEPS + 1) > place[:, None])
    return replace(right, change=change, values=right.values + moved), np.where(answer, offset, 0)


def _offset(world: JudgedArithmetic, right: DrawnProblems, flaw: Integers, place: Integers, draws: Floats) -> Integers:
    """By how much each flaw moves the values after its step, [n]: drawn among what leaves all numbers in their bound.

    0 where there is no room. `draws` [n, len(_OFFSETS)] decide.
    """
    own = right.change[np.arange(len(flaw)), place][:, None]
    offsets = np.where((flaw == _OPERATION)[:, None], -2 * own, _OFFSETS)
    low, high, below = (bound[:, None] for bound in _bounds(world, right, place))
    size, operand = np.abs(offsets), own + offsets
    allowed = {
        "operand": (operand * own > 0) & (np.abs(operand) < below),
        "slip": size >= 2,
        "off_by_one": size == 1,
    }
    fits = (low + offsets >= 0) & (high + offsets < below)
    for name, which in allowed.items():
        fits &= which | (flaw != FLAWS.index(name))[:, None]
    best = np.where(fits, draws, -1.0).argmax(axis=1)[:, None]
    chosen: Integers = np.take_along_axis(np.where(fits, offsets, 0), best, axis=1)[:, 0]
    return chosen


def _bounds(world: JudgedArithmetic, right: DrawnProblems, place: Integers) -> tuple[Integers, Integers, Integers]:
    """The least and the largest value after a step, and the bound that all numbers of a solution stay below, [n]."""
    index, steps = np.arange(MAX_STEPS + 1), right.steps[:, None]
    used, after = index <= steps, (index > place[:, None]) & (index <= steps)
    low = np.where(after, right.values, world.bounds[-1]).min(axis=1)
    high = np.where(after, right.values, 0).max(axis=1)
    operands = np.where(used[:, 1:], np.abs(right.change), 0).max(axis=1)
    largest = np.maximum(operands, np.where(used, right.values, 0).max(axis=1))
    return low, high, np.array(world.bounds)[np.searchsorted(world.bounds, largest, side="right")]


# ---------------------------------------------------------------- the task


@record
class ArithmeticPairs:
    """One pair a problem of the task `arithmetic` in the same world; a pair's subset is the name of its flaw."""

    kind: ClassVar[Kind] = "preference"
    layout: ClassVar[Layout] = "options"
    num_classes: ClassVar[int] = 2
    class_names: ClassVar[tuple[str, ...]] = ("0", "1")
    words: ClassVar[tuple[str, ...]] = (WRONG, RIGHT)  # as the pretraining text judges solutions

    name: str = field(compare=False)
    world: JudgedArithmetic
    seed: int
    grading: Grading
    parts: PerSplit
    items: PerSplit
    format: Format
    flaws: FlawWeights

    def __post_init__(self) -> None:
        if self.format.is_chat:
            raise UserError(f"task {self.name}: an embedded world has no chat template: task.format.chat_template=null")
        assert self._problems is not None  # refuses what the world does not know

    @cached_property
    def _problems(self) -> Arithmetic:
        """The task that the pairs' problems come from."""
        shared = {field.name: getattr(self, field.name) for field in fields(Arithmetic)}
        return Arithmetic(**{**shared, "world": self.world.problems})

    @property
    def typical_tokens(self) -> int:
        return 2 * self._problems.typical_tokens

    def sizes(self) -> Mapping[Split, int]:
        """Pairs per split: exact."""
        return self.items.by_split()

    def splits(self, seed: int) -> Splits:
        """The pairs of job seed `seed`; raise UserError when there are too few different problems."""
        problems = self._problems.splits(seed)
        made = {split: tuple(self._pair(problem) for problem in problems.of(split)) for split in SPLITS}
        return Splits(**made, notices=problems.notices)

    def _pair(self, problem: Example) -> Example:
        """The problem's pair: its flaw, and where the mistake is, are hashes of the question."""
        draw = int(fingerprint("flaw", self.seed, problem.question), 16)
        flaw, wrong = self._wrong(problem, draw)
        return pair(
            [Turn("user", problem.question)],
            problem.solution,
            wrong,
            self.format,
            place=problem.question,
            group=problem.group,
            subset=flaw,
            difficulty=1.0 + FLAWS.index(flaw),
        )

    def _wrong(self, problem: Example, draw: int) -> tuple[str, str]:
        """The drawn flaw, or another that the problem has room for (for a wrong last line there always is)."""
        weights = self.flaws.each()
        place, draw = draw % sum(weights), draw // sum(weights)
        drawn = FLAWS[next(number for number, end in enumerate(accumulate(weights)) if place < end)]
        others = [flaw for flaw, weight in zip(FLAWS, weights, strict=True) if weight and flaw != drawn]
        turn = draw % max(1, len(others))
        largest = max(int(word) for word in problem.solution.split() if word.isdigit())
        below = next(bound for bound in self.world.bounds if bound > largest)
        for flaw in (drawn, *others[turn:], *others[:turn], FLAWS[0]):
            if found := flawed(problem.solution, flaw, below):
                return flaw, found[draw // len(FLAWS) % len(found)]
        raise AssertionError(problem)
