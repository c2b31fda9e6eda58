"""Worked solutions from a file in place of the weak model's, and what becomes of a file that does not fit."""

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.composing import FixedCommits
from tests.composing import job as bound
from tests.composing import plan as planned
from tests.reasoning.conftest import Write, problems, solved
from tests.small_jobs import SMALL_ARITHMETIC, rows, run_job, source_of, table
from w2s_lightning.errors import UserError
from w2s_lightning.plan import make_setting
from w2s_lightning.results.read_back import read_result
from w2s_lightning.stages import Gold, Select
from w2s_lightning.store import Store
from w2s_lightning.tasks import export

SHORT = ("paradigm.iterations=1", "paradigm.control=never")


def job(place: Path, *overrides: str) -> dict[str, Any]:
    return run_job(place, *SHORT, *overrides, world=SMALL_ARITHMETIC)


def test_a_file_is_the_weak_side_from_end_to_end(place: Path, store: Store, write: Write) -> None:
    """Every third solution is wrong: floor, full_weak's targets and the weak side of pairs come from the file."""
    asked = problems("transfer", "validation", "test")
    solutions = {one.id: "answer 0 ." if n % 3 == 0 else one.solution for n, one in enumerate(asked)}
    file = write(solutions)
    result = job(place, f"supervisor.file={file}", f"supervisor.test_file={file}")
    kept = [read_result(one) for one in place.rglob("result.json")]
    floor = next(rows(one)["floor"] for one in kept if one["digest"] == result["digest"])
    assert floor["truncated_share"] is None, "nobody knows whether people's solutions were cut off"
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
    strong = {row["example_id"]: row["answer"] for row in table(store, select.sources[1], "solutions")}
    either = {p.id for p in problems("transfer") if strong[p.id] == p.answer or solutions[p.id] != "answer 0 ."}
    either |= {p.id for p in problems("transfer") if p.answer == "0"}
    assert agreed["recall"] == pytest.approx(agreed["precision"] * agreed["kept"] / len(either))


def test_gold_solutions_on_transfer_make_the_ceiling(place: Path, store: Store, write: Write) -> None:
    """The same stage when it is called gold, the same weights when it comes from a file."""
    setting = make_setting(bound(*SMALL_ARITHMETIC)[0], FixedCommits())
    ceiling = setting.ceiling()
    student = setting.fit(setting.strong, Gold("transfer"), objective=setting.gold_objective)
    assert student.digest == ceiling.digest
    file = write(solved("transfer", "validation"))
    result = job(place, f"supervisor.file={file}", "paradigm.keep_from=0")
    made = planned(*SMALL_ARITHMETIC, *SHORT, f"supervisor.file={file}")
    files = [store.open(fit) / "model" / "model.safetensors" for fit in (ceiling, source_of(made, "full_weak"))]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert rows(result)["full_weak"]["value"] == rows(result)["ceiling"]["value"]


def test_one_file_for_another_seed_is_floor_too(place: Path, results: dict[str, Any], write: Write) -> None:
    """The test problems are those of every seed, the others in the file are this seed's own."""
    file = write(solved("transfer", "validation", "test", seed=3))
    files = (f"supervisor.file={file}", f"supervisor.test_file={file}")
    options = ("paradigm.contrast=false", "seed=3")
    assert job(place, *files, *options)["floor"]["value"] == 1.0


@pytest.mark.parametrize("wrong", ["unknown", "missing", "test"])
def test_unknown_and_missing_ids_are_refused_before_anything_runs(wrong: str, write: Write, tmp_path: Path) -> None:
    solutions = solved("transfer", "validation")
    given = {"unknown": solutions | {"0123456789abcdef": "answer 1 ."}, "test": solutions}
    given["missing"] = dict(list(solutions.items())[2:])
    expected = {
        "unknown": r":\d+: the task has no problem 0123456789abcdef: is the file for other data or another seed\?",
        "missing": "no solution for 2 of 48 problems",
    }
    more = [f"supervisor.test_file={write(solutions)}"] if wrong == "test" else []
    with pytest.raises(UserError, match=expected.get(wrong, "no solution for 60 of 60")) as refused:
        job(tmp_path, f"supervisor.file={write(given[wrong])}", *more)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "store").exists()


def test_exported_problems_can_be_solved_and_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = [o.removeprefix("task.") for o in SMALL_ARITHMETIC if o.startswith("task.")]
    out = tmp_path / "to_solve.csv"
    command = ["conf/task/arithmetic.yaml", "--seed", "0", "--out", str(out)]
    splits = ["--split", "transfer", "--split", "validation"]
    assert export.main([*command, *splits, *small]) == 0
    assert f"64 problems in {out}; fill in the column `solution`" in capsys.readouterr().out
    exported = list(csv.DictReader(out.read_text().splitlines()))
    asked, gold = problems("transfer", "validation"), solved("transfer", "validation")
    assert [(row["id"], row["question"]) for row in exported] == [(one.id, one.question) for one in asked]
    assert {row["solution"] for row in exported} == {""}, "gold stays out"
    with out.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, exported[0].keys())
        writer.writeheader()
        writer.writerows({**row, "solution": gold[row["id"]]} for row in exported)
    made = planned(*SMALL_ARITHMETIC, f"supervisor.file={out}")
    assert made.name["weak"] == "file"
