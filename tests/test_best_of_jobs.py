"""Reward models as verifiers: samples drawn by a reasoning job's model, and jobs that pick the best of n of them."""

import io
import json
import re
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from rich.console import Console

from tests.composing import composed, job, plan
from tests.models.tiny import make_folder
from tests.report.reading import Page
from tests.small_jobs import SMALL_ARITHMETIC, rows, run_job
from tests.test_preference_jobs import SMALL
from w2s_lightning import execute
from w2s_lightning.config import build
from w2s_lightning.errors import UserError
from w2s_lightning.job import Request, check_data
from w2s_lightning.job import run as run_request
from w2s_lightning.report.__main__ import main as report
from w2s_lightning.report.artifacts import Shelf
from w2s_lightning.report.pages.best_of import best_of
from w2s_lightning.report.records import Group, Job, Section
from w2s_lightning.rewardbench.__main__ import main as rewardbench
from w2s_lightning.rewardbench.convert import main as convert
from w2s_lightning.rewardbench.samples import main as samples
from w2s_lightning.stages import Fit, Label
from w2s_lightning.store import Store
from w2s_lightning.tasks.problems import question_group

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"real data is absent: {SHARED}")
READOUTS = ("head", "implicit")
N = 5
Result = dict[str, Any]
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("best_of")


@pytest.fixture(scope="module")
def solved(place: Path) -> Path:
    """The folder of a finished reasoning job, as `train.py` leaves it."""
    where = (f"paths.store={place}/store", f"paths.outputs={place}/solved", "tracking.mode=disabled")
    cfg, choices = composed(*SMALL_ARITHMETIC, *where, "trainer.threads=1", "paradigm=supervised")
    settings, runtime = build(cfg, choices)
    request = Request(settings, runtime, OmegaConf.to_yaml(cfg, resolve=True), ())
    run_request(request, execute.run, Console(file=io.StringIO()))
    (folder,) = [file.parent for file in (place / "solved").glob("*/result.json")]
    return folder


@pytest.fixture(scope="module")
def drawn(solved: Path, place: Path) -> Path:
    file = place / "samples.jsonl"
    assert samples([str(solved), "--row", "ceiling", "--n", str(N), "--out", str(file)]) == 0
    return file


@pytest.fixture(scope="module")
def run(place: Path, drawn: Path) -> Callable[..., Result]:
    return lambda *overrides: run_job(place, f"task.best_of={drawn}", *overrides, world=SMALL)


@pytest.fixture(scope="module")
def results(run: Callable[..., Result]) -> dict[str, Result]:
    return {readout: run(f"fit.readout={readout}") for readout in READOUTS}


def lines(file: Path) -> Rows:
    return [json.loads(line) for line in file.read_text().splitlines()]


def written(file: Path, made: Rows) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in made))
    return file


def by_question(made: Rows) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for row in made:
        found.setdefault(row["question"], []).append(row)
    return found


# ---------------------------------------------------------------- samples


def test_samples_are_n_judged_solutions_to_every_test_question(drawn: Path) -> None:
    made, task = lines(drawn), job(*SMALL_ARITHMETIC)[0].task
    problems = {one.question: one for one in task.splits(0).test}
    grouped = by_question(made)
    assert grouped.keys() == problems.keys()
    assert all([row["number"] for row in own] == list(range(N)) for own in grouped.values())
    assert any(len({row["solution"] for row in own}) > 1 for own in grouped.values())
    assert {row["right"] for row in made} == {True, False}
    for row in made:
        assert row["answer"] == task.parse(row["solution"])
        assert row["right"] == task.equal(problems[row["question"]].answer, row["answer"])
        assert row["group"] == problems[row["question"]].group


def test_samples_are_drawn_once_and_written_as_parquet_too(
    solved: Path, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again.parquet"
    assert samples([str(solved), "--row", "ceiling", "--n", str(N), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""  # no stage was computed
    assert f"maj@{N}" in shown.out
    assert pq.read_table(out).to_pylist() == lines(drawn)


def test_mistakes_in_drawing_samples_are_one_line(
    solved: Path, results: dict[str, Result], place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: str, job: Path = solved, out: str = "x.jsonl") -> str:
        assert samples([str(job), *arguments, "--out", str(tmp_path / out)]) == 1
        said = capsys.readouterr().err.strip()
        assert len(said.splitlines()) <= 2
        return said

    assert "no such row: did you mean 'ceiling'?" in refused("--row", "ceilin")
    assert "no finished job's folder" in refused("--row", "floor", job=tmp_path)
    assert "gives the same solution every time" in refused("--row", "floor", "--temperature", "0")
    assert "--n 0: expected 1 or more" in refused("--row", "floor", "--n", "0")
    assert "expected a file that ends in .jsonl or .parquet" in refused("--row", "floor", out="x.txt")
    assert not list(tmp_path.iterdir())
    damaged = shutil.copytree(solved, place / "damaged")
    (damaged / "config.yaml").write_text("task: [")
    assert "config.yaml is no job's configuration" in refused("--row", "floor", job=damaged)


# ---------------------------------------------------------------- jobs


@pytest.mark.parametrize("readout", READOUTS)
def test_best_of_n_is_what_the_stored_rewards_pick(
    readout: str, results: dict[str, Result], place: Path, drawn: Path
) -> None:
    """Every row's accuracy at every n against enumeration of all subsets of the stored scores."""
    result, store = results[readout], Store.at(place / "store")
    made = plan(*SMALL, f"task.best_of={drawn}", f"fit.readout={readout}")
    grouped = by_question(lines(drawn))
    curve = {part["n"]: part for part in result["best_of"]["curve"]}
    assert list(curve) == [1, 2, 4, N]
    assert {row.name for row in made.rows} >= {"untuned", "floor", "student", "ceiling"}
    for row in made.rows:
        assert row.best_of is not None
        table = pq.read_table(store.open(row.best_of) / "predictions.parquet")
        assert table.column("correct").to_pylist() == [one["right"] for one in lines(drawn)]
        by_text = {
            (one["question"], one["solution"]): reward
            for one, reward in zip(lines(drawn), table.column("reward").to_pylist(), strict=True)
        }
        for n, part in curve.items():
            picked = [pick(own, by_text, n) for own in grouped.values()]
            assert part["accuracy"][row.name]["value"] == pytest.approx(mean(picked), abs=1e-9)


def pick(own: Rows, rewards: dict[tuple[str, str], float], n: int) -> float:
    """The mean over all subsets of what the best-scored samples are worth."""
    scored = [(rewards[one["question"], one["solution"]], one["right"]) for one in own]
    subsets = list(combinations(scored, n))
    return mean(mean(right for score, right in one if score == max(one)[0]) for one in subsets)


@pytest.mark.parametrize("readout", READOUTS)
def test_the_vote_and_pass_at_n_stand_beside_it(readout: str, results: dict[str, Result], drawn: Path) -> None:
    found, grouped = results[readout]["best_of"], by_question(lines(drawn))
    assert (found["num_questions"], found["num_samples"], found["num_rows"]) == (60, N, 60 * N)
    first, last = found["curve"][0], found["curve"][-1]
    share = mean(row["right"] for row in lines(drawn))
    for part in (*first["accuracy"].values(), first["majority"], first["pass"]):
        assert part["value"] == pytest.approx(share)
        assert part["low"] <= part["value"] <= part["high"]
    assert last["pass"]["value"] == pytest.approx(mean(any(row["right"] for row in own) for own in grouped.values()))
    for part in found["curve"]:
        assert all(
            one["value"] <= part["pass"]["value"] + 1e-9 for one in (*part["accuracy"].values(), part["majority"])
        )
        gained = part["over_majority"]["student"]["value"]
        assert gained == pytest.approx(part["accuracy"]["student"]["value"] - part["majority"]["value"])
        assert set(part["pgr"]) == {"student"}
    for words in (
        f"maj@{N}",
        "pass@n",
        "best of n by reward, samples.jsonl (task.best_of)",
        f"best of {N} on 60 questions",
    ):
        assert words in results[readout]["printed"]


def test_a_head_of_zeros_picks_at_random(results: dict[str, Result]) -> None:
    values = [part["accuracy"]["untuned"]["value"] for part in results["head"]["best_of"]["curve"]]
    assert values == pytest.approx([values[0]] * len(values))


def test_samples_change_no_other_stage_and_without_them_nothing_changes(
    drawn: Path, results: dict[str, Result]
) -> None:
    without, picked = plan(*SMALL), plan(*SMALL, f"task.best_of={drawn}")
    assert {stage.digest for stage in without.stages} < {stage.digest for stage in picked.stages}
    assert without.digest != picked.digest
    assert all(row.best_of is None for row in without.rows)
    assert plan(*SMALL, "task.best_of=null").digest == without.digest
    assert all("best_of" in row for row in results["head"]["rows"])


def test_the_command_scores_a_finished_model_as_the_job_did(
    results: dict[str, Result], place: Path, drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, made = Store.at(place / "store"), plan(*SMALL, f"task.best_of={drawn}")
    student = next(row for row in made.rows if row.name == "student")
    assert isinstance(student.evaluate.answers, Label)
    assert isinstance(student.evaluate.answers.source, Fit)
    assert student.best_of is not None
    folder, out = store.path(student.evaluate.answers.source), place / "verified"
    assert rewardbench([str(folder), "--best-of", str(drawn), "--out", str(out)]) == 0
    theirs = pq.read_table(out / "samples.parquet").to_pylist()
    ours = pq.read_table(store.open(student.best_of) / "predictions.parquet").column("reward").to_pylist()
    assert [row["reward"] for row in theirs] == pytest.approx(ours, abs=1e-5)
    by_text = {(o["question"], o["solution"]): t["reward"] for o, t in zip(lines(drawn), theirs, strict=True)}
    summary = json.loads((out / "best_of.json").read_text())
    for part, own in zip(summary["curve"], results["head"]["best_of"]["curve"], strict=True):
        picked = [pick(tries, by_text, part["n"]) for tries in by_question(lines(drawn)).values()]
        assert part["accuracy"]["value"] == pytest.approx(mean(picked))
        assert part["majority"] == own["majority"]
    assert "pass@n" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        rewardbench([str(folder), "--best-of", str(drawn), "--data", str(drawn)])
    seen = [{"question": splits().transfer[0].turns[0].text, "solution": "1 .", "answer": "1", "right": True}]
    trained = written(place / "trained.jsonl", [*seen, *lines(drawn)])
    assert rewardbench([str(folder), "--best-of", str(trained), "--out", str(out)]) == 1
    assert "1 of 61 prompts are of the data" in capsys.readouterr().err


def test_the_report_draws_accuracy_against_n(results: dict[str, Result], place: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    told = ["--outputs", str(place / "outputs"), "--store", str(place / "store"), "--out", str(file)]
    assert report(told) == 0
    (section,) = [one for one in Page(file).sections if "arithmetic_pairs" in one["title"]]
    shown = [row for view in section["figures"]["rewardbench/best_of"]["views"] for row in view["rows"]]
    assert {row[1] for row in shown} == {"untuned", "floor", "student", "ceiling", "maj@n", "pass@n"}
    for result in results.values():
        for part in result["best_of"]["curve"]:
            assert part["accuracy"]["student"]["value"] in [r[3] for r in shown if r[1:3] == ["student", part["n"]]]


def test_seeds_that_picked_from_other_samples_are_not_drawn_as_one(results: dict[str, Result], place: Path) -> None:
    """As when the file is changed between two jobs that were run one at a time."""
    own = results["head"]
    curve = [{**part, "majority": {**part["majority"], "value": 0.123}} for part in own["best_of"]["curve"]]
    other = {**own, "best_of": {**own["best_of"], "curve": curve}}
    assert [row[-1] for row in drawn_of(place, own, own)] == [2] * len(drawn_of(place, own))
    assert drawn_of(place, own, other) == []


def drawn_of(place: Path, *made: Result) -> list[Any]:
    """The rows of the figure of jobs that differ in their seed alone."""
    jobs = tuple(Job({"seed": seed}, None, result, {}) for seed, result in enumerate(made))
    groups = (Group({}, jobs, "arm", "title"),)
    shelf = Shelf(place / "store")
    section = Section("key", "sweep", "task", "question", None, None, {}, groups, jobs, (), shelf, ())
    figure = best_of(section)
    return [] if figure is None else [row for view in figure.variants for row in view.rows]


# ---------------------------------------------------------------- a verifier that learns what right is


def yes_and_no(folder: Path) -> tuple[str, ...]:
    """Overrides for a task whose better answer ends in `yes`, with samples of other questions and a model."""
    nouns = [f"{one} {other}" for one in ("tea", "snow", "cats", "dogs", "fish", "sea") for other in "abcdefghij"]
    pairs = [
        {"prompt": f"is {noun} ?", "chosen": f"{noun} . yes", "rejected": f"{noun} . no", "subset": "x"}
        for noun in nouns
    ]
    written(folder / "train.jsonl", [{**pair, "test_of": "a [/b]"} for pair in pairs[:40]])
    written(folder / "test.jsonl", pairs[40:50])
    written(folder / "samples.jsonl", [row for place, noun in enumerate(nouns[50:]) for row in tries(noun, place)])
    texts = [f"Human: {row['prompt']}\n\nAssistant: {row['chosen']}\n\n{row['rejected']}" for row in pairs]
    model = make_folder(folder / "model", "llama", texts=texts)
    models = [f"{side}.{key}" for side in ("weak", "strong") for key in (f"path={model}", f"name={side}")]
    fits = ("fit.max_length=64", "fit.epochs=8", "fit.evaluations=1", "fit.rows_per_step=8", "+fit.floor.lr_scale=0")
    return (
        "task=local_preference",
        "task.words=null",
        "paradigm=supervised",
        f"task.train_file={folder}/train.jsonl",
        f"task.test_file={folder}/test.jsonl",
        f"task.best_of={folder}/samples.jsonl",
        *("model@weak=local", "model@strong=local", *models),
        *(f"{side}.{key}" for side in ("weak", "strong") for key in ("lr.full=0.01", "head_init=zeros")),
        *fits,
    )


def tries(noun: str, place: int) -> Rows:
    """Four samples of which one or two are right, so that their vote is mostly wrong."""
    ends = ["no", "yes", "no", "yes" if place % 2 else "no"]
    return [
        {"question": f"is {noun} ?", "solution": f"{noun} . {end}", "answer": end, "right": end == "yes"}
        for end in ends
    ]


def test_a_good_verifier_reaches_pass_at_n_where_the_vote_does_not(tmp_path: Path) -> None:
    result = run_job(tmp_path, world=yes_and_no(tmp_path))
    last = result["best_of"]["curve"][-1]
    assert last["n"] == 4
    assert last["accuracy"]["ceiling"]["value"] > 0.9
    assert last["pass"]["value"] == 1.0
    assert last["majority"]["value"] == pytest.approx(0.25)  # two against two shares the credit
    assert last["accuracy"]["floor"]["value"] == pytest.approx(0.375)
    assert last["over_majority"]["ceiling"]["low"] > 0
    assert "rows are about test questions of a [/b]" in result["printed"]
    pgr = last["pgr"]["student"]
    gap = last["accuracy"]["ceiling"]["value"] - 0.375
    assert pgr["value"] == pytest.approx((last["accuracy"]["student"]["value"] - 0.375) / gap)


# ---------------------------------------------------------------- what is refused


def test_questions_that_are_trained_on_are_refused_unless_allowed_and_then_counted(
    drawn: Path, run: Callable[..., Result], tmp_path: Path
) -> None:
    known = [pair.turns[0].text for split in ("supervise", "transfer") for pair in splits().of(split)[:2]]
    own = [{"question": name, "solution": "1 .", "answer": "1", "right": True} for name in known]
    seen = written(tmp_path / "seen.jsonl", [*own, *lines(drawn)])
    with pytest.raises(
        UserError, match=r"task.best_of=.*seen.jsonl: 4 of its 64 questions stand in the training splits"
    ):
        run(f"task.best_of={seen}")
    result = run(f"task.best_of={seen}", "task.benchmark_overlap=true")
    assert result["best_of"]["shared_prompts"] == 4
    assert "note: 4 of 64 sampled questions were trained on" in result["printed"]
    assert "its 64 questions have from 1 to 5 samples: n goes up to 1" in result["printed"]


def test_a_question_of_a_group_that_is_trained_on_is_refused_too(drawn: Path, tmp_path: Path) -> None:
    """Other names in the same computation: the group that the samples bring along is that of the training pair."""
    group = splits().transfer[0].group
    renamed = [{**row, "group": group} if place < N else row for place, row in enumerate(lines(drawn))]
    settings, _ = job(*SMALL, f"task.best_of={written(tmp_path / 'renamed.jsonl', renamed)}")
    with pytest.raises(UserError, match="1 of its 60 questions stand"):
        check_data(settings, plan(*SMALL, f"task.best_of={tmp_path}/renamed.jsonl"))


def splits() -> Any:
    return job(*SMALL)[0].task.splits(0)


@needs_data
def test_a_verifier_of_gsm8k_test_questions_does_not_pick_among_their_samples(tmp_path: Path) -> None:
    """Pairs of published solutions are GSM8K test questions: samples of those that were trained on are refused."""
    source = SHARED / "gsm8k" / "example_model_solutions.jsonl"
    assert convert(["gsm8k", str(source), "--out", str(tmp_path)]) == 0
    model = make_folder(tmp_path / "model", "llama", texts=["the answer is yes"])
    asked = (
        "task=local_preference",
        *(f"task.{name}_file={tmp_path}/{name}.jsonl" for name in ("train", "test")),
        *("model@weak=local", "model@strong=local", f"weak.path={model}", f"strong.path={model}"),
    )
    trained, kept = (f"task.best_of={tmp_path}/{name}_samples.jsonl" for name in ("train", "test"))
    with pytest.raises(UserError, match="questions stand in the training splits"):
        run_job(tmp_path, *asked, trained, world=())
    assert not (tmp_path / "store").exists()
    settings, _ = job(*asked, kept)
    notices = check_data(settings, plan(*asked, kept))
    assert any("gsm8k" in notice for notice in notices)


@needs_data
def test_published_gsm8k_solutions_become_four_samples_a_question(tmp_path: Path) -> None:
    source = SHARED / "gsm8k" / "example_model_solutions.jsonl"
    assert convert(["gsm8k", str(source), "--out", str(tmp_path)]) == 0
    parts = {name: by_question(lines(tmp_path / f"{name}_samples.jsonl")) for name in ("train", "test")}
    assert len(parts["train"]) + len(parts["test"]) == len(source.read_text().splitlines()) == 1319
    assert all(len(own) == 4 for part in parts.values() for own in part.values())
    for name, part in parts.items():
        asked = {question_group(row["prompt"]) for row in lines(tmp_path / f"{name}.jsonl")}
        assert asked <= {question_group(question) for question in part}
    every = [row for part in parts.values() for own in part.values() for row in own]
    assert not any(re.search("<<.*?>>", row["solution"]) for row in every)
    assert {row["test_of"] for row in every} == {"gsm8k"}
    shares = {number: mean(row["right"] for row in every if row["number"] == number) for number in range(4)}
    assert shares[0] < shares[3]  # a fine-tuned 6B model, and a verified 175B one


BAD: list[tuple[Rows, str]] = [
    ([{"question": "q", "solution": "s", "right": True}], "has no column 'answer'"),
    (
        [{"question": "q", "solution": "s", "answer": "1", "right": "maybe"}],
        "bad.jsonl:1: column 'right' holds 'maybe'",
    ),
    ([{"question": "q", "solution": "s", "answer": "1", "right": True}] * 2, "samples of one question or group"),
    ([{"question": "", "solution": "s", "answer": "1", "right": True}], "bad.jsonl:1: column 'question' is empty"),
    (
        [{"question": "q", "solution": "s", "answer": "1", "right": True, "group": group} for group in "aab"],
        "bad.jsonl:3: column 'group' differs from that of another sample",
    ),
]


@pytest.mark.parametrize(("made", "message"), BAD)
def test_bad_samples_are_refused_in_one_line(made: Rows, message: str, tmp_path: Path) -> None:
    file = written(tmp_path / "bad.jsonl", made)
    with pytest.raises(UserError, match=message) as caught:
        run_job(tmp_path, f"task.best_of={file}", world=SMALL)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_other_tasks_have_no_samples_and_a_file_must_be_there() -> None:
    with pytest.raises(UserError, match=r"task\.best_of is for preference tasks, and facts is none"):
        plan("task=facts", "+task.best_of=x.jsonl")
    with pytest.raises(UserError, match=r"data file not found: .*nowhere.jsonl"):
        plan(*SMALL, "task.best_of=nowhere.jsonl")


def test_rows_of_a_job_say_which_stage_picked(results: dict[str, Result], drawn: Path) -> None:
    made = plan(*SMALL, f"task.best_of={drawn}")
    told = {name: row["best_of"] for name, row in rows(results["head"]).items()}
    assert told == {row.name: row.best_of.digest for row in made.rows if row.best_of}
