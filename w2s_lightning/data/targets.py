"""What a fit is trained on: targets of any kind, read from where they are and joined to examples by id."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.data.choices import splits_of
from w2s_lightning.data.tables import PREDICTIONS, TARGETS, matrix, places, read
from w2s_lightning.errors import UserError
from w2s_lightning.selection import TargetTable
from w2s_lightning.stages import Gold, Label, Select, Supervisor, Targets
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import Example
from w2s_lightning.tasks.supervisor_file import read_answers
from w2s_lightning.tasks.task import Task


def read_targets(targets: Targets, examples: Sequence[Example], task: Task, store: Store) -> TargetTable:
    """The target table of a split whose examples are given; parents must be in the store."""
    match targets:
        case Gold():
            return gold(examples, task.num_classes)
        case Supervisor():
            ids = tuple(example.id for example in examples)
            return TargetTable(ids, read_answers(targets.file, ids, task.class_names), np.ones(len(ids)))
        case Label() | Select():
            return stored_targets(targets, store)
    raise AssertionError(targets)


def read_sources(stage: Select, store: Store) -> list[TargetTable]:
    """The tables that a select stage makes its targets from."""
    examples = splits_of(stage.task, stage.split_seed).of(stage.split)
    return [read_targets(source, examples, stage.task, store) for source in stage.sources]


def stored_targets(stage: Label | Select, store: Store) -> TargetTable:
    """The answers of a label stage, each with weight 1, or the targets and weights of a select stage."""
    name = PREDICTIONS if isinstance(stage, Label) else TARGETS
    table = read(store.open(stage) / name)
    ids = tuple(table.column("example_id").to_pylist())
    weights = np.ones(len(ids)) if isinstance(stage, Label) else table.column("weight").to_numpy()
    return TargetTable(ids=ids, probs=matrix(table, "probs").astype(np.float64), weights=weights.astype(np.float64))


def gold(examples: Sequence[Example], num_classes: int) -> TargetTable:
    """One-hot gold labels."""
    labels = np.array([example.label for example in examples])
    ids = tuple(example.id for example in examples)
    return TargetTable(ids=ids, probs=np.eye(num_classes)[labels], weights=np.ones(len(ids)))


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
