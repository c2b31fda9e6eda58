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

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from rich.console import Console

from w2s_lightning.config.schema import record
from w2s_lightning.errors import UserError, run_command
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.pgr import PGR, pgr_over_seeds
from w2s_lightning.metrics.seeds import score_seeds
from w2s_lightning.results.scored import columns_of
from w2s_lightning.results.stored import Answers, StoreReader
from w2s_lightning.show.numbers import interval
from w2s_lightning.show.terminal import print_table

YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where PyYAML was built with it
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


Decision = Literal["held", "refuted", "undecided", "waiting"]


@dataclass(frozen=True)
class Verdict:
    """What became of a claim."""

    claim: Claim
    verdict: Decision
    value: float | None
    low: float | None
    high: float | None
    per_seed: tuple[float, ...]


def read_claims(path: Path) -> list[Claim]:
    """The claims of a YAML file; raise UserError where one is not well formed."""
    try:
        return TypeAdapter(list[Claim]).validate_python(yaml.load(path.read_text(), YAML_LOADER))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: claim {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{path}: {line}{error.problem}") from None
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None


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

    def answers(self, overrides: Sequence[str], seeds: Sequence[int], row: str) -> list[Answers] | None:
        """A row's answers to the test examples for every seed; None while a seed is missing."""
        found = [self._found.get((key_of(overrides), seed)) for seed in seeds]
        named = [{one["name"]: one["evaluate"] for one in result["rows"]} for result in found if result is not None]
        return [self._read(rows[row]) for rows in named] if len(named) == len(found) else None


def decide(claim: Claim, results: Results) -> Verdict:
    """Measure the claim's quantity and apply its rule."""
    match claim.quantity:
        case PGROf(row=row):
            wanted = {"student": (claim.jobs, row), "floor": (claim.jobs, "floor"), "ceiling": (claim.jobs, "ceiling")}
        case DifferenceOf(row=row, minus=other):
            wanted = {"one": (claim.jobs, row), "other": (claim.jobs, other)}
        case AgainstOf(row=row, against=against):
            wanted = {"one": (claim.jobs, row), "other": (against, row)}
        case DepartureOf(row=row):
            wanted = {"one": (claim.jobs, row)}
    arms = {name: results.answers(jobs, claim.seeds, row) for name, (jobs, row) in wanted.items()}
    known = {name: answers for name, answers in arms.items() if answers is not None}
    if len(known) < len(arms):
        return Verdict(claim, "waiting", None, None, None, ())
    try:
        columns = columns_of(known)
    except UserError as error:
        raise UserError(f"claim {claim.id}: {error}: run them again") from None
    if isinstance(claim.quantity, DepartureOf):
        values = columns["one"].mean(axis=1).tolist()
        count = float(sum(abs(value - claim.quantity.chance) > claim.quantity.distance for value in values))
        return _verdict(claim, Interval(count, count, count, len(values)), values)
    scores = score_seeds(columns, next(iter(known.values()))[0].groups)
    if isinstance(claim.quantity, PGROf):
        pgr, per_seed = pgr_over_seeds(scores)
        return _verdict(claim, pgr, [float("nan") if value is None else value for value in per_seed])
    per_seed = (scores.arms["one"] - scores.arms["other"]).values.tolist()
    return _verdict(claim, scores.difference("one", "other"), per_seed)


def _verdict(claim: Claim, figure: Interval | PGR, per_seed: Sequence[float]) -> Verdict:
    low, high = figure.low, figure.high
    if figure.value is None or low is None or high is None:
        return Verdict(claim, "undecided", None, None, None, tuple(per_seed))
    above = low > claim.threshold
    below = high < claim.threshold or low == high <= claim.threshold
    held, refuted = (not above, above) if claim.rule == "not_above" else (above, below)
    verdict: Decision = "held" if held else "refuted" if refuted else "undecided"
    return Verdict(claim, verdict, figure.value, low, high, tuple(per_seed))


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
