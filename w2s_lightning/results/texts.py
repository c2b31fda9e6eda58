"""Texts of a job's examples: `<job folder>/examples.parquet`, written by the job that knows its task.

Columns: split (`test`, `validation`), example_id, group_id, gold (class number, or a solution's final answer), texts
(list of strings: one, or one an option), difficulty (may be null), solution (the gold one of a reasoning task, else
null). The schema's metadata holds under `w2s` a JSON object with `task`, `kind` and `class_names`.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.atomic import replacing
from w2s_lightning.tasks.example import Split, Splits
from w2s_lightning.tasks.task import Task

EXAMPLES = "examples.parquet"
_ABOUT = b"w2s"


@dataclass(frozen=True)
class ExampleTexts:
    """What is known of a job's test examples, by id, and the gold classes of its validation examples.

    `name` is the same for jobs with the same test examples.
    """

    name: str
    kind: str
    class_names: tuple[str, ...]
    texts: Mapping[str, tuple[str, ...]]
    solutions: Mapping[str, str]
    validation_gold: Mapping[str, Any]


def write_texts(folder: Path, task: Task, splits: Splits) -> None:
    """Write a job's test and validation examples beside its result, atomically; does nothing when they are there."""
    if (folder / EXAMPLES).exists():
        return
    kept: tuple[Split, ...] = ("test", "validation")
    examples = [(split, example) for split in kept for example in splits.of(split)]
    columns = {
        "split": [split for split, _ in examples],
        "example_id": [one.id for _, one in examples],
        "group_id": [one.group for _, one in examples],
        "difficulty": pa.array([one.difficulty for _, one in examples], pa.float64()),
        "gold": [one.gold for _, one in examples],
        "texts": pa.array([one.texts for _, one in examples], pa.list_(pa.string())),
        "solution": pa.array([one.solution if one.answer is not None else None for _, one in examples], pa.string()),
    }
    about = {"task": task.name, "kind": task.kind, "class_names": list(getattr(task, "class_names", ()))}
    with replacing(folder / EXAMPLES) as scratch:
        pq.write_table(pa.table(columns).replace_schema_metadata({_ABOUT: json.dumps(about)}), scratch)


def parse_texts(content: bytes) -> ExampleTexts:
    """The content of such a file; raise what pyarrow raises, KeyError or ValueError for one that is none."""
    table = pq.ParquetFile(io.BytesIO(content)).read()
    about = json.loads((table.schema.metadata or {}).get(_ABOUT, b"{}"))
    rows = table.select(["split", "example_id", "gold", "texts", "solution"]).to_pylist()
    tested = [row for row in rows if row["split"] == "test"]
    known = [about, [(row["example_id"], row["texts"]) for row in tested]]
    return ExampleTexts(
        name=hashlib.sha256(json.dumps(known).encode()).hexdigest(),
        kind=str(about.get("kind", "choice")),
        class_names=tuple(map(str, about.get("class_names", ()))),
        texts={row["example_id"]: tuple(row["texts"]) for row in tested},
        solutions={row["example_id"]: row["solution"] for row in tested if row["solution"]},
        validation_gold={row["example_id"]: row["gold"] for row in rows if row["split"] == "validation"},
    )
