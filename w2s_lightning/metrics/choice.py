"""Metrics of a choice (and of a preference, which is a choice with K = 2).

Probabilities are `[n, K]`, labels `[n]` in 0 .. K-1. `correct`, `log_loss` and `brier` give a column `[n]` of
per-example scores: their mean is the metric, and the same column goes into the bootstrap and the tests.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2s_lightning.metrics.intervals import RESAMPLES, FloatArray, GroupIds, IndexArray, Interval
from w2s_lightning.metrics.rates import part_rates, weighted_auroc

_SMALLEST = float(np.finfo(np.float64).eps)  # log loss stays below 36.05 nats: a sure and wrong answer is not infinite


def correct(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> FloatArray:
    """1 where the most probable option is the label, else 0: `[n]`; of tied options the first is the answer."""
    table, truth = _checked(probabilities, labels)
    hits: FloatArray = (table.argmax(axis=1) == truth).astype(np.float64)
    return hits


def log_loss(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> FloatArray:
    """-log p(label) in nats, `[n]`."""
    table, truth = _checked(probabilities, labels)
    return -np.log(np.maximum(table[np.arange(len(truth)), truth], _SMALLEST))


def brier(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> FloatArray:
    """Squared distance to the one-hot label summed over the K options, `[n]`, 0 to 2 (Brier 1950; for K = 2 this is
    twice the one-probability form)."""
    table, truth = _checked(probabilities, labels)
    distance: FloatArray = ((table - np.eye(table.shape[1])[truth]) ** 2).sum(axis=1)
    return distance


def auroc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float | None:
    """Area under the ROC curve for K = 2, ties counting half: scores `[n]` rise with label 1, e.g. its probability.
    None when only one label occurs. For intervals use `rates.auroc_of` as a metric."""
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    area = float(weighted_auroc(values, truth, np.ones((1, len(values))))[0])
    return None if np.isnan(area) else area


@dataclass(frozen=True)
class CalibrationBin:
    """Examples with top probability in (low, high]: their mean `confidence`, their `accuracy` (None when `n` is 0)."""

    low: float
    high: float
    confidence: float | None
    accuracy: float | None
    n: int


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error and the curve it sums up."""

    ece: float
    bins: tuple[CalibrationBin, ...]


def calibration(probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, num_bins: int = 10) -> Calibration:
    """Compare top probability with accuracy in bins of equal width over 0 .. 1 (Guo et al. 2017, arXiv 1706.04599,
    equation 3); a bin holds its upper end."""
    table, truth = _checked(probabilities, labels)
    confidence, hits = table.max(axis=1), correct(table, truth)
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, num_bins - 1)
    bins = []
    for position, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        own, count = index == position, int(np.count_nonzero(index == position))
        mean_confidence = float(confidence[own].mean()) if count else None
        bins.append(CalibrationBin(low, high, mean_confidence, float(hits[own].mean()) if count else None, count))
    error = np.bincount(index, weights=hits - confidence, minlength=num_bins)
    return Calibration(float(np.abs(error).sum() / len(truth)), tuple(bins))


@dataclass(frozen=True)
class DifficultyLevel:
    """Accuracy of the examples whose difficulty lies in low .. high, both ends included."""

    low: float
    high: float
    accuracy: Interval


def accuracy_by_difficulty(
    hits: npt.ArrayLike,
    difficulty: npt.ArrayLike,
    group_ids: GroupIds,
    *,
    num_levels: int,
    resamples: int = RESAMPLES,
) -> tuple[DifficultyLevel, ...]:
    """Accuracy from easy to hard: `hits` `[n]` of 0 and 1, `difficulty` `[n]` in the task's own unit.

    About equally many examples a level; equal difficulties never part, so there may be fewer than `num_levels`.
    """
    values = np.asarray(difficulty, dtype=np.float64)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(values)  # of each distinct difficulty's examples among all
    levels = np.minimum((middle * num_levels).astype(np.intp), num_levels - 1)[inverse]
    masks = np.stack([levels == level for level in np.unique(levels)])
    rates = part_rates(hits, masks, group_ids, resamples=resamples)
    return tuple(
        DifficultyLevel(low=float(values[mask].min()), high=float(values[mask].max()), accuracy=rate)
        for mask, rate in zip(masks, rates, strict=True)
        if rate is not None
    )


def _checked(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[FloatArray, IndexArray]:
    """Arrays of the right kind, or ValueError."""
    table, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if table.ndim != 2 or truth.shape != table.shape[:1] or not len(truth):
        raise ValueError(f"expected probabilities [n, K] and labels [n], n > 0: got {table.shape} and {truth.shape}")
    if table.min() < 0 or not np.allclose(table.sum(axis=1), 1.0, atol=1e-3):
        raise ValueError("the options' probabilities do not add up to 1: give softmax(logits), not logits")
    if truth.min() < 0 or truth.max() >= table.shape[1]:
        raise ValueError(f"labels lie in {truth.min()} .. {truth.max()}: expected 0 .. {table.shape[1] - 1}")
    return table, truth.astype(np.intp)
