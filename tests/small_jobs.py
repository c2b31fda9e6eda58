"""Real jobs on a world so small that a whole one takes a second: for tests."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.composing import job as bound
from w2s_lightning import execute
from w2s_lightning.job import Request, run

SMALL_WORLD = (
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
    "strong.layers=1",
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
    result = run(Request(job, runtime, "", tuple(overrides)), execute.run, console)
    assert result is not None
    result["printed"] = console.file.getvalue()  # type: ignore[attr-defined]
    return result


def rows(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The result's rows by name."""
    return {row["name"]: row for row in result["rows"]}
