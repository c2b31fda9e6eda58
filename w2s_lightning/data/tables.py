"""Tables keyed by example id, as Parquet: how stages leave them behind, and what a fit or a judge reads of them.

Targets of any kind are read from where they are. Joining is by id, never by position.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from w2s_lightning.data.model_texts import questions_of, splits_of
from w2s_lightning.data.rows import Rows
from w2s_lightning.errors import UserError
from w2s_lightning.results import stored
from w2s_lightning.selection import TargetTable
from w2s_lightning.stages import Gold, Label, Select, Shown, Supervisor, Targets
from w2s_lightning.store import Store
from w2s_lightning.tasks.draws import permutation
from w2s_lightning.tasks.example import Example, Solution
from w2s_lightning.tasks.supervisor_file import read_answers
from w2s_lightning.tasks.supervisor_file import read_solutions as solutions_of_file
from w2s_lightning.tasks.task import Task

FEATURES = "features.parquet"
HISTORY = "history.jsonl"
LOG_PROBS = "log_probs.parquet"
PROMPTS = "prompts.parquet"


def vectors(rows: NDArray[np.generic]) -> pa.Array:
    """An array [n, K] as a column of lists."""
    flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
    return pa.ListArray.from_arrays(np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32), flat)


def write(path: Path, columns: dict[str, object]) -> None:
    """Write columns of equal length."""
    pq.write_table(pa.table(columns), path)


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write one JSON object."""
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects, one a line."""
    path.write_text("".join(json.dumps(record, allow_nan=False) + "\n" for record in records))


def read(path: Path) -> pa.Table:
    """The table at `path`."""
    return pq.read_table(path)


def places(wanted: Sequence[str], there: Sequence[str], what: str) -> NDArray[np.int64]:
    """Where each wanted id stands in `there`; raise UserError when one is missing or stands twice."""
    index = {name: place for place, name in enumerate(there)}
    if len(index) != len(there):
        raise UserError(f"{what}: an example id stands twice")
    missing = [name for name in wanted if name not in index]
    if missing:
        raise UserError(f"{what}: {len(missing)} of {len(wanted)} example ids are missing ({missing[0]}, ...)")
    return np.array([index[name] for name in wanted], dtype=np.int64)


# ---------------------------------------------------------------- what a label stage left for fits


def feature_rows(examples: Sequence[Example], features: Label, store: Store) -> Rows:
    """The examples' frozen features from a label stage of mode `features`."""
    table, ids = read(store.open(features) / FEATURES), tuple(example.id for example in examples)
    order = places(ids, table.column("example_id").to_pylist(), features.label)
    flat, per_row = stored.matrix(table, "features").astype(np.float32)[order], len(examples[0].texts)
    return Rows(ids, (), per_row, pad_id=0, features=flat.reshape(len(ids), per_row, -1))


def stored_log_probs(stage: Label, ids: Sequence[str], store: Store) -> NDArray[np.float32]:
    """Log-probabilities of completions, [num_rows, M], from their label stage."""
    table = read(store.open(stage) / LOG_PROBS)
    there = table.column("example_id").to_pylist()
    # Several pairs may be of one question: these keep the order in which they were selected.
    order = np.arange(len(ids)) if there == list(ids) else places(ids, there, stage.label)
    return stored.matrix(table, "log_probs")[order].astype(np.float32)


# ---------------------------------------------------------------- class probabilities


def read_targets(targets: Targets, examples: Sequence[Example], task: Task, store: Store) -> TargetTable:
    """The target table of a split whose examples are given; parents must be in the store."""
    ids = tuple(example.id for example in examples)
    match targets:
        case Gold():
            labels = np.array([example.label for example in examples])
            return TargetTable(ids, np.eye(len(task.class_names))[labels], np.ones(len(ids)))
        case Supervisor():
            return TargetTable(ids, read_answers(targets.file, ids, task.class_names), np.ones(len(ids)))
        case Label() | Select():
            return stored.read_targets(store, targets)
    raise AssertionError(targets)


def with_targets(examples: Sequence[Example], table: TargetTable, what: str) -> list[Example]:
    """The examples that have a target, in the split's order; raise UserError for a target of no example or for none."""
    wanted = set(table.ids)
    if not wanted:
        raise UserError(f"{what}: no target is left to train on")
    chosen = [example for example in examples if example.id in wanted]
    if len(chosen) < len(wanted):
        raise UserError(f"{what}: {len(wanted) - len(chosen)} of {len(wanted)} targets are for other examples")
    return chosen


def aligned(
    ids: Sequence[str], table: TargetTable, labels: Literal["soft", "hard"], what: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Targets [n, K] and weights [n] in the order of `ids`; `hard` takes the most probable class."""
    order = places(ids, table.ids, what)
    probs = np.asarray(table.probs)[order]
    if labels == "hard":
        probs = np.eye(probs.shape[1])[probs.argmax(axis=1)]
    return probs, np.asarray(table.weights)[order]


# ---------------------------------------------------------------- worked solutions


def read_solutions(
    targets: Targets, task: Task, seed: int, store: Store, *, finished: bool = False
) -> tuple[Solution, ...]:
    """The solutions that targets stand for, on the examples of job seed `seed`; parents must be in the store.

    What a model did not bring to an end has no answer, and is left out where only `finished` ones are wanted.
    """
    match targets:
        case Gold(split=split):
            return tuple(Solution(one.id, one.solution, one.answer) for one in splits_of(task, seed).of(split))
        case Supervisor(split=split, file=file):
            ids = [one.id for one in splits_of(task, seed).of(split)]
            return solutions_of_file(file, ids, known=None, parse=task.key.parse)  # `checks` knows the seed
        case Label() | Select():
            found = stored.read_solutions(store, targets)
            return tuple(one for one in found if one.is_whole or not finished)
    raise AssertionError(targets)


def demonstrations(shown: Shown | None, task: Task, store: Store) -> list[tuple[str, str]]:
    """The worked examples of a prompt, question and solution: those with an answer, drawn by the split's seed.

    Raises UserError when there are too few.
    """
    if shown is None:
        return []
    questions = questions_of(task, shown.split_seed, shown.solutions.split)
    found = [one for one in read_solutions(shown.solutions, task, shown.split_seed, store) if one.answer is not None]
    if len(found) < shown.count:
        raise UserError(
            f"{shown.count} demonstrations are wanted, and only {len(found)} solutions to the split "
            f"`{shown.solutions.split}` hold an answer: show fewer, or give more room (generation.max_new_tokens)"
        )
    order = permutation(len(found), "demonstrations", shown.split_seed)[: shown.count]
    return [(questions[found[place].id], found[place].text) for place in order]
