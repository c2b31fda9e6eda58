"""Whole preference jobs: reward models with a head and implicit ones, from configuration to result, on one store."""

import gc
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import PreTrainedModel

from tests.composing import job, plan
from tests.models.tiny import make_folder
from tests.models.tiny_stages import TRAINER
from tests.report.reading import Page
from tests.small_jobs import SMALL_PAIRS as SMALL
from tests.small_jobs import history, rows, run_job, source_of, table
from w2s_lightning.errors import UserError
from w2s_lightning.execute import compute
from w2s_lightning.plan import Plan
from w2s_lightning.report.__main__ import main as report
from w2s_lightning.results.groups import compared, job_row, section_pgrs
from w2s_lightning.results.stored import StoreReader
from w2s_lightning.rewardbench.__main__ import main as rewardbench
from w2s_lightning.stages import BareModel, Fit, UnlabelledTexts
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import Example

PARADIGMS = {
    "supervised": {"untuned", "floor", "student", "ceiling"},
    "distillation": {"untuned", "floor", "teacher", "student", "weak_on_gold_transfer", "ceiling"},
    "self_improvement": {"untuned", "floor", "round_0", "round_1", "student", "ceiling"},
    "weak_to_strong": {"untuned", "floor", "student", "ceiling"},
}
READOUTS = ("head", "implicit")
WORDS = {"head": {"untuned_words"}, "implicit": set[str]()}  # what the strong model says before any supervision
ARMS = ("floor", "student", "ceiling")
LOG_2 = math.log(2)
STAGES = {"arms": "evaluate", "benchmark_arms": "benchmark"}

Result = dict[str, Any]
Results = Mapping[tuple[str, str], Result]
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("preferences")


@pytest.fixture(scope="module")
def run(place: Path, benchmark: Path) -> Run:
    """A job of the small world on the shared store, judged on the benchmark too."""
    return lambda *overrides: run_job(place, f"task.benchmark={benchmark}", *overrides, world=SMALL)


@pytest.fixture(scope="module")
def store(place: Path) -> Store:
    return Store.at(place / "store")


@pytest.fixture(scope="module")
def benchmark(place: Path) -> Path:
    """Pairs of another draw of the same world, in known and unknown subsets, one of them twice."""
    trained_on = {pair.group for split in ("supervise", "transfer", "validation") for pair in drawn().of(split)}
    pairs = [pair for pair in drawn("task.seed=5").test if pair.group not in trained_on]
    subsets = ("llmbar-natural", "llmbar-adver-manual", "math-prm", "of my own")
    rows = [as_row(pair, subsets[n % 4]) for n, pair in enumerate(pairs)]
    return written(place / "benchmark.jsonl", [*rows, rows[0]])


@pytest.fixture(scope="module")
def results(run: Run) -> dict[tuple[str, str], Result]:
    return {
        (paradigm, readout): run(f"paradigm={paradigm}", f"fit.readout={readout}")
        for paradigm, readout in product(PARADIGMS, READOUTS)
    }


@cache
def drawn(*overrides: str) -> Any:
    return job(*SMALL, *overrides)[0].task.splits(0)


def as_row(pair: Example, subset: str) -> dict[str, str]:
    return {"prompt": pair.turns[0].text, "chosen": pair.chosen, "rejected": pair.rejected, "subset": subset}


def written(file: Path, made: Sequence[Mapping[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in made))
    return file


def half_trained_on(folder: Path) -> Path:
    """A file of ten pairs, five of which have prompts of the training splits."""
    pairs = [*drawn().transfer[:3], *drawn().supervise[:2], *drawn().test[:5]]
    return written(folder / "seen.jsonl", [as_row(pair, "hep-go") for pair in pairs])


@cache
def planned(*overrides: str) -> Plan:
    return plan(*SMALL, *overrides)


def losses_of(store: Store, fit: Fit) -> list[float]:
    return [line["loss"] for line in history(store, fit) if "loss" in line]


def answers_of(store: Store, made: Plan, name: str, *, benchmark: bool = False) -> dict[str, np.ndarray[Any, Any]]:
    """A row's stored rewards [2] by example id."""
    row = next(row for row in made.rows if row.name == name)
    stage = (row.benchmark if benchmark else row.evaluate).answers
    return {one["example_id"]: np.array(one["logits"]) for one in table(store, stage, "predictions")}


# ---------------------------------------------------------------- paradigms and read-outs


@pytest.mark.parametrize(("paradigm", "readout"), list(product(PARADIGMS, READOUTS)))
def test_every_paradigm_runs_with_heads_and_with_implicit_rewards(
    paradigm: str, readout: str, results: Results
) -> None:
    result = results[paradigm, readout]
    assert set(rows(result)) == PARADIGMS[paradigm] | WORDS[readout]
    assert result["job"]["paradigm"] == paradigm
    assert all(row["low"] <= row["value"] <= row["high"] and row["n"] == 80 for row in result["rows"])
    shared = [rows(results["supervised", readout])[name]["evaluate"] for name in ("untuned", "floor", "ceiling")]
    assert [rows(result)[name]["evaluate"] for name in ("untuned", "floor", "ceiling")] == shared
    other = results[paradigm, READOUTS[readout == "head"]]
    assert rows(result)["floor"]["evaluate"] != rows(other)["floor"]["evaluate"]


def test_bt_and_dpo_begin_at_log_2_and_a_margin_moves_bt_as_its_formula_says(
    results: Results, run: Run, store: Store
) -> None:
    margin = "gold.preference.margin=0.5"
    run(margin)
    for made, name, start in (
        *((planned(f"fit.readout={readout}"), name, LOG_2) for readout in READOUTS for name in ARMS),
        (planned(margin), "ceiling", math.log(1 + math.exp(0.5))),
    ):
        assert losses_of(store, source_of(made, name))[0] == pytest.approx(start, abs=1e-6)


def test_margins_of_the_data_move_bt_pair_by_pair_and_are_missed_in_one_line(run: Run, tmp_path: Path) -> None:
    """A head of zeros starts at log(1 + exp(m)) on a pair with margin m."""
    by_data = "gold.preference.margin=data"
    asked = (
        *yes_and_no(tmp_path),
        *("task.reader.margin=margin", by_data),
        *("fit.rows_per_step=2", "fit.epochs=1", "fit.lr_scale=0"),  # every pair once, by a head that stays at zero
    )
    run_job(tmp_path, world=asked)
    made = plan(*asked)
    for name, split in (("floor", "supervise"), ("ceiling", "transfer")):
        margins = [pair.margin for pair in source_of(made, name).task.splits(0).of(split)]
        assert set(margins) == {0.5, 2.0}
        losses = losses_of(Store.at(tmp_path / "store"), source_of(made, name))
        assert len(losses) == len(margins) / 2
        assert np.mean(losses) == pytest.approx(np.mean(np.log1p(np.exp(margins))), abs=1e-6)
    with pytest.raises(UserError, match=r"margin=data: 48 of 48 pairs of arithmetic_pairs have no margin"):
        run(by_data)


@pytest.mark.parametrize("readout", READOUTS)
def test_soft_preferences_of_a_weak_model_reach_the_student(readout: str, run: Run, store: Store) -> None:
    """A supervisor that cannot tell prefers by halves: no loss on these is below log 2, as it is on hard labels."""
    lowest = {}
    for labels in ("soft", "hard"):
        asked = ("+fit.floor.lr_scale=0", "+fit.student.epochs=25", f"fit.readout={readout}", f"fit.labels={labels}")
        run(*asked)
        lowest[labels] = min(losses_of(store, source_of(planned(*asked), "student")))
        assert not any(value.any() for value in answers_of(store, planned(*asked), "floor").values())
    assert lowest["soft"] >= LOG_2 - 1e-6
    assert lowest["hard"] < LOG_2 - 0.01


def test_the_reference_is_not_in_memory_while_the_policy_learns(results: Results, store: Store, tmp_path: Path) -> None:
    student = source_of(planned("fit.readout=implicit"), "student")
    seen: list[int] = []

    def models() -> int:
        alive = [one for one in gc.get_objects() if issubclass(type(one), PreTrainedModel)]
        return len({id(one.base_model) for one in alive})

    gc.collect()
    before = models()
    compute(student, tmp_path, store=store, trainer=TRAINER, report=lambda done, of: seen.append(models()))
    assert {count - before for count in seen} == {1}


@pytest.mark.parametrize("objective", ["ipo", "orpo", "simpo", "cdpo"])
def test_other_contrastive_objectives_train_a_student_against_the_same_baselines(
    objective: str, results: Results, run: Run, store: Store
) -> None:
    chosen = ("fit.readout=implicit", f"objective={objective}")
    ceilings = [rows(one)["ceiling"]["evaluate"] for one in (run(*chosen), results["weak_to_strong", "implicit"])]
    assert ceilings[0] == ceilings[1]
    dpo, other = (answers_of(store, planned(*asked), "student") for asked in (chosen[:1], chosen))
    assert any(not np.allclose(value, dpo[id]) for id, value in other.items())


# ---------------------------------------------------------------- what is saved


@pytest.mark.parametrize(
    ("chosen", "options", "beta"),
    [
        ((), (), 1.0),
        (("fit.readout=implicit",), ("--ref", "{base}"), 0.1),
        (("fit.readout=implicit", "objective=simpo"), ("--reference-free", "mean"), 2.0),
    ],
    ids=["classifier", "dpo", "simpo"],
)
def test_the_command_gives_a_model_of_the_store_the_jobs_rewards_to_the_last_digit(
    run: Run, store: Store, place: Path, benchmark: Path, chosen: Any, options: Any, beta: float
) -> None:
    """The job's are beta times the log-ratio to its stored reference (of simpo, the mean log-probability)."""
    result, made = run(*chosen), planned(*chosen, f"task.benchmark={benchmark}")
    student, base = source_of(made, "student"), store.path(made.stages[0])
    given = [option.format(base=base) for option in options]
    found = scored(place, store.path(student), benchmark, *given, "--tokens-per-batch", "16384")
    theirs = [np.float32(beta) * np.float32([row["reward_chosen"], row["reward_rejected"]]) for row in found]
    ours, pairs = answers_of(store, made, "student", benchmark=True), made.rows[0].benchmark.task.rows().pairs
    assert [one.tolist() for one in theirs] == [ours[pair.id][[pair.label, 1 - pair.label]].tolist() for pair in pairs]
    summary = json.loads((place / "scored" / "rewardbench.json").read_text())
    parts = {part["name"]: part for part in result["benchmark"]["parts"]}
    assert summary["overall"]["value"] == parts["overall"]["accuracy"]["student"]["value"]
    for name, section in summary["sections"].items():
        assert section["value"] == parts[name]["accuracy"]["student"]["value"]


@pytest.mark.parametrize("readout", READOUTS)
def test_the_command_refuses_prompts_that_a_fit_of_ours_comes_from(
    results: Results, store: Store, tmp_path: Path, readout: str, capsys: Any
) -> None:
    folder = store.path(source_of(planned(f"fit.readout={readout}"), "student"))
    asked = [str(folder), "--data", str(half_trained_on(tmp_path)), "--out", str(tmp_path / "out")]
    free = [] if readout == "head" else ["--reference-free", "sum"]
    assert rewardbench([*asked, *free]) == 1
    assert "5 of 10 prompts are of the data that" in capsys.readouterr().err
    assert rewardbench([*asked, *free, "--allow-overlap"]) == 0
    assert "note: 5 prompts are of the data that the model comes from" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "rewardbench.json").read_text())["shared_prompts"] == 5


def scored(place: Path, model: Path, data: Path, *options: str) -> list[dict[str, Any]]:
    """The command's rows of scores, computed with as many threads as the jobs are."""
    out, threads = place / "scored", torch.get_num_threads()
    torch.set_num_threads(1)
    assert rewardbench([str(model), "--data", str(data), "--out", str(out), *options]) == 0
    torch.set_num_threads(threads)
    return pq.read_table(out / "scores.parquet").to_pylist()


# ---------------------------------------------------------------- the benchmark


def test_every_row_is_judged_on_the_benchmark_and_ties_are_losses(
    results: Results, store: Store, benchmark: Path
) -> None:
    result = results["self_improvement", "head"]
    found, names = result["benchmark"], PARADIGMS["self_improvement"] | WORDS["head"]
    kinds = {part["name"]: part["kind"] for part in found["parts"]}
    assert [name for name, kind in kinds.items() if kind != "subset"] == ["overall", "Chat Hard", "Reasoning"]
    assert kinds["of my own"] == kinds["math-prm"] == "subset"
    rows_of_subsets = sum(part["n"] for part in found["parts"] if part["kind"] == "subset")
    assert found["num_rows"] == len(benchmark.read_text().splitlines()) == rows_of_subsets
    for part in found["parts"]:
        assert set(part["accuracy"]) == names
        assert set(part["pgr"]) == PARADIGMS["self_improvement"] - {"untuned", "floor", "ceiling"}
        assert part["accuracy"]["untuned"]["value"] == 0  # a zero head gives every text the same reward
        assert all(pgr["defined"] or pgr["reason"] for pgr in part["pgr"].values())
    assert found["missing"]["sections"] == ["Chat", "Safety", "Prior Sets"]
    assert "llmbar-adver-neighbor" in found["missing"]["subsets"]["Chat Hard"]
    assert found["shared_prompts"] == 0
    for words in ("Chat Hard", "of my own", "a tie is a loss", "not in the benchmark: Chat; Safety; Prior Sets"):
        assert words in result["printed"]
    metrics = store.read_json(planned(f"task.benchmark={benchmark}").rows[1].benchmark, "metrics.json")
    assert metrics["sections"].keys() == {"Chat Hard", "Reasoning"}


def test_the_report_shows_sections_with_the_students_pgr(results: Results, place: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    told = ["--outputs", str(place / "outputs"), "--store", str(place / "store"), "--out", str(file)]
    assert report(told) == 0
    (section,) = [one for one in Page(file).sections if "arithmetic_pairs" in one["title"]]
    figure = section["figures"]["rewardbench/sections"]
    rows = [row for view in figure["views"] for row in view["rows"]]
    assert {"floor", "student", "ceiling", "PGR"} == {row[1] for row in rows}
    assert {"Chat Hard", "Reasoning", "of my own"} <= {row[2] for row in rows}
    parts = [part for result in results.values() for part in result["benchmark"]["parts"]]
    stored = [part["pgr"]["student"]["value"] for part in parts if part["name"] == "overall"]
    shown = [row[3] for row in rows if row[1] == "PGR" and row[2] == "overall"]
    assert all(value in shown for value in stored)


def test_the_benchmark_changes_no_other_stage(benchmark: Path) -> None:
    without, judged = planned(), planned(f"task.benchmark={benchmark}")
    assert {stage.digest for stage in without.stages} < {stage.digest for stage in judged.stages}
    assert without.digest != judged.digest
    assert planned("task.benchmark_overlap=true").digest == without.digest


def test_the_tasks_own_test_pairs_are_judged_by_subset(run: Run, tmp_path: Path) -> None:
    """Without new stages but the judging; pairs without a subset are one, named like the task."""
    result = run("task.benchmark=test")
    found = result["benchmark"]
    assert {part["name"] for part in found["parts"]} == {pair.subset for pair in drawn().test}
    for row in ARMS:
        right = sum(part["n"] * part["accuracy"][row]["value"] for part in found["parts"])
        assert right / len(drawn().test) == pytest.approx(rows(result)[row]["value"])  # nothing ties
    assert "test pairs of arithmetic_pairs (task.benchmark)" in result["printed"]
    assert "not in the benchmark" not in result["printed"]
    judged, without = planned("task.benchmark=test"), planned()
    known = {stage.digest for stage in without.stages}
    assert {stage.kind for stage in judged.stages if stage.digest not in known} == {"evaluate"}
    bare = plan(*yes_and_no(tmp_path), "task.benchmark=test").rows[0].benchmark
    assert bare is not None
    assert set(bare.task.rows().subsets) == {"local_preference"}


def test_pgr_by_section_is_the_share_of_the_gap(tmp_path: Path) -> None:
    """Pairs that end in yes or no are learned at once; the floor has learned nothing."""
    result = run_job(tmp_path, world=yes_and_no(tmp_path))
    parts = {part["name"]: part for part in result["benchmark"]["parts"]}
    for name in ("Safety", "overall"):
        accuracy, pgr = parts[name]["accuracy"], parts[name]["pgr"]["student"]
        assert accuracy["floor"]["value"] < 0.1
        assert accuracy["ceiling"]["value"] > 0.9
        gap = accuracy["ceiling"]["value"] - accuracy["floor"]["value"]
        assert pgr["value"] == pytest.approx((accuracy["student"]["value"] - accuracy["floor"]["value"]) / gap)
        assert pgr["low"] <= pgr["value"] <= pgr["high"]
    alone = parts["donotanswer"]
    assert alone["pgr"]["student"]["reason"] == "all its rows have one prompt, which says nothing about others"
    assert (alone["accuracy"]["ceiling"]["low"], alone["accuracy"]["ceiling"]["high"]) == (0.0, 1.0)


Pairs = list[dict[str, Any]]


def own_pairs(folder: Path, family: str = "llama", **parts: Pairs) -> tuple[str, ...]:
    """Overrides for a task of these pairs in files, and for a model of their texts on both sides."""
    for name, own in parts.items():
        written(folder / f"{name}.jsonl", own)
    pairs = [pair for own in parts.values() for pair in own]
    texts = [f"Human: {pair['prompt']}\n\nAssistant: {pair['chosen']}\n\n{pair['rejected']}" for pair in pairs]
    model = make_folder(folder / "model", family, texts=texts)
    own = ("model@{}=local", f"{{}}.path={model}", "{}.head_init=zeros", "{}.name={}")
    return (
        "task=local_preference",
        *(f"task.{name}_file={folder}/{name}.jsonl" for name in ("train", "test")),
        *([f"task.benchmark={folder}/judged.jsonl"] if "judged" in parts else []),
        *(override.format(side, side) for side in ("weak", "strong") for override in own),
        "fit.max_length=64",
    )


def yes_and_no(folder: Path) -> tuple[str, ...]:
    """Overrides for a task whose better answer ends in `yes`, with its benchmark, learned at once but by the floor."""
    nouns = [f"{one} {other}" for one in ("tea", "snow", "cats", "dogs", "fish", "sea") for other in "abcdefghij"]
    pairs: Pairs = [
        {"prompt": f"is {noun} ?", "chosen": f"{noun} . yes", "rejected": f"{noun} . no"}
        | {"subset": "xstest-should-refuse", "margin": 2.0 if number % 3 else 0.5}
        for number, noun in enumerate(nouns)
    ]
    for pair in pairs[-2:]:
        pair |= {"subset": "donotanswer", "prompt": "one prompt"}
    return (
        *own_pairs(folder, train=pairs[:40], test=pairs[40:50], judged=pairs[50:]),
        "task.words=null",
        "paradigm=supervised",
        "+fit.floor.lr_scale=0",
        *("fit.epochs=8", "fit.evaluations=1", "fit.rows_per_step=8"),
        *("weak.lr.full=0.01", "strong.lr.full=0.01"),
    )


def test_prompts_that_are_trained_on_are_refused_unless_allowed_and_then_counted(
    place: Path, run: Run, tmp_path: Path
) -> None:
    seen = half_trained_on(tmp_path)
    with pytest.raises(UserError, match=r"5 of its 10 rows have a prompt that stands in the training splits"):
        run(f"task.benchmark={seen}")
    result = run(f"task.benchmark={seen}", "task.benchmark_overlap=true")
    assert result["benchmark"]["shared_prompts"] == 5
    assert "note: 5 of 10 benchmark rows have prompts trained on" in result["printed"]
    with pytest.raises(UserError, match=r"task.benchmark: 5 of its prompts stand in the training splits"):
        run(f"task.benchmark={seen}")  # all of its stages are stored now


def test_a_verifier_of_gsm8k_test_questions_is_not_judged_on_them(tmp_path: Path) -> None:
    """Rows may say whose test questions they ask; their groups are those of the questions, however they are asked."""
    pairs: Pairs = [
        {"prompt": f"How many are {n} and {n} ?", "chosen": f"{2 * n} .", "rejected": f"{n} ."}
        | {"test_of": "gsm8k", "subset": "math-prm", "question": f"asks {2 * n} ."}
        for n in range(1, 101)
    ]
    asked = own_pairs(tmp_path, train=pairs[:80], test=pairs[80:], judged=[pairs[3], pairs[90]])
    with pytest.raises(UserError, match=r"1 of its 2 rows have a prompt that stands in the training splits"):
        run_job(tmp_path, *asked, "task.words=null", "task.reader.group=question", world=())


# ---------------------------------------------------------------- generative fine-tuning


def test_student_and_ceiling_model_the_same_texts_first_and_the_floor_does_not(
    results: Results, run: Run, store: Store
) -> None:
    for readout in READOUTS:
        plain, first = planned(f"fit.readout={readout}"), planned(f"fit.readout={readout}", "fit.generative_epochs=2")
        student, ceiling, floor = (source_of(first, name) for name in ("student", "ceiling", "floor"))
        assert student.weights == ceiling.weights
        assert student.weights.learned == UnlabelledTexts("transfer")
        assert floor == source_of(plain, "floor")
        assert student.weights.weights == source_of(plain, "student").weights
        before = BareModel(student.weights, student.readout, student.numerics)
        references = [named.source for name, named in student.targets.items() if name == "reference"]
        assert references == ([before] if readout == "implicit" else [])
    result = run("fit.readout=implicit", "fit.generative_epochs=2")
    metrics, seen = store.read_json(student.weights, "metrics.json"), rows(result)["student"]["information"]
    assert metrics["num_rows"] == 2 * 64
    before, after = (log_probs_of_reference(store, epochs) for epochs in (0, 2))
    assert after.mean() > before.mean() + 1
    assert (seen["gold_seen_by_student"], seen["pseudo_labels"]) == (0, 64)
    assert seen["train_tokens"] > metrics["num_tokens"]
    assert "untuned_texts" in rows(result)
    assert any("modelled the texts of `transfer`" in notice for notice in result["notices"])


def log_probs_of_reference(store: Store, epochs: int) -> np.ndarray[Any, Any]:
    """What the model before its labels says of the texts of `transfer`, [64, 2]."""
    made = planned("fit.readout=implicit", f"fit.generative_epochs={epochs}")
    reference = source_of(made, "student").targets["reference"]
    return np.array([row["log_probs"] for row in table(store, reference, "log_probs")])


def test_zero_epochs_of_texts_are_no_stage_at_all() -> None:
    for overrides in ([], ["paradigm=self_improvement"], ["fit.readout=words"], ["fit=lora"]):
        without, zero = plan(*overrides), plan(*overrides, "fit.generative_epochs=0")
        assert [stage.digest for stage in without.stages] == [stage.digest for stage in zero.stages]
    floor = source_of(planned("+fit.floor.generative_epochs=1"), "floor")
    assert isinstance(floor.weights, Fit)
    assert floor.weights.learned == UnlabelledTexts("supervise")


def test_a_choice_task_models_its_texts_too(place: Path) -> None:
    result = run_job(place, "fit.generative_epochs=1", "paradigm=supervised")
    assert {"untuned", "untuned_words", "floor", "student", "ceiling"} == set(rows(result))
    labels = [stage["label"] for stage in result["stages"]]
    assert any("texts_transfer-sft" in label for label in labels)


# ---------------------------------------------------------------- classifier against DPO


def test_classifier_and_dpo_are_compared_row_by_row_and_section_by_section(results: Results, store: Store) -> None:
    jobs, read = [as_job(key, result) for key, result in results.items()], StoreReader(store.root).required_answers
    records = compared(jobs, read)
    tested = {record["row"]: part for record in records for part in record["parts"] if part["name"] == "test"}
    assert list(tested) == ["floor", "ceiling", *PARADIGMS]
    for row, part in tested.items():
        name, paradigm = (row, "supervised") if row in ARMS else ("student", row)
        head, implicit = (rows(results[paradigm, readout])[name]["value"] for readout in READOUTS)
        assert part["value"] == pytest.approx(head - implicit)
        assert part["low"] <= part["value"] <= part["high"]
    parts = [part["name"] for part in next(one for one in reversed(records) if one["row"] == "ceiling")["parts"]]
    assert parts == ["Chat Hard", "Reasoning", "of my own", "overall"]
    by_name = {part["name"]: part["pgr"]["student"] for part in results["supervised", "head"]["benchmark"]["parts"]}
    assert {part["name"]: part["pgr"] for part in section_pgrs(jobs[:1], read)} == {
        name: by_name[name] for name in parts
    }


def as_job(key: tuple[str, str], result: Result) -> dict[str, Any]:
    """The row that a sweep's ledger has of a finished job."""
    arms, axes = {name: rows(result)[name] for name in ("untuned", *ARMS)}, {"paradigm": key[0], "fit.readout": key[1]}
    known = {kind: {name: row[to] for name, row in arms.items()} for kind, to in STAGES.items()}
    return job_row(result["job"], axes, (), result, state="done", **known)


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["task=fact_claims", "fit.readout=implicit"],
            "fit.readout=implicit is for preference tasks, and fact_claims is none",
        ),
        (
            ["task=anthropic_hh", "task.words=null", "fit.readout=words", "model@weak=gpt2", "model@strong=gpt2"],
            "task anthropic_hh has no verdict words",
        ),
        ([*SMALL, "fit=probe", "fit.readout=implicit"], "a probe trains a head, and an implicit reward has none"),
        ([*SMALL, "+fit.floor.readout=implicit"], "set fit.readout for all"),
        ([*SMALL, "fit.readout=implicit", "objective=bt"], "objective=bt reads logits and probs"),
        ([*SMALL, "objective=bt", "objective.margin=data"], "objective.margin=data takes the margins of gold"),
        ([*SMALL, "gold.preference.margin=-1"], "gold.preference.margin"),
        ([*SMALL, "gold.preference.margin=date"], "gold.preference.margin"),
        ([*SMALL, "gold.implicit.beta=0"], "gold.implicit.beta"),
        ([*SMALL, "objective=cdpo", "objective.flipped=0.5", "fit.readout=implicit"], "objective.flipped"),
        ([*SMALL, "fit=probe", "fit.generative_epochs=1"], "a probe leaves the network as it is"),
        (["task=arithmetic", "fit.generative_epochs=1"], "fit.generative_epochs is for choice and preference tasks"),
        (["task=fact_claims", "+task.benchmark=allenai/reward-bench"], "task.benchmark is for preference tasks"),
        ([*SMALL, "task.benchmark=nowhere.jsonl"], "data file not found: nowhere.jsonl"),
        ([*SMALL, "task.benchmark=somebody/else"], "=somebody/else: expected test, a file, or allenai/reward-bench"),
        ([*SMALL, "task.benchmark_overlap=5"], "task.benchmark_overlap"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_are_answered_in_one_or_two_lines(overrides: list[str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        plan(*overrides)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_an_encoder_has_no_implicit_reward_and_models_no_texts(tmp_path: Path) -> None:
    pairs: Pairs = [{"prompt": f"p {n}", "chosen": "yes", "rejected": "no"} for n in range(40)]
    asked = own_pairs(tmp_path, "bert", train=pairs[:30], test=pairs[30:])
    with pytest.raises(UserError, match=r"is an encoder and has no implicit: use fit.readout=head"):
        plan(*asked, "fit.readout=implicit")
    with pytest.raises(UserError, match=r"is an encoder: it cannot model texts first"):
        plan(*asked, "fit.generative_epochs=1")


def test_a_hub_benchmark_enters_by_its_commit_and_needs_no_download_to_be_planned() -> None:
    made = planned("task.benchmark=allenai/reward-bench")
    task = made.rows[0].benchmark.task  # type: ignore[union-attr]
    assert task.name == "reward-bench"
    assert task.sizes()["test"] == 2985
    assert task.source.commit == "0" * 40
