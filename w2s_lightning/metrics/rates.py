"""The interval engine: scores of a job's rows on test examples -> figures with intervals, the same resamples for all.

A figure is a `Metric`: a function of how much each group of examples weighs, which is all that a resampling needs to
know of it. `rate_on` a part, `weighted` over parts and `auroc_of` labels make those that are used here, and all are
read off one paired bootstrap over groups. The intervals speak "for these trained models": what another set of test
questions could have shown, not what another seed could have trained. For several seeds see `seeds`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.intervals import (
    CELLS_AT_ONCE,
    RESAMPLES,
    FloatArray,
    GroupIds,
    Groups,
    Interval,
    percentile_bounds,
)

Statistic = Callable[[FloatArray], FloatArray]
"""Maps weights `[B, G]` (any numbers >= 0; only their proportions may count) to values `[B, A]`; NaN: none there."""
Metric = Callable[[FloatArray, Groups], Statistic]
"""Binds the per-example scores `[A, n]` of A rows. Weights of 1 give the plain value."""


# ---------------------------------------------------------------- metrics


def ratio(top: FloatArray, bottom: FloatArray, otherwise: float = np.nan) -> FloatArray:
    """`top / bottom`, and `otherwise` where `bottom` is not positive."""
    return np.divide(top, bottom, out=np.full_like(top, otherwise), where=bottom > 0)


def rate_on(mask: npt.ArrayLike) -> Metric:
    """Mean of the scores of the examples in `mask`, `[n]` or each row's own `[A, n]`; NaN in resamples without any."""

    def metric(columns: FloatArray, groups: Groups) -> Statistic:
        chosen = np.atleast_2d(np.asarray(mask, dtype=np.float64))
        sums, sizes = groups.sums(columns * chosen).T, groups.sums(chosen).T
        return lambda weights: ratio(weights @ sums, np.broadcast_to(weights @ sizes, (len(weights), len(columns))))

    return metric


def mean_score(columns: FloatArray, groups: Groups) -> Statistic:
    """Mean of the per-example scores: accuracy when they are 0 or 1."""
    return rate_on(np.ones(groups.num_examples))(columns, groups)


def weighted(metrics: Sequence[Metric], weights: Sequence[float]) -> Metric:
    """Weighted mean of metrics; one that does not exist in a resample is left out there with its weight."""

    def metric(columns: FloatArray, groups: Groups) -> Statistic:
        parts = [one(columns, groups) for one in metrics]
        return lambda drawn: weighted_mean([part(drawn) for part in parts], weights)

    return metric


def weighted_mean(values: Sequence[npt.ArrayLike], weights: Sequence[float]) -> FloatArray:
    """Weighted mean of arrays of one shape, NaN left out with its weight (NaN where all are)."""
    stacked = np.stack([np.asarray(value, dtype=np.float64) for value in values])
    factors = np.asarray(weights, dtype=np.float64).reshape(-1, *[1] * (stacked.ndim - 1)) * ~np.isnan(stacked)
    return ratio((np.nan_to_num(stacked) * factors).sum(axis=0), factors.sum(axis=0))


def auroc_of(labels: npt.ArrayLike) -> Metric:
    """The area under the ROC curve as a metric, for labels `[n]` of 0 and 1 and scores that rise with the label 1."""
    truth = np.asarray(labels, dtype=np.float64)

    def metric(columns: FloatArray, groups: Groups) -> Statistic:
        def statistic(weights: FloatArray) -> FloatArray:
            by_example = weights[:, groups.index]
            return np.stack([weighted_auroc(column, truth, by_example) for column in columns], axis=1)

        return statistic

    return metric


def weighted_auroc(scores: FloatArray, labels: FloatArray, weights: FloatArray) -> FloatArray:
    """Probability that a positive example scores above a negative one, ties counting half.

    Scores and labels are `[n]`, weights `[B, n]`; returns `[B]`, NaN where one of the classes has no weight. Equals
    the Mann-Whitney U statistic over the product of the class weights.
    """
    if scores.shape != labels.shape or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"AUROC needs labels 0 or 1, one per score: got {labels.shape} labels, {scores.shape} scores")
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    weights, is_positive = weights[:, order], labels[order]
    positive = np.add.reduceat(weights * is_positive, starts, axis=1)
    negative = np.add.reduceat(weights * (1 - is_positive), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    return ratio((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


def plain_values(statistic: Statistic, groups: Groups) -> FloatArray:
    """The metric of every row on the test set as it is `[A]`; raise UserError when it does not exist there."""
    values: FloatArray = statistic(np.ones((1, groups.num_groups)))[0]
    if not np.isfinite(values).all():
        raise UserError("the metric does not exist on this test set: AUROC needs examples of both labels; use accuracy")
    return values


def aligned_columns(arms: Mapping[str, npt.ArrayLike], groups: Groups) -> dict[str, FloatArray]:
    """Turn every row's scores into `[S, n]` (one line a seed); raise ValueError when one does not fit the test set."""
    columns = {name: np.atleast_2d(np.asarray(scores, dtype=np.float64)) for name, scores in arms.items()}
    for name, scores in columns.items():
        if scores.ndim != 2 or scores.shape[1] != groups.num_examples:
            raise ValueError(
                f"arm {name!r} has scores of shape {scores.shape} for {groups.num_examples} test examples: align by id"
            )
        if not np.isfinite(scores).all():
            raise ValueError(f"arm {name!r} has a score that is not finite: score every test example first")
    return columns


# ---------------------------------------------------------------- one job's rows


@dataclass(frozen=True, eq=False)
class JobScores:
    """Every row's value `[A]` and its values over the shared resamples `[B, A]`, from which come all intervals."""

    arms: tuple[str, ...]
    values: FloatArray
    resampled: FloatArray
    num_examples: int
    num_groups: int

    def interval(self, arm: str) -> Interval:
        """One row's value with its interval."""
        column = self.arms.index(arm)
        return self.interval_of(float(self.values[column]), self.resampled[:, column])

    def difference(self, first: str, second: str) -> Interval:
        """`first - second` with its paired interval, in the metric's unit."""
        one, two = self.arms.index(first), self.arms.index(second)
        value = float(self.values[one] - self.values[two])
        return self.interval_of(value, self.resampled[:, one] - self.resampled[:, two])

    def interval_of(self, value: float, resampled: FloatArray) -> Interval:
        """The interval of anything that was computed from the resampled rows `[B]`."""
        return Interval(value, *percentile_bounds(resampled, self.num_groups), n=self.num_examples)


def rates(
    arms: Mapping[str, npt.ArrayLike], group_ids: GroupIds, *, metric: Metric = mean_score, resamples: int = RESAMPLES
) -> JobScores:
    """Score every row on the same resampled groups.

    `arms` maps a name (untuned, floor, student, ceiling, ...) to per-example scores `[n]`, aligned by example id with
    `group_ids` `[n]`. Resamples in which the metric does not exist (AUROC without a positive example) are left out for
    all rows. Raises UserError for a single group or a metric that does not exist on the test set, ValueError for
    scores that do not fit it.
    """
    groups = Groups.several(group_ids)
    columns = np.concatenate(list(aligned_columns(arms, groups).values()))
    assert len(columns) == len(arms), "several seeds are scored by metrics.seeds.score_seeds"
    return _scores(tuple(arms), metric(columns, groups), groups, groups.draws(resamples))


def _scores(arms: tuple[str, ...], statistic: Statistic, groups: Groups, drawn: Iterable[FloatArray]) -> JobScores:
    resampled = np.concatenate([statistic(weights) for weights in drawn])
    there = resampled[np.isfinite(resampled).all(axis=1)]
    return JobScores(arms, plain_values(statistic, groups), there, groups.num_examples, groups.num_groups)


def part_rates(
    scores: npt.ArrayLike, masks: npt.ArrayLike, group_ids: GroupIds, *, resamples: int = RESAMPLES
) -> tuple[Interval | None, ...]:
    """Mean of the scores `[n]`, all within 0 .. 1, over each part `[M, n]` (booleans), in the order of the parts.

    The whole test set is resampled, so a part's size varies as it would in another test set. None for an empty part. A
    part within one group says nothing about other groups: its interval is 0 .. 1. `n` is the part's own.
    """
    groups = Groups.of(group_ids)
    column = aligned_columns({"scores": scores}, groups)["scores"][0]
    parts = np.atleast_2d(np.asarray(masks, dtype=bool))
    if parts.shape[1] != groups.num_examples:
        raise ValueError(f"parts have shape {parts.shape}: expected [parts, {groups.num_examples} examples]")
    if column.min() < 0 or column.max() > 1:
        raise ValueError(f"scores lie in {column.min()} .. {column.max()}: a rate is the mean of numbers within 0 .. 1")
    drawn = list(groups.draws(resamples)) if groups.num_groups > 1 else []  # once for all parts: most of the time
    found: list[Interval | None] = []
    for part in parts:
        count, num_groups = int(part.sum()), len(np.unique(groups.index[part]))
        if num_groups > 1:
            whole = _scores(("part",), rate_on(part)(column[None], groups), groups, drawn)
            found.append(replace(whole, num_examples=count, num_groups=num_groups).interval("part"))
        else:
            found.append(Interval(float(column[part].mean()), 0.0, 1.0, count) if count else None)
    return tuple(found)


# ---------------------------------------------------------------- is one row better than another?


def permutation_p_value(
    first: npt.ArrayLike, second: npt.ArrayLike, group_ids: GroupIds, permutations: int = 2000
) -> float:
    """Two-sided p-value of "the two arms are exchangeable", for per-example scores `[n]` of one job.

    Under it the arms may be swapped in any group as a whole, which flips the sign of the group's difference. All sign
    patterns are tried when there are no more than `permutations` of them, else that many random ones, the observed one
    counted among them (Phipson & Smyth 2010, arXiv 1603.05766), so that p is never 0. Two students of one floor and one
    ceiling have equal PGRs exactly when they have equal scores: this is the test of their PGRs too. Of arms over seeds
    it is `seeds.SeedScores.p_value`.
    """
    groups = Groups.of(group_ids)
    columns = aligned_columns({"first": first, "second": second}, groups)
    sums = groups.sums(columns["first"] - columns["second"])[0]
    sums = sums[sums != 0]  # an all-equal group has the same difference under either sign
    reached = float(abs(sums.sum())) - 1e-9 * float(np.abs(sums).sum())  # equal sums may differ by rounding
    if 2 ** len(sums) <= permutations:
        patterns = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1
        return float((np.abs((1 - 2 * patterns) @ sums) >= reached).mean())
    generator = np.random.default_rng(0)
    rows, count = max(1, CELLS_AT_ONCE // len(sums)), 1
    for start in range(0, permutations, rows):
        size = (min(rows, permutations - start), len(sums))
        signs = 1.0 - 2.0 * generator.integers(2, size=size, dtype=np.int8)
        count += int(np.count_nonzero(np.abs(signs @ sums) >= reached))
    return count / (1 + permutations)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values of one figure's tests, in the order given (Holm 1979): reject where the adjusted one is below
    alpha, and the chance of any false rejection among all stays below alpha."""
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    scaled = given[order] * np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return tuple(adjusted.tolist())
