"""Claims: hypotheses written down with their decision rule before the run that decides them (`docs/claims.yaml`).

`python -m w2s_lightning.results.claims` reads the results under the outputs folder and prints a verdict for each claim:
`held`, `refuted` or `undecided`. All three are results. No seed is dropped: a claim waits until all of its seeds are
there. A damaged file is named and counts as missing.
"""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import MinLen
from pydantic import AllowInfNan, Field, TypeAdapter, ValidationError
from rich.console import Console

from w2s_lightning.atomic import read_yaml
from w2s_lightning.config.schema import Seed, record
from w2s_lightning.errors import CommandParser, UserError, did_you_mean, run_command
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.pgr import PGR, pgr_over_seeds
from w2s_lightning.metrics.seeds import score_seeds
from w2s_lightning.results.read_back import read_result, read_sweep
from w2s_lightning.results.scored import columns_of
from w2s_lightning.results.stored import Answers, StoreReader
from w2s_lightning.show.numbers import counted, interval
from w2s_lightning.show.terminal import print_lines, print_table

RUNTIME = ("trainer", "tracking", "paths", "run", "hydra", "sweeps", "seed")
_DEFAULTS = (Path("docs/claims.yaml"), Path("outputs"), Path("store"))

Finite = Annotated[float, AllowInfNan(False)]
Overrides = tuple[Annotated[str, Field(pattern="=")], ...]


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
    against: Overrides


@record
class DepartureOf:
    """In how many seeds a row's accuracy lies further than `distance` from `chance`, either way."""

    of: Literal["departures"]
    row: str
    chance: Finite
    distance: Finite


Quantity = Annotated[PGROf | DifferenceOf | AgainstOf | DepartureOf, Field(discriminator="of")]


@record
class Claim:
    """One hypothesis: which jobs decide it, by which quantity, under which rule.

    `above`: held when the whole interval lies above `threshold`, refuted when it lies below, else undecided.
    `not_above`: held unless the whole interval lies above. A count has no interval and is compared as it is.
    """

    id: str
    claim: str
    jobs: Overrides
    seeds: Annotated[tuple[Seed, ...], MinLen(2)]
    quantity: Quantity
    rule: Literal["above", "not_above"]
    threshold: Finite


Decision = Literal["held", "refuted", "undecided", "waiting"]


@dataclass(frozen=True)
class Verdict:
    """What became of a claim; `reason` says why it waits, where not for its jobs."""

    claim: Claim
    verdict: Decision
    value: float | None
    low: float | None
    high: float | None
    per_seed: tuple[float, ...]
    reason: str = ""


def read_claims(path: Path) -> list[Claim]:
    """The claims of a YAML file; raise UserError where one is not well formed."""
    try:
        return TypeAdapter(list[Claim]).validate_python(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = f"claim {'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        raise UserError(f"{path}: {where}{first['msg']}") from None
    except FileNotFoundError:
        raise UserError(f"there is no {path}: name a file of claims with --claims FILE") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


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
    """Results by overrides and seed, with their stored predictions; `faults` name what could not be read."""

    def __init__(self, found: Mapping[tuple[frozenset[str], int], Mapping[str, Any]], store: Path) -> None:
        self._found = found
        self._read = StoreReader(store).required_answers
        self.faults: list[str] = []

    @classmethod
    def under(cls, outputs: Path, store: Path) -> "Results":
        """All results below an outputs folder, also under the words in which sweeps asked for them."""
        found: dict[tuple[frozenset[str], int], Mapping[str, Any]] = {}
        by_digest: dict[str, Mapping[str, Any]] = {}
        made = cls(found, store)
        for result in made._whole(outputs, "**/[r]esult.json", read_result):
            by_digest[result["digest"]] = result
            found[key_of(result["overrides"]), result["job"]["seed"]] = result
        for sweep in made._whole(outputs, "sweeps/*/[s]weep.json", read_sweep):
            for job in sweep["jobs"]:
                for overrides in (job["overrides"], *job["also"]) if job["digest"] in by_digest else ():
                    found.setdefault((key_of(overrides), job["seed"]), by_digest[str(job["digest"])])
        return made

    def _whole(self, outputs: Path, pattern: str, read: Callable[[Path], dict[str, Any]]) -> list[dict[str, Any]]:
        """The content of files, the oldest first; of what is not as we write it, a fault.

        Brackets in a pattern make it find links to nothing, too.
        """
        found = []
        for file in sorted(outputs.glob(pattern), key=lambda file: (file.lstat().st_mtime, file)):
            try:
                found.append(read(file))
            except (OSError, ValueError) as error:
                self.faults.append(f"{file}: {error}")
        return found

    def answers(self, overrides: Sequence[str], seeds: Sequence[int], row: str) -> list[Answers] | None:
        """A row's answers to the test examples for every seed; None while a seed is missing. Raises UserError for
        answers that cannot be read, and for a row that the jobs do not have."""
        found = [self._found.get((key_of(overrides), seed)) for seed in seeds]
        named = [{one["name"]: one["evaluate"] for one in result["rows"]} for result in found if result is not None]
        if len(named) < len(found):
            return None
        if lacking := [rows for rows in named if row not in rows]:
            raise UserError(f"its jobs have no row {row}: {did_you_mean(row, lacking[0])}")
        return [self._read(rows[row]) for rows in named]


def decide(claim: Claim, results: Results) -> Verdict:
    """Measure the claim's quantity and apply its rule; it waits while that cannot be measured, with the reason."""
    try:
        return _decided(claim, results)
    except UserError as error:
        return Verdict(claim, "waiting", None, None, None, (), str(error))


def _decided(claim: Claim, results: Results) -> Verdict:
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
    columns = columns_of(known)
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
    print_lines(console, (f"{v.claim.id} waits: {v.reason}" for v in verdicts if v.reason))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every claim's verdict; exit code 1 while one is waiting for jobs."""
    parser = CommandParser(prog="python -m w2s_lightning.results.claims", description=main.__doc__)
    claims, outputs, store = _DEFAULTS
    parser.add_argument("--claims", type=Path, default=claims)
    parser.add_argument("--outputs", type=Path, default=outputs)
    parser.add_argument("--store", type=Path, default=store)
    given = parser.parse_args(arguments)

    def run() -> bool:
        claims = read_claims(given.claims)
        results = Results.under(given.outputs, given.store)
        verdicts = [decide(claim, results) for claim in claims]
        console, waiting = Console(), sum(verdict.verdict == "waiting" for verdict in verdicts)
        print_verdicts(console, verdicts)
        print_lines(console, (f"damaged: {fault}" for fault in results.faults))
        if waiting:
            settings = {
                "hydra.sweeper.claims": given.claims,
                "paths.outputs": given.outputs,
                "paths.store": given.store,
            }
            other = [f"{key}={value}" for key, value in settings.items() if value not in _DEFAULTS]
            again = shlex.join(["python", "train.py", "-m", "sweeps=claims", *other])
            print_lines(
                console, [f"{counted(waiting, 'claim')} waiting; this runs what is missing and decides: {again}"]
            )
        return waiting > 0

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
