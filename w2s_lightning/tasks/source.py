"""Where rows come from: a person's own files, or a data set repository of the hub; and how a row says where it stands.

Every message about a row names its file and line. `datasets` and `pyarrow` are imported only where data is read, so
that a plan of a thousand jobs opens nothing. A repository's commit is looked up by the plan (`Hub.resolved`); files and
local folders enter identity by content.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite, nan
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from w2s_lightning.atomic import SURROGATE
from w2s_lightning.config.schema import Count, record
from w2s_lightning.content import DataFile, Folder
from w2s_lightning.errors import UserError, did_you_mean
from w2s_lightning.refs import COMMIT

Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")
ENDINGS = (".jsonl", ".csv", ".parquet")
ENDINGS_SPOKEN = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
_LONGEST_LABEL = 200
_WHOLE = re.compile(r"(-?\d+)\.0+")


def class_name(label: str) -> str:
    """What a label's class is called, whatever the format that it comes from: 1.0 is 1, True is true."""
    text = label.strip()
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        return whole[1]
    return text.lower() if text.lower() in ("true", "false") else text


@lru_cache(maxsize=16)
def classes(names: tuple[str, ...]) -> Mapping[str, int]:
    """Numbers of classes by what labels call them."""
    return {class_name(name): number for number, name in reversed(list(enumerate(names)))}


def brief(value: Any) -> str:
    """A value as a message shows it: quoted, and cut where it is long."""
    if isinstance(value, str) and len(value) > 60:
        return repr(f"{value[:60]}...")
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}..."


class Unusable(UserError):
    """A row without an example in it; the message names file and line, `reason` is what is said of several."""

    reason: ClassVar[str] = "without a comparison"


class SameAnswers(Unusable):
    """A pair of equal answers, which is left out of a person's own file too: sampled answers are often alike."""

    reason = "whose two answers are the same"


class UnparsedAnswer(Unusable):
    """A gold answer that the task cannot read."""

    reason = "without a gold answer that parses"


class OddOptions(Unusable):
    """A question with more or fewer options than the others."""

    reason = "with another number of options"


@dataclass(frozen=True)
class SourceRow:
    """One row; `place` is `file:line` (Parquet: `file:row`), counted from 1; `own`: of a person's own file."""

    place: str
    values: Mapping[str, Any]
    own: bool = True

    def get(self, column: str) -> Any:
        """The value in a column; raise UserError when this row has none."""
        value = self.values.get(column)
        if value is None or (isinstance(value, str) and not value.strip()):
            raise UserError(f"{self.place}: column {column!r} is empty (expected a value in every row)")
        return value

    def text(self, column: str) -> str:
        """The value as text; raise UserError for lists and objects, and where there is none."""
        value = self.get(column)
        if isinstance(value, str | int) or (isinstance(value, float) and isfinite(value)):
            return str(value)
        held = value if isinstance(value, float) else type(value).__name__
        raise UserError(f"{self.place}: column {column!r} holds {held}, expected text or a number")

    def text_or_blank(self, column: str) -> str:
        """As `text`, but "" where there is no value."""
        value = self.values.get(column)
        return "" if value is None or str(value).strip() == "" else self.text(column)

    def published_text(self, column: str) -> str:
        """As `text` in a person's own file; published data has gaps that the user cannot mend: "" there."""
        return self.text(column) if self.own else self.text_or_blank(column)

    def number(self, column: str | None) -> float | None:
        """A finite number, None without a column; raise Unusable for anything else."""
        if column is None:
            return None
        try:
            found = float(self.text(column))
        except ValueError:
            found = nan
        if not isfinite(found):
            raise Unusable(f"{self.place}: column {column!r} holds {brief(self.text(column))}, expected a number")
        return found

    def label(self, column: str) -> str:
        """A label's class: of text, true and whole numbers, alike in all formats; raise UserError for anything else."""
        value = self.get(column)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        lines = str(value).strip().splitlines() if isinstance(value, int | str) else []
        if len(lines) != 1 or len(lines[0]) > _LONGEST_LABEL:
            raise UserError(
                f"{self.place}: label {brief(value)} in column {column!r} is no class (expected one line of text or a "
                f"whole number, of up to {_LONGEST_LABEL} characters)"
            )
        return class_name(str(value))


@dataclass(frozen=True)
class Table:
    """All rows of a file with the names of its columns."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[SourceRow, ...]

    def require(self, column: str, setting: str) -> None:
        """Raise UserError when `column`, given by `setting`, is not there."""
        if column not in self.columns:
            known = did_you_mean(column, self.columns)
            raise UserError(f"{self.path} has no column {column!r} ({setting}): {known}")


@lru_cache(maxsize=4)
def read_table(file: DataFile) -> Table:
    """Read a file by its ending; raise UserError for what cannot be read, naming file and line."""
    path = file.check()
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    if path.suffix not in readers:
        raise UserError(f"{path}: cannot read {path.suffix or 'a file without ending'}; expected {ENDINGS_SPOKEN}")
    try:
        rows = tuple(readers[path.suffix](path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8") from None
    if not rows:
        raise UserError(f"{path} holds no rows")
    return Table(path, tuple(dict.fromkeys(column for row in rows for column in row.values)), rows)


def _jsonl(path: Path) -> Iterator[SourceRow]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line, object_pairs_hook=_object)
                if SURROGATE.search(line):  # most are halves of a pair, which makes one character
                    json.dumps(values, ensure_ascii=False).encode()
            except json.JSONDecodeError as error:
                raise UserError(f"{path}:{number}: not JSON ({error.msg} at column {error.colno})") from None
            except UnicodeEncodeError as error:
                raise UserError(f"{path}:{number}: {error.object[error.start]!a} is half a character") from None
            except KeyError as error:
                raise UserError(f"{path}:{number}: the key {error} stands twice in one object: keep one") from None
            except RecursionError:
                raise UserError(f"{path}:{number}: objects or lists are nested too deeply to be read") from None
            except ValueError:  # Python's bound on digits, the one thing left
                raise UserError(f"{path}:{number}: a whole number of thousands of digits: write it as text") from None
            if not isinstance(values, dict):
                raise UserError(f'{path}:{number}: expected one object a line, like {{"text": "...", "label": 1}}')
            yield SourceRow(f"{path}:{number}", values)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raise KeyError where a key stands twice: readers of JSON differ in which value they take."""
    if len(found := dict(pairs)) < len(pairs):
        raise KeyError(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return found


def _csv(path: Path) -> Iterator[SourceRow]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader, start = csv.reader(stream, strict=True), 1
        try:
            header = next(reader, [])
            if len(set(header)) < len(header):
                raise UserError(f"{path}:1: a column name stands twice in the header {header}")
            start = reader.line_num + 1
            for cells in reader:
                start = reader.line_num + 1
                if not cells:
                    continue
                if any("\0" in cell for cell in (*header, *cells)):
                    raise UserError(f"{path}:{reader.line_num}: a cell holds a zero byte: save the file as UTF-8 text")
                if len(cells) != len(header):
                    raise UserError(
                        f"{path}:{reader.line_num}: {len(cells)} cells, the header has {len(header)} "
                        f"(put text that holds a comma in double quotes)"
                    )
                yield SourceRow(f"{path}:{reader.line_num}", dict(zip(header, cells, strict=True)))
        except csv.Error as error:
            if "field limit" in str(error):
                most = csv.field_size_limit()
                raise UserError(
                    f"{path}:{start}: a cell of over {most} characters: is a double quote left open? Long texts: JSONL"
                ) from None
            raise UserError(f"{path}:{start}: not CSV ({error})") from None


def _parquet(path: Path) -> Iterator[SourceRow]:
    import pyarrow.parquet
    from pyarrow.lib import ArrowException

    try:
        table = pyarrow.parquet.read_table(path)
        rows = table.to_pylist()
    except (ArrowException, OSError) as error:
        raise UserError(f"{path} is not a Parquet file ({str(error).splitlines()[0]})") from None
    except OverflowError as error:
        raise UserError(f"{path}: a date or duration that no calendar has ({error})") from None
    decimals = [field.name for field in table.schema if pyarrow.types.is_decimal(field.type)]
    for number, values in enumerate(rows, start=1):
        for name in decimals:  # a number as in other formats, where it is whole
            if values[name] is not None:
                values[name] = int(values[name]) if values[name] % 1 == 0 else float(values[name])
        yield SourceRow(f"{path}:{number}", values)


GivenFile = Annotated[DataFile, BeforeValidator(lambda path: path if isinstance(path, DataFile) else DataFile.at(path))]
"""A `DataFile` that YAML gives as a path."""


# ---------------------------------------------------------------- the hub

_IN_FOLDER = (".parquet", ".csv", ".json", ".jsonl", ".arrow", ".txt", ".md", ".yaml", ".gz", ".zst")
_ADVICE = "Without a network, give a folder in the hub's layout: task.source.path=/path/to/folder"


def _folder_or_id(value: Any) -> Any:
    if isinstance(value, str) and Path(value).expanduser().is_dir():
        return Folder.at(value, _IN_FOLDER)
    if isinstance(value, str) and (value.startswith(("/", "~", ".")) or value.count("/") > 1):
        raise UserError(f"data folder not found: {value} (task.source.path: a folder, or a hub id like allenai/sciq)")
    return value


@record
class Hub:
    """A data set repository at a commit, or a local folder in a repository's layout.

    `config` may be several, read one after the other. `commit` is null until looked up. `train` and `test` name its
    splits, of each of which at most `max_train_rows` and `max_test_rows` are read (null: all), evenly spaced.
    Repositories with loading scripts no longer load (datasets >= 4).
    """

    path: Annotated[str | Folder, BeforeValidator(_folder_or_id)]
    config: str | tuple[str, ...] | None
    revision: str
    commit: str | None
    train: str
    test: str
    max_train_rows: Count | None
    max_test_rows: Count | None

    def identity(self) -> Mapping[str, Any]:
        """Content for a folder; for the hub the commit, and the revision's name only while that is unknown."""
        at = {"revision": self.revision} if self.commit is None else {"commit": self.commit}
        return {
            "source": self.path.identity() if isinstance(self.path, Folder) else self.path,
            **({} if isinstance(self.path, Folder) else at),
            **{name: getattr(self, name) for name in ("config", "train", "test", "max_train_rows", "max_test_rows")},
        }

    def resolved(self, find: Callable[[str, str], str]) -> "Hub":
        """The same source with the commit that `find(repository, revision)` tells; a folder stays as it is."""
        return self if isinstance(self.path, Folder) else replace(self, commit=find(self.path, self.revision))

    @property
    def label(self) -> str:
        """The source's name in messages."""
        return str(self.path.path) if isinstance(self.path, Folder) else self.path

    def rows(self, part: Part, columns: Sequence[str]) -> list[SourceRow]:
        """The rows of one part with these columns.

        Raises:
            UserError: for a folder that changed, a commit that is not known, a config, split or column that is not
                there, a layout that cannot be loaded, and a hub that does not answer.
        """
        most = self.max_train_rows if part == "train" else self.max_test_rows
        configs = self.config if isinstance(self.config, tuple) else (self.config,)
        return [row for config in configs for row in self.split(getattr(self, part), columns, most, config)]

    def split(self, split: str, columns: Sequence[str], most: int | None, config: str | None) -> list[SourceRow]:
        """At most so many rows of one split of one configuration, evenly spaced."""
        table = self._load(config, split)
        for column in columns:
            if column not in table.column_names:
                known = did_you_mean(column, table.column_names)
                raise UserError(f"{self.label} ({split}) has no column {column!r}: {known}")
        taken = len(table) if most is None else min(most, len(table))
        places = [index * len(table) // taken for index in range(taken)]
        rows = table.select_columns(list(columns)).select(places).to_list()
        return [
            SourceRow(f"{self.label} ({split}):{n + 1}", row, own=False) for n, row in zip(places, rows, strict=True)
        ]

    def _load(self, config: str | None, split: str) -> Any:
        commit, advice = None, ""
        if isinstance(self.path, Folder):
            if Folder.at(self.path.path, _IN_FOLDER).sha256 != self.path.sha256:
                raise UserError(f"{self.label} changed after the plan was made: run the same command again")
        elif self.commit is None or not COMMIT.fullmatch(self.commit):
            raise UserError(
                f"the commit of data set {self.path} at {self.revision!r} is not known "
                f"(no network, and not in the local cache).\n{_ADVICE}"
            )
        else:
            commit, advice = self.commit, f"\n{_ADVICE}"
        import datasets

        datasets.disable_progress_bars()
        try:
            return datasets.load_dataset(
                self.label, config, split=split, revision=commit, verification_mode="no_checks"
            )
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(f"cannot load {self.label} (config {config}, split {split}): {first}{advice}") from None
