"""Write the ids and texts of a task's splits to a CSV file, for a person or an API to label or to solve.

    python -m w2s_lightning.tasks.export conf/task/facts.yaml --split transfer --seed 0 --out to_label.csv

What comes back is `supervisor.file` (see `supervisor_file.py`, for reasoning tasks `solutions_file.py`). The YAML may
lean on others through `defaults`; more arguments set its keys (`source.path=/data/sciq`).
"""

import argparse
import csv
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]
from pydantic import TypeAdapter, ValidationError

from w2s_lightning.errors import UserError, run_command
from w2s_lightning.tasks.example import SPLITS, Split
from w2s_lightning.tasks.solutions_file import write_for_solving
from w2s_lightning.tasks.task import ChoiceTask


def write_for_labelling(task: ChoiceTask, splits: Sequence[Split], seed: int, path: Path) -> int:
    """Write id, split, text columns and an empty label column; gold labels stay out. Returns the number of rows."""
    made = task.splits(seed)
    items = [(split, item) for split in splits for item in made.of(split)]
    texts = ["text"] if task.layout == "text" else [f"option_{n}" for n in range(task.num_classes)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "split", *texts, "label"])
        writer.writerows([item.id, split, *item.texts, ""] for split, item in items)
    return len(items)


def task_from_yaml(path: Path, overrides: Sequence[str]) -> Any:
    """The task that a YAML file of `conf/task/` describes; raise UserError for what does not fit."""
    values = _merged(path)
    for key in ("judge", "benchmark", "benchmark_overlap", "test_samples"):  # no part of the task itself
        values.pop(key, None)
    for override in overrides:
        key, _, value = override.partition("=")
        block, *rest = reversed(key.split("."))
        target = values
        for part in reversed(rest):
            target = target.setdefault(part, {})
        target[block] = yaml.safe_load(value)
    module, _, name = str(values.pop("_target_", "")).rpartition(".")
    if not module:
        raise UserError(f"{path} has no `_target_`: give a file of conf/task/")
    try:
        return TypeAdapter(getattr(importlib.import_module(module), name)).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        inner = first.get("ctx", {}).get("error")
        place = ".".join(map(str, first["loc"]))
        raise UserError(str(inner) if isinstance(inner, UserError) else f"{place}: {first['msg']}") from None


def _merged(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"no such task file: {path} (they are in conf/task/)")
    own: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    values: dict[str, Any] = {}
    for parent in own.pop("defaults", []):
        if isinstance(parent, str) and parent != "_self_":  # others name the job's default models
            _update(values, _merged(path.with_name(f"{parent}.yaml")))
    _update(values, own)
    return values


def _update(values: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _update(values[key], value)
        else:
            values[key] = value


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; prints one line for a mistake and returns 1."""
    parser = argparse.ArgumentParser(prog="python -m w2s_lightning.tasks.export", description=__doc__.splitlines()[0])
    parser.add_argument("task", type=Path, help="a YAML file of conf/task/")
    parser.add_argument("--split", choices=SPLITS, action="append", required=True, help="may be given several times")
    parser.add_argument("--seed", type=int, required=True, help="the job's seed")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    parser.add_argument("overrides", nargs="*", help="name=value")
    given = parser.parse_intermixed_args(arguments)

    def export() -> None:
        task, out = task_from_yaml(given.task, given.overrides), given.out
        if task.kind == "reasoning":
            count = write_for_solving(task, given.split, given.seed, out)
            print(f"{count} problems in {out}; fill in the column `solution`")
        else:
            count = write_for_labelling(task, given.split, given.seed, out)
            print(f"{count} examples in {out}; labels: {', '.join(task.class_names)}")

    return run_command(export)


if __name__ == "__main__":
    sys.exit(main())
