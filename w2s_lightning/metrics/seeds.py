"""The arms of several seeds on one shared test set: seeds and test examples are crossed, not nested.

A number's uncertainty has two sources: other seeds would have trained other models, and other test questions would
have been answered otherwise, by all seeds and arms together. "Seeds outside, examples inside" resampling counts the
second as if every seed had its own test set (in a simulation with 3 seeds a nominal 95 % covered about 87 %).
Here every quantity is recomputed without each test group in turn (the jackknife), which leaves a table of seeds x
groups, and the variance of its mean is read off as of two crossed random factors (Searle, Casella & McCulloch 1992,
Variance Components, ch. 4).

The interval is value +- sqrt(t(S-1)^2 V_seeds / S + t(E-1)^2 V_groups / G), where V_seeds is the variance of the S
seeds' values, V_groups that of the G groups' influences on the mean, and E the effective number of groups, N^2 / sum of
squared sizes (Kish 1965). Both variances hold the interplay of seeds and groups, so it is counted twice: that makes the
interval careful where seeds differ much, scores are near 1, or groups are few and of unequal size, the regimes where
exact variance components covered .86 to .93 and missed below the low end, which decides "above 0". Simulated in
tests/metrics/test_coverage.py: .92 to .98 in all regimes (docs/LOG.md, 2026-11-30); two seeds cover less: take more.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.intervals import (
    CONFIDENCE,
    RESAMPLES,
    FloatArray,
    GroupIds,
    Groups,
    Interval,
    t_quantile,
)
from w2s_lightning.metrics.rates import JobScores, Metric, aligned_columns, mean_score, plain_values, rates


@dataclass(frozen=True, eq=False)
class Linearised:
    """A number per seed, `values` `[S]`, and how it moves with every test group, `influence` `[S, G]`.

    An influence is G times what the number loses without the group, so a seed's value on another test set is about its
    value here plus the mean influence of the groups drawn; influences sum to zero over the groups.
    """

    values: FloatArray
    influence: FloatArray

    def __sub__(self, other: "Linearised") -> "Linearised":
        return Linearised(self.values - other.values, self.influence - other.influence)

    def scaled(self, factor: float | FloatArray) -> "Linearised":
        """Multiplied by a constant, or by one constant a seed `[S]`."""
        factors = np.broadcast_to(np.asarray(factor, dtype=np.float64), self.values.shape)
        return Linearised(self.values * factors, self.influence * factors[:, None])

    def averaged(self, num_seeds: int) -> "Linearised":
        """The mean over seeds, repeated for `num_seeds` seeds: a baseline that is one fixed number for all."""
        values = np.full(num_seeds, self.values.mean())
        return Linearised(values, np.tile(self.influence.mean(axis=0), (num_seeds, 1)))

    @property
    def num_seeds(self) -> int:
        """S."""
        return len(self.values)


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds, and the variances that other seeds and other groups of test examples would give it, their
    interplay in both."""

    value: float
    seed_variance: float
    example_variance: float
    num_seeds: int
    effective_groups: float

    def half_width(self, confidence: float) -> float:
        """Of the two-sided interval."""
        seed_part = t_quantile(self.num_seeds - 1, confidence) ** 2 * self.seed_variance
        example_part = t_quantile(self.effective_groups - 1, confidence) ** 2 * self.example_variance
        return math.sqrt(seed_part + example_part)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Both ends."""
        half = self.half_width(confidence)
        return self.value - half, self.value + half

    def p_value(self) -> float:
        """Two-sided, of "the true mean is 0": where the interval just reaches 0."""
        return smallest_alpha(lambda alpha: self.half_width(1 - alpha) < abs(self.value))


def smallest_alpha(decided: Callable[[float], bool]) -> float:
    """The smallest alpha whose interval of confidence 1 - alpha decides a question, a p-value; by bisection, not below
    1e-12, and 1 where none does."""
    low, high = math.log(1e-12), 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if decided(math.exp(middle)) else (middle, high)
    return math.exp(high)


def crossed_mean(table: Linearised, effective_groups: float) -> CrossedMean:
    """The mean of a seeds x groups table with its two variances."""
    num_seeds, num_groups = table.influence.shape
    return CrossedMean(
        value=float(table.values.mean()),
        seed_variance=float(table.values.var(ddof=1)) / num_seeds,
        example_variance=float(table.influence.mean(axis=0).var(ddof=1)) / num_groups,
        num_seeds=num_seeds,
        effective_groups=effective_groups,
    )


@dataclass(frozen=True, eq=False)
class SeedScores:
    """Every arm over the seeds in the order given, none ever dropped, linearised; made by `score_seeds`."""

    arms: Mapping[str, Linearised]
    num_examples: int
    effective_groups: float

    def interval(self, arm: str) -> Interval:
        """One arm's mean over seeds with its interval."""
        return self.interval_of(self.arms[arm])

    def difference(self, first: str, second: str) -> Interval:
        """Mean over seeds of `first - second`, paired by seed and by example."""
        return self.interval_of(self.paired(first, second))

    def p_value(self, first: str, second: str) -> float:
        """Two-sided p-value of "no difference", below 1 - CONFIDENCE exactly where the interval excludes 0."""
        return self.mean_of(self.paired(first, second)).p_value()

    def interval_of(self, quantity: Linearised) -> Interval:
        """The interval of any linearised quantity's mean over seeds."""
        mean = self.mean_of(quantity)
        return Interval(mean.value, *mean.interval(CONFIDENCE), n=self.num_examples)

    def mean_of(self, quantity: Linearised) -> CrossedMean:
        """Any linearised quantity's mean over seeds, for intervals of other confidence."""
        return crossed_mean(quantity, self.effective_groups)

    def paired(self, first: str, second: str) -> Linearised:
        """`first - second`, seed by seed."""
        one, two = self.arms[first], self.arms[second]
        if one.num_seeds != two.num_seeds:
            raise ValueError(f"{first!r} has {one.num_seeds} seeds and {second!r} {two.num_seeds}: give the same seeds")
        return one - two


def score_seeds(arms: Mapping[str, npt.ArrayLike], group_ids: GroupIds, *, metric: Metric = mean_score) -> SeedScores:
    """Score and linearise every arm.

    `arms` maps a name to per-example scores `[S, n]`, row k being seed k for every arm and columns aligned by example
    id with `group_ids` `[n]`. An arm may have seeds of its own number (fixed baselines) but then has no paired
    differences. Raises UserError for fewer than two seeds or groups or a metric that does not exist on the test set.
    """
    groups = Groups.several(group_ids)
    columns = aligned_columns(arms, groups)
    for name, scores in columns.items():
        if len(scores) < 2:
            raise UserError(f"arm {name!r} has one seed: an interval over seeds needs two or more (5 is usual)")
    statistic = metric(np.concatenate(list(columns.values())), groups)
    values = plain_values(statistic, groups)
    without = np.concatenate([statistic(weights) for weights in groups.left_out()])
    if not np.isfinite(without).all():
        raise UserError("the metric rests on one group of test examples, which says nothing about others")
    influence = (values - without).T * groups.num_groups  # [all seeds of all arms, G]
    influence = influence - influence.mean(axis=1, keepdims=True)
    ends = np.cumsum([len(scores) for scores in columns.values()])[:-1]
    parts = zip(columns, np.split(values, ends), np.split(influence, ends), strict=True)
    return SeedScores({name: Linearised(*own) for name, *own in parts}, groups.num_examples, groups.effective)


def compare(
    arms: Mapping[str, npt.ArrayLike], group_ids: GroupIds, *, metric: Metric = mean_score, resamples: int = RESAMPLES
) -> JobScores | SeedScores:
    """Arms `[S, n]` over their seeds where there are several, else by the bootstrap of the one job."""
    if all(len(np.atleast_2d(scores)) == 1 for scores in arms.values()):
        return rates(arms, group_ids, metric=metric, resamples=resamples)
    return score_seeds(arms, group_ids, metric=metric)
