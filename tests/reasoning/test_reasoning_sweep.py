"""A sweep over seeds of a reasoning task ends with its groups and its page."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.small_jobs import SMALL_ARITHMETIC
from tests.test_config import train


@pytest.mark.slow
def test_a_sweep_over_seeds_pools_them(place: Path, results: dict[str, Any]) -> None:
    where = [f"paths.store={place}/store", f"paths.outputs={place}/outputs", "tracking=disabled"]
    done = train("-m", *SMALL_ARITHMETIC, *where, "paradigm=supervised", "seed=0,1", cwd=place)
    assert done.returncode == 0, done.stderr
    (file,) = (place / "outputs" / "sweeps").glob("*/sweep.json")
    (group,) = json.loads(file.read_text())["groups"]
    assert group["n"] == group["expected"] == 2
    assert group["floor"]["per_seed"][0] == results["supervised"]["floor"]["value"]
    assert group["floor"]["low"] <= group["floor"]["value"] <= group["floor"]["high"]
    assert (file.parent / "report.html").stat().st_size > 10_000
