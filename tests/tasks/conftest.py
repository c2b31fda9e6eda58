"""Writes the small files that task tests read."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, Sequence[Mapping[str, Any]]], Path]


@pytest.fixture
def jsonl(tmp_path: Path) -> Write:
    """Writes rows to `tmp_path/<name>.jsonl`."""

    def write(name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write
