"""One store for all tests of whole reasoning jobs: each pretrained model and baseline is computed once."""

from pathlib import Path
from typing import Any

import pytest

from tests.small_jobs import SMALL_ARITHMETIC, run_job

JOBS = {
    "supervised": ["paradigm=supervised"],
    "sequence": ["paradigm=distillation"],
    "token": ["paradigm=distillation", "paradigm.level=token", "generation.top_log_probs=3"],
    "vote": ["paradigm=self_improvement"],
    "oracle": ["paradigm=self_improvement", "paradigm.oracle_gold_filter=true"],
    "weak_to_strong": ["paradigm=weak_to_strong"],
}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reasoning")


@pytest.fixture(scope="session")
def results(place: Path) -> dict[str, dict[str, Any]]:
    """Results by the names above."""
    return {name: run_job(place, *overrides, world=SMALL_ARITHMETIC) for name, overrides in JOBS.items()}
