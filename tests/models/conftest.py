"""One tiny folder per architecture, made once a session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models.tiny import make_folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`folder("llama")` is a tiny model folder of that family."""
    root, made = tmp_path_factory.mktemp("tiny"), dict[str, Path]()

    def of(family: str) -> Path:
        if family not in made:
            made[family] = make_folder(root / family, family)
        return made[family]

    return of
