"""`result.json` and `sweep.json` as they are read back: whole, or one line on what is wrong with them.

Of each is stated what others read of it; what else a file holds is left as it is.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge
from pydantic import AfterValidator, AllowInfNan, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from w2s_lightning.atomic import read_json
from w2s_lightning.config.schema import Seed

Finite = Annotated[float, AllowInfNan(False)]
Cost = Annotated[float, Ge(0), AllowInfNan(False)]


class _Figure(TypedDict):
    value: Finite
    low: float
    high: float


class _NoFigure(TypedDict):
    value: None
    low: None
    high: None


class _Value(TypedDict):
    value: Finite


class _PGR(_Figure):
    defined: Literal[True]
    reason: str | None


class _NoPGR(_NoFigure):
    defined: Literal[False]
    reason: str


class _Words(TypedDict):
    task: str
    paradigm: str
    weak: str
    strong: str


class _JobWords(_Words):
    seed: Seed


class _Outcome(TypedDict):
    """What a job's row in a sweep has of its result; all of it is None before there is one."""

    untuned: _Figure | None
    floor: _Figure | None
    ceiling: _Figure | None
    student: _Figure | None
    gain_over_untuned: _Figure | None
    cheats: list[str]
    notices: list[str]


class _ResultRow(_Figure):
    name: str
    role: str
    model: str
    information: dict[str, int]
    evaluate: str
    benchmark: NotRequired[str]
    strict: NotRequired[_Value]
    truncated_share: NotRequired[Finite | None]  # unknown of people's solutions
    unparsed_share: NotRequired[Finite]


class _StageRow(TypedDict):
    kind: str
    label: str
    digest: str
    cached: bool
    seconds: Cost


class _Named(_Figure):
    row: str


class _Result(_Outcome):
    job: _JobWords
    digest: str
    metric: str
    student_of_record: str
    supervisor: str | None
    pgr: _PGR | _NoPGR
    gain_over_best_untuned: NotRequired[_Named]
    agreement: dict[str, _Figure | None]
    rows: list[_ResultRow]
    stages: list[_StageRow]
    overrides: list[str]
    wandb: NotRequired[dict[str, str | None]]


class _SweepJob(_Outcome, _JobWords):
    axes: dict[str, str]
    metric: str
    overrides: list[str]
    also: list[list[str]]
    digest: str | None
    folder: str | None
    state: Literal["done", "failed", "running", "waiting"]
    reason: str | None
    log: str | None
    pgr: _PGR | _NoPGR | None
    arms: dict[str, str | None]
    benchmark_arms: dict[str, str | None] | None


class _Spread(_Figure):
    per_seed: list[Finite]


class _PGRSpread(_PGR):
    per_seed: list[Finite | None]


class _NoPGRSpread(_NoPGR):
    per_seed: list[Finite | None]


class _Lost(TypedDict):
    seed: Seed
    state: str
    reason: str | None


class _Part(TypedDict):
    name: str
    pgr: _PGR | _NoPGR


class _SweepGroup(_Words):
    axes: dict[str, str]
    metric: str
    untuned: _Spread | None
    floor: _Spread | None
    student: _Spread | None
    ceiling: _Spread | None
    gain_over_untuned: _Spread | None
    pgr: _PGRSpread | _NoPGRSpread
    cheats: list[str]
    n: int
    expected: int
    missing: list[_Lost]
    seeds: list[Seed]
    sections: list[_Part]


class _SweepVerdict(TypedDict):
    claim: str
    text: NotRequired[str]
    verdict: str
    as_claimed: NotRequired[str]
    value: Finite | None
    low: float | None
    high: float | None
    p: NotRequired[float | None]
    per_seed: list[float]


class _Times(TypedDict):
    seconds: NotRequired[Cost | None]
    launched: NotRequired[dict[str, Any]]


class _Sweep(TypedDict):
    sweep: str
    digest: NotRequired[str]
    remark: NotRequired[str | None]
    jobs: list[_SweepJob]
    groups: list[_SweepGroup]
    verdicts: NotRequired[list[_SweepVerdict]]
    times: NotRequired[_Times]
    wandb: NotRequired[dict[str, Any] | None]


def _of_a_job(result: _Result) -> _Result:
    """A result whose student of record is one of its rows, and whose rows say all of their outputs or nothing."""
    if result["student_of_record"] not in [row["name"] for row in result["rows"]]:
        raise ValueError("its student of record is none of its rows")
    outputs = {"strict", "truncated_share", "unparsed_share"}
    if any(0 < len(outputs & row.keys()) < len(outputs) for row in result["rows"]):
        raise ValueError(f"a row has some of {', '.join(sorted(outputs))} and not all")
    return result


def _of_a_sweep(content: _Sweep) -> _Sweep:
    """Groups whose figures have a value for each of their seeds, and jobs whose folders lie beside each other."""
    for job in content["jobs"]:
        if job["folder"] and (Path(job["folder"]).name != job["folder"] or job["folder"] == ".."):
            raise ValueError("a job's folder is no plain name")
    for group in content["groups"]:
        figures = (group[name] for name in ("untuned", "floor", "student", "ceiling", "gain_over_untuned"))
        lengths = {len(figure["per_seed"]) for figure in figures if figure is not None}
        if lengths - {group["n"]} or group["n"] != len(group["seeds"]):
            raise ValueError("a group has more or fewer figures than seeds")
    return content


RESULT = TypeAdapter(Annotated[_Result, AfterValidator(_of_a_job)])
SWEEP = TypeAdapter(Annotated[_Sweep, AfterValidator(_of_a_sweep)])


def read_result(file: Path) -> dict[str, Any]:
    """What a `result.json` holds; raise FileNotFoundError without one, ValueError for one that no job wrote."""
    return _whole(file, RESULT)


def read_sweep(file: Path) -> dict[str, Any]:
    """What a `sweep.json` holds; raise FileNotFoundError without one, ValueError for one that no sweep wrote."""
    return _whole(file, SWEEP)


def _whole(file: Path, shape: TypeAdapter[Any]) -> dict[str, Any]:
    found: dict[str, Any] = read_json(file)
    try:
        shape.validate_python(found, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where or 'all of it'}: {first['msg'].lower()} (or it is of another version)") from None
    return found
