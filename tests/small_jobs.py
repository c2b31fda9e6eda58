"""Real jobs on a world so small that a whole one takes a second: for tests."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from tests.composing import ROOT
from tests.composing import job as bound
from w2s_lightning.job import Request, run
from w2s_lightning.plan import Plan
from w2s_lightning.store import Store

SMALL_WORLD = (
    "task=fact_claims",
    "task.world.seed=99",
    "task.world.people=12",
    "task.world.relations=5",
    "task.world.values=4",
    "task.facts={supervise: 14, transfer: 20, validation: 6, test: 20}",
    "task.items={supervise: 96, transfer: 128, validation: 32, test: 160}",
    "weak.pretrain.steps=20",
    "strong.pretrain.steps=30",
    "weak.pretrain.rows_per_step=8",
    "strong.pretrain.rows_per_step=8",
    "strong.width=32",
    "fit.evaluations=1",
    "fit.lr_scale=10",
)

# Numbers below five, one step or two: small enough that the strong model is often right, and the weak one less often.
SMALL_ARITHMETIC = (
    "task=arithmetic",
    "task.world.bounds=[5]",
    "task.world.grading={steps: [0.6, 0.4], bounds: [1.0]}",
    "task.grading={steps: [0.6, 0.4], bounds: [1.0]}",
    "task.items={supervise: 32, transfer: 48, validation: 16, test: 60}",
    "model@weak=nano",
    "model@strong=micro",
    "strong.width=32",
    "weak.pretrain.steps=300",
    "strong.pretrain.steps=500",
    *(
        f"{model}.pretrain.{key}"
        for model in ("weak", "strong")
        for key in ("window=128", "rows_per_step=8", "lr=0.03")
    ),
    "fit.lr_scale=5",
    "generation.max_new_tokens=32",
    "generation.num_samples=4",
)

# Pairs of one-step and two-step solutions, one of the two with a single mistake.
SMALL_PAIRS = (
    "task=arithmetic_pairs",
    "task.world.bounds=[5]",
    "task.world.grading={steps: [0.6, 0.4], bounds: [1.0]}",
    "task.grading={steps: [0.6, 0.4], bounds: [1.0]}",
    "task.items={supervise: 48, transfer: 64, validation: 16, test: 80}",
    "model@weak=nano",
    "model@strong=micro",
    *(
        f"{model}.pretrain.{key}"
        for model in ("weak", "strong")
        for key in ("window=64", "rows_per_step=8", "steps=60")
    ),
    "fit.lr_scale=20",
    "fit.evaluations=1",
)


def run_job(
    folder: Path, *overrides: str, world: tuple[str, ...] = SMALL_WORLD, mode: str = "disabled"
) -> dict[str, Any]:
    """One whole job in this process, its store and outputs under `folder`; the content of its `result.json`."""
    where = (f"paths.store={folder}/store", f"paths.outputs={folder}/outputs", f"tracking.mode={mode}")
    job, runtime = bound(*world, *where, "trainer.threads=1", *overrides)
    console = Console(file=io.StringIO(), width=160)
    result = run(Request(job, runtime, "", tuple(overrides)), console)
    assert result is not None
    result["printed"] = console.file.getvalue()  # type: ignore[attr-defined]
    return result


def rows(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The result's rows by name."""
    return {row["name"]: row for row in result["rows"]}


def source_of(made: Plan, row: str) -> Any:
    """The fit or bare model whose answers make a row."""
    return next(one for one in made.rows if one.name == row).evaluate.answers.source  # type: ignore[union-attr]


def table(store: Store, stage: Any, name: str) -> list[dict[str, Any]]:
    """The rows of a stage's parquet file."""
    return pq.read_table(store.open(stage) / f"{name}.parquet").to_pylist()


def history(store: Store, fit: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (store.open(fit) / "history.jsonl").read_text().splitlines()]


def printed_without_torch(folder: Path, *overrides: str) -> str:
    """What `train.py` prints of a job that is in the store of `folder`, in a process that may load nothing heavy."""
    where = (f"paths.store={folder}/store", f"paths.outputs={folder}/outputs", "tracking=disabled")
    code = (
        f"import sys, runpy; sys.argv = ['train.py', *{[*overrides, *where]!r}]\n"
        f"try: runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        "assert not {'torch', 'transformers', 'pytorch_lightning', 'wandb'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_baselines_are_shared(results: dict[Any, dict[str, Any]], *names: str) -> None:
    """All results have these rows from the same stages, and so with the same values."""
    for name in names:
        assert len({(rows(result)[name]["evaluate"], rows(result)[name]["value"]) for result in results.values()}) == 1
