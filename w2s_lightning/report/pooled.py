"""Figures of a group over its seeds, from stored answers: any row's interval, differences, agreement, calibration.

Several seeds: crossed with the test examples (`metrics/seeds.py`). One seed: its job's own interval. Rates on parts of
the test set hold the seeds together and resample test groups, so they speak for these trained models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.choice import Calibration, DifficultyLevel, accuracy_by_difficulty, calibration
from w2s_lightning.metrics.differences import permutation_p_value
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.rates import part_rates
from w2s_lightning.metrics.resampling import Resampling
from w2s_lightning.metrics.sections import sections_of
from w2s_lightning.metrics.seeds import SeedScores
from w2s_lightning.report.records import Job
from w2s_lightning.results.scored import score_answers
from w2s_lightning.results.stored import Answers, StoreReader

DRAWN = Resampling(resamples=500)  # for pictures: their ends move by less than a line's width
LEVELS = 6
T = TypeVar("T")


@dataclass(frozen=True)
class Difference:
    """`first - second`, its interval where there are several seeds, and a p-value before Holm's correction."""

    value: float
    low: float | None
    high: float | None
    p_value: float


@dataclass(frozen=True)
class Following:
    """How often a student gives its supervisor's answer."""

    right: Interval | None
    wrong: Interval | None


class Pool:
    """Computes from a shelf, once for each set of artifacts."""

    def __init__(self, shelf: StoreReader) -> None:
        self._shelf = shelf
        self._kept: dict[tuple[Any, ...], Any] = {}

    def _once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    def answers(self, jobs: Sequence[Job], name: str, to: str = "evaluate") -> list[Answers] | None:
        """A row's answers for every job, `to` the test set or its `benchmark`; None when one of them has no such row or
        answers, or they cannot be read, or are to different examples."""
        rows = [job.named(name) for job in jobs]
        found = [self._shelf.answers(row[to]) for row in rows if row is not None and row.get(to)]
        known = [one for one in found if one is not None]
        same = all(one.ids == known[0].ids for one in known)
        return known if known and same and len(known) == len(rows) else None

    def row(self, jobs: Sequence[Job], name: str) -> dict[str, Any] | None:
        """A row's value, interval and per-seed values."""
        rows = [row for job in jobs if (row := job.named(name)) is not None]
        if len(rows) != len(jobs) or not rows:
            return None
        per_seed = [row["value"] for row in rows]
        if len(rows) == 1:
            return {"value": rows[0]["value"], "low": rows[0]["low"], "high": rows[0]["high"], "per_seed": per_seed}
        scores = self._scores({name: (jobs, name)})
        part = None if scores is None else scores.interval(name)
        ends = {"low": part.low, "high": part.high} if part else {"low": None, "high": None}
        return {"value": float(np.mean(per_seed)), **ends, "per_seed": per_seed}

    def difference(self, one: Sequence[Job], first: str, two: Sequence[Job], second: str) -> Difference | None:
        """Two rows of jobs with equal seeds, paired by seed and test example."""
        key = ("difference", *_digests(one, first), "-", *_digests(two, second))
        return self._once(key, lambda: self._difference(one, first, two, second))

    def _difference(self, one: Sequence[Job], first: str, two: Sequence[Job], second: str) -> Difference | None:
        if [job.seed for job in one] != [job.seed for job in two]:
            return None
        if len(one) > 1:
            scores = self._scores({"first": (one, first), "second": (two, second)})
            if scores is None:
                return None
            part = scores.difference("first", "second")
            return Difference(part.value, part.low, part.high, scores.p_value("first", "second"))
        if one[0].row["metric"] != "accuracy":
            return None  # permuting groups tests a mean of examples, which an AUROC is not
        left, right = self.answers(one, first), self.answers(two, second)
        if left is None or right is None or left[0].ids != right[0].ids:
            return None
        p_value = permutation_p_value(left[0].correct, right[0].correct, left[0].groups, permutations=2000)
        return Difference(float(left[0].correct.mean() - right[0].correct.mean()), None, None, p_value)

    def _scores(self, arms: dict[str, tuple[Sequence[Job], str]]) -> SeedScores | None:
        key = ("scores", *((arm, *_digests(*which)) for arm, which in arms.items()))
        return self._once(key, lambda: self._scored(arms))

    def _scored(self, arms: dict[str, tuple[Sequence[Job], str]]) -> SeedScores | None:
        found = {arm: self.answers(*which) for arm, which in arms.items()}
        known = {arm: answers for arm, answers in found.items() if answers}
        jobs, _ = next(iter(arms.values()))
        try:
            scores = score_answers(known, jobs[0].row["metric"]) if len(known) == len(arms) else None
        except UserError:
            return None
        return scores if isinstance(scores, SeedScores) else None

    # ------------------------------------------------------------ parts of the test set

    def following(self, jobs: Sequence[Job], student: str, supervisor: str) -> Following | None:
        """Agreement with the supervisor where it is right and where it is wrong, all seeds together."""
        ours, theirs = self.answers(jobs, student), self.answers(jobs, supervisor)
        key = ("following", *_digests(jobs, student), *_digests(jobs, supervisor))
        return self._once(key, lambda: _following(ours, theirs)) if ours and theirs else None

    def calibration(self, jobs: Sequence[Job], name: str) -> Calibration | None:
        """A row's calibration curve, all seeds together; None without probabilities."""
        found = self.answers(jobs, name)
        probs = [one.probs for one in found or () if one.probs is not None]
        if found is None or len(probs) != len(found):
            return None
        return calibration(np.concatenate(probs), np.concatenate([one.gold for one in found]))

    def by_difficulty(self, jobs: Sequence[Job], name: str) -> tuple[DifficultyLevel, ...] | None:
        """A row's accuracy from easy to hard, the mean over seeds of each example; None without difficulty."""
        found = self.answers(jobs, name)
        return self._once(("difficulty", *_digests(jobs, name)), lambda: _by_difficulty(found)) if found else None

    def sections(self, jobs: Sequence[Job], name: str) -> dict[str, Interval]:
        """A row's score in every section of a benchmark, empty without one: over seeds and prompts, or of one seed over
        prompts."""
        found = self.answers(jobs, name, "benchmark")
        key = ("sections", *_digests(jobs, name, "benchmark"))
        return self._once(key, lambda: _sections(found)) if found else {}


def _digests(jobs: Sequence[Job], name: str, to: str = "evaluate") -> tuple[str, ...]:
    return tuple(str(row.get(to)) if (row := job.named(name)) else "" for job in jobs)


def _following(ours: list[Answers], theirs: list[Answers]) -> Following:
    agrees = np.concatenate([a.agrees(b) for a, b in zip(ours, theirs, strict=True)]).astype(float)
    right = np.concatenate([one.correct > 0 for one in theirs])
    groups = ours[0].groups * len(ours)
    return Following(*part_rates(agrees, np.stack([right, ~right]), groups, resampling=DRAWN))


def _sections(found: list[Answers]) -> dict[str, Interval]:
    won = {"row": np.stack([one.correct for one in found])}
    return {p.name: p.intervals(won, found[0].groups, DRAWN)["row"] for p in sections_of(found[0].subsets)}


def _by_difficulty(found: list[Answers]) -> tuple[DifficultyLevel, ...] | None:
    difficulty = found[0].difficulty
    known = np.isfinite(difficulty)
    if not known.any() or len(np.unique(difficulty[known])) < 2:
        return None
    hits = np.mean([one.correct for one in found], axis=0)
    groups = np.array(found[0].groups)
    return accuracy_by_difficulty(hits[known], difficulty[known], groups[known], num_levels=LEVELS, resampling=DRAWN)
