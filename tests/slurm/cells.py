"""A sweep of two cells and nine launches, run once through the pool, and what another launcher must agree with."""

from pathlib import Path

import pytest

from tests.sweep.programs import SLOTS, facts, stored, sweep

CELLS = ("sweeps=smoke", "seed=0", "model@weak=nano")
LAUNCHES = 9


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the cells lie as the pool runs them."""
    place = tmp_path_factory.mktemp("pool")
    sweep(place, *CELLS, *SLOTS)
    return place


def assert_alike(ours: Path, theirs: Path) -> None:
    """Same digests, same bytes of every stage, same metrics of every job and group."""
    assert len(stored(ours)) > 20
    assert stored(ours) == stored(theirs)
    assert facts(ours) == facts(theirs)


def logs(place: Path) -> dict[str, str]:
    """Every launch's log by its folder."""
    found = (place / "outputs" / "sweeps").glob("*/*/*/log.txt")
    return {f"{file.parts[-3]}/{file.parts[-2]}": file.read_text() for file in found}
