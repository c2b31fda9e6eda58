"""Claims: hypotheses written down with their decision rule before the run that decides them (`docs/claims.yaml`).

`python -m w2s_lightning.results.claims` reads the results under the outputs folder and prints a verdict for each claim:
`held`, `refuted` or `undecided`. All three are results. No seed is dropped: a claim waits until all of its seeds are
there.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import Field, TypeAdapter, ValidationError
from rich.console import Console

from w2s_lightning.config.schema import record
from w2s_lightning.errors import UserError, run_command
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.pgr import PGR, pgr_over_seeds
from w2s_lightning.metrics.seeds import score_seeds
from w2s_lightning.results.stored import Answers, Array, StoreReader
from w2s_lightning.show.numbers import interval
from w2s_lightning.show.terminal import print_table

RUNTIME = ("trainer", "tracking", "paths", "run", "hydra", "sweeps", "seed")


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
        self._read = StoreReader(store).required_answers

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

    def answers(self, overrides: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Answers]] | None:
        """Per seed, each row's answers to the shared test examples; None while a seed is missing."""
        results = [self._found.get((key_of(overrides), seed)) for seed in seeds]
        if any(result is None for result in results):
            return None
        rows = [{row["name"]: self._read(row["evaluate"]) for row in result["rows"]} for result in results if result]
        ids = next(iter(rows[0].values())).ids
        if any(answers.ids != ids for own in rows for answers in own.values()):
            raise UserError(f"results for {sorted(overrides)} were scored on different test examples: run them again")
        return rows


def decide(claim: Claim, results: Results) -> Verdict:
    """Measure the claim's quantity and apply its rule."""
    these = results.answers(claim.jobs, claim.seeds)
    against = results.answers(claim.quantity.against, claim.seeds) if isinstance(claim.quantity, AgainstOf) else these
    if these is None or against is None:
        return Verdict(claim, "waiting", None, None, None, ())
    match claim.quantity:
        case PGROf(row=row):
            arms = {name: _over_seeds(these, name) for name in (row, "floor", "ceiling")}
            group = pgr_over_seeds(score_seeds(arms, _groups(these)), student=row)
            per_seed = tuple(float("nan") if v is None else v for v in group.per_seed)
            return _verdict(claim, group.pgr, per_seed)
        case DifferenceOf(row=row, minus=other):
            return _paired(claim, _over_seeds(these, row), _over_seeds(these, other), _groups(these))
        case AgainstOf(row=row):
            return _paired(claim, _over_seeds(these, row), _over_seeds(against, row), _groups(these))
        case DepartureOf(row=row, chance=chance, distance=distance):
            values = tuple(float(one) for one in _over_seeds(these, row).mean(axis=1))
            count = float(sum(abs(value - chance) > distance for value in values))
            return _verdict(claim, Interval(count, count, count, len(values)), values)
    raise AssertionError(claim.quantity)


def _over_seeds(answers: Sequence[Mapping[str, Answers]], row: str) -> Array:
    """A row's 0/1 scores, `[S, n]`."""
    return np.stack([own[row].correct for own in answers])


def _groups(answers: Sequence[Mapping[str, Answers]]) -> tuple[str, ...]:
    return next(iter(answers[0].values())).groups


def _paired(claim: Claim, one: Array, other: Array, groups: Sequence[str]) -> Verdict:
    scores = score_seeds({"one": one, "other": other}, groups)
    per_seed = np.subtract(scores.per_seed("one"), scores.per_seed("other")).tolist()
    return _verdict(claim, scores.difference("one", "other"), tuple(per_seed))


def _verdict(claim: Claim, figure: Interval | PGR, per_seed: tuple[float, ...]) -> Verdict:
    low, high = figure.low, figure.high
    if figure.value is None or low is None or high is None:
        return Verdict(claim, "undecided", None, None, None, per_seed)
    above = low > claim.threshold
    below = high < claim.threshold or low == high <= claim.threshold
    held, refuted = (not above, above) if claim.rule == "not_above" else (above, below)
    verdict = Verdict(claim, "undecided", figure.value, low, high, per_seed)
    return replace(verdict, verdict="held" if held else "refuted" if refuted else "undecided")


def print_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """One line a claim: verdict, figure with interval, per-seed values."""
    rows = (
        (v.claim.id, v.claim.claim, v.verdict, interval(vars(v)), " ".join(f"{value:.2f}" for value in v.per_seed))
        for v in verdicts
    )
    print_table(console, ("id", "claim", "verdict", "value [95 %]", "per seed"), rows, "claims")


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
