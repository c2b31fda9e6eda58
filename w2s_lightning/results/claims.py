"""Claims: hypotheses written down with their decision rule before the run that decides them (`docs/claims.yaml`).

`python -m w2s_lightning.results.claims` reads the results under the outputs folder and prints a verdict for each claim:
`held`, `refuted` or `undecided`. All three are results. No seed is dropped: a claim waits until all of its seeds are
there.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import Field, TypeAdapter, ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from w2s_lightning.errors import UserError, run_command
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.pgr import pgr_over_seeds
from w2s_lightning.metrics.seeds import SeedScores, score_seeds
from w2s_lightning.results.stored import StoreReader
from w2s_lightning.schema import record

RUNTIME = ("trainer", "tracking", "paths", "run", "hydra", "sweeps", "seed")
Columns = dict[str, np.ndarray[Any, Any]]


@record
class PGROf:
    """PGR of one row, as the ratio of means over seeds."""

    of: Literal["pgr"]
    row: str


@record
class DifferenceOf:
    """Accuracy of one row minus that of another row of the same jobs, paired by seed and example."""

    of: Literal["difference"]
    row: str
    minus: str


@record
class AgainstOf:
    """Accuracy of one row minus the same row's in the jobs with the overrides `against`."""

    of: Literal["against"]
    row: str
    against: tuple[str, ...]


@record
class DepartureOf:
    """In how many seeds a row's accuracy lies further than `distance` from `chance`, either way."""

    of: Literal["departures"]
    row: str
    chance: float
    distance: float


Quantity = Annotated[PGROf | DifferenceOf | AgainstOf | DepartureOf, Field(discriminator="of")]


@record
class Claim:
    """One hypothesis: which jobs decide it, by which quantity, under which rule.

    `above`: held when the whole interval lies above `threshold`, refuted when it lies below, else undecided.
    `not_above`: held unless the whole interval lies above. A count has no interval and is compared as it is.
    """

    id: str
    claim: str
    jobs: tuple[str, ...]
    seeds: tuple[int, ...]
    quantity: Quantity
    rule: Literal["above", "not_above"]
    threshold: float


@dataclass(frozen=True)
class Verdict:
    """What became of a claim."""

    claim: Claim
    verdict: Literal["held", "refuted", "undecided", "waiting"]
    value: float | None
    low: float | None
    high: float | None
    per_seed: tuple[float, ...]


def read_claims(path: Path) -> list[Claim]:
    """The claims of a YAML file; raise UserError where one is not well formed."""
    try:
        return TypeAdapter(list[Claim]).validate_python(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise UserError(f"{path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    match error:
        case ValidationError():
            first = error.errors()[0]
            return f"claim {'.'.join(map(str, first['loc']))}: {first['msg']}"
        case yaml.MarkedYAMLError(problem_mark=mark) if mark is not None:
            return f"line {mark.line + 1}: {error.problem}"
        case _:
            return str(error).splitlines()[0]


def key_of(overrides: Sequence[str]) -> frozenset[str]:
    """What identifies a group of jobs over seeds: its overrides but for the seed and the machine."""
    return frozenset(o for o in overrides if o.lstrip("+").split("=")[0].split(".")[0].split("/")[0] not in RUNTIME)


def cell_of(result: Mapping[str, Any]) -> str:
    """A job's words but for its seed: how wandb's pages call a group of seeds."""
    job = result["job"]
    named = ("task", "paradigm", "model@weak", "model@strong")
    others = sorted(key_of(result.get("overrides") or ()))
    varied = [text for text in others if text.lstrip("+").split("=")[0] not in named]
    return " ".join([job["task"], job["paradigm"], f"{job['weak']}-{job['strong']}", *varied])


class Results:
    """Results by overrides and seed, with their stored predictions."""

    def __init__(self, found: Mapping[tuple[frozenset[str], int], Mapping[str, Any]], store: Path) -> None:
        self._found = found
        self._answers = StoreReader(store).required_answers

    @classmethod
    def under(cls, outputs: Path, store: Path) -> "Results":
        """All results below an outputs folder, also under the words in which sweeps asked for them."""
        found: dict[tuple[frozenset[str], int], Mapping[str, Any]] = {}
        by_digest: dict[str, Mapping[str, Any]] = {}
        for file in sorted(outputs.glob("**/result.json"), key=lambda f: f.stat().st_mtime):
            result = json.loads(file.read_text())
            by_digest[result["digest"]] = result
            found[key_of(result["overrides"]), result["job"]["seed"]] = result
        for file in sorted(outputs.glob("sweeps/*/sweep.json")):
            for job in json.loads(file.read_text())["jobs"]:
                for overrides in (job["overrides"], *job["also"]) if job["digest"] in by_digest else ():
                    found.setdefault((key_of(overrides), job["seed"]), by_digest[job["digest"]])
        return cls(found, store)

    def columns(self, overrides: Sequence[str], seeds: Sequence[int]) -> tuple[list[Columns], Any] | None:
        """Per seed, each row's 0/1 scores on the shared test examples; None while a seed is missing."""
        results = [self._found.get((key_of(overrides), seed)) for seed in seeds]
        if any(result is None for result in results):
            return None
        rows = [{row["name"]: self._answers(row["evaluate"]) for row in result["rows"]} for result in results if result]
        first = next(iter(rows[0].values()))
        if any(answers.ids != first.ids for own in rows for answers in own.values()):
            raise UserError(f"results for {sorted(overrides)} were scored on different test examples: run them again")
        return [{name: answers.correct for name, answers in own.items()} for own in rows], first.groups


def decide(claim: Claim, results: Results) -> Verdict:
    """Measure the claim's quantity and apply its rule."""
    found = results.columns(claim.jobs, claim.seeds)
    if found is None:
        return Verdict(claim, "waiting", None, None, None, ())
    columns, groups = found
    match claim.quantity:
        case PGROf(row=row):
            arms = _arms(columns, [row, "floor", "ceiling"])
            group = pgr_over_seeds(score_seeds(arms, groups), student=row)
            per_seed = tuple(float("nan") if v is None else v for v in group.per_seed)
            return _verdict(claim, group.pgr.value, group.pgr.low, group.pgr.high, per_seed)
        case DifferenceOf(row=row, minus=minus):
            return _paired(claim, score_seeds(_arms(columns, [row, minus]), groups), row, minus)
        case AgainstOf(row=row, against=against):
            other = results.columns(against, claim.seeds)
            if other is None:
                return Verdict(claim, "waiting", None, None, None, ())
            arms = {"these": _arms(columns, [row])[row], "those": _arms(other[0], [row])[row]}
            return _paired(claim, score_seeds(arms, groups), "these", "those")
        case DepartureOf(row=row, chance=chance, distance=distance):
            values = tuple(float(scores[row].mean()) for scores in columns)
            count = float(sum(abs(value - chance) > distance for value in values))
            return _verdict(claim, count, count, count, values)
    raise AssertionError(claim.quantity)


def _arms(columns: Sequence[Columns], rows: Sequence[str]) -> Columns:
    return {row: np.stack([scores[row] for scores in columns]) for row in rows}


def _paired(claim: Claim, scores: SeedScores, first: str, second: str) -> Verdict:
    interval: Interval = scores.difference(first, second)
    pairs = zip(scores.per_seed(first), scores.per_seed(second), strict=True)
    return _verdict(claim, interval.value, interval.low, interval.high, tuple(one - two for one, two in pairs))


def _verdict(
    claim: Claim, value: float | None, low: float | None, high: float | None, per_seed: tuple[float, ...]
) -> Verdict:
    if value is None or low is None or high is None:
        return Verdict(claim, "undecided", None, None, None, per_seed)
    above = low > claim.threshold
    below = high < claim.threshold or low == high <= claim.threshold
    if claim.rule == "not_above":
        return Verdict(claim, "refuted" if above else "held", value, low, high, per_seed)
    return Verdict(claim, "held" if above else "refuted" if below else "undecided", value, low, high, per_seed)


def print_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """One line a claim: verdict, figure with interval, per-seed values."""
    table = Table(title="claims", title_justify="left")
    for column in ("id", "claim", "verdict", "value [95 %]", "per seed"):
        table.add_column(column)
    for v in verdicts:
        figure = "-" if v.value is None else f"{v.value:z.3f} [{v.low:z.3f}, {v.high:z.3f}]"
        seeds = " ".join(f"{value:.2f}" for value in v.per_seed)
        table.add_row(*(escape(cell) for cell in (v.claim.id, v.claim.claim, v.verdict, figure, seeds)))
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every claim's verdict; exit code 1 while one is waiting for jobs."""
    parser = argparse.ArgumentParser(prog="python -m w2s_lightning.results.claims", description=main.__doc__)
    parser.add_argument("--claims", type=Path, default=Path("docs/claims.yaml"))
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    parser.add_argument("--store", type=Path, default=Path("store"))
    given = parser.parse_args(arguments)

    def run() -> bool:
        claims = read_claims(given.claims)
        results = Results.under(given.outputs, given.store)
        verdicts = [decide(claim, results) for claim in claims]
        print_verdicts(Console(), verdicts)
        return any(verdict.verdict == "waiting" for verdict in verdicts)

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
