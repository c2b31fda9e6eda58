"""Whole reasoning jobs: four paradigms from configuration to result, on one store."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.composing import plan as planned
from tests.reasoning.conftest import JOBS, gold_of
from tests.small_jobs import (
    SMALL_ARITHMETIC,
    assert_baselines_are_shared,
    printed_without_torch,
    rows,
    run_job,
    source_of,
    table,
)
from tests.test_config import train
from w2s_lightning.stages import Label, Select
from w2s_lightning.store import Store

COMMON = {"untuned": "untuned", "untuned_zero_shot": "untuned", "floor": "floor", "ceiling": "ceiling"}
ROUNDS = {"round_0": "reference", "round_1": "reference", "student": "student"}
TAUGHT = {"teacher": "teacher", "student": "student", "weak_on_gold_transfer": "reference"}
STAGES = {
    "full_weak": "reference",
    "weak_icl": "reference",
    "stage_1_iteration_1": "reference",
    "stage_1": "reference",
    "stage_2": "student",
    "random_subset": "control",
}
ROLES = {"supervised": {"student": "student"}, "sequence": TAUGHT, "token": TAUGHT, "vote": ROUNDS, "oracle": ROUNDS}
ROLES["weak_to_strong"] = STAGES

Results = dict[str, dict[str, Any]]


def made(name: str, *more: str) -> Any:
    return planned(*SMALL_ARITHMETIC, *JOBS[name], *more)


def source(name: str, row: str) -> Any:
    return source_of(made(name), row)


@pytest.mark.parametrize("name", JOBS)
def test_every_job_ends_with_its_rows(name: str, results: Results) -> None:
    result = results[name]
    assert {row["name"]: row["role"] for row in result["rows"]} == COMMON | ROLES[name]
    for row in result["rows"]:
        assert row["low"] <= row["value"] <= row["high"]
        assert row["n"] == 60
        strict = row["strict"]
        assert strict["low"] <= strict["value"] <= row["value"], "strict reading accepts no more than flexible"
        assert all(0 <= row[share] <= 1 for share in ("truncated_share", "unparsed_share", "timed_out_share"))
    assert "marked answers alone (strict)" in result["printed"]


@pytest.mark.parametrize("name", JOBS)
def test_each_row_says_what_is_worked_out_and_what_of_that_is_right(name: str, results: Results, store: Store) -> None:
    for planned_row in made(name).rows:
        shown = rows(results[name])[planned_row.name]
        answers = table(store, planned_row.evaluate, "predictions")
        worked = [one["correct"] for one in answers if "=" in one["solution"].split("answer")[0]]
        assert shown["worked_share"] == pytest.approx(len(worked) / len(answers))
        if worked:
            assert shown["right_given_worked"] == pytest.approx(sum(worked) / len(worked))
        else:
            assert shown["right_given_worked"] is None
        assert f"{planned_row.name} {len(worked) / len(answers):.0%}" in " ".join(results[name]["printed"].split())


def test_all_paradigms_share_floor_ceiling_and_untuned(results: Results) -> None:
    assert_baselines_are_shared(results, *COMMON)


def test_each_row_says_what_it_saw(results: Results, store: Store) -> None:
    seen = {name: {n: row["information"] for n, row in rows(result).items()} for name, result in results.items()}
    gold = {(name, row): of["gold_seen_by_student"] for name, found in seen.items() for row, of in found.items()}
    assert {name for name in JOBS if gold[name, "stage_2" if name == "weak_to_strong" else "student"]} == {"supervised"}
    assert gold["supervised", "student"] == 32
    assert gold["supervised", "untuned"] == 4, "demonstrations are gold labels too"
    assert gold["supervised", "untuned_zero_shot"] == 0
    assert gold["supervised", "ceiling"] == 48
    upstream = {name: found.get("student", found.get("stage_2"))["gold_upstream"] for name, found in seen.items()}
    told = {"supervised": 0, "sequence": 32, "token": 32, "vote": 4, "oracle": 4 + 48, "weak_to_strong": 32}
    assert upstream == told, "demonstrations, and hidden gold that a filter looked at, are counted"
    fits = [source("weak_to_strong", row) for row in ("stage_1", "stage_2")]
    trained = [store.read_json(fit, "metrics.json")["num_rows"] for fit in fits]
    assert seen["weak_to_strong"]["stage_2"]["pseudo_labels"] == sum(trained), "stage II goes on from stage I"
    assert seen["weak_to_strong"]["weak_icl"]["pseudo_labels"] == 4


@pytest.mark.parametrize(("name", "row"), [("weak_to_strong", "stage_2"), ("vote", "student"), ("sequence", "student")])
def test_sampled_tokens_are_those_of_every_solution_behind_a_row(
    name: str, row: str, results: Results, store: Store
) -> None:
    behind = {s.digest: s for s in source(name, row).ancestors() if isinstance(s, Label) and s.mode == "solutions"}
    drawn = sum(one["num_drawn"] for stage in behind.values() for one in table(store, stage, "solutions"))
    assert rows(results[name])[row]["information"]["sampled_tokens"] == drawn > 48


def test_accuracy_by_difficulty_adds_up(results: Results) -> None:
    for result in results.values():
        parts = result["by_difficulty"]
        assert [part["difficulty"] for part in parts] == [1, 2]
        assert sum(part["n"] for part in parts) == 60
        for name, row in rows(result).items():
            assert sum(part["n"] * part["accuracy"][name] for part in parts) / 60 == pytest.approx(row["value"])
        for part in parts:
            arms = ("floor", result["student_of_record"], "ceiling")
            floor, student, ceiling = (part["accuracy"].get(name) for name in arms)
            if part["pgr"]["defined"]:
                assert part["pgr"]["value"] == pytest.approx((student - floor) / (ceiling - floor))
            else:
                assert part["pgr"]["reason"]
    assert "accuracy by difficulty" in results["vote"]["printed"]


def test_selections_are_counted_and_judged_by_hidden_gold(results: Results, store: Store) -> None:
    plan = made("weak_to_strong")
    found = {one["stage"]: one for one in results["weak_to_strong"]["selections"]}
    gold = gold_of("transfer")
    agreements = [stage for stage in plan.stages if isinstance(stage, Select) and stage.rule == "agreement"]
    assert len(agreements) == 4, "hybrid of two iterations, and either side of the first"
    for stage in agreements:
        weak, strong = ({r["example_id"]: r["answer"] for r in table(store, s, "solutions")} for s in stage.sources)
        kept = {id for id in gold if weak[id] is not None and weak[id] == strong[id]}
        assert found[stage.digest]["kept"] == len(kept)
        assert found[stage.digest]["kept_share"] == len(kept) / 48
        assert found[stage.digest]["precision"] == pytest.approx(sum(weak[i] == gold[i] for i in kept) / len(kept))
    control = next(one for one in found.values() if one["rule"] == "random_questions")
    first = found[source("weak_to_strong", "stage_1_iteration_1").learned.digest]
    assert [found[stage.digest]["row"] for stage in agreements].count(None) == 2, "the sides of the first iteration"
    told = f"stage_1_iteration_1: agreement kept {first['kept']} of 48 questions"
    assert told in results["weak_to_strong"]["printed"]
    assert (control["row"], first["row"]) == ("random_subset", "stage_1_iteration_1")
    assert control["kept"] == first["kept"], "the control is as large as what it stands beside"
    assert {one["rule"] for one in results["vote"]["selections"]} == {"majority_vote", "samples"}


def test_votes_and_oracles_over_samples_are_reported(results: Results, store: Store) -> None:
    drawn = next(one for one in results["weak_to_strong"]["selections"] if one["rule"] == "samples")
    (stage,) = (s for s in made("weak_to_strong").stages if s.digest == drawn["stage"])
    by_id = dict[str, list[str | None]]()
    for row in table(store, stage, "solutions"):
        by_id.setdefault(row["example_id"], []).append(row["answer"])
    gold = gold_of("transfer")
    assert {len(answers) for answers in by_id.values()} == {4}
    assert drawn["pass@4"] == pytest.approx(sum(gold[i] in answers for i, answers in by_id.items()) / 48)
    voted = sum(Counter(answers).most_common(1)[0][0] == gold[i] for i, answers in by_id.items())
    assert drawn["maj@4"] == pytest.approx(voted / 48)
    assert drawn["mean_accuracy"] <= drawn["pass@4"]
    assert "stage_1: 4 samples to each question of transfer: by hidden gold: " in results["weak_to_strong"]["printed"]
    rounds = [one["row"] for one in results["vote"]["selections"] if one["rule"] == "samples"]
    assert rounds == ["round_0", "round_1"], "who drew what every round votes on"


def test_pairs_the_wrong_way_round_are_counted_by_hidden_gold(results: Results, store: Store) -> None:
    found = next(one for one in results["weak_to_strong"]["selections"] if one["rule"] == "contrastive_pairs")
    (stage,) = (s for s in made("weak_to_strong").stages if s.digest == found["stage"])
    pairs = table(store, stage, "pairs")
    gold = gold_of("transfer")
    for side, share in (("chosen_answer", "precision"), ("rejected_answer", "inverted")):
        assert found[share] == sum(pair[side] == gold[pair["example_id"]] for pair in pairs) / len(pairs)
    assert found["precision"] + found["inverted"] <= 1


def test_a_filter_by_hidden_gold_is_marked_as_a_cheat(results: Results) -> None:
    assert {name: result["cheats"] for name, result in results.items() if result["cheats"]} == {
        "oracle": ["oracle_gold_filter"]
    }
    assert "CHEAT: oracle_gold_filter used hidden gold labels" in results["oracle"]["printed"]
    chosen = [one for one in results["oracle"]["selections"] if one["rule"] == "oracle_gold_filter"]
    assert [one["precision"] for one in chosen] == [1.0, 1.0]


def test_a_second_run_computes_nothing_and_loads_no_torch(place: Path, results: Results) -> None:
    again = run_job(place, *JOBS["weak_to_strong"], world=SMALL_ARITHMETIC)
    assert all(stage["cached"] for stage in again["stages"])
    for part in ("rows", "pgr", "agreement", "selections", "by_difficulty"):
        assert again[part] == results["weak_to_strong"][part]
    assert "stage_2" in printed_without_torch(place, *SMALL_ARITHMETIC, *JOBS["weak_to_strong"])


@pytest.mark.parametrize(
    "overrides",
    [
        ["fit=lora", "paradigm.iterations=1", "paradigm.control=never"],
        ["paradigm.contrast=false"],
        ["paradigm.learn=strong", "paradigm.iterations=1", "paradigm.pairs_per_question=3"],
        ["paradigm=self_improvement", "paradigm.start=weak_to_strong", "paradigm.rounds=1"],
    ],
    ids=lambda o: o[0],
)
def test_every_option_runs_to_a_result(overrides: list[str], place: Path, results: Results) -> None:
    result = run_job(place, *overrides, world=SMALL_ARITHMETIC)
    assert 0.0 <= result["student"]["value"] <= 1.0
    same = rows(result)["ceiling"] == rows(results["vote"])["ceiling"]
    assert same == ("fit=lora" not in overrides)


@pytest.mark.slow
def test_a_sweep_over_seeds_pools_them(place: Path, results: dict[str, Any]) -> None:
    where = [f"paths.store={place}/store", f"paths.outputs={place}/outputs", "tracking=disabled"]
    done = train("-m", *SMALL_ARITHMETIC, *where, "paradigm=supervised", "seed=0,1", cwd=place)
    assert done.returncode == 0, done.stderr
    (file,) = (place / "outputs" / "sweeps").glob("*/sweep.json")
    (group,) = json.loads(file.read_text())["groups"]
    assert group["n"] == group["expected"] == 2
    assert group["floor"]["per_seed"][0] == results["supervised"]["floor"]["value"]
    assert group["floor"]["low"] <= group["floor"]["value"] <= group["floor"]["high"]
    assert (file.parent / "report.html").stat().st_size > 10_000
