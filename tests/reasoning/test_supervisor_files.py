"""Worked solutions from a file in place of the weak model's, and what becomes of a file that does not fit."""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.composing import FixedCommits
from tests.composing import job as bound
from tests.composing import plan as planned
from tests.small_jobs import SMALL_ARITHMETIC, rows, run_job
from tests.test_config import train
from w2s_lightning.errors import UserError
from w2s_lightning.plan import make_setting
from w2s_lightning.stages import Gold, Select
from w2s_lightning.store import Store
from w2s_lightning.tasks import export
from w2s_lightning.tasks.example import Example, Split

SHORT = ("paradigm.iterations=1", "paradigm.control=never")
Write = Callable[[dict[str, str]], Path]


def problems(*splits: Split, seed: int = 0) -> list[Example]:
    made = planned(*SMALL_ARITHMETIC).rows[0].evaluate.task.splits(seed)
    return [one for split in splits for one in made.of(split)]


def gold(asked: Iterable[Example]) -> dict[str, str]:
    return {one.id: one.solution for one in asked}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(solutions: dict[str, str]) -> Path:
        file = tmp_path / f"solutions{len(list(tmp_path.iterdir()))}.jsonl"
        lines = (json.dumps({"id": id, "solution": text}) for id, text in solutions.items())
        file.write_text("".join(f"{line}\n" for line in lines))
        return file

    return written


def job(place: Path, *overrides: str) -> dict[str, Any]:
    return run_job(place, *SHORT, *overrides, world=SMALL_ARITHMETIC)


def test_a_file_is_the_weak_side_from_end_to_end(place: Path, results: dict[str, Any], write: Write) -> None:
    """Every third solution is wrong: floor, full_weak's targets and the weak side of pairs come from the file."""
    asked = problems("transfer", "validation", "test")
    solutions = {one.id: "answer 0 ." if n % 3 == 0 else one.solution for n, one in enumerate(asked)}
    file = write(solutions)
    result = job(place, f"supervisor.file={file}", f"supervisor.test_file={file}")
    right = [solutions[one.id] == one.solution or one.answer == "0" for one in problems("test")]
    assert rows(result)["floor"]["value"] == pytest.approx(sum(right) / 60)
    assert result["job"]["weak"] == "file"
    assert result["agreement"]["with_supervisor"] is not None
    seen = rows(result)["stage_2"]["information"]
    assert seen["gold_seen_by_student"] == seen["gold_upstream"] == 0
    assert rows(result)["full_weak"]["information"]["pseudo_labels"] == 48
    agreed = next(one for one in result["selections"] if one["rule"] == "agreement")
    plan = planned(*SMALL_ARITHMETIC, *SHORT, f"supervisor.file={file}", f"supervisor.test_file={file}")
    select = plan.stage(agreed["stage"])
    assert isinstance(select, Select)
    icl = pq.read_table(Store.at(place / "store").open(select.sources[1]) / "solutions.parquet").to_pylist()
    strong = {row["example_id"]: row["answer"] for row in icl}
    either = {p.id for p in problems("transfer") if strong[p.id] == p.answer or solutions[p.id] != "answer 0 ."}
    either |= {p.id for p in problems("transfer") if p.answer == "0"}
    assert agreed["recall"] == pytest.approx(agreed["precision"] * agreed["kept"] / len(either))


def test_gold_solutions_on_transfer_make_the_ceiling(place: Path, results: dict[str, Any], write: Write) -> None:
    """The same stage when it is called gold, the same weights when it comes from a file."""
    setting = make_setting(bound(*SMALL_ARITHMETIC)[0], FixedCommits())
    ceiling = setting.ceiling()
    student = setting.fit(setting.strong, Gold("transfer"), objective=setting.gold_objective)
    assert student.digest == ceiling.digest
    file = write(gold(problems("transfer", "validation")))
    result = job(place, f"supervisor.file={file}", "paradigm.keep_from=0")
    made = planned(*SMALL_ARITHMETIC, *SHORT, f"supervisor.file={file}")
    student = next(row for row in made.rows if row.name == "full_weak").evaluate.answers.source  # type: ignore[union-attr]
    store = Store.at(place / "store")
    files = [store.open(fit) / "model" / "model.safetensors" for fit in (ceiling, student)]  # type: ignore[arg-type]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert rows(result)["full_weak"]["value"] == rows(result)["ceiling"]["value"]


def test_without_a_test_file_there_is_no_floor_and_no_pgr(place: Path, results: dict[str, Any], write: Write) -> None:
    file = write(gold(problems("transfer", "validation")))
    result = job(place, f"supervisor.file={file}", "paradigm.keep_from=0")
    assert result["floor"] is None
    assert "floor" not in rows(result)
    assert not result["pgr"]["defined"]
    assert "supervisor.test_file" in result["pgr"]["reason"]
    assert "PGR is undefined" in result["printed"]


def test_one_file_for_another_seed_is_floor_too(place: Path, results: dict[str, Any], write: Write) -> None:
    """The test problems are those of every seed, the others in the file are this seed's own."""
    file = write(gold(problems("transfer", "validation", "test", seed=3)))
    files = (f"supervisor.file={file}", f"supervisor.test_file={file}")
    options = ("paradigm.contrast=false", "seed=3")
    assert job(place, *files, *options)["floor"]["value"] == 1.0


@pytest.mark.parametrize("wrong", ["unknown", "missing", "test"])
def test_unknown_and_missing_ids_are_refused_before_anything_runs(wrong: str, write: Write, tmp_path: Path) -> None:
    solutions = gold(problems("transfer", "validation"))
    given = {"unknown": solutions | {"0123456789abcdef": "answer 1 ."}, "test": solutions}
    given["missing"] = dict(list(solutions.items())[2:])
    expected = {"unknown": "the task has no problem 0123456789abcdef", "missing": "no solution for 2 of 48 problems"}
    more = [f"supervisor.test_file={write(solutions)}"] if wrong == "test" else []
    with pytest.raises(UserError, match=expected.get(wrong, "no solution for 60 of 60")) as refused:
        job(tmp_path, f"supervisor.file={write(given[wrong])}", *more)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "store").exists()


def test_the_command_line_refuses_them_in_one_line(write: Write, tmp_path: Path) -> None:
    file = write({"a": "answer 1 ."})
    done = train(*SMALL_ARITHMETIC, f"supervisor.file={file}", f"paths.store={tmp_path}/store", cwd=tmp_path)
    assert done.returncode == 1
    assert f"{file}:1: the task has no problem a: is the file for other data or another seed?" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "store").exists()


def test_exported_problems_can_be_solved_and_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = [o.removeprefix("task.") for o in SMALL_ARITHMETIC if o.startswith("task.")]
    out = tmp_path / "to_solve.csv"
    command = ["conf/task/arithmetic.yaml", "--seed", "0", "--out", str(out)]
    splits = ["--split", "transfer", "--split", "validation"]
    assert export.main([*command, *splits, *small]) == 0
    assert f"64 problems in {out}; fill in the column `solution`" in capsys.readouterr().out
    exported = list(csv.DictReader(out.read_text().splitlines()))
    asked = problems("transfer", "validation")
    assert [(row["id"], row["question"]) for row in exported] == [(one.id, one.question) for one in asked]
    assert {row["solution"] for row in exported} == {""}, "gold stays out"
    solved = gold(asked)
    with out.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, exported[0].keys())
        writer.writeheader()
        writer.writerows({**row, "solution": solved[row["id"]]} for row in exported)
    made = planned(*SMALL_ARITHMETIC, f"supervisor.file={out}")
    assert made.name["weak"] == "file"
