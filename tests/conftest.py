"""Which tests one worker runs, where several do (`pytest -n 2 --dist loadgroup`): those of a file, or of a room."""

import pytest

# Rooms whose session fixtures are jobs or sweeps: several workers would run each of these once more.
ROOMS = {"reasoning", "report", "sweep"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        room = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(room if room in ROOMS else str(item.path)))
