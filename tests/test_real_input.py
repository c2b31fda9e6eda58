"""Real text that nobody here wrote, models of three families, and all four paradigms on it."""

from pathlib import Path

import pytest

from tests.models.tiny import make_folder
from tests.small_jobs import rows, run_job
from tests.tasks.gsm8k_right_wrong import needs_gsm8k, write_right_wrong

PAIRS = {"supervised": ("gpt2", "llama"), "distillation": ("bert", "gpt2"), "self_improvement": ("gpt2", "llama")}
PAIRS["weak_to_strong"] = ("bert", "llama")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gsm8k")
    write_right_wrong(folder)
    texts = [(folder / "train.jsonl").read_text()[:20_000]]
    for family in ("gpt2", "llama", "bert"):
        make_folder(folder / family, family, texts=texts, words=("right", "wrong"))
    return folder


@needs_gsm8k
@pytest.mark.parametrize("paradigm", PAIRS)
def test_right_and_wrong_solutions_of_gsm8k(paradigm: str, place: Path) -> None:
    weak, strong = PAIRS[paradigm]
    task = (
        "task=local_choice",
        f"task.train_file={place}/train.jsonl",
        f"task.test_file={place}/test.jsonl",
        "task.reader.group=question",
        "task.reader.difficulty=failed",
        "task.limits={supervise: 96, transfer: 96, validation: 32, test: 128}",
        "model@weak=local",
        f"weak.path={place}/{weak}",
        "model@strong=local",
        f"strong.path={place}/{strong}",
        "fit.epochs=1",
        "fit.max_length=64",
        "fit.evaluations=1",
    )
    result = run_job(place, f"paradigm={paradigm}", world=task)
    found = rows(result)
    assert found["student"]["n"] == 128
    assert 0.0 < found["student"]["low"] <= found["student"]["high"] < 1.0
    assert found["student"]["model"] == (weak if paradigm == "distillation" else strong)
    assert ("untuned_words" in found) == (strong != "bert")
