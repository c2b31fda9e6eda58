"""Pairs from the columns of a table: a prompt as text or as turns, a chosen and a rejected answer."""

from dataclasses import replace
from math import isfinite, nan
from typing import Any

from w2s_lightning.schema import record
from w2s_lightning.tasks.conversations import Form, answered, conversation
from w2s_lightning.tasks.example import Example, Turn, group_id
from w2s_lightning.tasks.files import Row, Table, Unusable
from w2s_lightning.tasks.preferences import pair


@record
class PairColumns:
    """Which columns hold what; null: there is none.

    `prompt` is a text or a list of messages (null: chosen and rejected are whole conversations). `chosen` and
    `rejected` are texts, or messages that end with the assistant's. `group` names what splits go by (null: the prompt),
    `difficulty` is a number that grows with difficulty, `margin` one that says by how much the chosen is better.
    """

    prompt: str | None
    chosen: str
    rejected: str
    margin: str | None
    subset: str | None
    group: str | None
    difficulty: str | None

    def needed(self) -> list[str]:
        """The columns that are read."""
        return [column for name in self.__dataclass_fields__ if (column := getattr(self, name)) is not None]

    def check(self, table: Table, setting: str) -> None:
        """Raise UserError for a column that is not there."""
        for name in self.__dataclass_fields__:
            if (column := getattr(self, name)) is not None:
                table.require(column, f"{setting}.{name}")


def read_pair(row: Row, columns: PairColumns, form: Form) -> Example:
    """The pair of one row; raise Unusable, naming file and line, where there is none, UserError for a bad number."""
    before_chosen, chosen = answered(_filled(row, columns.chosen), row.place)
    before_rejected, rejected = answered(_filled(row, columns.rejected), row.place)
    given = None if columns.prompt is None else conversation(_filled(row, columns.prompt), row.place)
    made = pair(
        _agreed(row, given, before_chosen, before_rejected),
        chosen,
        rejected,
        form,
        place=row.place,
        subset=None if columns.subset is None else row.text(columns.subset),
        margin=number(row, columns.margin),
        difficulty=number(row, columns.difficulty),
    )
    return made if columns.group is None else replace(made, group=group_id(row.text(columns.group)))


def number(row: Row, column: str | None) -> float | None:
    """A finite number, None without a column; raise Unusable for anything else."""
    if column is None:
        return None
    try:
        found = float(row.text(column))
    except ValueError:
        found = nan
    if not isfinite(found):
        raise Unusable(f"{row.place}: column {column!r} holds {row.text(column)!r}, expected a number")
    return found


def _filled(row: Row, column: str) -> Any:
    value = row.values.get(column)
    if value is None or value == [] or (isinstance(value, str) and not value.strip()):
        raise Unusable(f"{row.place}: column {column!r} is empty")
    return value


def _agreed(row: Row, *conversations: tuple[Turn, ...] | None) -> tuple[Turn, ...]:
    """The one conversation that the prompt and both answers tell of, those that tell."""
    told = [one for one in conversations if one is not None]
    if not told:
        raise Unusable(
            f"{row.place}: no prompt: name its column, or give answers as turns with the conversation before"
        )
    if any(one != told[0] for one in told):
        raise Unusable(
            f"{row.place}: the turns before the chosen and the rejected answer differ, or are not the prompt"
        )
    return told[0]
