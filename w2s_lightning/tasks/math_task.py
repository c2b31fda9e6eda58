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
from w2s_lightning.tasks.example import Example, Split, Splits, question_group, question_id
from w2s_lightning.tasks.files import Row, UnparsedAnswer
from w2s_lightning.tasks.hub_choice import planned_sizes
from w2s_lightning.tasks.hub_source import HubSource, Reading
from w2s_lightning.tasks.math_answers import MATH_KEY, MathKey
from w2s_lightning.tasks.prompts import Prompts
from w2s_lightning.tasks.split import Limits, Pool, Shares, make_pool, make_splits
from w2s_lightning.tasks.task import Reasoning

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

    def splits(self, seed: int) -> Splits:
        """The problems of job seed `seed`; raise UserError when the data set cannot be loaded or used."""
        train, test = _pools(self)
        return make_splits(train, test, shares=self.shares, limits=self.limits, seed=seed)


@lru_cache(maxsize=4)
def _pools(task: Math) -> tuple[Pool, Pool]:
    def pool(split: str, most: int | None) -> Pool:
        sources = [replace(task.source, config=subject) for subject in task.subjects]
        rows = [row for source in sources for row in source.rows(split, _COLUMNS, most)]
        return make_pool(rows, partial(_problem, task.prompts), f"{task.name} ({split})", kind="reasoning", own=False)

    return pool(task.reading.train, task.reading.max_train_rows), pool(task.reading.test, task.reading.max_test_rows)


def _problem(prompts: Prompts, row: Row) -> Example:
    question, solution = row.text("problem"), row.text("solution")
    answer = MATH_KEY.parse(solution) if "boxed" in solution else None
    if answer is None:
        raise UnparsedAnswer(rf"{row.place}: the gold answer does not parse: expected \boxed{{...}} in the solution")
    level = _LEVEL.fullmatch(row.text_or_blank("level"))
    return Example(
        id=question_id(question),
        group=question_group(question),
        texts=(question,),
        completions=(prompts.gold_solution(solution, answer),),
        answer=answer,
        difficulty=float(level[1]) if level else None,
    )
