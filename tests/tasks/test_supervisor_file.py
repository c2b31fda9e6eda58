"""Answers of people or an API, keyed by example id."""

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
from w2s_lightning.tasks.export import main
from w2s_lightning.tasks.supervisor_file import read_answers

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
        ([{"id": i, "label": "rigth"} for i in "abc"], r"answers\.jsonl:1: label 'rigth' is no class; .*'right'"),
        ([{"id": i, "label": 2} for i in "abc"], "label '2' is no class"),
        ([{"id": i, "label": ""} for i in "abc"], r"answers\.jsonl:1: column 'label' is empty"),
        ([{"id": i, "label": "right"} for i in "aabc"], r"jsonl:1 and .*jsonl:2: two answers for example a"),
        ([{"id": i, "answer": "right"} for i in "abc"], "neither `label` nor `probs`"),
        ([{"id": i, "label": 1, "probs": [0, 1]} for i in "abc"], "both `label` and `probs`"),
        ([{"key": i, "label": 1} for i in "abc"], "no column 'id'"),
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


def test_an_exported_split_can_be_labelled_and_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "to_label.csv"
    small = ["items.transfer=20", "items.validation=4"]
    arguments = [str(CONF / "facts_null.yaml"), "--split", "transfer", "--split", "validation", "--seed", "1"]
    assert main([*arguments, "--out", str(out), *small]) == 0
    assert "24 examples" in capsys.readouterr().out
    rows = list(csv.DictReader(out.read_text().splitlines()))
    splits = task("facts_null", *small).splits(1)
    assert [row["id"] for row in rows] == [item.id for item in (*splits.transfer, *splits.validation)]
    assert {row["label"] for row in rows} == {""}
    labelled = tmp_path / "labelled.jsonl"
    labelled.write_text("".join(json.dumps({"id": row["id"], "label": "right"}) + "\n" for row in rows))
    ids = [item.id for item in splits.transfer]
    assert read_answers(DataFile.at(labelled), ids, NAMES).sum(axis=0).tolist() == [0, 20]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(CONF / "fcats.yaml")], "no such task file"),
        ([str(CONF / "local_choice.yaml")], "train_file has no file"),
        ([str(CONF / "facts.yaml"), "wrods=1"], "wrods"),
    ],
)
def test_export_explains_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    given = [arguments[0], "--split", "test", "--seed", "0", "--out", str(tmp_path / "x.csv"), *arguments[1:]]
    assert main(given) == 1
    assert message in capsys.readouterr().err
