"""Turns GSM8K's published model solutions into a right/wrong task for `task=local_choice`.

    python -m tests.tasks.gsm8k_right_wrong FOLDER
    python train.py task=local_choice task.train_file=FOLDER/train.jsonl task.test_file=FOLDER/test.jsonl \
        task.reader.group=question task.reader.difficulty=failed ...

Four models' solutions of 1,319 questions (openai/grade-school-math, MIT); `failed` counts how many of the four failed.
"""

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

SOLUTIONS = Path(__file__).resolve().parents[3] / "shared" / "data" / "gsm8k" / "example_model_solutions.jsonl"
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")

needs_gsm8k = pytest.mark.skipif(not SOLUTIONS.is_file(), reason=f"real data is absent: {SOLUTIONS}")


def write_right_wrong(folder: Path) -> tuple[Path, Path]:
    """Write train.jsonl and test.jsonl (a quarter of the questions, by hash) and return their paths."""
    lines = SOLUTIONS.read_text(encoding="utf-8").splitlines()  # first: without them nothing is written
    folder.mkdir(parents=True, exist_ok=True)
    train, test = folder / "train.jsonl", folder / "test.jsonl"
    with train.open("w") as train_out, test.open("w") as test_out:
        for line in lines:
            published = json.loads(line)
            in_test = hashlib.sha256(published["question"].encode()).digest()[0] < 64
            out = test_out if in_test else train_out
            out.writelines(json.dumps(row) + "\n" for row in _rows(published))
    return train, test


def _rows(published: dict[str, Any]) -> list[dict[str, Any]]:
    failed = sum(not published[model]["is_correct"] for model in MODELS)
    rows = []
    for model in MODELS:
        solution = re.sub(r"<<.*?>>", "", published[model]["solution"])
        label = "right" if published[model]["is_correct"] else "wrong"
        text = f"{published['question']}\n{solution}"
        rows.append({"question": published["question"], "text": text, "label": label, "failed": failed})
    return rows


if __name__ == "__main__":
    if not SOLUTIONS.is_file():
        sys.exit(f"error: {SOLUTIONS} is not here: it is of openai/grade-school-math (grade_school_math/data)")
    print(*write_right_wrong(Path(sys.argv[1])))
