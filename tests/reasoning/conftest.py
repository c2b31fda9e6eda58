"""One store for all tests of whole reasoning jobs: each pretrained model and baseline is computed once."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.composing import plan as planned
from tests.small_jobs import SMALL_ARITHMETIC, run_job
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import Example, Split

JOBS = {
    "supervised": ["paradigm=supervised"],
    "sequence": ["paradigm=distillation"],
    "token": ["paradigm=distillation", "paradigm.level=token", "generation.top_log_probs=3"],
    "vote": ["paradigm=self_improvement"],
    "oracle": ["paradigm=self_improvement", "paradigm.oracle_gold_filter=true"],
    "weak_to_strong": ["paradigm=weak_to_strong", "paradigm.iterations=2"],
}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reasoning")


@pytest.fixture(scope="session")
def results(place: Path) -> dict[str, dict[str, Any]]:
    """Results by the names above."""
    return {name: run_job(place, *overrides, world=SMALL_ARITHMETIC) for name, overrides in JOBS.items()}


@pytest.fixture(scope="session")
def store(place: Path, results: dict[str, dict[str, Any]]) -> Store:
    """Where they lie."""
    return Store.at(place / "store")


@cache
def problems(*splits: Split, seed: int = 0) -> list[Example]:
    made = planned(*SMALL_ARITHMETIC).rows[0].evaluate.task.splits(seed)
    return [one for split in splits for one in made.of(split)]


def gold_of(*splits: Split, seed: int = 0) -> dict[str, str]:
    """Answers of all problems of some splits."""
    return {one.id: one.answer for one in problems(*splits, seed=seed)}


def solved(*splits: Split, seed: int = 0) -> dict[str, str]:
    """Worked gold solutions of all problems of some splits."""
    return {one.id: one.solution for one in problems(*splits, seed=seed)}


Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes people's solutions by id to a file for `supervisor.file`."""

    def written(solutions: dict[str, str]) -> Path:
        file = tmp_path / f"solutions{len(list(tmp_path.iterdir()))}.jsonl"
        lines = (json.dumps({"id": id, "solution": text}) for id, text in solutions.items())
        file.write_text("".join(f"{line}\n" for line in lines))
        return file

    return written
