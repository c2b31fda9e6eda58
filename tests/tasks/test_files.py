"""Files are read by ending, and what cannot be read is named by file and line."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.source import read_table


def test_the_three_formats_give_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one, two", "label": "x"}\n\n{"text": "three\\nfour", "label": "y"}\n')
    (tmp_path / "a.csv").write_text('text,label\n"one, two",x\n\n"three\nfour",y\n')
    pq.write_table(pa.table({"text": ["one, two", "three\nfour"], "label": ["x", "y"]}), tmp_path / "a.parquet")
    tables = [read_table(DataFile.at(tmp_path / f"a.{ending}")) for ending in ("jsonl", "csv", "parquet")]
    assert {table.columns for table in tables} == {("text", "label")}
    assert [dict(row.values) for row in tables[0].rows] == [dict(row.values) for row in tables[1].rows]
    assert [dict(row.values) for row in tables[0].rows] == [dict(row.values) for row in tables[2].rows]
    assert [row.place for row in tables[0].rows] == [f"{tmp_path}/a.jsonl:1", f"{tmp_path}/a.jsonl:3"]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext,label\nhi,x\n")
    assert read_table(DataFile.at(tmp_path / "a.csv")).columns == ("text", "label")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", b'["text"]\n', r"a\.jsonl:1: expected one object a line"),
        ("a.jsonl", b"\n\n", "holds no rows"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n', "not UTF-8"),
        ("a.csv", b"text,label\n", "holds no rows"),
        ("a.csv", b"text,label\na,x\nb,c,y\n", r"a\.csv:3: 3 cells, the header has 2"),
        ("a.csv", b'text,label\n"a,x\n', r"a\.csv:2: not CSV"),
        ("a.csv", b"text,text\na,b\n", "stands twice"),
        ("a.parquet", b"PAR?", "not a Parquet file"),
        ("a.txt", b"text", r"expected \.jsonl, \.csv or \.parquet"),
        ("a.jsonl", b"", "empty"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(DataFile.at(tmp_path / name))


def test_a_file_that_changed_after_planning_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n')
    planned = DataFile.at(path)
    path.write_text('{"text": "another"}\n')
    with pytest.raises(UserError, match="changed after the plan"):
        read_table(planned)
