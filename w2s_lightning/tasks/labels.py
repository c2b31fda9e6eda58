"""Labels as files write them: text, numbers or booleans, made comparable across formats."""

from collections.abc import Sequence
from typing import Any

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.files import Row


def label_text(row: Row, column: str) -> str:
    """A label as text: true, 1 and "1" of JSON, and the strings of CSV; raise UserError for anything else."""
    value: Any = row.get(column)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | str):
        return str(value).strip()
    raise UserError(f"{row.place}: label {value!r} in column {column!r} is no class (expected text or a whole number)")


def class_index(row: Row, column: str, classes: Sequence[str]) -> int:
    """The index of a row's label; raise UserError when it is none of `classes`."""
    label = label_text(row, column)
    if label not in classes:
        raise UserError(f"{row.place}: label {label!r} in column {column!r} is none of {', '.join(classes)}")
    return classes.index(label)


def in_order(labels: set[str]) -> tuple[str, ...]:
    """Classes sorted as numbers where all are whole numbers, else as text."""
    try:
        return tuple(sorted(labels, key=lambda label: (int(label), label)))  # "1" and "01" are two labels
    except ValueError:
        return tuple(sorted(labels))
