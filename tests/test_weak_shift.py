"""wspo: a student follows, token by token, what preference training changed in its supervisor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.composing import job, plan
from tests.models.tiny import make_folder
from tests.small_jobs import SMALL_PAIRS, rows, run_job
from w2s_lightning.errors import UserError
from w2s_lightning.stages import Fit, Label
from w2s_lightning.store import Store

SMALL = (*SMALL_PAIRS, "fit.readout=implicit", "objective=wspo")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wspo")


@pytest.fixture(scope="module")
def result(place: Path) -> dict[str, Any]:
    return run_job(place, world=SMALL)


def student() -> Fit:
    answers = next(row for row in plan(*SMALL).rows if row.name == "student").evaluate.answers
    assert isinstance(answers, Label)
    assert isinstance(answers.source, Fit)
    return answers.source


def completions_token_by_token(model: Path, weights: Path) -> dict[str, list[list[float]]]:
    """Log-probabilities of every transfer completion's tokens, one text at a time, by example id."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32).eval()
    found = {}
    task = job(*SMALL)[0].task
    for pair in task.splits(0).transfer:
        per_text, prompt = [], task.format.prompt(pair.turns)
        for answer in map(task.format.completion, pair.completions):
            start = len(tokenizer(prompt)["input_ids"])
            ids = torch.tensor([[*tokenizer(prompt + answer)["input_ids"], tokenizer.eos_token_id]])
            with torch.no_grad():
                log_probs = F.log_softmax(network(ids).logits[0, :-1], dim=-1)
            per_text.append(log_probs.gather(1, ids[0, 1:, None])[start - 1 :, 0].tolist())
        found[pair.id] = per_text
    return found


def test_the_shift_is_the_supervisors_log_ratio_to_what_it_was(place: Path, result: dict[str, Any]) -> None:
    store, shift = Store.at(place / "store"), student().targets["shift"]
    assert isinstance(shift, Label)
    assert isinstance(shift.source, Fit)
    base = shift.source.weights
    after = completions_token_by_token(store.path(shift.source) / "model", store.path(shift.source) / "model")
    before = completions_token_by_token(store.path(base) / "model", store.path(base) / "model")
    table = pq.read_table(store.open(shift) / "shift.parquet").to_pylist()
    assert len(table) == 64
    changed = 0.0
    for row in table:
        for place_, name in enumerate(("first", "second")):
            expected = np.subtract(after[row["example_id"]][place_], before[row["example_id"]][place_])
            np.testing.assert_allclose(row[name], expected, atol=2e-5)
            changed = max(changed, float(np.abs(expected).max()))
    assert changed > 0.01, "the supervisor was not changed at all, so nothing was tested"


def test_before_its_first_step_the_student_has_drifted_nowhere_and_then_follows(
    place: Path, result: dict[str, Any]
) -> None:
    history = Store.at(place / "store").path(student()) / "history.jsonl"
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    drifts = [line["drift"] for line in lines if "drift" in line]
    assert drifts[0] == pytest.approx(0, abs=1e-6)
    assert drifts[-1] > 1e-3
    assert {"untuned", "floor", "student", "ceiling"} <= set(rows(result))
    assert rows(result)["student"]["information"]["pseudo_labels"] == 64
    assert rows(result)["student"]["information"]["gold_seen_by_student"] == 0


def test_a_student_is_as_good_a_judge_in_micro_batches(place: Path, result: dict[str, Any]) -> None:
    other = run_job(place / "parts", "trainer.tokens_per_batch=256", world=SMALL)
    assert rows(other)["student"]["value"] == pytest.approx(rows(result)["student"]["value"], abs=0.03)


@pytest.mark.parametrize("override", ["paradigm.selection=filter", "paradigm.supervisors=2", "paradigm.control=always"])
def test_what_has_no_single_supervisor_is_refused(override: str) -> None:
    with pytest.raises(UserError, match="follows one supervising model"):
        plan(*SMALL, override)


def test_other_paradigms_and_read_outs_have_no_such_objective() -> None:
    with pytest.raises(UserError, match=r"objective=wspo .*: it is for paradigm=weak_to_strong"):
        plan(*SMALL, "paradigm=distillation")
    with pytest.raises(UserError, match=r"objective=wspo reads moments and tokens"):
        plan(*SMALL, "fit.readout=head")


def test_models_that_read_other_tokens_are_refused_by_the_plan(tmp_path: Path) -> None:
    folders = {
        side: make_folder(tmp_path / side, "llama", texts=[side * 3, "is tea warm ?"]) for side in ("weak", "strong")
    }
    files = {name: tmp_path / f"{name}.jsonl" for name in ("train", "test")}
    for file in files.values():
        file.write_text(
            "".join(
                json.dumps({"prompt": f"{file.stem} {n}", "chosen": "a", "rejected": "b"}) + "\n" for n in range(40)
            )
        )
    local = [f"model@{side}=local" for side in folders] + [f"{side}.path={path}" for side, path in folders.items()]
    data = ["task=local_preference", *(f"task.{name}_file={file}" for name, file in files.items())]
    with pytest.raises(UserError, match=r"objective=wspo compares token by token.*take objective=dpo"):
        plan(*data, *local, "fit.readout=implicit", "objective=wspo")
