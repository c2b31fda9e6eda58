"""GSM8K (arXiv 2110.14168): grade-school word problems, from the hub or from files in its columns."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import lru_cache, partial
from typing import Any, ClassVar

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.schema import record
from w2s_lightning.tasks.answers import GSM8K_KEY, NumberKey, equations
from w2s_lightning.tasks.example import Example, Split, Splits, question_group, question_id
from w2s_lightning.tasks.files import GivenFile, Row, UnparsedAnswer, read_table
from w2s_lightning.tasks.hub_choice import planned_sizes
from w2s_lightning.tasks.hub_source import HubSource, Reading
from w2s_lightning.tasks.prompts import Prompts
from w2s_lightning.tasks.split import Limits, Pool, Shares, make_pool, make_splits
from w2s_lightning.tasks.task import Reasoning

_COLUMNS = ("question", "answer")
_CALCULATOR = re.compile(r"<<.*?>>")


@record
class Gsm8k(Reasoning):
    """GSM8K from `train_file` and `test_file` where both are given, else from the hub.

    Its columns are `question` and `answer` (a worked solution whose last line is `#### N`). Calculator marks
    (`<<48/2=24>>`) are taken out of what models learn to write; difficulty is their number (without any: that of
    equations), the steps. `limits` are what a plan counts with on the hub, since it downloads nothing.
    """

    world: ClassVar[None] = None
    key: ClassVar[NumberKey] = GSM8K_KEY
    typical_tokens: ClassVar[int] = 190
    typical_solution_tokens: ClassVar[int] = 120

    name: str
    source: HubSource
    reading: Reading
    train_file: GivenFile | None
    test_file: GivenFile | None
    prompts: Prompts
    shares: Shares
    limits: Limits

    def __post_init__(self) -> None:
        if (self.train_file is None) != (self.test_file is None):
            missing = "task.train_file" if self.train_file is None else "task.test_file"
            raise UserError(f"task {self.name}: {missing} is missing: give both files, or none for the hub")

    def identity(self) -> Mapping[str, Any]:
        """Files enter by content and stand in for the hub, which then does not count."""
        unused = {"train_file", "test_file"} if self.train_file is None else {"source", "reading"}
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in unused}
        return {"type": type(self).__name__, **values}

    def resolved(self, find: Callable[[str, str], str]) -> "Gsm8k":
        """The same task with the commit of its data set filled in, unless it reads files."""
        if self.train_file is not None:
            return self
        try:
            return replace(self, source=self.source.resolved(find))
        except UserError as error:
            raise UserError(f"{error}, or the data's own files: `task.train_file=... task.test_file=...`") from None

    def sizes(self) -> Mapping[Split, int]:
        """The limits: an upper bound that needs no download."""
        return planned_sizes(self.limits)

    def splits(self, seed: int) -> Splits:
        """The problems of job seed `seed`; raise UserError when the data cannot be loaded or used."""
        train, test = _pools(self)
        return make_splits(train, test, shares=self.shares, limits=self.limits, seed=seed)


@lru_cache(maxsize=4)
def _pools(task: Gsm8k) -> tuple[Pool, Pool]:
    if task.train_file is not None and task.test_file is not None:
        return _of_file(task, task.train_file, "training file"), _of_file(task, task.test_file, "test file")
    return (
        _of_hub(task, task.reading.train, task.reading.max_train_rows),
        _of_hub(task, task.reading.test, task.reading.max_test_rows),
    )


def _of_file(task: Gsm8k, file: DataFile, what: str) -> Pool:
    table = read_table(file)
    for column in _COLUMNS:
        table.require(column, "GSM8K's columns are question and answer; for others use task=local_reasoning")
    return make_pool(table.rows, partial(_problem, task.prompts), what, kind="reasoning", own=True)


def _of_hub(task: Gsm8k, split: str, most: int | None) -> Pool:
    rows = task.source.rows(split, _COLUMNS, most)
    return make_pool(rows, partial(_problem, task.prompts), f"{task.name} ({split})", kind="reasoning", own=False)


def _problem(prompts: Prompts, row: Row) -> Example:
    question, worked = row.text("question"), row.text("answer")
    answer = GSM8K_KEY.parse_strict(worked)
    if answer is None:
        end = worked.strip().splitlines()[-1][-60:]
        raise UnparsedAnswer(
            f"{row.place}: the gold answer does not parse: expected a last line `#### 18`, got {end!r}"
        )
    return Example(
        id=question_id(question),
        group=question_group(question),
        texts=(question,),
        completions=(prompts.gold_solution(_CALCULATOR.sub("", worked), answer),),
        answer=answer,
        difficulty=float(len(_CALCULATOR.findall(worked)) or len(equations(worked))) or None,
    )
