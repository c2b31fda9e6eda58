"""Write the ids and texts of a task's splits to a CSV file, for a person or an API to label or to solve.

    python -m w2s_lightning.tasks.export conf/task/facts.yaml --split transfer --seed 0 --out to_label.csv

What comes back is `supervisor.file` (see `supervisor_file.py`); gold stays out. The YAML may lean on others through
`defaults`; more arguments set its keys (`source.path=/data/sciq`).
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from w2s_lightning.config.bind import bind_target
from w2s_lightning.config.mistakes import Origin
from w2s_lightning.errors import UserError, run_command
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
        texts = ["text"] if task.layout == "text" else [f"option_{n}" for n in range(task.num_classes)]
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
    merged = OmegaConf.merge(_merged(path), OmegaConf.from_dotlist(list(overrides)))
    values = {str(key): value for key, value in OmegaConf.to_container(merged).items()}  # type: ignore[union-attr]
    for key in _NOT_OF_THE_TASK:
        values.pop(key, None)
    task: Task = bind_target(values, Origin("task", path.stem, tuple(plugins)))
    return task


def _merged(path: Path) -> DictConfig:
    """A YAML with all that its `defaults` lean on."""
    if not path.is_file():
        raise UserError(f"no such task file: {path} (they are in conf/task/)")
    own = OmegaConf.load(path)
    assert isinstance(own, DictConfig)
    # Of the defaults, texts name task files; others name the job's default models.
    parents = [one for one in own.pop("defaults", []) if isinstance(one, str) and one != "_self_"]
    merged = OmegaConf.merge(*(_merged(path.with_name(f"{one}.yaml")) for one in parents), own)
    assert isinstance(merged, DictConfig)
    return merged


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; prints one line for a mistake and returns 1."""
    parser = argparse.ArgumentParser(prog="python -m w2s_lightning.tasks.export", description=__doc__.splitlines()[0])
    parser.add_argument("task", type=Path, help="a YAML file of conf/task/")
    parser.add_argument("--split", choices=SPLITS, action="append", required=True, help="may be given several times")
    parser.add_argument("--seed", type=int, required=True, help="the job's seed")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    parser.add_argument("--plugin", action="append", default=[], help="a package whose code the file may name")
    parser.add_argument("overrides", nargs="*", help="name=value")
    given = parser.parse_intermixed_args(arguments)

    def export() -> None:
        task = task_from_yaml(given.task, given.overrides, given.plugin)
        print(write_to_answer(task, given.split, given.seed, given.out))

    return run_command(export)


if __name__ == "__main__":
    sys.exit(main())
