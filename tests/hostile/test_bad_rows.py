"""Rows that a person has by accident or sends on purpose: named by file and line, or read alike in all formats."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.composing import job as composed_job
from tests.hostile.asking import Ask, some
from tests.models.tiny import make_folder
from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.source import class_name, read_table

DEEP = "[" * 100_000 + "]" * 100_000
GOOD = '{"text": "a", "label": 1}\n'


def rows(count: int, name: str, **values: Any) -> list[dict[str, Any]]:
    return [{"text": f"is {name} {n} warm", "label": ("no", "yes")[n % 2], **values} for n in range(count)]


def jsonl(given: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in given)


def table(given: list[dict[str, Any]]) -> str:
    made = io.StringIO(newline="")
    writer = csv.DictWriter(made, list(given[0]))
    writer.writeheader()
    writer.writerows(given)
    return made.getvalue()


def typed(ask: Ask, name: str, content: str | bytes) -> list[str]:
    """A plan whose training file is this one."""
    (ask.place / name).write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    (ask.place / "test.jsonl").write_text(jsonl(rows(64, "test")))
    models = [f"model@{role}=local {role}.path={{place}}/model".split() for role in ("weak", "strong")]
    files = ["task.train_file={place}/" + name, "task.test_file={place}/test.jsonl"]
    return ["task=local_choice", *files, *models[0], *models[1], "strong.head_init=zeros"]


BAD: list[tuple[str, str | bytes, str]] = [
    ("a.jsonl", GOOD + '{"text": "a \\ud800 b", "label": 1}\n', "a.jsonl:2: '\\ud800' is half a character"),
    ("a.jsonl", GOOD + '{"text": "a", "label": "\\uDFFF"}\n', "a.jsonl:2: '\\udfff' is half a character"),
    ("a.jsonl", GOOD + '{"text": ["\\ud83d"], "label": 1}\n', "a.jsonl:2: '\\ud83d' is half a character"),
    ("a.jsonl", GOOD + '{"\\ud83d": 1}\n', "a.jsonl:2: '\\ud83d' is half a character"),
    ("a.jsonl", GOOD + "\ud800\n", "a.jsonl is not UTF-8 text"),
    ("a.jsonl", GOOD + f'{{"text": {DEEP}}}\n', "a.jsonl:2: objects or lists are nested too deeply"),
    ("a.jsonl", GOOD + DEEP + "\n", "a.jsonl:2: objects or lists are nested too deeply"),
    ("a.jsonl", GOOD + f'{{"text": "a", "label": {"9" * 6000}}}\n', "a.jsonl:2: a whole number of thousands of digits"),
    ("a.jsonl", GOOD + f'{{"text": "a", "label": {"9" * 4000}}}\n', "a.jsonl:2: label 999"),
    ("a.jsonl", GOOD + f'{{"text": "a", "label": "{"9" * 6000}"}}\n', "a.jsonl:2: label '999"),
    ("a.jsonl", GOOD + '{"text": "a", "label": 1e999}\n', "a.jsonl:2: label inf"),
    ("a.jsonl", GOOD + '{"text": "a", "label": NaN}\n', "a.jsonl:2: label nan"),
    ("a.jsonl", GOOD + '{"text": "a", "label": {"a": 1}}\n', "a.jsonl:2: label {'a': 1}"),
    ("a.jsonl", GOOD + '{"text": "a", "label": 1\n', "a.jsonl:2: not JSON"),
    ("a.jsonl", GOOD + "\x00\n", "a.jsonl:2: not JSON"),
    ("a.jsonl", GOOD + '{"text": "\x1b[2J", "label": 1}\n', "a.jsonl:2: not JSON"),
    ("a.jsonl", jsonl([*rows(9, "a"), {"text": "\x1b[2J" * 40, "label": ""}]), "a.jsonl:10: column 'label' is empty"),
    ("a.jsonl", jsonl([*rows(9, "a"), {"text": "x" * 10**6, "label": "x" * 10**6}]), "a.jsonl:10: label 'xxx"),
    ("a.csv", f"text,label\na,1\n{'x' * 140_000},2\n", "a.csv:3: a cell of over 131072 characters"),
    ("a.csv", 'text,label\na,1\n"b,2\n' + "c,3\n" * 50_000, "a.csv:3: a cell of over 131072 characters"),
    ("a.csv", 'text,label\na,1\n"b,2\nc,3\n', "a.csv:3: not CSV"),
    ("a.csv", f"text,label\na,1\nb,{'9' * 6000}\n", "a.csv:3: label '999"),
    ("a.csv", b"text,label\n\xff\xfe,1\n", "a.csv is not UTF-8 text"),
    ("a.csv", "text,label,text\na,1,2\n", "stands twice"),
    ("a.jsonl", GOOD + '{"text": "a", "label": 1, "label": 0}\n', "a.jsonl:2: the key 'label' stands twice"),
    (
        "a.jsonl",
        GOOD + '{"text": "a", "label": "no\\nyes"}\n',
        "a.jsonl:2: label 'no\\nyes' in column 'label' is no class",
    ),
    ("a.jsonl", GOOD[:-2] + ",}\n", "a.jsonl:1: not JSON"),
    ("a.jsonl", "[" + GOOD.strip() + "]\n", "a.jsonl:1: expected one object a line"),
    ("a.jsonl", GOOD.encode("utf-16"), "a.jsonl is not UTF-8 text"),
    ("a.jsonl", GOOD + '{"text": "a", "label": null}\n', "a.jsonl:2: column 'label' is empty"),
    ("a.csv", "text,label\na,1\nb\0,2\n", "a.csv:3: a cell holds a zero byte"),
    ("a.csv", "text,label\na,1\n".encode("utf-16-be"), "a.csv:2: a cell holds a zero byte"),
    ("a.csv", "text;label\na;1\n", "did you mean `text;label`?"),
    ("a.csv", "text,label\na,1\nb,2,3\n", "a.csv:3: 3 cells, the header has 2"),
    ("a.csv", "text,label\n", "a.csv holds no rows"),
    ("a.csv", "sep=,\ntext,label\na,1\n", "a.csv has no column 'text'"),
    ("a.parquet", b"PAR1" + b"\x00" * 50 + b"PAR1", "a.parquet is not a Parquet file"),
]


@pytest.mark.parametrize("number", some(BAD))
def test_a_bad_row_is_named_by_file_and_line(ask: Ask, number: int) -> None:
    name, content, says = BAD[number]
    answer = ask(typed(ask, name, content), says)
    assert len(answer.err) < 600


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ([1, 0], ("0", "1")),
        ([1.0, 0.0], ("0", "1")),
        (["1.0", "0.00"], ("0", "1")),
        ([True, False], ("false", "true")),
        (["True", "FALSE"], ("false", "true")),
        ([" yes ", "no"], ("no", "yes")),
        (["01", "1"], ("01", "1")),
        (["-1.0", "1"], ("-1", "1")),
        (["1.5x", "v1.0"], ("1.5x", "v1.0")),
    ],
)
def test_class_names_are_the_same_whatever_the_format(tmp_path: Path, names: list[Any], known: tuple[str, ...]) -> None:
    given = [{"text": f"a {n}", "label": names[n % 2]} for n in range(8)]
    (tmp_path / "a.jsonl").write_text(jsonl(given))
    (tmp_path / "a.csv").write_text(table(given))
    pq.write_table(pa.Table.from_pylist(given), tmp_path / "a.parquet")
    for ending in ("jsonl", "csv", "parquet"):
        found = {row.label("label") for row in read_table(DataFile.at(tmp_path / f"a.{ending}")).rows}
        assert tuple(sorted(found)) == known, ending
    assert tuple(map(class_name, known)) == known


def test_a_text_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": NaN}\n')
    (row,) = read_table(DataFile.at(tmp_path / "a.jsonl")).rows
    with pytest.raises(UserError, match=r"a.jsonl:1: column 'text' holds nan, expected text or a number"):
        row.text("text")


def test_whole_decimals_of_parquet_are_the_numbers_that_they_are_elsewhere(tmp_path: Path) -> None:
    given = pa.table({"text": ["a", "b"], "label": pa.array([Decimal("1.00"), Decimal("0.00")])})
    pq.write_table(given, tmp_path / "a.parquet")
    assert [row.label("label") for row in read_table(DataFile.at(tmp_path / "a.parquet")).rows] == ["1", "0"]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("no\u200b", r"the labels 'no' and 'no\u200b' are two classes, which look the same"),
        ("NaN", "the label 'NaN' is a class: is it written where a label is missing?"),
    ],
)
def test_classes_that_no_eye_would_see_are_noted(tmp_path: Path, label: str, told: str) -> None:
    for name, count in (("train", 128), ("test", 64)):
        given = rows(count, name)
        (tmp_path / f"{name}.jsonl").write_text(jsonl([{**given[0], "label": label}, *given[1:]]))
    task = composed_job("task=local_choice", *(f"task.{one}_file={tmp_path}/{one}.jsonl" for one in ("train", "test")))
    assert [one for one in task[0].task.splits(0).notices if told in one]


def job(ask: Ask, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], *more: str) -> list[str]:
    make_folder(ask.place / "model", "llama")
    words = typed(ask, "a.jsonl", jsonl(change(rows(128, "train"))))
    fit = ("fit.epochs=1", "fit.evaluations=0", "fit.max_length=32", "paradigm=supervised")
    return [*words, *fit, "tracking=disabled", "trainer.threads=1", *more]


def test_two_labels_that_differ_in_case_alone_are_noted(ask: Ask) -> None:
    shouted = job(ask, lambda given: [{**given[0], "label": "NO"}, *given[1:]], "task.words=[]", "weak.head_init=zeros")
    ask(shouted, "the labels 'NO' and 'no' are two classes, which differ in case alone", code=0, bare=True)


def test_ten_megabytes_of_one_text_are_cut_early(ask: Ask) -> None:
    for text in ("is tea warm " * 870_000, "x" * 10_000_000):
        ask(job(ask, lambda given, text=text: [{**given[0], "text": text}, *given[1:]]), code=0, bare=True)
