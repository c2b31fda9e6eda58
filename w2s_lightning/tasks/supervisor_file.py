"""A supervisor's answers from a file (people, an API), keyed by example id: `supervisor.file=answers.csv`.

A row has the column `id` and either `label` (a class name or its number from 0) or `probs` (one probability per class;
in CSV as a JSON list). Ids that are not asked for are ignored, so one file may hold the answers on several splits.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.files import Row, Table, read_table
from w2s_lightning.tasks.labels import label_text
from w2s_lightning.tasks.suggest import did_you_mean

_SUM_TOLERANCE = 0.02  # of probabilities that people round to two digits


def read_answers(file: DataFile, ids: Sequence[str], class_names: Sequence[str]) -> NDArray[np.float64]:
    """Class probabilities [len(ids), K] in the order of `ids`; a label is probability 1.

    Raises:
        UserError: for a file that cannot be read, missing columns, an id twice, an id without answer, a label that is
            no class, and probabilities that are not K numbers from 0 to 1 that add up to 1.
    """
    table = read_table(file)
    table.require("id", "the example's id")
    column = _answer_column(table)
    rows = _by_id(table, set(ids))
    missing = [id for id in ids if id not in rows]
    if missing:
        raise UserError(
            f"{table.path} has no answer for {len(missing)} of {len(ids)} examples, such as {', '.join(missing[:3])}; "
            f"`python -m w2s_lightning.tasks.export` writes the ids with their texts"
        )
    read = _probs if column == "probs" else _one_hot
    return np.array([read(rows[id], class_names) for id in ids], dtype=np.float64).reshape(len(ids), len(class_names))


def _answer_column(table: Table) -> str:
    there = [column for column in ("probs", "label") if column in table.columns]
    if len(there) != 1:
        has = "both `label` and `probs`" if there else f"neither `label` nor `probs` ({', '.join(table.columns)})"
        raise UserError(f"{table.path} has {has}; expected the column `id` and one of the two")
    return there[0]


def _by_id(table: Table, wanted: set[str]) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for row in table.rows:
        id = row.text("id")
        if id in rows:
            raise UserError(f"{rows[id].place} and {row.place}: two answers for example {id}; keep one")
        if id in wanted:
            rows[id] = row
    return rows


def _one_hot(row: Row, class_names: Sequence[str]) -> Iterable[float]:
    label, numbers = label_text(row, "label"), [str(n) for n in range(len(class_names))]
    names = list(class_names) if label in class_names else numbers
    if label not in names:
        raise UserError(f"{row.place}: label {label!r} is no class; {did_you_mean(label, class_names)}")
    return [float(name == label) for name in names]


def _probs(row: Row, class_names: Sequence[str]) -> Iterable[float]:
    value: Any = row.get("probs")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            value = None
    numbers = value if isinstance(value, list) else []
    fine = len(numbers) == len(class_names) and all(_is_probability(number) for number in numbers)
    if not fine or abs(sum(numbers) - 1) > _SUM_TOLERANCE:
        raise UserError(
            f"{row.place}: probs {row.get('probs')!r} should be {len(class_names)} numbers from 0 to 1 that add up to "
            f"1, for {', '.join(class_names)}, like [{', '.join(['0.5'] * 2)}]"
        )
    return [number / sum(numbers) for number in numbers]


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
