"""Whole jobs: four paradigms from configuration to result, on one store."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from tests.composing import plan as planned
from tests.report.reading import inspect
from tests.small_jobs import (
    SMALL_WORLD,
    assert_baselines_are_shared,
    printed_without_torch,
    rows,
    run_job,
    source_of,
    table,
)
from w2s_lightning.errors import UserError
from w2s_lightning.store import Store

SHARED = {"untuned", "untuned_words", "floor", "student", "ceiling"}
EXPECTED_ROWS = {
    "supervised": SHARED,
    "distillation": {*SHARED, "teacher", "weak_on_gold_transfer"},
    "self_improvement": {*SHARED, "round_0", "round_1"},
    "weak_to_strong": SHARED,
}
MADE = planned(*SMALL_WORLD, "paradigm=weak_to_strong")
SPLITS = MADE.rows[0].evaluate.task.splits(0)

Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def results(place: Path) -> Results:
    return {name: run_job(place, f"paradigm={name}") for name in EXPECTED_ROWS}


@pytest.fixture(scope="module")
def store(place: Path) -> Store:
    return Store.at(place / "store")


def probs_of(store: Store, stage: Any, name: str = "predictions") -> dict[str, list[float]]:
    return {row["example_id"]: row["probs"] for row in table(store, stage, name)}


def evaluate_of(name: str) -> Any:
    return next(row.evaluate for row in MADE.rows if row.name == name)


@pytest.mark.parametrize("paradigm", EXPECTED_ROWS)
def test_every_paradigm_ends_with_its_rows(paradigm: str, results: Results) -> None:
    result = results[paradigm]
    assert set(rows(result)) == EXPECTED_ROWS[paradigm]
    assert result["job"]["paradigm"] == paradigm
    assert all(row["low"] <= row["value"] <= row["high"] and row["n"] == 160 for row in result["rows"])


def test_all_paradigms_share_floor_ceiling_and_untuned(results: Results) -> None:
    assert_baselines_are_shared(results, "untuned", "floor", "ceiling")


def test_each_row_says_what_it_saw(results: Results) -> None:
    seen = {name: rows(result)["student"]["information"] for name, result in results.items()}
    counts = ("gold_seen_by_student", "gold_upstream", "pseudo_labels")
    told = {name: tuple(own[count] for count in counts) for name, own in seen.items()}
    assert told["supervised"] == (96, 0, 0)
    assert told["weak_to_strong"] == (0, 96, 128)
    assert told["distillation"][1] == 96
    assert told["self_improvement"][2] == 64
    others = rows(results["weak_to_strong"])
    assert others["ceiling"]["information"]["gold_seen_by_student"] == 128
    assert others["untuned"]["information"]["train_tokens"] == 0


def test_the_result_file_holds_what_was_returned(place: Path, results: Results) -> None:
    files = [json.loads(f.read_text()) for f in (place / "outputs").glob("*/result.json")]
    assert {f["job"]["paradigm"] for f in files} == set(EXPECTED_ROWS)
    for file in files:
        result = results[file["job"]["paradigm"]]
        assert file["pgr"] == result["pgr"]
        assert file["student"] == {key: rows(result)["student"][key] for key in ("value", "low", "high", "n")}
        assert {s["digest"] for s in file["stages"]} == {s["digest"] for s in result["stages"]}


def test_a_second_run_computes_nothing_and_says_the_same(place: Path, results: Results) -> None:
    again, first = run_job(place, "paradigm=weak_to_strong"), results["weak_to_strong"]
    assert all(stage["cached"] for stage in again["stages"])
    assert [again[part] for part in ("rows", "pgr", "agreement")] == [
        first[part] for part in ("rows", "pgr", "agreement")
    ]


def test_a_second_run_from_the_command_line_loads_no_torch(place: Path, results: Results) -> None:
    printed = printed_without_torch(place, *SMALL_WORLD)
    assert "weak_to_strong" in printed
    assert "PGR" in printed


def test_a_job_ends_with_what_is_wanted_next(place: Path, results: Results) -> None:
    named = dict(re.findall(r"^(result|student|report): +(.*)$", results["weak_to_strong"]["printed"], re.MULTILINE))
    assert json.loads(Path(named["result"]).read_text())["digest"] == results["weak_to_strong"]["digest"]
    assert named["report"] == f"python -m w2s_lightning.report --open --outputs {place}/outputs"
    kind, folder = re.findall(r'"([^"]+)"', named["student"])
    assert named["student"].startswith("transformers.pipeline(")
    assert kind == "text-classification"
    assert pipeline(kind, folder)(SPLITS.test[0].texts[0])[0]["label"] in ("wrong", "right")
    card = Path(folder, "README.md").read_text()
    assert "agreement with its supervisor on the validation rows: " in card
    assert "one of the labels `wrong`, `right`" in card
    assert 'transformers.pipeline("text-classification", ".")' in card
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.id2label == {0: "wrong", 1: "right"}
    test = {example.id: example for example in SPLITS.test}
    expected = probs_of(Store.at(place / "store"), evaluate_of("student").answers)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for one in list(expected)[:5]:
        with torch.no_grad():
            said = model(**tokenizer(test[one].texts[0], return_tensors="pt")).logits.softmax(-1)[0].tolist()
        assert said == pytest.approx(expected[one], abs=1e-5)


def test_the_wandb_run_of_a_job_holds_its_configuration_curves_and_pgr(place: Path, results: Results) -> None:
    result = run_job(place, "paradigm=weak_to_strong", mode="offline")
    assert result["wandb"]["mode"] == "offline"
    curves, summary = inspect(result["wandb"]["dir"]), inspect(result["wandb"]["dir"], "--summary")
    assert "student/loss" in curves
    assert "floor/loss" in curves
    assert f"{result['student']['value']:.6g}"[:6] in summary
    again = run_job(place, "paradigm=weak_to_strong", mode="offline")
    assert again["wandb"] == result["wandb"], "a repeated command makes no second run"


def test_flipped_bytes_are_noticed_and_mended_by_one_command(place: Path, store: Store, results: Results) -> None:
    """In weights by their time; in answers, of equal size and time, when they are read: first for the result, then for
    what mends that."""
    evaluate, floor = MADE.rows[-1].evaluate, source_of(MADE, "floor")
    weights = store.path(floor) / "model" / "model.safetensors"
    answers = [store.path(stage) / "predictions.parquet" for stage in (evaluate, evaluate.answers)]
    for file in (weights, *answers):
        content, times = bytearray(file.read_bytes()), file.stat()
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content))
        if file is not weights:
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = run_job(place, "paradigm=weak_to_strong")
    assert again["rows"] == results["weak_to_strong"]["rows"]
    aside = {entry.name.rpartition("-")[0][-16:] for entry in (place / "store" / ".quarantine").iterdir()}
    assert aside == {stage.digest[:16] for stage in (floor, evaluate, evaluate.answers)}
    Store.at(place / "store").open(floor)


def test_outputs_that_cannot_be_written_are_one_message_and_leave_no_half_file(place: Path, tmp_path: Path) -> None:
    folder = next((place / "outputs").glob("fact_claims-weak_to_strong-*"))
    blocked = tmp_path / "outputs" / folder.name / "config.yaml"
    blocked.mkdir(parents=True)
    with pytest.raises(UserError, match=r"cannot write to .*paths.outputs=DIR; what was computed is in the store"):
        run_job(place, "paradigm=weak_to_strong", f"paths.outputs={tmp_path}/outputs")
    assert sorted(path.name for path in blocked.parent.iterdir()) == ["config.yaml", "examples.parquet"]


def test_texts_that_were_cut_are_counted_beside_the_result(place: Path) -> None:
    found = run_job(place, "+fit.floor.max_length=4")["notices"]
    assert found[1] == "test texts that lost their start (fit.max_length): floor 100.0%"


def test_gold_targets_on_transfer_are_the_ceiling(place: Path, tmp_path: Path) -> None:
    """A supervisor that answers `transfer` with its gold labels makes the ceiling's student."""
    names = MADE.rows[0].evaluate.task.class_names
    file = tmp_path / "gold.csv"
    known = (*SPLITS.transfer, *SPLITS.validation, *SPLITS.test)
    file.write_text("id,label\n" + "".join(f"{one.id},{names[one.label]}\n" for one in known))
    result = run_job(place, f"supervisor.file={file}", f"supervisor.test_file={file}")
    found = rows(result)
    assert found["student"]["value"] == found["ceiling"]["value"]
    assert found["floor"]["value"] == 1.0
    assert result["job"]["weak"] == "file"


def test_without_a_floor_pgr_is_undefined(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("id,label\n" + "".join(f"{e.id},right\n" for e in (*SPLITS.transfer, *SPLITS.validation)))
    result = run_job(place, f"supervisor.file={file}")
    assert result["floor"] is None
    assert not result["pgr"]["defined"]
    assert "supervisor.test_file" in result["pgr"]["reason"]


def test_weak_equals_strong_is_marked_by_construction_or_undefined(place: Path) -> None:
    result = run_job(place, "paradigm=supervised", "model@strong=micro", world=DIAGONAL)
    reason = result["pgr"]["reason"]
    assert result["student"] == result["floor"]
    assert "by construction" in reason or not result["pgr"]["defined"]


DIAGONAL = (
    *(override for override in SMALL_WORLD if not override.startswith("strong.")),
    "strong.pretrain.steps=20",
    "strong.pretrain.rows_per_step=8",
)


def test_an_objective_with_a_self_target_prints_its_permuted_control(place: Path, store: Store) -> None:
    result = run_job(place, "objective=logconf")
    assert "permuted_control" in rows(result)
    assert "permuted_control" in result["printed"]
    control = planned(*SMALL_WORLD, "objective=logconf")
    targets = source_of(control, "permuted_control").learned
    before, after = probs_of(store, targets.sources[0]), probs_of(store, targets, "targets")
    assert before.keys() == after.keys()
    assert sorted(before.values()) == sorted(after.values())
    assert sum(before[k] != after[k] for k in before) > len(before) / 2


@pytest.mark.parametrize(
    "overrides",
    [
        ["paradigm.supervisors=2"],
        ["paradigm.selection=filter", "paradigm.threshold=0.5"],
        ["paradigm.selection=weight"],
        ["paradigm.selection=balance", "paradigm.prior=[0.4,0.6]"],
        ["model@middle.m1=nano", "middle.m1.pretrain.steps=20", "middle.m1.pretrain.rows_per_step=8"],
        ["fit=probe", "fit.epochs=2"],
        ["fit=lora"],
        ["fit.readout=words"],
        *([f"objective={name}"] for name in ("product", "entropy", "reverse_kl", "kd")),
        ["task.judge.metric=auroc"],
        ["fit.dropout=0.1", "fit.labels=hard"],
        ["fit.precision=bf16"],
    ],
    ids=lambda o: o[0],
)
def test_every_option_runs_to_a_result(overrides: list[str], place: Path) -> None:
    result = run_job(place, *overrides)
    assert 0.0 <= result["student"]["value"] <= 1.0


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["paradigm.selection=filter", "paradigm.threshold=1.0"], "threshold"),
        (["+fit.student={lr_scale: 1e41, clip_norm: 1e30}"], "step"),
    ],
    ids=["a threshold that nothing passes", "a loss that is no number"],
)
def test_what_stops_a_job_on_the_way_is_named(overrides: list[str], words: str, place: Path) -> None:
    with pytest.raises(UserError, match=words):
        run_job(place, *overrides)
