"""What the written page says: overview, states, problems, numbers; the same numbers as in sweep.json."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pyarrow.parquet as pq
import pytest

from tests.report.making import SKILL, Made, reseal, small, written
from tests.report.reading import Page
from w2s_lightning.errors import UserError
from w2s_lightning.report.__main__ import main
from w2s_lightning.report.writing import Reporter
from w2s_lightning.show.numbers import interval


def test_the_first_page_has_the_question_how_far_the_sweep_is_and_why_cells_have_no_number(page: Page) -> None:
    for words in (
        "How much of the gap does a strong student recover from a weak supervisor",
        "30 done, 1 running, 1 to come, 4 failed of 36 jobs.",
        "python train.py -m sweeps=size_pairs",
        "2 of 3 seeds",
    ):
        assert words in page.text
    tips = " ".join(attrs["data-tip"] or "" for _, attrs in page.elements if "data-tip" in attrs)
    assert "seeds 0, 1 and 2 failed: no room" in tips
    assert "seed 0 failed: the loss is nan" in tips
    assert "seed 1 running; seed 2 waiting" in tips


def test_every_cell_of_the_matrix_is_that_of_sweep_json(page: Page, made: Made) -> None:
    groups = json.loads((made.folder / "sweep.json").read_text())["groups"]
    shown = page.rows("overview/matrix")
    assert len(shown) == len(groups) == 12
    for one, group in zip(shown, groups, strict=True):
        assert (one["weak"], one["strong"], one["seeds"]) == (group["weak"], group["strong"], group["n"])
        assert (one["pgr"], one["low"], one["high"]) == tuple(group["pgr"][key] for key in ("value", "low", "high"))


def test_differences_are_tested_and_corrected_between_rows_that_saw_the_same(page: Page) -> None:
    assert "Saw 3000 pseudo-labels from 2000 gold labels" in page.text
    assert "student (weak_to_strong) − student (distillation):" in page.text
    assert "student (weak_to_strong) − ceiling:" not in page.text
    assert "student (weak_to_strong) − floor:" not in page.text
    assert "Cut off" not in page.text, "no row of it writes solutions"
    sentences = re.findall(r"student \(weak_to_strong\) − student \(distillation\): [^)]*\)", page.text)
    assert len(sentences) == 5  # of six pairs one has no student of weak_to_strong
    assert all("Holm over 5 tests" in sentence for sentence in sentences)


def test_a_job_shows_its_command_what_its_configuration_has_of_its_own_and_why_it_failed(page: Page) -> None:
    failed = page.sections[0]["runs"]["jobs"][0]
    assert failed["reason"] == "the loss is nan"
    assert "Traceback: it blew up" in failed["log"]
    assert failed["command"].startswith("python train.py model@weak=nano")
    details = page.sections[0]["runs"]
    done = next(job for job in details["jobs"] if job["state"] == "done")
    assert {"weak.name", "strong.name", "seed"} <= done["own"].keys()
    assert "fit.epochs" in details["shared"]


def test_the_inspector_holds_at_most_200_rows_a_job_and_the_parquet_all_of_them(page: Page, made: Made) -> None:
    cells, table = page.cells, pq.read_table(made.folder / "report.examples.parquet")
    assert [(len(cell["rows"]), cell["total"]) for cell in cells] == [(200, 240)] * 30
    assert table.num_rows == 30 * 240
    outcomes = table.column("outcome").to_pylist()
    assert outcomes.count("overruled_wrong") == sum(cell["counts"].get("overruled_wrong", 0) for cell in cells) > 0


def test_gold_accuracy_is_joined_pass_by_pass_and_is_among_the_curves_of_every_fit(page: Page) -> None:
    (section,) = page.sections
    figure, rows = section["figures"]["training/passes"], page.rows("training/passes")
    assert len([row for row in rows if row["row"] == "student"]) == 30 * 4
    assert "from the first pass to the last: 0." in figure["views"][0]["reading"]
    fits = [stage["curve"] for stage in section["curves"]["stages"] if stage["kind"] == "fit"]
    gold = [curve["validation_gold_accuracy"] for curve in fits]
    assert [x for x, _ in gold] == [[0.25, 0.5, 0.75, 1.0]] * len(fits)
    last = {round(row["gold"], 4) for row in rows if row["share"] == 1}
    assert last <= {y[-1] for _, y in gold}


def test_a_figures_sentence_states_its_own_numbers(tmp_path: Path, page: Page) -> None:
    figures = page.sections[0]["figures"]
    arms = figures["overview/arms"]
    students = {row[0]: row[4:7] for row in arms["views"][0]["rows"] if row[3] == "student"}
    low, high = (end(students.items(), key=lambda item: item[1][0]) for end in (min, max))
    parts = [dict(zip(("value", "low", "high"), part, strict=True)) for _, part in (low, high)]
    ends = f"from {interval(parts[0])} ({low[0]}) to {interval(parts[1])} ({high[0]})."
    assert arms["views"][0]["reading"] == f"The student runs {ends}"
    flat = written(small(tmp_path, skill=dict.fromkeys(SKILL, 1.0), strong=("micro", "small"))).sections[0]["figures"]
    assert flat["overview/matrix"]["views"][0]["reading"] == "PGR: no number is known."
    assert "scaling/gap" not in flat  # nothing to draw, and a sentence says so


def test_scaling_has_a_line_a_supervisor_over_the_sizes_of_the_strong_model(page: Page) -> None:
    rows = page.sections[0]["figures"]["scaling/sizes"]["views"][0]["rows"]
    assert {row[3] for row in rows} == {"student of nano", "student of micro", "ceiling"}
    assert {row[10] for row in rows} == {11_000, 19_000, 117_000}


def test_every_figure_has_a_reading_data_and_a_link(page: Page) -> None:
    figures = page.sections[0]["figures"]
    assert len(figures) == 9
    for place, figure in figures.items():
        for view in figure["views"]:
            assert view["reading"].endswith("."), place
            assert view["rows"], place
            go.Figure(view["plot"])  # Plotly refuses what it does not know
            assert {len(row) for row in view["rows"]} == {len(figure["columns"])}, place
        assert {"href": f"#{place}"}.items() <= page.all("a", class_="anchor", href=f"#{place}")[0].items()


def test_wandb_gets_every_figure_in_colours_and_with_its_data(page: Page, made: Made) -> None:
    plots, tables = Reporter(made.folder).mirrored()
    names = {place.split("/")[1] for place in page.sections[0]["figures"]}
    assert tables.keys() == {f"fact_pairs/{name}" for name in (*names, "jobs", "stages")}
    paradigms = {f"fact_pairs/paradigms/{weak} → {strong}" for weak in made.weak for strong in made.strong}
    assert plots.keys() == {f"fact_pairs/{name}" for name in names - {"paradigms"}} | paradigms
    assert "var(--" not in json.dumps(plots)
    (heat,) = plots["fact_pairs/matrix"]["data"]
    assert (heat["type"], heat["x"]) == ("heatmap", ["weak_to_strong", "distillation"])


def test_rewardbench_has_a_page_only_where_there_are_sections(tmp_path: Path, page: Page) -> None:
    assert not page.all("a", data_page="rewardbench")
    made = small(tmp_path, subsets=("chat", "chat_hard", "safety"), seeds=(0, 1, 2))
    scored = written(made)
    assert scored.all("a", data_page="rewardbench")
    rows = {
        (row["row"], row["section"]): [row[key] for key in ("value", "low", "high")]
        for row in scored.rows("rewardbench/sections")
    }
    assert {name for _, name in rows} == {"chat", "chat_hard", "safety"}
    files = (made.store / "evaluate").glob("small-student*/predictions.parquet")
    answers = [answer for file in files for answer in pq.read_table(file).to_pylist()]
    chat = [answer["correct"] for answer in answers if answer["subset"] == "chat"]
    value, low, high = rows["student", "chat"]
    assert value == pytest.approx(sum(chat) / len(chat))
    assert low < value < high
    (group,) = json.loads((made.folder / "sweep.json").read_text())["groups"]
    pgrs = {part["name"]: [part["pgr"][key] for key in ("value", "low", "high")] for part in group["sections"]}
    assert {name: ends for (row, name), ends in rows.items() if row == "PGR"} == pgrs


def first_and_last_result(made: Made) -> tuple[Path, Path]:
    first, last = sorted(made.outputs.glob("fact_pairs-*/result.json"))
    return first, last


def forget_validation(made: Made) -> None:
    for fit in (made.store / "fit").iterdir():
        (fit / "validation.parquet").unlink()
        reseal(fit)


def lose_the_store(made: Made) -> None:
    made.store.rename(made.root / "elsewhere")


def age(made: Made) -> None:
    result, fit = first_and_last_result(made)[0], next((made.store / "fit").glob("nano*"))
    for file in (result, fit / "stage.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "version": 0}))
    reseal(fit)


def damage_artifacts(made: Made) -> None:
    file = next((made.store / "evaluate").glob("small-student*/predictions.parquet"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    (next((made.store / "fit").glob("nano*")) / "manifest.json").write_text("{")


def cut_a_result(made: Made) -> None:
    first_and_last_result(made)[0].write_text('{"version": 1')


def maim_a_result_and_texts(made: Made) -> None:
    first, last = first_and_last_result(made)
    complete = json.loads(last.read_text())
    del complete["rows"][0]["evaluate"]
    first.write_text(json.dumps(complete))
    (last.parent / "examples.parquet").write_bytes(b"no parquet")


HELD = {"claim": "xent_recovers", "text": "It recovers.", "verdict": "above", "value": 0.5, "low": 0.4, "high": 0.6}
FLAT = {"untuned": 0.5, "floor": 0.7, "student": 0.7, "ceiling": 0.7}


@pytest.mark.parametrize(
    ("options", "change", "cells", "words"),
    [
        ({"skill": FLAT}, None, 2, ["PGR is undefined: the gap reaches 0"]),
        ({"with_examples": False}, None, 2, ["have written no examples"]),
        ({"kind": "reasoning"}, None, 2, ["Cut off", "0.250 3.0 % 50.0 %"]),
        (
            {"verdicts": [{**HELD, "per_seed": [0.5, float("nan")]}]},
            None,
            2,
            [r"It recovers.*0.500 \[.400, .600\] - 0.50, -"],
        ),
        ({}, forget_validation, 2, ["answered no validation examples on the way"]),
        ({}, lose_the_store, 0, ["the store no longer holds it"]),
        ({}, age, 2, ["written in version 0 of results", "made by version 0 of this kind of stage", " older "]),
        (
            {},
            damage_artifacts,
            1,
            ["2 things on disk cannot", r"damaged evaluate/small-student\S+ : predictions.parquet has sha256"],
        ),
        ({}, cut_a_result, 1, [r"damaged fact_pairs-0000-\w+/result.json"]),
        ({}, maim_a_result_and_texts, 1, [r"fact_pairs-0000-\w+/result.json", r"fact_pairs-0001-\w+/examples.parquet"]),
    ],
)
def test_what_is_undefined_missing_older_or_damaged_is_said_and_the_rest_is_shown(
    tmp_path: Path, options: dict[str, Any], change: Callable[[Made], None] | None, cells: int, words: list[str]
) -> None:
    made = small(tmp_path, **options)
    if change is not None:
        change(made)
    page = written(made)
    assert [one for one in words if not re.search(one, page.text)] == []
    assert len(page.cells) == cells


# ---------------------------------------------------------------- which folders


def test_a_store_that_moved_is_named(tmp_path: Path) -> None:
    made = small(tmp_path)
    lose_the_store(made)
    again = Reporter(made.folder, store=tmp_path / "elsewhere").write()
    assert "the store no longer holds it" not in Page(again.page).text


def test_sweeps_of_different_tasks_stand_in_separate_sections_each_once_however_often_it_is_named(
    tmp_path: Path,
) -> None:
    one, other = small(tmp_path, name="a"), small(tmp_path, name="b", task="stories")
    folders = (one.folder, other.folder, one.folder / ".." / one.folder.name)
    out = tmp_path / "both.html"
    assert main([*(word for folder in folders for word in ("--sweep", str(folder))), "--out", str(out)]) == 0
    page = Page(out)
    assert [section["title"].split(" · ")[1] for section in page.sections] == ["fact_pairs", "stories"]
    assert len(page.all("div", class_="section")) == 2
    assert pq.read_table(tmp_path / "both.examples.parquet").num_rows == 2 * 2 * 40


def test_an_outputs_folder_gives_all_its_sweeps_and_the_jobs_of_none(tmp_path: Path) -> None:
    made = small(tmp_path)
    alone = small(tmp_path / "more", name="alone", task="stories", seeds=(5, 6))
    for folder in alone.outputs.glob("stories-*"):
        folder.rename(made.outputs / folder.name)
    for kind in ("fit", "label", "evaluate"):
        for folder in (alone.store / kind).iterdir():
            folder.rename(made.store / kind / folder.name)
    assert main(["--outputs", str(made.outputs), "--store", str(made.store)]) == 0
    page = Page(made.outputs / "report.html")
    assert [section["title"] for section in page.sections][1] == "single jobs · stories"
    ((*_, value, low, high),) = (row[:7] for row in page.sections[1]["figures"]["overview/matrix"]["views"][0]["rows"])
    expected = json.loads((alone.folder / "sweep.json").read_text())["groups"][0]["pgr"]
    assert (value, low, high) == (expected["value"], expected["low"], expected["high"])


@pytest.mark.parametrize("more", [(), ("--text",), ("--out", "page.html")])
@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("none", "no finished job and no sweep in none, which is not there; the store"),
        ("empty", "no finished job and no sweep in empty; the store"),
        ("broken", "job/result.json: it cannot be read"),
    ],
)
def test_where_nothing_was_run_it_is_said_in_two_lines_and_nothing_is_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    words: str,
    more: tuple[str, ...],
) -> None:
    made = small(tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("broken/job").mkdir(parents=True)
    Path("broken/job/result.json").write_text("{")
    before = sorted(tmp_path.rglob("*"))
    assert main(["--outputs", folder, "--store", str(made.store), *more]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: nothing to show: ")
    assert words in first
    assert f"{made.store} holds {len(list(made.store.glob('*/*/')))} finished stages" in first
    assert "`python train.py -m sweeps=size_pairs`" in second
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no folder"),
        ({}, "is no sweep: it has no sweep.json"),
        ({"sweep.json": "{"}, "is damaged"),
        ({"sweep.json": "[]"}, "is damaged"),
        ({"sweep.json": '{"sweep": "x", "jobs": [{}], "groups": []}'}, "is damaged"),
        ({"sweeps/a-1/sweep.json": "{}"}, "name one, such as --sweep "),
    ],
)
def test_a_folder_that_is_no_sweep_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: dict[str, str] | None, words: str
) -> None:
    for name, text in ({} if content is None else {".keep": "", **content}).items():
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_text(text)
    assert main(["--sweep", str(tmp_path / "x")]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_store_that_is_none_and_a_place_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    made = small(tmp_path)
    with pytest.raises(UserError, match="is not a store"):
        Reporter(made.folder, store=made.outputs).write()
    (made.folder / "report.html").mkdir()
    with pytest.raises(UserError, match=r"cannot write .* name another place with --out"):
        Reporter(made.folder).write()


def test_a_failed_writing_leaves_the_old_page_and_no_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = small(tmp_path)
    reporter = Reporter(made.folder)
    page = reporter.write().page
    before = page.read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        reporter.write()
    assert page.read_bytes() == before
    assert not [path for path in made.folder.iterdir() if path.name.startswith(".report")]


def test_a_reporter_that_writes_again_sees_what_is_new(tmp_path: Path) -> None:
    states = {1: "running"}
    made = small(tmp_path, states=states)
    reporter = Reporter(made.folder)
    assert "1 done, 1 running of 2 jobs." in Page(reporter.write().page).text
    made.states = {}
    made.write()
    page = Page(reporter.write().page)
    assert "All 2 jobs done" in page.text
    assert len(page.cells) == 2


# ---------------------------------------------------------------- the terminal


def test_the_text_prints_overview_and_paradigms(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sweep", str(made.folder), "--text"]) == 0
    out = capsys.readouterr().out
    assert "30 done, 1 running, 1 to come, 4 failed of 36 jobs." in out
    assert "seeds 0, 1 and 2 failed: no room" in out
    assert "student (weak_to_strong) − student (distillation):" in out
    assert "ceiling" in out


def test_nothing_heavy_is_loaded() -> None:
    heavy = ("torch", "pytorch_lightning", "transformers", "wandb", "datasets", "peft", "itables", "pandas")
    code = f"import sys, w2s_lightning.report.__main__; print(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_single_seeds_auroc_is_not_tested_as_if_it_were_an_accuracy(tmp_path: Path) -> None:
    made = small(tmp_path, seeds=(0,), paradigms=("weak_to_strong", "self_improvement"))
    assert "told apart" in written(made).text or "a difference (p" in written(made).text
    for file in (made.folder / "sweep.json", *made.outputs.glob("*/result.json")):
        file.write_text(file.read_text().replace('"metric": "accuracy"', '"metric": "auroc"'))
    auroc = written(made).text
    assert "told apart" not in auroc
    assert "a difference (p" not in auroc


def test_two_seeds_are_drawn_as_dots_without_intervals(tmp_path: Path) -> None:
    figures = written(small(tmp_path)).sections[0]["figures"]
    for place in ("overview/arms", "paradigms/paradigms"):
        for view in figures[place]["views"]:
            ends = [end for trace in view["plot"]["data"] for end in trace.get("error_x", {}).get("array", ())]
            assert ends, place
            assert set(ends) == {0}, place


def test_floors_of_different_conditions_say_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = small(tmp_path, axes=({"task.train_file": "/far/away/a.csv"}, {"task.train_file": "/far/away/b.csv"}))
    assert main(["--sweep", str(made.folder), "--text"]) == 0
    out = capsys.readouterr().out
    for role in ("student", "floor"):
        for file in ("a.csv", "b.csv"):
            assert f"{role} (task.train_file={file})" in out
    assert "/far/away" not in out
