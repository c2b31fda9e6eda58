"""Texts of a job's examples: `<job folder>/examples.parquet`, written by the job that knows its task.

Columns: split (`test`, `validation`; all `test` without it), example_id, group_id, gold (class number, or a solution's
final answer), texts (list of strings: one, or one an option), difficulty (may be null); for reasoning `solution` (the
gold one, may be null). The schema's metadata holds under `w2s` a JSON object with `task`, `kind` and `class_names`;
without it the names are read off a column `gold_name`, if there is one.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.results.stored import Fault
from w2s_lightning.tasks.example import Example, Split, Splits
from w2s_lightning.tasks.task import ChoiceTask, ReasoningTask

NAME = "examples.parquet"
KEY = b"w2s"


@dataclass(frozen=True)
class Texts:
    """What is known of a job's test examples, by id, and the gold classes of its validation examples.

    `name` is the same for jobs with the same test examples.
    """

    name: str
    kind: str
    class_names: tuple[str, ...]
    texts: Mapping[str, tuple[str, ...]]
    solutions: Mapping[str, str]
    validation_gold: Mapping[str, Any]


class Examples:
    """Reads example files once each; files of equal content share one record."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._kept: dict[tuple[Path, int], Texts] = {}
        self._by_content: dict[str, Texts] = {}

    def of(self, folder: Path | None) -> Texts | None:
        """A job's examples, None when the job has written none or the file cannot be read."""
        file = None if folder is None else folder / NAME
        if file is None or not file.is_file():
            return None
        key = (file, file.stat().st_mtime_ns)
        if key not in self._kept:
            try:
                self._kept[key] = self._shared(file.read_bytes())
            except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
                where = f"{file.parent.name}/{NAME}"
                self.faults.append(Fault("damaged", where, f"it cannot be read: {str(error).splitlines()[0]}"))
                return None
        return self._kept[key]

    def _shared(self, content: bytes) -> Texts:
        name = hashlib.sha256(content).hexdigest()
        if name not in self._by_content:
            self._by_content[name] = _read(content)
        return self._by_content[name]


def write(folder: Path, task: ChoiceTask | ReasoningTask, splits: Splits) -> None:
    """Write a job's test and validation examples beside its result, atomically; does nothing when they are there."""
    if (folder / NAME).exists():
        return
    kept: tuple[Split, ...] = ("test", "validation")
    rows = [_row(split, example) for split in kept for example in splits.of(split)]
    about = {"task": task.name, "kind": task.kind, "class_names": list(getattr(task, "class_names", ()))}
    types = {"difficulty": pa.float64(), "solution": pa.string(), "texts": pa.list_(pa.string())}
    columns = {name: pa.array([row[name] for row in rows], types.get(name)) for name in rows[0]}
    scratch = folder / f".{NAME}.{os.getpid()}"
    pq.write_table(pa.table(columns).replace_schema_metadata({KEY: json.dumps(about)}), scratch)
    scratch.replace(folder / NAME)


def _row(split: Split, example: Example) -> dict[str, Any]:
    shared = {"split": split, "example_id": example.id, "group_id": example.group, "difficulty": example.difficulty}
    solution = example.solution if example.answer is not None else None
    return {**shared, "gold": example.gold, "texts": list(example.texts), "solution": solution}


def _read(content: bytes) -> Texts:
    table = pq.read_table(io.BytesIO(content))
    about = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    ids, gold, texts = (table.column(name).to_pylist() for name in ("example_id", "gold", "texts"))
    splits, solutions = _column(table, "split", "test"), _column(table, "solution", None)
    rows = list(zip(splits, ids, gold, texts, solutions, strict=True))
    tested = [(one, parts) for split, one, _, parts, _ in rows if split == "test"]
    return Texts(
        name=hashlib.sha256(json.dumps([about, tested]).encode()).hexdigest(),
        kind=str(about.get("kind", "choice")),
        class_names=tuple(map(str, about.get("class_names") or _names(gold, _column(table, "gold_name", None)))),
        texts={one: tuple(parts) for one, parts in tested},
        solutions={one: solution for split, one, _, _, solution in rows if split == "test" and solution},
        validation_gold={one: label for split, one, label, _, _ in rows if split == "validation"},
    )


def _column(table: pa.Table, name: str, otherwise: Any) -> list[Any]:
    return table.column(name).to_pylist() if name in table.column_names else [otherwise] * len(table)


def _names(gold: list[Any], names: list[Any]) -> list[str]:
    """Class names in order, where every class occurs."""
    known = {label: str(name) for label, name in zip(gold, names, strict=True) if name is not None}
    return [known[label] for label in range(len(known))] if set(known) == set(range(len(known))) else []
