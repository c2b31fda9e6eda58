"""Local JSONL, CSV and Parquet files as rows that know where they stand, so that every message can point there."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ValidationInfo

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.suggest import did_you_mean

_ENDINGS = (".jsonl", ".csv", ".parquet")


class Unusable(UserError):
    """A row without an example in it; the message names file and line, `reason` is what is said of several."""

    reason: ClassVar[str] = "without a comparison"


class SameAnswers(Unusable):
    """A pair of equal answers, which is left out of a person's own file too: sampled answers are often alike."""

    reason = "whose two answers are the same"


class UnparsedAnswer(Unusable):
    """A gold answer that the task cannot read."""

    reason = "without a gold answer that parses"


@dataclass(frozen=True)
class Row:
    """One row; `place` is `file:line` (Parquet: `file:row`), counted from 1."""

    place: str
    values: Mapping[str, Any]

    def get(self, column: str) -> Any:
        """The value in a column; raise UserError when this row has none."""
        value = self.values.get(column)
        if value is None or (isinstance(value, str) and not value.strip()):
            raise UserError(f"{self.place}: column {column!r} is empty (expected a value in every row)")
        return value

    def text(self, column: str) -> str:
        """The value as text; raise UserError for lists and objects."""
        value = self.get(column)
        if isinstance(value, str | bool | int | float):
            return str(value)
        raise UserError(f"{self.place}: column {column!r} holds {type(value).__name__}, expected text or a number")

    def text_or_blank(self, column: str) -> str:
        """As `text`, but "" where there is no value: published data has gaps that the user cannot mend."""
        value = self.values.get(column)
        return "" if value is None or str(value).strip() == "" else self.text(column)


@dataclass(frozen=True)
class Table:
    """All rows of a file with the names of its columns."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def require(self, column: str, setting: str) -> None:
        """Raise UserError when `column`, given by `setting`, is not there."""
        if column not in self.columns:
            known = did_you_mean(column, self.columns)
            raise UserError(f"{self.path} has no column {column!r} ({setting}): {known}")


def read_table(file: DataFile) -> Table:
    """Read a file by its ending; raise UserError for what cannot be read, naming file and line."""
    path = file.check()
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    if path.suffix not in readers:
        raise UserError(f"{path}: cannot read {path.suffix or 'a file without ending'}; expected {_spoken(_ENDINGS)}")
    try:
        rows = tuple(readers[path.suffix](path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8") from None
    if not rows:
        raise UserError(f"{path} holds no rows")
    return Table(path, tuple(dict.fromkeys(column for row in rows for column in row.values)), rows)


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{path}:{number}: not JSON ({error.msg} at column {error.colno})") from None
            if not isinstance(values, dict):
                raise UserError(f'{path}:{number}: expected one object a line, like {{"text": "...", "label": 1}}')
            yield Row(f"{path}:{number}", values)


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            header = next(reader, [])
            if len(set(header)) < len(header):
                raise UserError(f"{path}:1: a column name stands twice in the header {header}")
            for cells in filter(None, reader):
                if len(cells) != len(header):
                    raise UserError(
                        f"{path}:{reader.line_num}: {len(cells)} cells, the header has {len(header)} "
                        f"(put text that holds a comma in double quotes)"
                    )
                yield Row(f"{path}:{reader.line_num}", dict(zip(header, cells, strict=True)))
        except csv.Error as error:
            raise UserError(f"{path}:{reader.line_num}: not CSV ({error})") from None


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet
    from pyarrow.lib import ArrowException

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise UserError(f"{path} is not a Parquet file ({str(error).splitlines()[0]})") from None
    yield from (Row(f"{path}:{number}", values) for number, values in enumerate(rows, start=1))


def _spoken(endings: tuple[str, ...]) -> str:
    return f"{', '.join(endings[:-1])} or {endings[-1]}"


def _given_file(value: Any, info: ValidationInfo) -> DataFile:
    if isinstance(value, DataFile):
        return value
    if not isinstance(value, str | Path):
        name = info.field_name
        raise UserError(f"task.{name} has no file: type task.{name}=/path/to/file.jsonl ({_spoken(_ENDINGS)})")
    return DataFile.at(value)


GivenFile = Annotated[DataFile, BeforeValidator(_given_file)]
"""A `DataFile` that YAML gives as a path."""
