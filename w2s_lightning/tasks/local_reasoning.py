"""Problems from a person's own files: `task=local_reasoning task.train_file=... task.test_file=...`."""

from collections.abc import Mapping
from functools import lru_cache, partial
from math import isfinite, nan
from typing import ClassVar, Literal

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.schema import record
from w2s_lightning.tasks.answers import GSM8K_KEY, AnswerKey
from w2s_lightning.tasks.example import SPLITS, Example, Split, Splits, group_id, question_group, question_id
from w2s_lightning.tasks.files import GivenFile, Row, Table, UnparsedAnswer, read_table
from w2s_lightning.tasks.math_answers import MATH_KEY
from w2s_lightning.tasks.prompts import Prompts
from w2s_lightning.tasks.split import Limits, Pool, Shares, make_pool, make_splits
from w2s_lightning.tasks.task import Reasoning

_CHARACTERS_PER_TOKEN = 4
_KEYS: Mapping[str, AnswerKey] = {"number": GSM8K_KEY, "math": MATH_KEY}
_MARKS = {"number": "#### {answer}", "math": "The answer is: {answer}"}


@record
class LocalReasoning(Reasoning):
    """Problems from a training and a test file (JSONL, CSV or Parquet by ending) with questions, solutions, answers.

    `answers`: `number` (compared as decimals, marked `#### 18`) or `math` (LaTeX, marked `The answer is: x`).
    `group_column` names what splits go by (null: the question), `difficulty_column` a number that grows with
    difficulty.
    """

    world: ClassVar[None] = None

    name: str
    train_file: GivenFile
    test_file: GivenFile
    question_column: str
    solution_column: str
    answer_column: str
    answers: Literal["number", "math"]
    group_column: str | None
    difficulty_column: str | None
    prompts: Prompts
    shares: Shares
    limits: Limits

    def __post_init__(self) -> None:
        for file in (self.train_file, self.test_file):
            table = _table(file)
            for setting in [name for name in self.__dataclass_fields__ if name.endswith("_column")]:
                column = getattr(self, setting)
                if column is not None:
                    table.require(column, f"task.{setting}")

    @property
    def key(self) -> AnswerKey:
        return _KEYS[self.answers]

    @property
    def typical_tokens(self) -> int:
        texts = [item.question + item.solution for item in _pools(self)[0].examples[:500]]
        return 1 + sum(map(len, texts)) // (len(texts) * _CHARACTERS_PER_TOKEN)

    @property
    def typical_solution_tokens(self) -> int:
        texts = [item.solution for item in _pools(self)[0].examples[:500]]
        return 1 + sum(map(len, texts)) // (len(texts) * _CHARACTERS_PER_TOKEN)

    def sizes(self) -> Mapping[Split, int]:
        """Problems per split at seed 0; by whole groups, so another seed may differ by a few."""
        splits = self.splits(0)
        return {split: len(splits.of(split)) for split in SPLITS}

    def splits(self, seed: int) -> Splits:
        """The problems of job seed `seed`; raise UserError for what cannot be used, naming file and line."""
        train, test = _pools(self)
        return make_splits(train, test, shares=self.shares, limits=self.limits, seed=seed)


@lru_cache(maxsize=4)
def _table(file: DataFile) -> Table:
    return read_table(file)


@lru_cache(maxsize=4)
def _pools(task: LocalReasoning) -> tuple[Pool, Pool]:
    read = partial(_problem, task)
    train = make_pool(_table(task.train_file).rows, read, "training file", kind="reasoning", own=True)
    return train, make_pool(_table(task.test_file).rows, read, "test file", kind="reasoning", own=True)


def _problem(task: LocalReasoning, row: Row) -> Example:
    question, answer = row.text(task.question_column), task.key.parse_bare(row.text(task.answer_column))
    if answer is None:
        given, wanted = row.get(task.answer_column), "one number" if task.answers == "number" else "a LaTeX expression"
        raise UnparsedAnswer(f"{row.place}: the gold answer {given!r} does not parse: expected {wanted}")
    solution = task.prompts.gold_solution(row.text(task.solution_column), answer)
    if task.key.parse(solution) != answer:
        raise UnparsedAnswer(
            f"{row.place}: the solution ends in {task.key.parse(solution)!r}, the gold answer is {answer!r}; let "
            f"task.prompts.worked end in {_MARKS[task.answers]!r}"
        )
    return Example(
        id=question_id(question),
        group=question_group(question) if task.group_column is None else group_id(row.text(task.group_column)),
        texts=(question,),
        completions=(solution,),
        answer=answer,
        difficulty=_difficulty(task, row),
    )


def _difficulty(task: LocalReasoning, row: Row) -> float | None:
    if task.difficulty_column is None:
        return None
    text = row.text(task.difficulty_column)
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise UserError(f"{row.place}: difficulty {text!r} is no number (task.difficulty_column)")
    return number
