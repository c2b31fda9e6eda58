"""Stages computed for real: tiny models, a real store, every kind of stage, every way to tune."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import softmax
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tests.models.tiny import FAMILIES
from tests.models.tiny_stages import (
    HEAD,
    NUMERICS,
    OPTIMISATION,
    TRAINER,
    WORLD,
    Silent,
    bare,
    evaluate,
    fit,
    label,
    obtain,
    pretrain,
    weights,
)
from tests.models.tiny_task import TinyTask
from w2s_lightning.config.schema import Lora, Objective
from w2s_lightning.content import DataFile
from w2s_lightning.data.tables import read
from w2s_lightning.errors import UserError
from w2s_lightning.execute import run
from w2s_lightning.results.stored import matrix
from w2s_lightning.stages import Gold, Label, ReadOut, Select, Supervisor, UnlabelledTexts
from w2s_lightning.store import Store

LORA = Lora(rank=4, alpha=8, dropout=0.0, targets="all-linear")
LONG = replace(OPTIMISATION, epochs=20.0)
WEAK = "w2s_lightning.fit.paradigms.WeakToStrong"


@pytest.fixture
def store(tmp_path):
    return Store.at(tmp_path / "store")


def metrics(store, stage):
    return store.read_json(stage, "metrics.json")


def history(store, stage):
    return [json.loads(line) for line in (store.open(stage) / "history.jsonl").read_text().splitlines()]


def answers(store, stage):
    table = read(store.open(stage) / "predictions.parquet")
    return table, matrix(table, "probs")


# ---------------------------------------------------------------- pretraining


def test_a_ladder_model_is_pretrained_from_scratch_and_loads_without_us(store):
    stage = pretrain(steps=60)
    obtain(store, stage)
    rows = history(store, stage)
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.3
    assert metrics(store, stage)["num_tokens"] == 60 * 4 * 16
    model = AutoModelForCausalLM.from_pretrained(store.open(stage) / "model")
    tokenizer = AutoTokenizer.from_pretrained(store.open(stage) / "model")
    assert len(tokenizer) == model.config.vocab_size == len(WORLD.vocabulary())
    assert model.num_parameters() == metrics(store, stage)["num_params"]


def test_no_steps_give_the_untrained_model(store):
    obtain(store, pretrain(steps=0))
    assert history(store, pretrain(steps=0)) == []
    assert metrics(store, pretrain(steps=0))["final_loss"] is None


def test_pretraining_depends_on_its_own_seed_alone(store, tmp_path):
    stage, other = pretrain(), pretrain(seed=1)
    obtain(store, stage, other)
    again = Store.at(tmp_path / "again")
    obtain(again, stage)
    files = [s.open(w) / "model" / "model.safetensors" for s, w in ((store, stage), (again, stage), (store, other))]
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


# ---------------------------------------------------------------- fits


@pytest.mark.parametrize("family", FAMILIES)
def test_every_architecture_trains_and_what_is_stored_is_what_its_stored_weights_say(store, folder, family):
    numerics = replace(NUMERICS, attention="eager" if family == "gemma2" else "sdpa")
    stage = fit(weights(folder(family)), numerics=numerics, optimisation=LONG)
    judged = evaluate(label(stage, "test"))
    obtain(store, stage, judged.answers, judged)
    model = AutoModelForSequenceClassification.from_pretrained(store.open(stage) / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(store.open(stage) / "model")
    test = TinyTask().splits(5).test  # no seed changes it
    inputs = [tokenizer(one.texts[0], return_tensors="pt", return_token_type_ids=False) for one in test]
    with torch.no_grad():
        recomputed = torch.cat([model(**one).logits for one in inputs]).numpy()
    stored, probs = answers(store, judged.answers)
    logits = dict(zip(stored.column("example_id").to_pylist(), matrix(stored, "logits"), strict=True))
    assert np.array([logits[one.id] for one in test]) == pytest.approx(recomputed, abs=1e-4)
    assert matrix(stored, "logits").dtype == np.float32
    assert (probs == softmax(matrix(stored, "logits").astype(np.float64), axis=1)).all()
    assert metrics(store, judged)["accuracy"] == np.mean(recomputed.argmax(axis=1) == [one.label for one in test])
    table, _ = answers(store, judged)
    named = {"example_id", "group_id", "gold", "prediction", "correct", "probs", "difficulty"}
    assert set(table.column_names) == named
    assert np.mean(table.column("correct").to_pylist()) == metrics(store, judged)["accuracy"]


def through(features: dict[str, Label]) -> dict[str, Any]:
    """The targets of a probe on gold labels."""
    return {
        name: {"labels": Gold(split), "features": features[split]}  # type: ignore[arg-type]
        for name, split in (("targets", "supervise"), ("validation", "validation"))
    }


@pytest.mark.parametrize("tuning", ["full", "lora", "probe"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
def test_each_way_to_tune_learns_the_task(store, folder, family, tuning):
    source = weights(folder(family))
    lr = 0.1 if tuning == "probe" else 0.01
    stage = fit(source, tuning=tuning, lora=LORA if tuning == "lora" else None, optimisation=replace(LONG, lr=lr))
    features = {split: label(bare(source), split, mode="features") for split in ("supervise", "validation", "test")}
    if tuning == "probe":
        obtain(store, *features.values())
        stage = replace(stage, **through(features), evaluations=2)
    through_features = label(stage, "test", features=features["test"] if tuning == "probe" else None)
    judged, through_model = evaluate(through_features), label(stage, "test")
    obtain(store, stage, through_features, judged, through_model)
    losses = [row["loss"] for row in history(store, stage) if "loss" in row]
    assert tuning == "probe" or losses[-1] < losses[0] - 0.03
    assert min(losses) < losses[0]
    assert tuning != "full" or metrics(store, judged)["accuracy"] > 0.7
    assert answers(store, through_features)[1] == pytest.approx(answers(store, through_model)[1], abs=1e-5)
    if tuning != "full":
        frozen = load_file(folder(family) / "model.safetensors")
        tuned = load_file(store.open(stage) / "model" / "model.safetensors")
        embedding = next(name for name in tuned if "embed" in name or "wte" in name)
        same = next(t for name, t in frozen.items() if name.endswith(embedding.split(".", 1)[1]))
        assert torch.equal(tuned[embedding], same)
    assert not any("lora" in name for name in load_file(store.open(stage) / "model" / "model.safetensors"))


def test_every_seed_draws_its_own_adapters_where_texts_are_learned_too(store, folder):
    source, n = weights(folder("llama")), len(TinyTask().splits(0).supervise)
    stage = fit(
        source,
        readout=ReadOut("text", "zeros"),
        tuning="lora",
        lora=LORA,
        objective=Objective(target="w2s_lightning.objectives.sft", self_target=False, options={}),
        optimisation=replace(LONG, rows_per_step=n, epochs=1.0, lr=0.01),  # one step of all rows: no order of its own
        targets={"texts": UnlabelledTexts("supervise")},
        validation={},
        evaluations=0,
    )
    changes = []
    before = load_file(folder("llama") / "model.safetensors")
    for seed in (0, 1):
        obtain(store, one := replace(stage, seed=seed))
        after = load_file(store.open(one) / "model" / "model.safetensors")
        changes.append(torch.cat([(after[name] - before[name]).flatten() for name in before if name in after]))
    assert all(change.norm() > 0 for change in changes)
    assert torch.cosine_similarity(changes[0], changes[1], dim=0) < 0.5, "both started from the same adapters"


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_verdict_words_are_read_from_the_language_model(store, folder, tuning):
    readout = ReadOut("words", "zeros")
    source = weights(folder("llama"))
    stage = fit(source, readout=readout, tuning=tuning, lora=LORA if tuning == "lora" else None, optimisation=LONG)
    untuned = label(bare(source, readout), "test")
    judged = evaluate(label(stage, "test"))
    obtain(store, untuned, stage, judged.answers, judged)
    assert metrics(store, judged)["accuracy"] > 0.7
    AutoModelForCausalLM.from_pretrained(store.open(stage) / "model")


@pytest.mark.parametrize("readout", [HEAD, ReadOut("head", "unembedding"), ReadOut("words", "zeros")])
def test_options_are_scored_one_by_one(store, folder, readout):
    task = TinyTask(name="options", num_classes=3, layout="options")
    stage = fit(weights(folder("llama")), task=task, readout=readout, evaluations=2)
    judged = evaluate(label(stage, "test"))
    obtain(store, stage, judged.answers, judged)
    _, probs = answers(store, judged)
    assert probs.shape == (24, 3)
    assert metrics(store, judged)["auroc"] is None


def test_a_probe_of_options_works_on_features_of_every_option(store, folder):
    task, source = TinyTask(name="options", num_classes=3, layout="options"), weights(folder("llama"))
    features = {split: label(bare(source), split, task, mode="features") for split in ("supervise", "validation")}
    stage = fit(source, task=task, tuning="probe", **through(features), evaluations=1)
    obtain(store, *features.values(), stage)
    assert metrics(store, stage)["num_tokens"] == 0


def test_a_probe_needs_a_head(store, folder):
    source, words = weights(folder("llama")), ReadOut("words", "zeros")
    with pytest.raises(UserError, match="a probe trains a head"):
        obtain(store, label(bare(source, words), "supervise", mode="features"))


def test_the_same_fit_twice_is_bit_identical_and_another_seed_is_not(store, folder, tmp_path):
    stage = fit(weights(folder("gpt2")), dropout=0.2, evaluations=2)
    other = replace(stage, seed=1)
    again = Store.at(tmp_path / "again")
    obtain(store, stage, other)
    obtain(again, stage)
    for name in ("model/model.safetensors", "history.jsonl", "validation.parquet", "metrics.json"):
        assert (store.open(stage) / name).read_bytes() == (again.open(stage) / name).read_bytes(), name
    assert (store.open(other) / "history.jsonl").read_bytes() != (store.open(stage) / "history.jsonl").read_bytes()


def test_bf16_trains_fp32_weights(store, folder):
    stage = fit(weights(folder("llama")), numerics=replace(NUMERICS, precision="bf16"))
    obtain(store, stage, label(stage, "test"))
    saved = load_file(store.open(stage) / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}


# ---------------------------------------------------------------- labels, selections, evaluations


def test_a_chain_from_floor_to_student_joins_by_id(store, folder):
    source = weights(folder("llama"))
    floor = fit(source, optimisation=LONG)
    weak = {split: label(floor, split) for split in ("transfer", "validation")}
    chosen = Select("confidence_filter", {"threshold": 0.6}, 0, TinyTask(), 0, (weak["transfer"],))
    named = {"targets": {"labels": chosen}, "validation": {"labels": weak["validation"]}}
    student = fit(source, **named, labels="soft", module=WEAK, evaluations=3)
    judged = evaluate(label(student, "test"))
    obtain(store, floor, *weak.values(), chosen, student, judged.answers, judged)
    kept = metrics(store, chosen)
    assert 0 < kept["kept"] <= kept["num_rows"] == 36
    assert metrics(store, student)["num_rows"] == kept["kept"]
    validation = read(store.open(student) / "validation.parquet")
    assert len(validation) == 3 * 12
    assert set(validation.column("example_id").to_pylist()) == {e.id for e in TinyTask().splits(0).validation}
    assert [row["step"] for row in history(store, student) if "validation_loss" in row][-1] == metrics(store, student)[
        "num_steps"
    ]


def test_texts_over_max_length_are_truncated_and_counted(store, folder):
    stage = fit(weights(folder("llama")), numerics=replace(NUMERICS, max_length=4))
    obtain(store, stage, answer := label(stage, "transfer"))
    assert metrics(store, stage)["truncated_share"] == 1.0
    assert metrics(store, stage)["num_tokens"] == 24 * 4
    assert metrics(store, answer) == {"num_rows": 36, "num_tokens": 36 * 4, "truncated_share": 1.0}


def test_a_supervisors_file_gives_targets_and_answers(store, folder, tmp_path):
    task, file = TinyTask(), tmp_path / "answers.jsonl"
    splits = task.splits(0)
    lines = [
        json.dumps({"id": e.id, "probs": [0.2, 0.8] if e.label else [0.9, 0.1]})
        for e in (*splits.transfer, *splits.validation, *splits.test)
    ]
    file.write_text("\n".join(lines) + "\n")
    given = DataFile.at(file)
    stage = fit(
        weights(folder("llama")),
        targets={"labels": Supervisor("transfer", given)},
        validation={"labels": Supervisor("validation", given)},
        labels="soft",
        module=WEAK,
        evaluations=1,
    )
    judged = evaluate(label(stage, "test"))
    of_file = replace(judged, answers=Supervisor("test", given))
    obtain(store, stage, of_file)
    assert metrics(store, of_file)["accuracy"] == 1.0
    assert metrics(store, stage)["num_rows"] == 36


def test_gold_and_files_can_be_selected_from(store):
    permuted = Select("permute", {}, 0, TinyTask(), 0, (Gold("transfer"),))
    obtain(store, permuted)
    kept = read(store.open(permuted) / "targets.parquet")
    gold = {example.id: example.label for example in TinyTask().splits(0).transfer}
    assert set(kept.column("example_id").to_pylist()) == set(gold)
    dealt = [probs.index(1.0) for probs in kept.column("probs").to_pylist()]
    assert sorted(dealt) == sorted(gold.values())


# ---------------------------------------------------------------- mistakes and progress


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"module": "w2s_lightning.fit.nothing.Nothing"}, r"paradigm.module._target_=.*cannot be imported"),
        ({"module": "w2s_lightning.objectives.xent"}, "is no child of"),
        (
            {"objective": Objective(target="nowhere.loss", self_target=False, options={})},
            "objective._target_=nowhere.loss",
        ),
        (
            {"objective": Objective(target="w2s_lightning.objectives.dpo", self_target=False, options={"beta": 0.1})},
            "dpo reads reference, and the rows of this fit have probs",
        ),
        ({"tuning": "lora", "lora": Lora(rank=2, alpha=2, dropout=0, targets="nothing_like_it")}, "lora.targets"),
    ],
)
def test_a_wrong_record_is_one_clear_message_and_leaves_no_artifact(store, folder, changes, message):
    stage = fit(weights(folder("llama")), **changes)
    with pytest.raises(UserError, match=message):
        obtain(store, stage)
    assert not store.has(stage)


def test_a_learning_rate_that_blows_up_names_stage_and_step(store, folder):
    stage = fit(weights(folder("llama")), optimisation=replace(LONG, lr=1e38))
    with pytest.raises(UserError, match=f"{stage.label}.*step"):
        obtain(store, stage)


def test_whoever_watches_hears_of_every_stage_and_of_its_steps(store, folder):
    stage, watcher = fit(weights(folder("llama"))), Silent()
    first = run([stage, label(stage, "test")], store, TRAINER, watcher)
    assert watcher.seen == [
        ("start", "fit"),
        ("step", 1, 2),
        ("step", 2, 2),
        ("finish", "fit", False),
        ("start", "label"),
        ("finish", "label", False),
    ]
    second = run([stage], store, TRAINER, watcher)
    assert second[0].cached
    assert second[0].path == first[0].path
    assert math.isclose(second[0].seconds, first[0].seconds)
