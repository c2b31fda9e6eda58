"""What every table of hostile inputs is typed through."""

from pathlib import Path

import pytest

from tests.hostile.asking import Ask


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Types words at `train.py` in a folder of their own, two levels down, and checks what is answered."""
    place = tmp_path / "around" / "here"
    place.mkdir(parents=True)
    return Ask(place, monkeypatch)
