"""The world `arithmetic` and its task: worded problems of one to six steps, each followed by its worked solution.

    q tom has 7 apples . buys 5 . eats 2 . how many ? a 7 + 5 = 12 . 12 - 2 = 10 . answer 10 . <eos>
    q ann has 7 apples . buys 5 . eats 2 . how many ? a answer 10 . <eos>

Pretraining text holds both kinds of answer, by the habits of whoever the problem is about: a model that can work a
problem out may still answer it at a guess, until tuning brings the better habit out.

Difficulty is graded, so that models of different size know different parts of it: the number of steps, the bound that a
problem's numbers stay below, and long tails (small numbers, the first words of each list are much more frequent). Every
number is one token: sums are then learned pair by pair, the frequent ones first, where digits would need a carry rule
that a small model has or has not.

The task asks just as the pretraining text does. Problems are split by what is computed (`7 + 5 = 12 . 12 - 2 = 10`),
never by wording: no computation of one split is asked in another. Test problems depend on the task's own seed alone; a
job's seed splits the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Interval, Len
from numpy.typing import NDArray

from w2s_lightning.config.schema import Positive, Share, record
from w2s_lightning.config.typed import Name
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.draws import Floats, Integers, category, fingerprint, uniforms
from w2s_lightning.tasks.example import SPLITS, Example, Kind, Layout, Split, Splits, Turn, group_id, problem
from w2s_lightning.tasks.final_answer import NumberKey
from w2s_lightning.tasks.format import Format
from w2s_lightning.tasks.worlds.text import EMPTY, SPECIAL, PerSplit, check_words, packed

# ---------------------------------------------------------------- words, the most frequent ones first

STRUCTURE = ("q", "a", "has", ".", "how", "many", "?", "+", "-", "=", "answer")
"""The skeleton of a problem; `<eos>` ends every one."""

NAMES_TEXT = "tom ann bob eva sam lea ben ida max zoe leo mia tim ada jim pia ken amy ray una"
NAMES = tuple(NAMES_TEXT.split())
ITEMS_TEXT = """
apples books coins pens cards eggs shells stamps balls plums keys beads nuts figs kites mugs hats bells maps drums
"""
ITEMS = tuple(ITEMS_TEXT.split())
GAINS = ("buys", "finds", "gets", "wins", "picks", "earns", "borrows", "gathers", "receives", "collects")
"""Verbs that add."""
LOSSES = ("eats", "loses", "sells", "drops", "gives", "breaks", "lends", "wastes", "donates", "discards")
"""Verbs that take away."""

# ---------------------------------------------------------------- the world

MAX_STEPS = 6
BLOCK = 1 << 13
"""Problems of the pretraining text drawn at a time."""
KEY = NumberKey(mark="answer", cut=r"<eos>|(?:^|\s)q\s")
_BATCH, _BATCHES = 2048, 64  # problems of the task drawn at a time, and how often at most
_QUESTION_TOKENS, _STEP_TOKENS, _ANSWER_TOKENS = (10, 3), 6, 4

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
class ProblemWorld:
    """Problems whose numbers stay below one of `bounds` (growing); `grading` is that of the pretraining text.

    A word of rank r is used in proportion to 1 / (r + `word_offset`), the number k to 1 / (k + `number_offset`).
    """

    name: Name = field(compare=False)
    bounds: Annotated[tuple[Annotated[int, Interval(ge=4, le=10**4)], ...], Len(1)]
    word_offset: Positive
    number_offset: Positive
    grading: Grading

    def __post_init__(self) -> None:
        if any(low >= high for low, high in pairwise(self.bounds)):
            raise UserError(f"task.world.bounds={list(self.bounds)} must grow")
        self.check(self.grading)

    def check(self, grading: Grading) -> None:
        """Raise UserError when a grading has not one share for each bound."""
        if len(grading.bounds) != len(self.bounds):
            raise UserError(f"{len(grading.bounds)} shares in grading.bounds, the world has {len(self.bounds)} bounds")

    @property
    def in_pretraining(self) -> str:
        """What of a test set its text says already."""
        return "most computations of the test set stand in the pretraining text"

    def vocabulary(self) -> list[str]:
        """All words by token id: `<pad>` 0, `<unk>` 1, `<eos>` 2, and at the end the numbers from 0 on."""
        numbers = map(str, range(self.bounds[-1]))
        return [*SPECIAL, "<eos>", *STRUCTURE, *NAMES, *ITEMS, *GAINS, *LOSSES, *numbers]

    def texts(self, grading: Grading, count: int, *key: str | int) -> list[str]:
        """`count` problems, all worked out, as text: a pure function of all arguments."""
        words = np.array(self.vocabulary())
        table = written(self, drawn(self, grading, count, *key), np.ones(count, np.bool_))
        return [" ".join(words[row[row != EMPTY]]) for row in table]


@record
class ArithmeticWorld(ProblemWorld):
    """The world whose text works problems out or answers them at a guess, by its `habits`."""

    habits: Habits

    def windows(self, steps: int, rows_per_step: int, window: int, seed: int) -> NDArray[np.int16]:
        """Token ids [steps, rows_per_step, window] of problems packed end to end, a pure function of all arguments."""

        def block(number: int) -> NDArray[np.int16]:
            problems = drawn(self, self.grading, BLOCK, "windows", seed, number)
            return written(self, problems, worked_out(self.habits, problems, "windows", seed, number))

        return packed(block, steps, rows_per_step, window)


@dataclass(frozen=True)
class Steps:
    """What is computed, as columns: the number of `steps` [n]; `change` [n, MAX_STEPS] by each, used or not (below 0
    for taking away); `values` [n, MAX_STEPS + 1] before the first and after each step.
    """

    steps: Integers
    change: Integers
    values: Integers


@dataclass(frozen=True)
class DrawnProblems(Steps):
    """Problems as columns: besides their steps the ranks `name` and `item` [n], and `verbs` [n, MAX_STEPS]."""

    name: Integers
    item: Integers
    verbs: Integers


def drawn(world: ProblemWorld, grading: Grading, count: int, *key: str | int) -> DrawnProblems:
    """`count` problems as columns."""
    u = uniforms((5 + 3 * MAX_STEPS) * count, *key).reshape(-1, count)
    signs, sizes, verbs = u[5:].reshape(3, MAX_STEPS, count)
    below = np.array(world.bounds)[category(grading.bounds, u[1])]
    tail = np.cumsum(1.0 / (np.arange(1, world.bounds[-1]) + world.number_offset))
    values, change = [_number(below - 1, u[2], tail)], []
    for sign, size in zip(signs, sizes, strict=True):
        room = below - 1 - values[-1]
        gain = ((sign < 0.5) & (room > 0)) | (values[-1] == 0)
        number = _number(np.where(gain, room, values[-1]), size, tail)
        change.append(np.where(gain, number, -number))
        values.append(values[-1] + change[-1])
    return DrawnProblems(
        steps=1 + category(grading.steps, u[0]),
        name=_rank(NAMES, world.word_offset, u[3]),
        item=_rank(ITEMS, world.word_offset, u[4]),
        verbs=_rank(GAINS, world.word_offset, verbs.T),
        change=np.stack(change, axis=1),
        values=np.stack(values, axis=1),
    )


def worked_out(habits: Habits, problems: DrawnProblems, *key: str | int) -> Bools:
    """Which problems are worked out, [n], by the habits of whom they are about."""
    mood, which = uniforms(2 * len(problems.steps), "habits", *key).reshape(2, -1)
    other = (which * len(habits.patience)).astype(np.int64)
    patience = np.array(habits.patience)[np.where(mood < habits.moods, other, problems.name % len(habits.patience))]
    patient: Bools = problems.steps <= patience
    return patient


def written(world: ProblemWorld, problems: DrawnProblems, worked: Bools) -> NDArray[np.int16]:
    """Problems as rows of token ids, with EMPTY where one has no such step or is not `worked` [n] out."""
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
        return np.where(there[..., None], np.stack(full, axis=2), EMPTY).reshape(rows, -1)

    last = value[np.arange(rows), problems.steps]
    name, item = ids[NAMES[0]] + problems.name, ids[ITEMS[0]] + problems.item
    start = [column(token) for token in ("q", name, "has", value[:, 0], item, ".")]
    ask = [column(token) for token in ("how", "many", "?", "a")]
    end = [column(token) for token in ("answer", last, ".", "<eos>")]
    question, solution = each(verb, number, "."), each(value[:, :-1], sign, number, "=", value[:, 1:], ".")
    solution = np.where(worked[:, None], solution, EMPTY)
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
    return category(weight / weight.sum(), uniform)


# ---------------------------------------------------------------- the task


@record
class ProblemTask:
    """Problems of a world, as hard as `grading` says (the world has its own, for the pretraining text).

    `parts`: how much of all computations belongs to each split, as weights. `items`: problems per split. Difficulty is
    the number of steps.
    """

    kind: ClassVar[Kind] = "reasoning"  # what asks for something else says so
    layout: ClassVar[Layout] = "text"
    class_names: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[tuple[str, ...]] = ()
    words_are_labels: ClassVar[bool] = False
    key: ClassVar[NumberKey] = KEY

    name: Name = field(compare=False)
    world: ProblemWorld
    seed: int
    grading: Grading
    parts: PerSplit
    items: PerSplit
    format: Format

    def __post_init__(self) -> None:
        self.world.check(self.grading)
        own = self.format
        asked, worked = own.prompt([Turn("user", "")]), own.gold_solution("", "")
        written = " ".join([own.instruction, asked, worked, own.joint, own.separator])
        check_words(self.name, written, set(self.world.vocabulary()))

    @property
    def typical_solution_tokens(self) -> int:
        return round(_STEP_TOKENS * self._mean_steps) + _ANSWER_TOKENS

    @property
    def typical_tokens(self) -> int:
        fixed, each = _QUESTION_TOKENS
        return round(fixed + each * self._mean_steps) + self.typical_solution_tokens

    @property
    def _mean_steps(self) -> float:
        return sum(number * share for number, share in enumerate(self.grading.steps, start=1))

    def sizes(self) -> Mapping[Split, int]:
        """Examples per split: exact."""
        return self.items.by_split()

    def splits(self, seed: int) -> Splits:
        """The problems of job seed `seed`; raise UserError when there are too few different ones."""
        found: dict[Split, dict[str, Example]] = {split: {} for split in SPLITS}
        self._fill(found, ("test",), "test", self.seed)
        self._fill(found, ("supervise", "transfer", "validation"), "rest", self.seed, seed)
        made = {split: tuple(found[split].values()) for split in SPLITS}
        return Splits(**made, notices=())

    def _fill(self, found: dict[Split, dict[str, Example]], splits: tuple[Split, ...], *key: str | int) -> None:
        """Draw problems until each of these splits has enough; a problem goes where its computation belongs."""
        wanted = self.sizes()
        drawn = (self.world.texts(self.grading, _BATCH, "problems", *key, batch) for batch in range(_BATCHES))
        for text in chain.from_iterable(drawn):
            if all(len(found[split]) == wanted[split] for split in splits):
                return
            question, solution = text.removeprefix("q ").removesuffix(" <eos>").split(" a ")
            home = self._home(solution, *key)
            if home in splits and len(found[home]) < wanted[home]:
                found[home].setdefault(question, self._problem(question, solution))
        short = {split: len(found[split]) for split in splits if len(found[split]) < wanted[split]}
        if short:
            split, there = next(iter(short.items()))
            raise UserError(
                f"task {self.name}: {_BATCH * _BATCHES} draws gave {there} different problems for {split}, not "
                f"task.items.{split}={wanted[split]}: ask for fewer, or for harder ones (task.grading)"
            )

    def _home(self, solution: str, *key: str | int) -> Split:
        """The split that a computation belongs to: test or not by the task's seed, then by the key's."""
        parts = self.parts.by_split()
        test = parts.pop("test")
        if _place(test + sum(parts.values()), "test", self.seed, solution) < test:
            return "test"
        place, ends = _place(sum(parts.values()), *key, solution), list(accumulate(parts.values()))
        return next(split for split, end in zip(parts, ends, strict=True) if place < end)

    def _problem(self, question: str, solution: str) -> Example:
        words = solution.split()
        answer = words[words.index("answer") + 1]
        return problem(
            question,
            self.format.gold_solution(solution, answer),
            answer,
            difficulty=float(words.count("=")),
            group=group_id(solution),
        )


def _place(parts: int, *key: str | int) -> int:
    """A number from 0 to `parts` - 1, as good as random."""
    return int(fingerprint(*key), 16) % parts


@record
class Arithmetic(ProblemTask):
    """Worked solutions to the problems of this world."""

    world: ArithmeticWorld
