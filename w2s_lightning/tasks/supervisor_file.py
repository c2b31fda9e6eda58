"""A supervisor's answers from a file (people, an API), keyed by example id: `supervisor.file=answers.csv`.

A row has the column `id` and one of `label` (a class name or its number from 0), `probs` (one probability per class; in
CSV as a JSON list), and for reasoning tasks `solution`, whose answer is read as a model's would be. One file may hold
the answers on several splits. `export` writes the ids with their texts.
"""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError, did_you_mean
from w2s_lightning.tasks.example import Solution
from w2s_lightning.tasks.source import SourceRow, Table, brief, classes, read_table

_SUM_TOLERANCE = 0.02  # of probabilities that people round to two digits


def read_answers(file: DataFile, ids: Sequence[str], class_names: Sequence[str]) -> NDArray[np.float64]:
    """Class probabilities [len(ids), K] in the order of `ids`; a label is probability 1. Other ids are ignored.

    Raises:
        UserError: for a file that cannot be read, missing columns, an id twice, an id without answer, a label that is
            no class, and probabilities that are not K numbers from 0 to 1 that add up to 1.
    """
    table = read_table(file)
    there = [column for column in ("probs", "label") if column in table.columns]
    if len(there) != 1:
        has = "both `label` and `probs`" if there else f"neither `label` nor `probs` ({', '.join(table.columns)})"
        raise UserError(f"{table.path} has {has}; expected the column `id` and one of the two")
    read = _probs if there == ["probs"] else _one_hot
    probs = [read(row, class_names) for row in _rows(table, ids, "answer", "example")]
    return np.array(probs, dtype=np.float64).reshape(len(ids), len(class_names))


def read_solutions(
    file: DataFile, ids: Sequence[str], *, known: Collection[str] | None, parse: Callable[[str], str | None]
) -> tuple[Solution, ...]:
    """One solution for each of `ids`, in their order; `parse` reads an answer, None where an empty text has none.

    `known` are all ids that the task has, for the job's seed (None: any other id may stand in the file).

    Raises:
        UserError: for a file that cannot be read, missing columns, an id twice, an id that is not known, an id without
            a solution.
    """
    table = read_table(file)
    table.require("solution", "the worked solution")
    texts = [row.text_or_blank("solution") for row in _rows(table, ids, "solution", "problem", known)]
    return tuple(Solution(id, text, parse(text)) for id, text in zip(ids, texts, strict=True))


def _rows(
    table: Table, ids: Sequence[str], what: str, of: str, known: Collection[str] | None = None
) -> list[SourceRow]:
    """The row of each of `ids`, in their order."""
    if "id" not in table.columns:
        raise UserError(
            f"{table.path} has no column `id`: `python -m w2s_lightning.tasks.export` writes the {of}s to label with "
            "their ids"
        )
    found: dict[str, SourceRow] = {}
    for row in table.rows:
        id = row.text("id")
        if id in found:
            raise UserError(f"{found[id].place} and {row.place}: two {what}s for {of} {id[:60]}; keep one")
        if known is not None and id not in known:
            raise UserError(f"{row.place}: the task has no {of} {id[:60]}: is the file for other data or another seed?")
        found[id] = row
    missing = [id for id in ids if id not in found]
    if missing:
        raise UserError(
            f"{table.path} has no {what} for {len(missing)} of {len(ids)} {of}s, such as {', '.join(missing[:3])}; "
            f"`python -m w2s_lightning.tasks.export` writes the ids with their texts"
        )
    return [found[id] for id in ids]


def _one_hot(row: SourceRow, class_names: Sequence[str]) -> list[float]:
    label, numbers = row.label("label"), tuple(str(n) for n in range(len(class_names)))
    place = classes(tuple(class_names)).get(label, classes(numbers).get(label))
    if place is None:
        raise UserError(f"{row.place}: label {label!r} is no class; {did_you_mean(label, class_names)}")
    return [float(number == place) for number in range(len(class_names))]


def _probs(row: SourceRow, class_names: Sequence[str]) -> list[float]:
    value: Any = row.get("probs")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    numbers = value if isinstance(value, list) else []
    fine = len(numbers) == len(class_names) and all(
        isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= 1 for number in numbers
    )
    if not fine or abs(sum(numbers) - 1) > _SUM_TOLERANCE:
        raise UserError(
            f"{row.place}: probs {brief(row.get('probs'))} should be {len(class_names)} numbers from 0 to 1 that add "
            f"up to 1, for {', '.join(class_names)}, like [{', '.join(['0.5'] * 2)}]"
        )
    return [number / sum(numbers) for number in numbers]
