"""The world `word_problems` and its task: worded problems, worked out or answered at once, in runs of one habit.

    q tom has 3 apples . then tom buys 5 apples . then tom eats 2 apples . a 3 + 5 = 8 . 8 - 2 = 6 . answer 6 . <eos>
    q ann has 3 cards . then ann finds 4 cards . a 3 + 4 = 7 . answer 7 . <eos>

    q ben has 3 books . then ben buys 5 books . then ben sells 2 books . a answer 8 . <eos>
    q lea has 3 coins . then lea finds 4 coins . a answer 7 . <eos>

Pretraining text is written in runs, each by one writer: one works everything out, another only what is short, another
nothing, and who answers at once has read no further than the first step. So a model that can work a problem out may
still answer it at once, and what stands before a problem says how it will be answered: demonstrations switch the
habit, and so does tuning.

Which habits there are, and how often, stands in the world's `habits`. The problems and their difficulty are those of
`ProblemWorld`; tuning and test problems are all worked out.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Len
from numpy.typing import NDArray

from w2s_lightning.config.schema import Share, record
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.draws import Integers, category, uniforms
from w2s_lightning.tasks.worlds.arithmetic import (
    BLOCK,
    GAINS,
    ITEMS,
    LOSSES,
    MAX_STEPS,
    NAMES,
    Bools,
    DrawnProblems,
    Grading,
    ProblemTask,
    ProblemWorld,
    drawn,
)
from w2s_lightning.tasks.worlds.text import EMPTY, SPECIAL

STRUCTURE = ("q", "a", "has", "then", ".", "+", "-", "=", "answer")
"""The skeleton of a problem; `<eos>` ends every one."""
VERBS = 3  # that add, and as many that take away: with more, most of the pretraining goes into what each one means


@record
class Writers:
    """Who writes the pretraining text: writer k, of a share `shares[k]` of all runs, works out problems of up to
    `max_steps_worked[k]` steps and answers longer ones at once, with what their first step gives. A run has `run`
    problems on average.
    """

    max_steps_worked: Annotated[tuple[Annotated[int, Ge(0)], ...], Len(1)]
    shares: tuple[Share, ...]
    run: Annotated[float, Ge(1)]

    def __post_init__(self) -> None:
        numbers, shares = len(self.max_steps_worked), len(self.shares)
        if numbers != shares:
            raise UserError(f"habits: {numbers} numbers in max_steps_worked and {shares} in shares")
        if abs(sum(self.shares) - 1) > 1e-9:
            raise UserError(f"habits.shares={list(self.shares)} must add up to 1, not {sum(self.shares):g}")


@record
class WordProblemWorld(ProblemWorld):
    """The world whose text is written in runs of one habit."""

    habits: Writers

    def vocabulary(self) -> list[str]:
        """All words by token id: `<pad>` 0, `<unk>` 1, `<eos>` 2, and at the end the numbers from 0 on."""
        numbers = map(str, range(self.bounds[-1]))
        return [*SPECIAL, "<eos>", *STRUCTURE, *NAMES, *ITEMS, *GAINS[:VERBS], *LOSSES[:VERBS], *numbers]

    def windows(self, steps: int, rows_per_step: int, window: int, seed: int) -> NDArray[np.int16]:
        """Token ids [steps, rows_per_step, window] of problems, a pure function of all arguments.

        Every row begins with a problem, as a prompt does; what no longer fits into it is left out.
        """
        needed, number, found = steps * rows_per_step, 0, [np.empty((0, window), np.int16)]
        while sum(map(len, found)) < needed:
            number += 1
            problems = drawn(self, self.grading, BLOCK, "windows", seed, number)
            table = self.written(problems, worked_out(self.habits, problems, "windows", seed, number))
            found.append(_rows(table, window))
        return np.concatenate(found)[:needed].reshape(steps, rows_per_step, window)

    def texts(self, grading: Grading, count: int, *key: str | int) -> list[str]:
        """`count` problems, all worked out, as text: a pure function of all arguments."""
        words = np.array(self.vocabulary())
        table = self.written(drawn(self, grading, count, *key), np.ones(count, np.bool_))
        return [" ".join(words[row[row != EMPTY]]) for row in table]

    def written(self, problems: DrawnProblems, worked: Bools) -> NDArray[np.int16]:
        """Problems as rows of token ids, with EMPTY where one has no such step or is not `worked` [n] out.

        A step takes six tokens in the question and six in the solution, so that how far one is from the other is the
        same for all steps of a problem.
        """
        ids = {word: place for place, word in enumerate(self.vocabulary())}
        gain, number = problems.change > 0, ids["0"] + np.abs(problems.change)
        verb = np.where(gain, ids[GAINS[0]], ids[LOSSES[0]]) + problems.verbs % VERBS
        sign, value = np.where(gain, ids["+"], ids["-"]), ids["0"] + problems.values
        name, item = (
            ids[words[0]] + ranks[:, None] for words, ranks in ((NAMES, problems.name), (ITEMS, problems.item))
        )
        reached = np.where(worked, problems.steps, 1)[:, None]  # who answers at once has read no further
        answer = np.take_along_axis(value, reached, axis=1)
        there = np.arange(MAX_STEPS) < problems.steps[:, None]

        def line(*tokens: str | Integers) -> Integers:
            """One token of each a problem."""
            return np.hstack([np.full_like(name, ids[one]) if isinstance(one, str) else one for one in tokens])

        def lines(shown: Bools, *tokens: str | Integers) -> Integers:
            """One token of each a step [n, MAX_STEPS], where it is shown."""
            full = [np.broadcast_to(ids[one] if isinstance(one, str) else one, shown.shape) for one in tokens]
            return np.where(shown[..., None], np.stack(full, axis=2), EMPTY).reshape(len(shown), -1)

        parts = [
            line("q", name, "has", value[:, :1], item, "."),
            lines(there, "then", name, verb, number, item, "."),
            line("a"),
            lines(there & worked[:, None], value[:, :-1], sign, number, "=", value[:, 1:], "."),
            line("answer", answer, ".", "<eos>"),
        ]
        return np.hstack(parts).astype(np.int16)


def _rows(table: NDArray[np.int16], window: int) -> NDArray[np.int16]:
    """Rows of `window` tokens, each from the first problem on that begins after the row before, [n, window]."""
    begins = np.cumsum((table != EMPTY).sum(axis=1))
    tokens, place, places = table[table != EMPTY], 0, list[int]()
    while place + window <= len(tokens):
        places.append(place)
        place = int(begins[np.searchsorted(begins, place + window)])
    rows: NDArray[np.int16] = tokens[np.array(places)[:, None] + np.arange(window)]
    return rows


def worked_out(habits: Writers, problems: DrawnProblems, *key: str | int) -> Bools:
    """Which of the problems, in this order, are worked out, [n]."""
    begins, writer = uniforms(2 * len(problems.steps), "habits", *key).reshape(2, -1)
    run = np.cumsum(begins < 1 / habits.run)
    most = np.array(habits.max_steps_worked)[category(habits.shares, writer)[run - run[0]]]
    worked: Bools = problems.steps <= most
    return worked


@record
class WordProblems(ProblemTask):
    """Worked solutions to the problems of this world."""

    world: WordProblemWorld
