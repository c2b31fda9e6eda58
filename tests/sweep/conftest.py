"""One undisturbed sweep that several tests look at."""

import pytest

from tests.sweep.programs import SLOTS, Smoke, ledger, sweep


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """`sweeps=smoke`, run once to its end."""
    place = tmp_path_factory.mktemp("smoke")
    printed = sweep(place, "sweeps=smoke", *SLOTS)
    return Smoke(place, printed, ledger(place))
