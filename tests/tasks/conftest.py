"""Small files that task tests read: rows of a person's own for each kind of task."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

Rows = Sequence[Mapping[str, Any]]
Write = Callable[[str, Rows], Path]
Files = dict[str, tuple[Path, Path]]


def texts(prefix: str, count: int) -> Rows:
    return [{"text": f"{prefix} {n}", "label": ("bad", "good")[n % 2], "topic": n // 4} for n in range(count)]


def pairs(prefix: str, count: int) -> Rows:
    return [
        {"prompt": f"{prefix} {n // 2}?", "chosen": f"good {n}", "rejected": f"bad {n}", "gap": n, "kind": "ab"[n % 2]}
        for n in range(count)
    ]


def problems(prefix: str, count: int) -> Rows:
    return [
        {
            "question": f"{prefix} {n} + 2?",
            "solution": f"{n} + 2 = {n + 2}",
            "answer": f"{n + 2}.0 eggs",
            "topic": f"{prefix} {n // 2}",
            "level": n % 3,
        }
        for n in range(count)
    ]


ROWS = {"choice": texts, "preference": pairs, "reasoning": problems}


@pytest.fixture
def jsonl(tmp_path: Path) -> Write:
    """Writes rows to `tmp_path/<name>.jsonl`."""

    def write(name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def files(jsonl: Write) -> Files:
    """A training file of 80 rows and a test file of 40, for each kind."""
    return {
        kind: (jsonl(f"train_{kind}", rows("a", 80)), jsonl(f"test_{kind}", rows("b", 40)))
        for kind, rows in ROWS.items()
    }
