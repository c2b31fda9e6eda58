"""Claims: hypotheses written down with their decision rule before the run that decides them (`docs/claims.yaml`).

`python -m w2s_lightning.results.claims` reads the results under the outputs folder and prints a verdict for each claim,
whatever the claim itself says: `above`, `below`, `equivalent` (inside a margin that was named beforehand) or
`undecided`. All claims of a file are tested together (Holm 1979). No seed is dropped: a claim waits until all of its
seeds are there. A damaged file is named and counts as missing.
"""

import math
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from w2s_lightning.errors import CommandParser, UserError, did_you_mean, run_command
from w2s_lightning.metrics.intervals import CONFIDENCE
from w2s_lightning.metrics.pgr import linearised_pgr
from w2s_lightning.metrics.rates import holm
from w2s_lightning.metrics.seeds import CrossedMean, Linearised, SeedScores, smallest_alpha
from w2s_lightning.results.claim_file import (
    AgainstOf,
    Claim,
    DepartureOf,
    DifferenceOf,
    ImitationOf,
    PGROf,
    read_claims,
)
from w2s_lightning.results.read_back import read_result, read_sweep
from w2s_lightning.results.scored import score_answers, score_imitation
from w2s_lightning.results.stored import Answers, StoreReader
from w2s_lightning.show.numbers import DASH, counted, interval, p_value
from w2s_lightning.show.terminal import print_lines

RUNTIME = ("trainer", "tracking", "paths", "run", "hydra", "sweeps", "seed")
_DEFAULTS = (Path("docs/claims.yaml"), Path("outputs"), Path("store"))

ALPHA = 1 - CONFIDENCE

Decision = Literal["above", "below", "equivalent", "undecided", "waiting"]


@dataclass(frozen=True)
class Verdict:
    """What became of a claim: the figure with its own 95 % interval, and the p-value after Holm's correction over the
    file; `reason` says why it waits (where not for its jobs) or has no figure."""

    claim: Claim
    verdict: Decision
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    per_seed: tuple[float, ...] = ()
    reason: str = ""

    @property
    def as_claimed(self) -> str:
        """`yes`, `no`, or `-` where nothing is decided."""
        if self.verdict in ("undecided", "waiting"):
            return DASH
        return "yes" if self.verdict == self.claim.says else "no"


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
        if any((key_of(overrides), seed) not in self._found for seed in seeds):
            return None
        named = [{one["name"]: one["evaluate"] for one in job["rows"]} for job in self._jobs(overrides, seeds)]
        if lacking := [rows for rows in named if row not in rows]:
            raise UserError(f"its jobs have no row {row}: {did_you_mean(row, lacking[0])}")
        return [self._read(rows[row]) for rows in named]

    def supervisors(self, overrides: Sequence[str], seeds: Sequence[int]) -> list[Answers]:
        """The supervisor's answers to the test examples for every seed, of jobs that are all there."""
        names = {str(job["supervisor"]) for job in self._jobs(overrides, seeds)}
        found = self.answers(overrides, seeds, names.pop())
        assert found is not None
        return found

    def metric(self, overrides: Sequence[str], seeds: Sequence[int]) -> str:
        """What the jobs, which are all there, are judged by."""
        return str(self._jobs(overrides, seeds)[0]["metric"])

    def _jobs(self, overrides: Sequence[str], seeds: Sequence[int]) -> list[Mapping[str, Any]]:
        return [self._found[key_of(overrides), seed] for seed in seeds]


@dataclass(frozen=True)
class Measured:
    """A claim's quantity over its seeds."""

    mean: CrossedMean
    per_seed: tuple[float, ...]

    def p_value(self, claim: Claim) -> float:
        """The smallest alpha at which the claim is decided."""
        return smallest_alpha(lambda alpha: _word(claim, self.mean, alpha) != "undecided")


def decide(claims: Sequence[Claim], results: Results) -> list[Verdict]:
    """Measure what the claims of one file are about and decide them together.

    A claim's p-value is the smallest alpha at which its interval decides anything; Holm's procedure over all claims of
    the file (one that still waits counts, with p = 1) says at which level each is decided. Whatever the true mean is,
    only one kind of verdict is wrong about it, so a claim is wrongly decided with probability at most alpha.
    """
    found = [_measured(claim, results) for claim in claims]
    p_values = [
        one.p_value(claim) if isinstance(one, Measured) else 1.0 for claim, one in zip(claims, found, strict=True)
    ]
    adjusted = holm(p_values)
    return [_verdict(claim, one, raw, p) for claim, one, raw, p in zip(claims, found, p_values, adjusted, strict=True)]


def _verdict(claim: Claim, found: Measured | Verdict, raw: float, p: float) -> Verdict:
    if isinstance(found, Verdict):
        return found
    # Holm divides alpha by p / raw for this claim: the interval of that level is what decides.
    word = _word(claim, found.mean, ALPHA * raw / p) if p < ALPHA else "undecided"
    return Verdict(claim, word, found.mean.value, *found.mean.interval(CONFIDENCE), p, found.per_seed)


def _word(claim: Claim, mean: CrossedMean, alpha: float) -> Decision:
    """What the interval of confidence 1 - alpha says."""
    low, high = mean.interval(1 - alpha)
    if claim.margin is not None and claim.threshold - claim.margin < low and high < claim.threshold + claim.margin:
        return "equivalent"
    return "above" if low > claim.threshold else "below" if high < claim.threshold else "undecided"


def _measured(claim: Claim, results: Results) -> Measured | Verdict:
    """The claim's quantity, or the verdict that there is none yet, with the reason."""
    try:
        scores = _scores(claim, results)
    except UserError as error:
        return Verdict(claim, "waiting", reason=str(error))
    if scores is None:
        return Verdict(claim, "waiting")
    match claim.quantity:
        case PGROf():
            table, own = linearised_pgr(scores, student="one")
            per_seed = tuple(math.nan if value is None else value for value in own)
            if isinstance(table, str):
                return Verdict(claim, "undecided", per_seed=per_seed, reason=table)
        case DepartureOf(chance=chance):
            one = scores.arms["one"]
            per_seed = tuple(one.values.tolist())
            table = Linearised(abs(one.values - chance), one.scaled(np.sign(one.values - chance)).influence)
        case _:
            table = scores.paired("one", "other")
            per_seed = tuple(table.values.tolist())
    return Measured(scores.mean_of(table), per_seed)


def _scores(claim: Claim, results: Results) -> SeedScores | None:
    """The arms that the claim's quantity is made of; None while a seed of one is missing."""
    quantity = claim.quantity
    wanted = {"one": (claim.jobs, quantity.row)}
    match quantity:
        case PGROf():
            wanted |= {"floor": (claim.jobs, "floor"), "ceiling": (claim.jobs, "ceiling")}
        case DifferenceOf(minus=other):
            wanted["other"] = (claim.jobs, other)
        case AgainstOf(against=against) | ImitationOf(against=against):
            wanted["other"] = (against, quantity.row)
        case DepartureOf():
            pass
    arms = {}
    for name, (jobs, row) in wanted.items():
        answers = results.answers(jobs, claim.seeds, row)
        if answers is None:
            return None
        arms[name] = answers
    if isinstance(quantity, ImitationOf):
        return score_imitation(arms, {name: results.supervisors(wanted[name][0], claim.seeds) for name in arms})
    scores = score_answers(arms, claim.metric or results.metric(claim.jobs, claim.seeds))
    assert isinstance(scores, SeedScores)
    return scores


def print_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Two lines a claim: what came out, whether that is what it says, figure, values by seed; and its sentence."""
    for v in verdicts:
        agrees = {"yes": ", as claimed", "no": ", not as claimed"}.get(v.as_claimed, "")
        seeds = " ".join(f"{value:.2f}" for value in v.per_seed)
        figure = f" · {interval(vars(v))} · p {p_value(v.p)} · by seed {seeds}" if v.per_seed else ""
        print_lines(console, [f"{v.claim.id} · {v.verdict}{agrees}{figure}", f"    {v.claim.claim}"])
    waiting = (f"{v.claim.id} waits: {v.reason}" for v in verdicts if v.reason and v.verdict == "waiting")
    undefined = (f"{v.claim.id}: PGR is undefined: {v.reason}" for v in verdicts if v.reason and v.verdict != "waiting")
    corrected = ["p: of all claims together (Holm); a verdict needs p < 0.05, the interval shown is the claim's own"]
    print_lines(console, [*corrected, *waiting, *undefined])


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
        verdicts = decide(claims, results)
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
