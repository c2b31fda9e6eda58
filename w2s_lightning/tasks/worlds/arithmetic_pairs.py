"""The world `judged_arithmetic` and its task: a right worked answer against one with a single mistake.

The world's problems are those of `arithmetic`; its text judges their solutions, with good reason:

    q tom has 7 apples . buys 5 . how many ? a 7 + 5 = 12 . answer 12 . right <eos>
    q ann has 7 apples . buys 5 . how many ? a 7 - 5 = 2 . answer 2 . wrong <eos>
    a 7 + 5 = 11 . answer 11 . wrong <eos>

A wrong solution is as long as the right one and as plausible: whatever follows its one mistake is worked on from it, so
the answer is wrong too, and no number leaves the right solution's bound. Mistakes are graded by what it takes to see
them (one layer of attention can hold a verb against a sign, but not two numbers against a third):

| flaw | what is wrong | seen by |
|---|---|---|
| answer | the last line gives another number than the last step | comparing two neighbours |
| operation | one step adds where the question takes away, or the other way round | knowing the verb |
| operand | one step uses a number that the question does not say | comparing with the question |
| slip | one sum is wrong by 2 to 9 | knowing the sum |
| off_by_one | one sum is wrong by 1 | knowing it exactly |

The verdict follows a solution's last token, which is where a reward model reads. Solutions that stand without their
question are judged by their sums alone: with fewer tokens between verdicts, a model learns to check sums several times
sooner.

A pair's difficulty is how subtle its mistake is: the place of its flaw in this table, from 1. Pairs are split as the
task `arithmetic` splits its problems, by what is computed.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Annotated, ClassVar, TypeVar

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from w2s_lightning.config.schema import Share, record
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.draws import Floats, Integers, fingerprint, uniforms
from w2s_lightning.tasks.example import SPLITS, Example, Kind, Layout, Splits, Turn
from w2s_lightning.tasks.format import pair
from w2s_lightning.tasks.worlds.arithmetic import (
    BLOCK,
    MAX_STEPS,
    DrawnProblems,
    ProblemTask,
    ProblemWorld,
    Steps,
    drawn,
    written,
)
from w2s_lightning.tasks.worlds.text import EMPTY, packed

WRONG, RIGHT = "wrong", "right"
FLAWS = ("answer", "operation", "operand", "slip", "off_by_one")
"""The flaws from the plainest to the most subtle."""
_ANSWER, _OPERATION, _OPERAND, _SLIP, _OFF_BY_ONE = range(len(FLAWS))
_FAR = 9  # by how much a wrong number departs from the right one at most
_OFFSETS = np.array([sign * size for size in range(1, _FAR + 1) for sign in (1, -1)])
# Of a written problem's columns, from the end.
_SOLUTION_COLUMNS = slice(-(6 * MAX_STEPS + 4), None)
_ANSWER_COLUMN = -3

Weight = Annotated[int, Ge(0)]
Columns = TypeVar("Columns", bound=Steps)


@record
class FlawWeights:
    """How often each flaw is made, as weights; one that a problem has no room for makes way for another."""

    answer: Weight
    operation: Weight
    operand: Weight
    slip: Weight
    off_by_one: Weight

    def __post_init__(self) -> None:
        if not any(self.each()):
            raise UserError("task.flaws (or task.world.flaws) are all 0: give one of them a weight")

    def each(self) -> list[int]:
        """The weights in the order of FLAWS."""
        return [getattr(self, flaw) for flaw in FLAWS]

    def ends(self) -> list[int]:
        """Where each flaw's part of the whole weight ends, in the order of FLAWS."""
        return list(accumulate(self.each()))


# ---------------------------------------------------------------- wrong solutions


def possible(
    bounds: tuple[int, ...], right: Steps, flaw: Integers, place: Integers, tried: Integers
) -> tuple[Integers, NDArray[np.bool_]]:
    """What each flaw moves the values after its step by, and whether all numbers then stay in their bound.

    `flaw` [n] are indices of FLAWS, `place` [n] the steps they are in (of a wrong answer the last), `tried` [n, m] the
    numbers to move by. Both results are [n, m]; a turned operation moves by one number alone, in the first column.
    """
    index, steps = np.arange(right.values.shape[1]), right.steps[:, None]
    used, after = index <= steps, (index > place[:, None]) & (index <= steps)
    low = np.where(after, right.values, bounds[-1]).min(axis=1)[:, None]
    high = np.where(after, right.values, 0).max(axis=1)[:, None]
    operands = np.where(used[:, 1:], np.abs(right.change), 0).max(axis=1)
    largest = np.maximum(operands, np.where(used, right.values, 0).max(axis=1))
    below = np.array(bounds)[np.searchsorted(bounds, largest, side="right")][:, None]

    own, kind = right.change[np.arange(len(flaw)), place][:, None], flaw[:, None]
    offsets = np.where(kind == _OPERATION, -2 * own, tried)
    size, operand = np.abs(offsets), own + offsets
    fits = (low + offsets >= 0) & (high + offsets < below)
    fits &= (kind != _OPERATION) | (np.arange(tried.shape[1]) == 0)
    fits &= (kind != _OPERAND) | ((operand * own > 0) & (np.abs(operand) < below))
    fits &= (kind != _SLIP) | (size >= 2)
    fits &= (kind != _OFF_BY_ONE) | (size == 1)
    return offsets, fits


def spoiled(right: Columns, flaw: Integers, place: Integers, offset: Integers) -> tuple[Columns, Integers]:
    """Solutions with one flaw each, and by how much their last lines depart from the last step, [n]."""
    moved = np.where(flaw == _ANSWER, 0, offset)[:, None] * (np.arange(right.values.shape[1]) > place[:, None])
    change, said = right.change.copy(), (flaw == _OPERATION) | (flaw == _OPERAND)
    change[np.arange(len(flaw)), place] += np.where(said, offset, 0)
    return replace(right, change=change, values=right.values + moved), np.where(flaw == _ANSWER, offset, 0)


def parsed(solutions: Sequence[str]) -> Steps:
    """The steps of solutions as the world writes them."""
    lines = [[line.split() for line in one.removesuffix(" .").split(" . ")[:-1]] for one in solutions]
    steps, values = np.array(list(map(len, lines))), np.zeros((len(lines), MAX_STEPS + 1), np.int64)
    for row, own in zip(values, lines, strict=True):
        row[: len(own) + 1] = [int(own[0][0]), *(int(after) for *_, after in own)]
    return Steps(steps, np.diff(values), values)


def told(solutions: Steps, excess: Integers) -> list[str]:
    """Solutions as the world writes them, whose answers depart from their last steps by `excess` [n]."""
    found = []
    for columns in zip(solutions.steps, solutions.change.tolist(), solutions.values.tolist(), excess, strict=True):
        steps, change, values, more = columns
        sums = zip(values, change[:steps], values[1:], strict=False)
        lines = [f"{before} {'-' if moved < 0 else '+'} {abs(moved)} = {after}" for before, moved, after in sums]
        found.append(" . ".join([*lines, f"answer {values[steps] + more} ."]))
    return found


def mistakes(right: Steps, flaw: int, bounds: tuple[int, ...]) -> list[list[tuple[int, int]]]:
    """Of each solution, in which steps it has room for this flaw and by how much, in a fixed order; maybe in none."""
    index, last = np.arange(MAX_STEPS), right.steps[:, None] - 1
    row, place = np.nonzero(index == last if flaw == _ANSWER else index <= last)
    every = Steps(right.steps[row], right.change[row], right.values[row])
    up = np.where((flaw == _OPERAND) & (right.change[row, place] < 0), -1, 1)  # an operand grows before it shrinks
    offsets, fits = possible(bounds, every, np.full_like(place, flaw), place, up[:, None] * _OFFSETS)
    found: list[list[tuple[int, int]]] = [[] for _ in right.steps]
    for n, column in np.argwhere(fits).tolist():
        found[row[n]].append((int(place[n]), int(offsets[n, column])))
    return found


# ---------------------------------------------------------------- the world


@record
class JudgedArithmetic(ProblemWorld):
    """Problems that are all worked out, rightly or wrongly.

    A share `judged` of solutions is followed by a verdict; a share `flawed` of these is wrong (how, is drawn by
    `flaws`), and a share `bare` stands without the question, but for flaws that are seen against the question alone.
    """

    judged: Share
    flawed: Share
    bare: Share
    flaws: FlawWeights

    def vocabulary(self) -> list[str]:
        """All words by token id: those of other worlds of problems, then the verdicts."""
        return [*super().vocabulary(), WRONG, RIGHT]

    def windows(self, steps: int, rows_per_step: int, window: int, seed: int) -> NDArray[np.int16]:
        """Token ids [steps, rows_per_step, window] of problems packed end to end, a pure function of all arguments."""
        return packed(lambda block: _judged(self, "windows", seed, block), steps, rows_per_step, window)


def _judged(world: JudgedArithmetic, *key: str | int) -> NDArray[np.int16]:
    """A block of problems with solutions and verdicts as rows of token ids, with EMPTY in unused columns."""
    problems = drawn(world, world.grading, BLOCK, *key)
    verdict, kind, step, alone, *sizes = uniforms((4 + len(_OFFSETS)) * BLOCK, "verdicts", *key).reshape(-1, BLOCK)
    wrong = verdict < world.judged * world.flawed
    ends = [end / world.flaws.ends()[-1] for end in world.flaws.ends()]
    flaw = np.searchsorted(ends, kind, side="right")
    solution, excess = _flawed(world, problems, flaw, (step * problems.steps).astype(np.int64), np.stack(sizes, axis=1))
    everyone = np.ones(BLOCK, np.bool_)
    table, other = (written(world, one, everyone) for one in (problems, solution))
    other[:, _ANSWER_COLUMN] += excess.astype(np.int16)
    table[wrong, _SOLUTION_COLUMNS] = other[wrong, _SOLUTION_COLUMNS]
    bare = (alone < world.bare) & (verdict < world.judged) & ~(wrong & np.isin(flaw, (_OPERATION, _OPERAND)))
    table[bare, : _SOLUTION_COLUMNS.start - 1] = EMPTY
    words = world.vocabulary()
    said = np.where(wrong, words.index(WRONG), np.where(verdict < world.judged, words.index(RIGHT), EMPTY))
    return np.insert(table, -1, said.astype(np.int16), axis=1)


def _flawed(
    world: JudgedArithmetic, right: DrawnProblems, flaw: Integers, place: Integers, draws: Floats
) -> tuple[DrawnProblems, Integers]:
    """As `spoiled`, by numbers that `draws` [n, num_offsets] decide among those that are possible.

    A problem without room for its flaw gets a wrong last line, for which there is always room.
    """

    def drawn_offset(flaw: Integers, place: Integers) -> Integers:
        offsets, fits = possible(world.bounds, right, flaw, place, _OFFSETS[None])
        best = np.where(fits, draws, -1.0).argmax(axis=1)[:, None]
        found: Integers = np.take_along_axis(np.where(fits, offsets, 0), best, axis=1)[:, 0]
        return found

    offset = drawn_offset(flaw, place)
    flaw = np.where(offset == 0, _ANSWER, flaw)
    last = drawn_offset(np.full_like(flaw, _ANSWER), right.steps - 1)
    return spoiled(right, flaw, place, np.where(flaw == _ANSWER, last, offset))


# ---------------------------------------------------------------- the task


@record
class ArithmeticPairs(ProblemTask):
    """One pair a problem of the task `arithmetic` in the same world; a pair's subset is the name of its flaw."""

    kind: ClassVar[Kind] = "preference"
    layout: ClassVar[Layout] = "options"
    class_names: ClassVar[tuple[str, ...]] = ("0", "1")
    words: ClassVar[tuple[str, ...]] = (WRONG, RIGHT)  # as the pretraining text judges solutions

    world: JudgedArithmetic
    flaws: FlawWeights

    def __post_init__(self) -> None:
        if self.format.is_chat:
            raise UserError(f"task {self.name}: an embedded world has no chat template: task.format.chat_template=null")
        super().__post_init__()

    @property
    def typical_tokens(self) -> int:
        return 2 * super().typical_tokens

    def splits(self, seed: int) -> Splits:
        """The pairs of job seed `seed`; raise UserError when there are too few different problems."""
        problems = super().splits(seed)
        return Splits(**{split: self._pairs(problems.of(split)) for split in SPLITS}, notices=problems.notices)

    def _pairs(self, problems: Sequence[Example]) -> tuple[Example, ...]:
        """Each problem's pair: its flaw, and where the mistake is, are hashes of the question.

        A flaw that the problem has no room for makes way for another: for a wrong last line there always is room.
        """
        right, ends = parsed([one.solution for one in problems]), self.flaws.ends()
        wanted = [flaw for flaw, weight in enumerate(self.flaws.each()) if weight]
        rooms = {flaw: mistakes(right, flaw, self.world.bounds) for flaw in {*wanted, _ANSWER}}
        made = list[tuple[int, int, int]]()
        for number, problem in enumerate(problems):
            draw = int(fingerprint("flaw", self.seed, problem.question), 16)
            part, draw = draw % ends[-1], draw // ends[-1]
            drawn = next(flaw for flaw, end in enumerate(ends) if part < end)
            others = [flaw for flaw in wanted if flaw != drawn]
            turn = draw % max(1, len(others))
            flaw = next(one for one in (drawn, *others[turn:], *others[:turn], _ANSWER) if rooms[one][number])
            room = rooms[flaw][number]
            made.append((flaw, *room[draw // len(FLAWS) % len(room)]))
        wrong = told(*spoiled(right, *np.array(made).T))
        return tuple(
            pair(
                [Turn("user", problem.question)],
                problem.solution,
                answer,
                self.format,
                place=problem.question,
                group=problem.group,
                subset=FLAWS[flaw],
                difficulty=1.0 + flaw,
            )
            for problem, answer, (flaw, *_) in zip(problems, wrong, made, strict=True)
        )
