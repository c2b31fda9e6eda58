"""Which tests one worker runs, where several do (`pytest -n 2 --dist loadgroup`): those of a file, or of a room."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

# Rooms whose session fixtures are jobs or sweeps: several workers would run each of these once more.
ROOMS = {"reasoning", "report", "sweep"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        room = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(room if room in ROOMS else str(item.path)))


@pytest.fixture
def offline_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` never asks the hub and never writes into the user's cache."""
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`folder("llama")` is a tiny model folder of that family, made once a session."""
    from tests.models.tiny import make_folder  # most tests need no transformers

    root = tmp_path_factory.mktemp("tiny")
    return cache(lambda family: make_folder(root / family, family))
