"""Write the ids and texts of a task's splits to a CSV file, for a person or an API to label or to solve.

    python -m w2s_lightning.tasks.export conf/task/facts.yaml --split transfer --seed 0 --out to_label.csv

What comes back is `supervisor.file` (see `supervisor_file.py`); gold stays out. The YAML may lean on others through
`defaults`; more arguments set its keys (`source.path=/data/sciq`).
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]

from w2s_lightning.atomic import read_yaml
from w2s_lightning.config.bind import bind_target
from w2s_lightning.config.mistakes import Origin
from w2s_lightning.errors import CommandParser, UserError, did_you_mean, printable, run_command
from w2s_lightning.tasks.example import SPLITS, Split
from w2s_lightning.tasks.task import Task

_NOT_OF_THE_TASK = ("judge", "benchmark", "benchmark_overlap", "test_samples")


def write_to_answer(task: Task, splits: Sequence[Split], seed: int, path: Path) -> str:
    """Write id, split, texts and an empty column to fill in; returns what to tell of it."""
    made = task.splits(seed)
    items = [(split, item) for split in splits for item in made.of(split)]
    if task.kind == "reasoning":
        texts, answer, told = ["question"], "solution", "problems in {}; fill in the column `solution`"
    else:
        texts = ["text"] if task.layout == "text" else [f"option_{n}" for n in range(len(task.class_names))]
        answer, told = "label", f"examples in {{}}; labels: {', '.join(task.class_names)}"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "split", *texts, answer])
        writer.writerows([item.id, split, *item.texts, ""] for split, item in items)
    return f"{len(items)} {told.format(path)}"


def task_from_yaml(path: Path, overrides: Sequence[str], plugins: Sequence[str] = ()) -> Task:
    """The task that a YAML file of `conf/task/` describes; raise UserError for what does not fit.

    `plugins` are packages besides this one whose code it may name.
    """
    values = _with_defaults(path)
    for key in _NOT_OF_THE_TASK:
        values.pop(key, None)
    for override in overrides:
        key, _, value = override.partition("=")
        try:
            more = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"{override}: its value is no YAML") from None
        for block in reversed(key.split(".")):
            more = {block: more}
        values = _merged(values, more)
    task: Task = bind_target(values, Origin("task", path.stem, tuple(plugins)))
    return task


def _with_defaults(path: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    if not path.is_file():
        known = Path(__file__).resolve().parents[2].glob("conf/task/*.yaml")
        near = did_you_mean(f"conf/task/{path.stem}.yaml", ("/".join(file.parts[-3:]) for file in known))
        raise UserError(f"no such task file: {path}: {near}")
    try:
        own = read_yaml(path)
        parents = own.pop("defaults", [])
        if not isinstance(parents, list):
            raise ValueError("its defaults are no list")
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is no YAML file of a task: {error}") from None
    values: dict[str, Any] = {}
    for parent in parents:
        if isinstance(parent, str) and parent != "_self_":  # others name the job's default models
            if path in below:
                raise UserError(f"{path} leans on itself (its defaults)")
            values = _merged(values, _with_defaults(path.with_name(f"{parent}.yaml"), (*below, path)))
    return _merged(values, own)


def _merged(values: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """As Hydra merges them: block by block."""
    blocks = [key for key, value in more.items() if isinstance(value, dict) and isinstance(values.get(key), dict)]
    return values | more | {key: _merged(values[key], more[key]) for key in blocks}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; prints one line for a mistake and returns 1."""
    parser = CommandParser(prog="python -m w2s_lightning.tasks.export", description=__doc__.splitlines()[0])
    parser.add_argument("task", type=Path, help="a YAML file of conf/task/")
    parser.add_argument("--split", choices=SPLITS, action="append", required=True, help="may be given several times")
    parser.add_argument("--seed", type=int, required=True, help="the job's seed")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    parser.add_argument("--plugin", action="append", default=[], help="a package whose code the file may name")
    parser.add_argument("overrides", nargs="*", help="name=value")
    given = parser.parse_intermixed_args(arguments)

    def export() -> None:
        task = task_from_yaml(given.task, given.overrides, given.plugin)
        print(printable(write_to_answer(task, given.split, given.seed, given.out)))

    return run_command(export)


if __name__ == "__main__":
    sys.exit(main())
