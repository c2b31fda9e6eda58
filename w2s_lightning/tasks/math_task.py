"""MATH (arXiv 2103.03874): competition problems with subjects and levels 1 to 5, from the hub.

The original repository was taken down; EleutherAI/hendrycks_math is a re-upload with one configuration a subject.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Annotated, ClassVar

from annotated_types import Len

from w2s_lightning.schema import record
from w2s_lightning.tasks.examples import Split
from w2s_lightning.tasks.files import Row
from w2s_lightning.tasks.hub_choice import planned_sizes
from w2s_lightning.tasks.hub_source import HubSource, Reading
from w2s_lightning.tasks.math_answers import MATH_KEY, MathKey
from w2s_lightning.tasks.problem_splitting import ProblemPool, UnparsedAnswer, published_problems, split_problems
from w2s_lightning.tasks.problems import Problem, ProblemSplits, Reasoning, problem_id, question_group
from w2s_lightning.tasks.prompts import Prompts
from w2s_lightning.tasks.splitting import Limits, Shares

_COLUMNS = ("problem", "solution", "level", "type")
_LEVEL = re.compile(r"Level ([1-5])")


@record
class Math(Reasoning):
    """MATH's columns: `problem`, `solution` (its answer in `\\boxed{}`), `level` ("Level 3"), `type` (the subject).

    `subjects` are the configurations to read; `reading` counts rows of each. Difficulty is the level. `limits` are what
    a plan counts with, since it downloads nothing.
    """

    world: ClassVar[None] = None
    key: ClassVar[MathKey] = MATH_KEY
    typical_tokens: ClassVar[int] = 320
    typical_solution_tokens: ClassVar[int] = 220

    name: str
    source: HubSource
    subjects: Annotated[tuple[str, ...], Len(1)]
    reading: Reading
    prompts: Prompts
    shares: Shares
    limits: Limits

    def resolved(self, find: Callable[[str, str], str]) -> "Math":
        """The same task with the commit of its data set filled in."""
        return replace(self, source=self.source.resolved(find))

    def sizes(self) -> Mapping[Split, int]:
        """The limits: an upper bound that needs no download."""
        return planned_sizes(self.limits)

    def splits(self, seed: int) -> ProblemSplits:
        """The problems of job seed `seed`; raise UserError when the data set cannot be loaded or used."""
        train, test = _pools(self)
        return split_problems(train, test, shares=self.shares, limits=self.limits, seed=seed)


@lru_cache(maxsize=4)
def _pools(task: Math) -> tuple[ProblemPool, ProblemPool]:
    def pool(split: str, most: int | None) -> ProblemPool:
        sources = [replace(task.source, config=subject) for subject in task.subjects]
        rows = [row for source in sources for row in source.rows(split, _COLUMNS, most)]
        return published_problems(rows, partial(_problem, task.prompts), f"{task.name} ({split})")

    return pool(task.reading.train, task.reading.max_train_rows), pool(task.reading.test, task.reading.max_test_rows)


def _problem(prompts: Prompts, row: Row) -> Problem:
    question, solution = row.text("problem"), row.text("solution")
    answer = MATH_KEY.parse(solution) if "boxed" in solution else None
    if answer is None:
        raise UnparsedAnswer(rf"{row.place}: the gold answer does not parse: expected \boxed{{...}} in the solution")
    level = _LEVEL.fullmatch(row.text_or_blank("level"))
    return Problem(
        id=problem_id(question),
        group=question_group(question),
        question=question,
        solution=prompts.gold_solution(solution, answer),
        answer=answer,
        difficulty=float(level[1]) if level else None,
        subject=row.text_or_blank("type") or None,
    )
