"""Performance gap recovered: (student - floor) / (ceiling - floor), same metric, same test examples.

Burns et al. 2023, arXiv 2312.09390, section 3. Below 0 and above 1 are legal values and nothing is clipped. It is
undefined, with its reason, when the interval of ceiling - floor reaches 0 or lies below it: then the ceiling is not
known to be above the floor, and the quotient means nothing. The published conventions differ in which floor and
ceiling a seed's student is measured against; see `Baseline`.
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np

from w2s_lightning.metrics.intervals import CONFIDENCE, Interval
from w2s_lightning.metrics.rates import JobScores, ratio
from w2s_lightning.metrics.seeds import Linearised, SeedScores

Baseline = Literal["per_seed", "fixed"]
"""`per_seed`: a seed's own floor and ceiling (Burns et al.). `fixed`: their means over all seeds given for them, known
numbers from then on (Anthropic's automated-w2s harness, 2026, with 16 baseline seeds)."""

Average = Literal["ratio_of_means", "mean_of_ratios"]
"""`ratio_of_means`: mean gain over mean gap. `mean_of_ratios`: mean of the seeds' own PGRs, for comparison with papers
that report it; one seed with a small gap can carry it away."""

TOO_WIDE = 0.25
"""A predicted half-width above this is worth a warning: the interval would span half of the gap or more."""

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


def why_undefined(gap: Interval) -> str | None:
    """Say why there is no PGR over this ceiling - floor, or None when there is one."""
    ends = f"ceiling - floor is {gap.value:z.3f}, {100 * CONFIDENCE:g} % interval {gap.low:z.3f} to {gap.high:z.3f}"
    if gap.high < -_ROUNDING:
        return f"the ceiling is below the floor: {ends}"
    return f"the gap reaches 0: {ends}" if gap.low <= _ROUNDING else None


def pgr_of_job(scores: JobScores, *, student: str = "student", floor: str = "floor", ceiling: str = "ceiling") -> PGR:
    """PGR of one job with its paired bootstrap interval, for these trained models.

    In the few resamples (fewer than lie beyond the gap interval's low end) whose gap is not positive the quotient is
    taken as below the low end and above the high end: both ends stay finite and only move outwards.
    """
    reason = why_undefined(scores.difference(ceiling, floor))
    if reason is not None:
        return PGR.undefined(reason)
    at = [scores.arms.index(arm) for arm in (student, floor, ceiling)]
    of_student, of_floor, of_ceiling = scores.resampled[:, at].T
    gain, gap = of_student - of_floor, of_ceiling - of_floor
    value = float((scores.values[at[0]] - scores.values[at[1]]) / (scores.values[at[2]] - scores.values[at[1]]))
    low = scores.interval_of(value, ratio(gain, gap, otherwise=-np.inf)).low
    return PGR.of(value, low, scores.interval_of(value, ratio(gain, gap, otherwise=np.inf)).high)


def pgr_of(
    scores: JobScores | SeedScores, *, student: str = "student", floor: str = "floor", ceiling: str = "ceiling"
) -> PGR:
    """PGR of one job, or of a group of seeds with its usual conventions."""
    if isinstance(scores, JobScores):
        return pgr_of_job(scores, student=student, floor=floor, ceiling=ceiling)
    return pgr_over_seeds(scores, student=student, floor=floor, ceiling=ceiling)[0]


def pgr_over_seeds(
    scores: SeedScores,
    *,
    baseline: Baseline = "per_seed",
    average: Average = "ratio_of_means",
    student: str = "student",
    floor: str = "floor",
    ceiling: str = "ceiling",
) -> tuple[PGR, tuple[float | None, ...]]:
    """PGR of a group of seeds, with a t interval over seeds and test examples; and every seed's own value, in the order
    given, None where its ceiling is not above its floor. See `linearised_pgr`."""
    table, per_seed = linearised_pgr(
        scores, baseline=baseline, average=average, student=student, floor=floor, ceiling=ceiling
    )
    if isinstance(table, str):
        return PGR.undefined(table), per_seed
    found = scores.interval_of(table)
    return PGR.of(found.value, found.low, found.high), per_seed


def linearised_pgr(
    scores: SeedScores,
    *,
    baseline: Baseline = "per_seed",
    average: Average = "ratio_of_means",
    student: str = "student",
    floor: str = "floor",
    ceiling: str = "ceiling",
) -> tuple[Linearised | str, tuple[float | None, ...]]:
    """PGR as a table of seeds x groups whose mean it is, or why it is undefined; and every seed's own value.

    The quotient P is linearised (delta method): each seed and test group contributes
    (student - floor - P (ceiling - floor)) / mean gap, and `seeds` turns the table into an interval (of the mean of
    ratios: each seed with its own P and gap). With `per_seed` baselines the arms have the same seeds and a seed's luck
    with its own floor cancels; with `fixed` ones the interval takes floor and ceiling as known over seeds (not over
    examples), floor and ceiling may have more seeds than the student, and per-seed values change, while over equal
    seeds P itself is the same. Whether PGR is defined is decided on the pooled gap, with its seed part, under all
    rules; the mean of ratios needs every seed's ceiling above its floor too, since no seed is dropped.
    """
    assert (baseline, average) in product(get_args(Baseline), get_args(Average)), (baseline, average)
    top, low, high = scores.arms[student], scores.arms[floor], scores.arms[ceiling]
    if low.num_seeds != high.num_seeds or (baseline == "per_seed" and top.num_seeds != low.num_seeds):
        counts = {student: top.num_seeds, floor: low.num_seeds, ceiling: high.num_seeds}
        raise ValueError(f"seeds do not match: {counts}; give the same seeds, or baseline='fixed' for more baselines")
    reason = why_undefined(scores.interval_of(high - low))
    if baseline == "fixed":
        low, high = low.averaged(top.num_seeds), high.averaged(top.num_seeds)
    gain, gap = top - low, high - low
    pairs = zip(gain.values.tolist(), gap.values.tolist(), strict=True)
    per_seed = tuple(one / width if width > 0 else None for one, width in pairs)
    if average == "mean_of_ratios" and None in per_seed:
        bad = ", ".join(str(position) for position, value in enumerate(per_seed) if value is None)
        reason = f"the ceiling is not above the floor for seed number {bad} (counted from 0)"
    if reason is not None:
        return reason, per_seed
    if average == "mean_of_ratios":
        values = gain.values / gap.values
        return Linearised(values, (gain - gap.scaled(values)).scaled(1 / gap.values).influence), per_seed
    # A table whose mean over seeds is P = mean gain / mean gap, and whose spread is P's to first order.
    width = float(gap.values.mean())
    value = float(gain.values.mean()) / width
    error = (gain - gap.scaled(value)).scaled(1 / width)
    return Linearised(error.values - error.values.mean() + value, error.influence), per_seed


def predicted_half_width(
    *,
    floor: float,
    ceiling: float,
    num_examples: int,
    num_groups: int,
    expected_pgr: float = 0.5,
    correlation: float = 0.3,
    group_correlation: float = 0.3,
) -> float:
    """Half-width of a 95 % interval of one job's PGR, predicted before training, from accuracies guessed or measured.

    The delta method: PGR is the mean of u = (student - floor - P (ceiling - floor)) / gap, plus P, so its half-width
    is 1.96 sqrt(deff Var(u) / n) / gap. Assumptions, each of them rough: per-example scores are 0 or 1, the student's
    accuracy is floor + P gap, any two arms' scores have the given correlation, and n / num_groups examples a group
    share a `group_correlation`, deff = 1 + (n / num_groups - 1) group_correlation (Kish 1965). Seeds are left out:
    with several, the example part stays and the seed part comes on top.
    """
    gap = ceiling - floor
    rates = floor + expected_pgr * gap, floor, ceiling
    spreads = [math.sqrt(rate * (1 - rate)) for rate in rates]
    parts = [weight * spread for weight, spread in zip((1, expected_pgr - 1, -expected_pgr), spreads, strict=True)]
    own, together = sum(part**2 for part in parts), sum(parts) ** 2
    variance = (1 - correlation) * own + correlation * together
    design_effect = 1 + (num_examples / num_groups - 1) * group_correlation
    return 1.96 * math.sqrt(variance * design_effect / num_examples) / gap
