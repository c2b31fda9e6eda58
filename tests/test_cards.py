"""The lines on a trained model's card, run as they stand: they load it without this package and have it read a text."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.composing import plan
from tests.small_jobs import SMALL_ARITHMETIC, SMALL_PAIRS, run_job, source_of, table
from w2s_lightning.data.model_texts import QuestionWriter, written
from w2s_lightning.store import Store

FEW = ("paradigm=supervised", "weak.pretrain.steps=20", "strong.pretrain.steps=20")


def used(place: Path, world: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, dict[str, Any], Any]:
    """The student of a small job, its store, and what its card's lines leave behind, `said` being what they print."""
    words = (*world, *FEW)
    run_job(place, world=words)
    student, store = source_of(plan(*words), "student"), Store.at(place / "store")
    folder = store.open(student) / "model"
    (lines,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(lines.splitlines()) == 3
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    exec(lines.replace("print(", "said = ("), found)
    return student, found, store


def test_a_reward_model_scores_conversations_as_the_job_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student, found, store = used(tmp_path, SMALL_PAIRS, monkeypatch)
    model = found["model"]
    assert isinstance(found["said"][0]["score"], float)
    answers = next(row for row in plan(*SMALL_PAIRS, *FEW).rows if row.name == "student").evaluate.answers
    scores = {row["example_id"]: row["logits"] for row in table(store, answers, "predictions")}
    for pair in student.task.splits(0).test[:4]:
        prompt, completions = written([pair], student.task.format, model.tokenizer)[0]
        rewards = [model(prompt + text)[0]["score"] for text in completions]
        assert rewards == pytest.approx(list(scores[pair.id]), abs=1e-4)


def test_a_student_of_reasoning_goes_on_from_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student, found, _ = used(tmp_path, SMALL_ARITHMETIC, monkeypatch)
    model, (said,) = found["model"], found["said"]
    first = student.task.splits(0).of(student.split)[0]
    prompt = QuestionWriter(student.task.format, model.tokenizer).prompt(first.question)
    tokens = model.tokenizer(prompt, return_tensors="pt")
    whole = model.model.generate(**tokens, do_sample=False, max_new_tokens=100)[0, tokens["input_ids"].shape[1] :]
    assert said["generated_text"] == model.tokenizer.decode(whole, skip_special_tokens=True)
    assert said["generated_text"].strip()
