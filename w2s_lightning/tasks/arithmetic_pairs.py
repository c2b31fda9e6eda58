"""Preferences in the world `judged_arithmetic`: a right worked answer against one with a single mistake.

Difficulty is how subtle the mistake is: the place of its flaw in `worlds.flaws.FLAWS`, from 1. Problems are those of
the task `arithmetic`, split as there by what is computed.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cached_property
from itertools import accumulate
from typing import ClassVar

from w2s_lightning.errors import UserError
from w2s_lightning.schema import record
from w2s_lightning.tasks.arithmetic import Arithmetic
from w2s_lightning.tasks.conversations import Form
from w2s_lightning.tasks.draws import fingerprint
from w2s_lightning.tasks.example import SPLITS, Example, Split, Splits, Turn
from w2s_lightning.tasks.facts import PerSplit
from w2s_lightning.tasks.preferences import pair
from w2s_lightning.tasks.prompts import Prompts
from w2s_lightning.tasks.task import Preference
from w2s_lightning.tasks.worlds.arithmetic import Grading
from w2s_lightning.tasks.worlds.flaws import FLAWS, FlawWeights, flawed
from w2s_lightning.tasks.worlds.judged_arithmetic import RIGHT, WRONG, JudgedArithmetic


@record
class ArithmeticPairs(Preference):
    """One pair a problem of the task `arithmetic` in the same world; a pair's subset is the name of its flaw."""

    words: ClassVar[tuple[str, ...]] = (WRONG, RIGHT)  # as the pretraining text judges solutions

    name: str
    world: JudgedArithmetic
    seed: int
    grading: Grading
    parts: PerSplit
    items: PerSplit
    prompts: Prompts
    flaws: FlawWeights

    def __post_init__(self) -> None:
        if self.prompts.is_chat:
            raise UserError(
                f"task {self.name}: an embedded world has no chat template: task.prompts.chat_template=null"
            )
        assert self._problems is not None  # refuses what the world does not know

    @cached_property
    def _problems(self) -> Arithmetic:
        """The task that the pairs' problems come from."""
        names = [field.name for field in fields(Arithmetic)]
        shared = {name: getattr(self, name) for name in names}
        return Arithmetic(**{**shared, "world": self.world.problems})

    @cached_property
    def form(self) -> Form:
        """Questions and solutions as `prompts` writes them."""
        own = self.prompts
        user = own.question.replace("{question}", "{text}")
        return Form(chat_template=None, user=user, joint=own.joint, separator=own.separator)

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
        made = pair(
            [Turn("user", problem.question)],
            problem.solution,
            wrong,
            self.form,
            place=problem.question,
            subset=flaw,
            difficulty=1.0 + FLAWS.index(flaw),
        )
        return replace(made, group=problem.group)

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
