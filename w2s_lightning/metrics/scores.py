"""A metric as a function of group weights, which is all that a resampling needs to know of it.

`Metric(columns [A, n], groups)` binds the per-example scores of A arms and returns a `Statistic`, which maps weights
`[B, G]` (how much each group counts, any number >= 0) to values `[B, A]`. Weights of 1 give the plain value. A metric
of your own is a function of this form whose value does not change when all weights are doubled.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.intervals import FloatArray
from w2s_lightning.metrics.resampling import Groups

Statistic = Callable[[FloatArray], FloatArray]
Metric = Callable[[FloatArray, Groups], Statistic]


def mean_score(columns: FloatArray, groups: Groups) -> Statistic:
    """Mean of the per-example scores (accuracy when they are 0 or 1): group sums, then one matrix product."""
    sums = groups.sums(columns).T
    return lambda weights: (weights @ sums) / (weights @ groups.sizes)[:, None]


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
    wins, pairs = (positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1)
    area: FloatArray = np.divide(wins, pairs, out=np.full_like(wins, np.nan), where=pairs > 0)
    return area


def plain_values(statistic: Statistic, groups: Groups) -> FloatArray:
    """The metric of every arm on the test set as it is `[A]`; raise UserError when it does not exist there."""
    values: FloatArray = statistic(np.ones((1, groups.num_groups)))[0]
    if not np.isfinite(values).all():
        raise UserError("the metric does not exist on this test set: AUROC needs examples of both labels; use accuracy")
    return values


def aligned_columns(arms: Mapping[str, npt.ArrayLike], *, num_examples: int) -> dict[str, FloatArray]:
    """Turn every arm's scores into `[S, n]` (one row a seed); raise ValueError when one does not fit the test set."""
    if not arms:
        raise ValueError("no arm was given: expected scores such as {'floor': ..., 'student': ..., 'ceiling': ...}")
    columns = {name: np.atleast_2d(np.asarray(scores, dtype=np.float64)) for name, scores in arms.items()}
    for name, scores in columns.items():
        if scores.ndim != 2 or scores.shape[1] != num_examples:
            raise ValueError(
                f"arm {name!r} has scores of shape {scores.shape} for {num_examples} test examples: align by id"
            )
        if not np.isfinite(scores).all():
            raise ValueError(f"arm {name!r} has a score that is not finite: score every test example first")
    return columns
