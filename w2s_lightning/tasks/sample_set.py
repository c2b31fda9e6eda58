"""Samples of a reasoning task's questions as a task for reward models: which of a question's solutions is picked?

A file has one row a sample: `question`, `solution`, `answer` (the final answer read from it, may be empty), `right`,
and maybe `group` (what questions have in common that are resampled together, by default nothing);
`python -m w2s_lightning.rewardbench.samples` writes one. Samples belong together by their question. Nothing is trained
on them, and what is right stays out of what is scored.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isnan

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.schema import record
from w2s_lightning.tasks.conversations import Form, Turn
from w2s_lightning.tasks.examples import Split, Splits, example_id
from w2s_lightning.tasks.files import Row, read_table
from w2s_lightning.tasks.preferences import Answered, Preference, mean_tokens
from w2s_lightning.tasks.problems import question_group

_RIGHT = {"true": True, "false": False, "1": True, "0": False}
COLUMNS = {
    "question": "what was asked",
    "solution": "one sample",
    "answer": "the final answer read from it, empty where there is none",
    "right": "true or false",
}
"""The columns that a file must have, and what they hold."""


@dataclass(frozen=True)
class Attempt:
    """A sample: `id` names its text, which equal solutions share, `question` its question, `group` a wider one."""

    id: str
    question: str
    group: str
    answer: str | None
    right: bool
    place: str


@dataclass(frozen=True)
class Attempts:
    """All samples in the order of the file, and their different `texts` once each; `notices` are for people to read."""

    rows: tuple[Attempt, ...]
    texts: tuple[Answered, ...]
    notices: tuple[str, ...]

    @property
    def questions(self) -> Mapping[str, str]:
        """The group of every question."""
        return {row.question: row.group for row in self.rows}

    def scores(self, by_text: Mapping[str, float]) -> list[float]:
        """Every sample's score by the id of its text; raise UserError for one that is no number, naming its row."""
        found = [by_text[row.id] for row in self.rows]
        bad = [row.place for row, score in zip(self.rows, found, strict=True) if isnan(score)]
        if bad:
            raise UserError(f"{bad[0]}: its score is no number (NaN), in {len(bad)} of {len(found)} rows")
        return found


@record
class SampleSet(Preference):
    """Samples to choose from, written as the job's own task writes its pairs (`form`, `words`)."""

    source: DataFile
    form: Form
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """A file's name is no part of its identity."""
        return "best_of"

    @property
    def place(self) -> str:
        """Where the samples are, for people."""
        return str(self.source.path)

    @property
    def world(self) -> None:
        """No embedded world: models come with the job's task."""

    @property
    def typical_tokens(self) -> int:
        return max(1, mean_tokens(self.attempts().texts) // 2)  # one text each, not two

    def attempts(self) -> Attempts:
        """The samples; raise UserError, with file and line, for what cannot be used."""
        return _attempts(self)

    def sizes(self) -> Mapping[Split, int]:
        """All texts are `test`."""
        return {"supervise": 0, "transfer": 0, "validation": 0, "test": len(self.attempts().texts)}

    def splits(self, seed: int) -> Splits:
        """The same texts for every seed."""
        found = self.attempts()
        return Splits(supervise=(), transfer=(), validation=(), test=found.texts, notices=found.notices)


@lru_cache(maxsize=4)
def _attempts(task: SampleSet) -> Attempts:
    table = read_table(task.source)
    for column, what in COLUMNS.items():
        table.require(column, what)
    texts = dict[str, Answered]()
    rows = []
    for row in table.rows:
        text = _text(row, task.form)
        texts.setdefault(text.id, text)
        group = row.text_or_blank("group") or text.group
        rows.append(Attempt(text.id, text.group, group, row.text_or_blank("answer") or None, _right(row), row.place))
    groups = dict[str, str]()
    for attempt in rows:
        if groups.setdefault(attempt.question, attempt.group) != attempt.group:
            raise UserError(f"{attempt.place}: column 'group' differs from that of another sample of this question")
    counts = Counter(row.question for row in rows)
    if len({row.group for row in rows}) < 2:
        raise UserError(f"{table.path} holds samples of one question or group, which says nothing of others: add some")
    low, high = min(counts.values()), max(counts.values())
    uneven = f"{table.path.name}: its {len(counts)} questions have from {low} to {high} samples: n goes up to {low}"
    return Attempts(tuple(rows), tuple(texts.values()), (uneven,) if low < high else ())


def _text(row: Row, form: Form) -> Answered:
    question, solution = row.text("question"), row.text_or_blank("solution")
    turns = (Turn("user", question),)
    prompt = form.prompt(turns)
    texts = (prompt + form.completion(solution),)
    return Answered(
        id=example_id(texts),
        group=question_group(question),
        texts=texts,
        label=0,
        difficulty=None,
        turns=turns,
        answers=(solution,),
        prompt=prompt,
    )


def _right(row: Row) -> bool:
    value = row.get("right")
    if str(value).lower() not in _RIGHT:
        raise UserError(f"{row.place}: column 'right' holds {value!r}, expected true or false")
    return _RIGHT[str(value).lower()]
