"""`result.json` and `sweep.json` as they are read back: whole, or one line on what is wrong with them.

Of each is stated what others read of it; what else a file holds is left as it is.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from w2s_lightning.atomic import read_json


class _Figure(TypedDict):
    value: float | None
    low: float | None
    high: float | None


class _PGRFigure(_Figure):
    defined: bool
    reason: str | None


class _Words(TypedDict):
    task: str
    paradigm: str
    weak: str
    strong: str


class _JobWords(_Words):
    seed: int


class _ResultRow(_Figure):
    name: str
    role: str
    model: str
    information: dict[str, int]
    evaluate: str


class _StageRow(TypedDict):
    kind: str
    label: str
    digest: str
    cached: bool
    seconds: float


class _Result(TypedDict):
    job: _JobWords
    digest: str
    metric: str
    student_of_record: str
    supervisor: str | None
    pgr: _PGRFigure
    agreement: dict[str, _Figure | None]
    rows: list[_ResultRow]
    stages: list[_StageRow]
    overrides: list[str]


class _Arms(_Words):
    axes: dict[str, str]
    metric: str
    cheats: list[str]
    untuned: _Figure | None
    floor: _Figure | None
    student: _Figure | None
    ceiling: _Figure | None


class _SweepJob(_Arms):
    seed: int
    overrides: list[str]
    also: list[list[str]]
    digest: str | None
    folder: str | None
    state: Literal["done", "failed", "running", "waiting"]
    pgr: _PGRFigure | None
    arms: dict[str, str | None]


class _Lost(TypedDict):
    seed: int
    state: str
    reason: str | None


class _SweepGroup(_Arms):
    pgr: _PGRFigure
    n: int
    expected: int
    missing: list[_Lost]
    seeds: list[int]
    sections: list[dict[str, Any]]


class _Sweep(TypedDict):
    sweep: str
    jobs: list[_SweepJob]
    groups: list[_SweepGroup]


RESULT, SWEEP = TypeAdapter(_Result), TypeAdapter(_Sweep)


def read_result(file: Path) -> dict[str, Any]:
    """What a `result.json` holds; raise FileNotFoundError without one, ValueError for one that no job wrote."""
    return _whole(file, RESULT)


def read_sweep(file: Path) -> dict[str, Any]:
    """What a `sweep.json` holds; raise FileNotFoundError without one, ValueError for one that no sweep wrote."""
    return _whole(file, SWEEP)


def _whole(file: Path, shape: TypeAdapter[Any]) -> dict[str, Any]:
    found: dict[str, Any] = read_json(file)
    try:
        shape.validate_python(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where or 'all of it'}: {first['msg'].lower()} (or it is of another version)") from None
    return found
