"""Answers and worked solutions of people or an API, keyed by example id."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tasks.composing_tasks import CONF, task
from tests.tasks.conftest import Write
from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import Solution
from w2s_lightning.tasks.export import main
from w2s_lightning.tasks.final_answer import GSM8K_KEY
from w2s_lightning.tasks.supervisor_file import read_answers, read_solutions
from w2s_lightning.tasks.worlds.arithmetic import KEY

NAMES = ("wrong", "right")


def test_labels_become_certain_and_follow_the_ids_asked_for(jsonl: Write) -> None:
    path = jsonl("answers", [{"id": "a", "label": "right"}, {"id": "b", "label": 0}, {"id": "z", "label": "??"}])
    assert read_answers(DataFile.at(path), ["b", "a"], NAMES).tolist() == [[1, 0], [0, 1]]


def test_probabilities_are_read_from_every_format(jsonl: Write, tmp_path: Path) -> None:
    rows = [{"id": "a", "probs": [0.25, 0.75]}, {"id": "b", "probs": [0.33, 0.66]}]
    (tmp_path / "a.csv").write_text('id,probs\na,"[0.25, 0.75]"\nb,"[0.33, 0.66]"\n')
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for path in (jsonl("answers", rows), tmp_path / "a.csv", tmp_path / "a.parquet"):
        read = read_answers(DataFile.at(path), ["a", "b"], NAMES)
        assert read == pytest.approx(np.array([[0.25, 0.75], [1 / 3, 2 / 3]]))
        assert read.dtype == np.float64


def test_names_win_over_numbers(jsonl: Write) -> None:
    path = jsonl("answers", [{"id": "a", "label": "1"}])
    assert read_answers(DataFile.at(path), ["a"], ("1", "2")).tolist() == [[1, 0]]
    assert read_answers(DataFile.at(path), ["a"], ("bad", "good")).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a", "label": "right"}], r"no answer for 2 of 3 examples, such as b, c; .*tasks\.export"),
        ([{"id": i, "label": "rigth"} for i in "abc"], r"answers\.jsonl:1: label 'rigth' is no class; .*`right`"),
        ([{"id": i, "label": 2} for i in "abc"], "label '2' is no class"),
        ([{"id": i, "label": ""} for i in "abc"], r"answers\.jsonl:1: column 'label' is empty"),
        ([{"id": i, "label": "right"} for i in "aabc"], r"jsonl:1 and .*jsonl:2: two answers for example a"),
        ([{"id": i, "answer": "right"} for i in "abc"], "neither `label` nor `probs`"),
        ([{"id": i, "label": 1, "probs": [0, 1]} for i in "abc"], "both `label` and `probs`"),
        ([{"key": i, "label": 1} for i in "abc"], "no column `id`"),
        ([{"id": i, "probs": [0.5, 0.6]} for i in "abc"], "should be 2 numbers from 0 to 1 that add up to 1"),
        ([{"id": i, "probs": [1.0]} for i in "abc"], "should be 2 numbers"),
        ([{"id": i, "probs": [1.5, -0.5]} for i in "abc"], "should be 2 numbers"),
        ([{"id": i, "probs": ["x", "y"]} for i in "abc"], "should be 2 numbers"),
        ([{"id": i, "probs": "half"} for i in "abc"], "should be 2 numbers"),
        ([{"id": i, "probs": [float("nan"), 1]} for i in "abc"], "should be 2 numbers"),
    ],
)
def test_answers_that_cannot_be_used_are_refused(jsonl: Write, rows: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_answers(DataFile.at(jsonl("answers", rows)), ["a", "b", "c"], NAMES)


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
        ([{"key": i, "solution": "1"} for i in "abc"], "no column `id`"),
        ([{"id": i, "solution": ["1"]} for i in "abc"], r"answers\.jsonl:1: column 'solution' holds list"),
    ],
)
def test_solutions_that_cannot_be_used_are_refused(jsonl: Write, rows: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(jsonl("answers", rows), "a", "b", "c")


@pytest.mark.parametrize(("name", "answer"), [("fact_claims", "right"), ("arithmetic", "answer 7 .")])
def test_an_exported_split_can_be_answered_and_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, answer: str
) -> None:
    out, filled = tmp_path / "to_answer.csv", tmp_path / "answered.jsonl"
    small = ["items.supervise=20", "items.transfer=20", "items.validation=4", "items.test=20"]
    arguments = [str(CONF / f"{name}.yaml"), "--split", "transfer", "--split", "validation", "--seed", "1"]
    assert main([*arguments, "--out", str(out), *small]) == 0
    assert capsys.readouterr().out.startswith("24 ")
    rows = list(csv.DictReader(out.read_text().splitlines()))
    splits = task(name, *small).splits(1)
    items = [*splits.transfer, *splits.validation]
    text, empty = list(rows[0])[2:]
    assert [(row["id"], row[text]) for row in rows] == [(item.id, item.texts[0]) for item in items]
    assert {row[empty] for row in rows} == {""}
    filled.write_text("".join(json.dumps({"id": row["id"], empty: answer}) + "\n" for row in rows))
    ids = [item.id for item in splits.transfer]
    if empty == "label":
        assert read_answers(DataFile.at(filled), ids, NAMES).sum(axis=0).tolist() == [0, 20]
    else:
        found = read_solutions(DataFile.at(filled), ids, known=[row["id"] for row in rows], parse=KEY.parse)
        assert {(one.id, one.answer) for one in found} == {(id, "7") for id in ids}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(CONF / "fcats.yaml")], "no such task file"),
        ([str(CONF / "local_choice.yaml")], "train_file has no file"),
        ([str(CONF / "fact_claims.yaml"), "wrods=1"], "wrods"),
    ],
)
def test_export_explains_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    given = [arguments[0], "--split", "test", "--seed", "0", "--out", str(tmp_path / "x.csv"), *arguments[1:]]
    assert main(given) == 1
    assert message in capsys.readouterr().err
