"""Performance gap recovered: (student - floor) / (ceiling - floor), same metric, same test examples.

Burns et al. 2023, arXiv 2312.09390, section 3. Below 0 and above 1 are legal values and nothing is clipped. It is
undefined, with its reason, when the interval of ceiling - floor reaches 0 or lies below it: then the ceiling is not
known to be above the floor, and the quotient means nothing. The published conventions differ in which floor and
ceiling a seed's student is measured against; see `Baseline`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from w2s_lightning.metrics.bootstrap import JobScores
from w2s_lightning.metrics.intervals import FloatArray, Interval
from w2s_lightning.metrics.seeds import Linearised, SeedScores

Baseline = Literal["per_seed", "fixed"]
"""`per_seed`: a seed's own floor and ceiling (Burns et al.). `fixed`: their means over all seeds given for them, known
numbers from then on (Anthropic's automated-w2s harness, 2026, with 16 baseline seeds)."""


_ROUNDING = 1e-12  # a gap of this size is what equal arms leave when their scores are not whole numbers


@dataclass(frozen=True)
class PGR:
    """A fraction of the gap with its interval, or no value and the reason why."""

    value: float | None
    low: float | None
    high: float | None
    defined: bool
    reason: str | None

    @classmethod
    def of(cls, value: float, low: float, high: float) -> "PGR":
        """A defined PGR."""
        return cls(value=value, low=low, high=high, defined=True, reason=None)

    @classmethod
    def undefined(cls, reason: str) -> "PGR":
        """No value, and why."""
        return cls(value=None, low=None, high=None, defined=False, reason=reason)


@dataclass(frozen=True)
class GroupPGR:
    """PGR of a group of seeds: `pgr` is the ratio of means, `per_seed` every seed's own value in the order given (None
    where its ceiling is not above its floor), `gap` the pooled ceiling - floor that decides whether PGR is defined."""

    pgr: PGR
    per_seed: tuple[float | None, ...]
    gap: Interval
    baseline: Baseline


def pgr(student: float, floor: float, ceiling: float) -> float | None:
    """The bare quotient; None when the ceiling is not above the floor. No interval: `pgr_of_job` has one."""
    return (student - floor) / (ceiling - floor) if ceiling > floor else None


def why_undefined(gap: Interval, *, confidence: float) -> str | None:
    """Say why there is no PGR over this ceiling - floor, or None when there is one."""
    ends = f"ceiling - floor is {gap.value:z.3f}, {100 * confidence:g} % interval {gap.low:z.3f} to {gap.high:z.3f}"
    if gap.high < -_ROUNDING:
        return f"the ceiling is below the floor: {ends}"
    return f"the gap reaches 0: {ends}" if gap.low <= _ROUNDING else None


def pgr_of_job(scores: JobScores, *, student: str = "student", floor: str = "floor", ceiling: str = "ceiling") -> PGR:
    """PGR of one job with its paired bootstrap interval, for these trained models.

    In the few resamples (fewer than lie beyond the gap interval's low end) whose gap is not positive the quotient is
    taken as below the low end and above the high end: both ends stay finite and only move outwards.
    """
    reason = why_undefined(scores.difference(ceiling, floor), confidence=scores.confidence)
    if reason is not None:
        return PGR.undefined(reason)
    at = [scores.column(arm) for arm in (student, floor, ceiling)]
    of_student, of_floor, of_ceiling = scores.resampled[:, at].T
    gain, gap = of_student - of_floor, of_ceiling - of_floor
    value = float((scores.values[at[0]] - scores.values[at[1]]) / (scores.values[at[2]] - scores.values[at[1]]))
    low = scores.interval_of(value, _quotient(gain, gap, otherwise=-np.inf)).low
    high = scores.interval_of(value, _quotient(gain, gap, otherwise=np.inf)).high
    return PGR.of(value, low, high)


def _quotient(gain: FloatArray, gap: FloatArray, *, otherwise: float) -> FloatArray:
    """gain / gap where the gap is positive."""
    return np.divide(gain, gap, out=np.full_like(gain, otherwise), where=gap > 0)


def pgr_over_seeds(
    scores: SeedScores,
    *,
    baseline: Baseline = "per_seed",
    student: str = "student",
    floor: str = "floor",
    ceiling: str = "ceiling",
) -> GroupPGR:
    """PGR of a group of seeds: mean gain over mean gap, with a t interval over seeds and test examples.

    The quotient P is linearised (delta method): each seed and test group contributes
    (student - floor - P (ceiling - floor)) / mean gap, and `seeds` turns the table into an interval.
    With `per_seed` baselines the arms have the same seeds and a seed's luck with its own floor cancels; with `fixed`
    ones the interval takes floor and ceiling as known over seeds (not over examples), floor and ceiling may have more
    seeds than the student, and per-seed values change, while over equal seeds P itself is the same. Whether PGR is
    defined is decided on the pooled gap, with its seed part, under both rules.
    """
    arms = _Arms.of(scores, baseline=baseline, student=student, floor=floor, ceiling=ceiling)
    return GroupPGR(
        pgr=arms.undefined(scores) or _interval(scores, _ratio_of_means(arms.gain, arms.gap)),
        per_seed=arms.per_seed(),
        gap=scores.interval_of(arms.pooled_gap),
        baseline=baseline,
    )


def mean_of_pgrs(
    scores: SeedScores,
    *,
    baseline: Baseline = "per_seed",
    student: str = "student",
    floor: str = "floor",
    ceiling: str = "ceiling",
) -> PGR:
    """Mean over seeds of the seeds' own PGRs, for comparison with papers that report it.

    One seed with a small gap can carry it away, so prefer `pgr_over_seeds`. Undefined when the pooled gap reaches 0 or
    any seed's ceiling is not above its floor, since no seed is dropped.
    """
    arms = _Arms.of(scores, baseline=baseline, student=student, floor=floor, ceiling=ceiling)
    bad = [str(position) for position, value in enumerate(arms.per_seed()) if value is None]
    if bad:
        return PGR.undefined(f"the ceiling is not above the floor for seed number {', '.join(bad)} (counted from 0)")
    return arms.undefined(scores) or _interval(scores, _ratio_per_seed(arms.gain, arms.gap))


@dataclass(frozen=True, eq=False)
class _Arms:
    """Gain and gap under a baseline rule, one row a student's seed, and the gap as it was measured."""

    gain: Linearised
    gap: Linearised
    pooled_gap: Linearised

    @classmethod
    def of(cls, scores: SeedScores, *, baseline: Baseline, student: str, floor: str, ceiling: str) -> "_Arms":
        top, low, high = scores.arm(student), scores.arm(floor), scores.arm(ceiling)
        counts = {student: top.num_seeds, floor: low.num_seeds, ceiling: high.num_seeds}
        if baseline not in ("per_seed", "fixed"):
            raise ValueError(f"baseline is {baseline!r}: expected per_seed or fixed")
        if low.num_seeds != high.num_seeds or (baseline == "per_seed" and top.num_seeds != low.num_seeds):
            raise ValueError(
                f"seeds do not match: {counts}; give the same seeds, or baseline='fixed' for more baselines"
            )
        pooled = high - low
        if baseline == "fixed":
            low, high = low.averaged(top.num_seeds), high.averaged(top.num_seeds)
        return cls(gain=top - low, gap=high - low, pooled_gap=pooled)

    def undefined(self, scores: SeedScores) -> PGR | None:
        """The undefined PGR when the pooled gap allows none."""
        reason = why_undefined(scores.interval_of(self.pooled_gap), confidence=scores.confidence)
        return None if reason is None else PGR.undefined(reason)

    def per_seed(self) -> tuple[float | None, ...]:
        """Each seed's quotient, None where its gap is not positive."""
        pairs = zip(self.gain.values.tolist(), self.gap.values.tolist(), strict=True)
        return tuple(gain / gap if gap > 0 else None for gain, gap in pairs)


def _ratio_of_means(gain: Linearised, gap: Linearised) -> Linearised:
    """A table whose mean over seeds is P = mean gain / mean gap, and whose spread is P's to first order."""
    width = float(gap.values.mean())
    ratio = float(gain.values.mean()) / width
    error = (gain - gap.scaled(ratio)).scaled(1 / width)
    return Linearised(error.values - error.values.mean() + ratio, error.influence)


def _ratio_per_seed(gain: Linearised, gap: Linearised) -> Linearised:
    """Each seed's own quotient, linearised in the test groups."""
    ratio = gain.values / gap.values
    error = (gain - gap.scaled(ratio)).scaled(1 / gap.values)
    return Linearised(ratio, error.influence)


def _interval(scores: SeedScores, ratio: Linearised) -> PGR:
    """The interval of a linearised quotient's mean."""
    interval = scores.interval_of(ratio)
    return PGR.of(interval.value, interval.low, interval.high)
