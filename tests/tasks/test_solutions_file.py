"""Worked solutions of people or an API, keyed by problem id."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.composing_tasks import task
from tests.tasks.conftest import Write
from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import Solution
from w2s_lightning.tasks.export import write_to_answer
from w2s_lightning.tasks.final_answer import GSM8K_KEY
from w2s_lightning.tasks.supervisor_file import read_solutions

KNOWN = ("a", "b", "c", "d")


def read(path: Path, *ids: str) -> tuple[Solution, ...]:
    return read_solutions(DataFile.at(path), ids, known=KNOWN, parse=GSM8K_KEY.parse)


def test_solutions_follow_the_ids_asked_for_and_answers_are_read(jsonl: Write) -> None:
    rows = [{"id": "a", "solution": "3 + 4 = 7\n#### 7"}, {"id": "b", "solution": "hm"}, {"id": "d", "solution": ""}]
    assert read(jsonl("answers", rows), "b", "d", "a") == (
        Solution("b", "hm", None),
        Solution("d", "", None),
        Solution("a", "3 + 4 = 7\n#### 7", "7"),
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a", "solution": "1"}], r"has no solution for 2 of 3 problems, such as b, c"),
        ([{"id": i, "solution": "1"} for i in "abcz"], r"answers\.jsonl:4: the task has no problem z"),
        ([{"id": i, "solution": "1"} for i in "aabc"], r"jsonl:1 and .*jsonl:2: two solutions for problem a"),
        ([{"id": i, "answer": "1"} for i in "abc"], "no column 'solution'"),
        ([{"key": i, "solution": "1"} for i in "abc"], "no column 'id'"),
        ([{"id": i, "solution": ["1"]} for i in "abc"], r"answers\.jsonl:1: column 'solution' holds list"),
    ],
)
def test_solutions_that_cannot_be_used_are_refused(jsonl: Write, rows: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(jsonl("answers", rows), "a", "b", "c")


def test_an_exported_split_can_be_solved_and_read_back(tmp_path: Path) -> None:
    small = ["items.supervise=5", "items.transfer=20", "items.validation=4", "items.test=5"]
    made = task("arithmetic", *small)
    out, solved = tmp_path / "to_solve.csv", tmp_path / "solved.jsonl"
    assert write_to_answer(made, ["transfer", "validation"], 1, out).startswith("24 problems in ")
    rows = list(csv.DictReader(out.read_text().splitlines()))
    splits = made.splits(1)
    assert [row["question"] for row in rows] == [item.question for item in (*splits.transfer, *splits.validation)]
    assert {row["solution"] for row in rows} == {""}
    solved.write_text("".join(json.dumps({"id": row["id"], "solution": "answer 7 ."}) + "\n" for row in rows))
    ids = [item.id for item in splits.transfer]
    found = read_solutions(DataFile.at(solved), ids, known=[row["id"] for row in rows], parse=made.key.parse)
    assert [one.id for one in found] == ids
    assert {one.answer for one in found} == {"7"}
