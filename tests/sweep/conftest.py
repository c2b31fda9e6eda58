"""One undisturbed sweep that several tests look at."""

from pathlib import Path

import pytest

from tests.sweep.programs import SLOTS, sweep


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of `sweeps=smoke`, run once to its end."""
    place = tmp_path_factory.mktemp("smoke")
    return place, sweep(place, "sweeps=smoke", *SLOTS)
