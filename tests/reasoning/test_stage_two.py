"""Stage II as it lies in the store: pairs, the reference's log-probabilities, where training starts, what it opens."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.composing import plan as planned
from tests.models.tiny import plain_log_probs
from tests.reasoning.conftest import problems
from tests.small_jobs import SMALL_ARITHMETIC, history, rows, run_job, source_of, table
from w2s_lightning.execute import fit, label
from w2s_lightning.plan import Plan
from w2s_lightning.stages import BareModel, Fit, Label
from w2s_lightning.store import Store

TWICE = (*SMALL_ARITHMETIC, "paradigm.iterations=2")


def weights(store: Store, fit: Fit) -> dict[str, torch.Tensor]:
    return load_file(store.open(fit) / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(*TWICE)


def test_the_stored_reference_is_what_the_stage_one_model_says_of_the_pairs(plan: Plan, store: Store) -> None:
    reference = source_of(plan, "stage_2").targets["reference"]
    assert isinstance(reference, Label)
    assert reference.source == source_of(plan, "stage_1")
    folder, questions = store.open(reference.source) / "model", {one.id: one.question for one in problems("transfer")}
    pairs, stored = table(store, reference.pairs, "pairs"), table(store, reference, "log_probs")
    assert [row["example_id"] for row in stored] == [pair["example_id"] for pair in pairs]
    for row, pair in zip(stored, pairs, strict=True):
        prompt = f"q {questions[pair['example_id']]} a"
        direct = [sum(plain_log_probs(folder, prompt, f" {pair[side]}")) for side in ("chosen", "rejected")]
        assert row["log_probs"] == pytest.approx(direct, abs=1e-4)


def test_pairs_follow_the_published_rule(plan: Plan, store: Store) -> None:
    """Recomputed from the stored solutions: one side is the weak model's, thresholds hold, answers differ."""
    select = source_of(plan, "stage_2").learned
    assert select.options == {"keep_from": 0.6, "overrule_from": 0.8, "most_pairs": 1}
    weak, samples = (table(store, s, "solutions") for s in select.sources)
    own = {row["example_id"]: row for row in weak}
    pairs = table(store, select, "pairs")
    assert len({pair["example_id"] for pair in pairs}) == len(pairs) > 0
    for pair in pairs:
        drawn = [row["answer"] for row in samples if row["example_id"] == pair["example_id"]]
        share = drawn.count(pair["chosen_answer"]) / len(drawn)
        assert share == pair["confidence"] >= (0.6 if pair["weak_is_chosen"] else 0.8)
        assert pair["chosen_answer"] not in (None, pair["rejected_answer"])
        side = "chosen" if pair["weak_is_chosen"] else "rejected"
        assert pair[side] == own[pair["example_id"]]["text"]
    assert select.sources[0] == source_of(plan, "full_weak").learned, "always the floor's solutions"
    assert select.sources[1].source == source_of(plan, "stage_1")


def test_stage_two_starts_from_the_weights_of_stage_one(plan: Plan, place: Path, store: Store) -> None:
    still = "paradigm.contrast_lr_scale=0"
    result = run_job(place, still, world=TWICE)
    after = weights(store, source_of(planned(*TWICE, still), "stage_2"))
    first, second = source_of(plan, "stage_1"), source_of(plan, "stage_2")
    assert history(store, second)[0]["loss"] == pytest.approx(math.log(2), abs=1e-5), "DPO's first loss"
    before, moved = weights(store, first), weights(store, second)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert any(not torch.equal(moved[name], before[name]) for name in before)
    assert rows(result)["stage_2"]["value"] == rows(result)["stage_1"]["value"]


def test_the_students_fit_never_opens_the_reference(
    plan: Plan, place: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another objective only the last fit and its answers are new: one network for each."""
    opened: list[Any] = []

    def watched(function: Any) -> Any:
        def opening(source: Any, *rest: Any, **more: Any) -> Any:
            opened.append(source)
            return function(source, *rest, **more)

        return opening

    for stage in (fit, label):
        monkeypatch.setattr(stage, "open_model", watched(stage.open_model))
    result = run_job(place, "objective=ipo", world=TWICE)
    student = source_of(planned(*TWICE, "objective=ipo"), "stage_2")
    start, answering = opened
    assert isinstance(start, BareModel)
    assert start.weights == source_of(plan, "stage_1")
    assert answering == student
    computed = [stage["label"] for stage in result["stages"] if not stage["cached"]]
    assert len(computed) == 3
    assert history(store, student)[0]["loss"] == pytest.approx((0 - 1 / (2 * 0.1)) ** 2, rel=1e-4)


@pytest.mark.parametrize("objective", ["cdpo", "orpo", "simpo"])
def test_the_rest_of_the_family_shares_all_but_the_last_fit(objective: str, plan: Plan) -> None:
    other = planned(*TWICE, f"objective={objective}")
    mine, theirs = ({stage.digest: stage.kind for stage in one.stages} for one in (plan, other))
    new = sorted(theirs[digest] for digest in theirs.keys() - mine.keys())
    assert new == ["evaluate", "fit", "label"]


def test_orpo_measures_its_ratios_from_the_model_of_stage_one(place: Path, store: Store) -> None:
    """Only where it starts: how far a few pairs of a barely trained model lead is another matter on every processor."""
    more = ["objective=orpo", "paradigm.pairs_per_question=3"]
    run_job(place, *more, world=TWICE)
    fit = source_of(planned(*TWICE, *more), "stage_2")
    steps = history(store, fit)
    assert steps[0]["chosen_ratio"] == pytest.approx(0, abs=1e-3)
    assert np.isfinite([row["loss"] for row in steps]).all()
