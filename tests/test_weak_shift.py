"""wspo: a student follows, token by token, what preference training changed in its supervisor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.composing import job, plan
from tests.models.tiny import make_folder, plain_log_probs
from tests.small_jobs import SMALL_PAIRS, history, rows, run_job, table
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


def test_the_shift_is_the_supervisors_log_ratio_to_what_it_was(place: Path, result: dict[str, Any]) -> None:
    store, shift, task = Store.at(place / "store"), student().targets["shift"], job(*SMALL)[0].task
    assert isinstance(shift, Label)
    assert isinstance(shift.source, Fit)
    after, before = (store.path(one) / "model" for one in (shift.source, shift.source.weights))
    stored = {row["example_id"]: row for row in table(store, shift, "shift")}
    changes = []
    for pair in task.splits(0).transfer:
        prompt = task.format.prompt(pair.turns)
        for name, answer in zip(("first", "second"), map(task.format.completion, pair.completions), strict=True):
            expected = np.subtract(plain_log_probs(after, prompt, answer), plain_log_probs(before, prompt, answer))
            np.testing.assert_allclose(stored[pair.id][name], expected, atol=2e-5)
            changes.append(np.abs(expected).max())
    assert len(stored) == 64
    assert max(changes) > 0.01, "the supervisor was not changed at all, so nothing was tested"


def test_before_its_first_step_the_student_has_drifted_nowhere_and_then_follows(
    place: Path, result: dict[str, Any]
) -> None:
    drifts = [line["drift"] for line in history(Store.at(place / "store"), student()) if "drift" in line]
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
