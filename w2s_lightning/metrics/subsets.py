"""Rates on parts of the test set (where the supervisor is wrong, at one difficulty), with group bootstrap intervals."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from w2s_lightning.metrics.intervals import FloatArray, Interval, percentile_bounds
from w2s_lightning.metrics.resampling import DEFAULT_RESAMPLING, Groups, Resampling, draws
from w2s_lightning.metrics.scores import aligned_columns


def subset_rates(
    scores: npt.ArrayLike,
    subsets: npt.ArrayLike,
    group_ids: Sequence[object] | npt.NDArray[np.generic],
    *,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> tuple[Interval | None, ...]:
    """Mean of the scores `[n]`, all within 0 .. 1, over each subset `[M, n]` (booleans), in the order of the subsets.

    The whole test set is resampled, so a subset's size varies as it would in another test set; resamples without any
    of its examples are left out. None for an empty subset. A subset within one group says nothing about other groups:
    its interval is 0 .. 1. `n` is the subset's number of examples.
    """
    groups = Groups.of(group_ids)
    rates = aligned_columns({"scores": scores}, num_examples=groups.num_examples)["scores"]
    masks = np.atleast_2d(np.asarray(subsets, dtype=bool))
    if masks.shape[1] != groups.num_examples:
        raise ValueError(f"subsets have shape {masks.shape}: expected [subsets, {groups.num_examples} examples]")
    if rates.min() < 0 or rates.max() > 1:
        raise ValueError(f"scores lie in {rates.min()} .. {rates.max()}: a rate is the mean of numbers within 0 .. 1")
    sums, sizes = groups.sums(masks * rates), groups.sums(masks.astype(np.float64))
    drawn = list(draws(groups, resampling))
    return tuple(
        _rate(one, size, drawn, confidence=resampling.confidence) for one, size in zip(sums, sizes, strict=True)
    )


def _rate(sums: FloatArray, sizes: FloatArray, drawn: list[FloatArray], *, confidence: float) -> Interval | None:
    """One subset's rate from its group sums `[G]` and group sizes `[G]`."""
    count, num_groups = int(sizes.sum()), int(np.count_nonzero(sizes))
    if num_groups == 0:
        return None
    value = float(sums.sum() / count)
    if num_groups == 1:
        return Interval(value=value, low=0.0, high=1.0, n=count)
    totals = np.concatenate([weights @ sizes for weights in drawn])
    hits = np.concatenate([weights @ sums for weights in drawn])
    resampled = hits[totals > 0] / totals[totals > 0]
    low, high = percentile_bounds(resampled, num_groups=num_groups, confidence=confidence)
    return Interval(value=value, low=low, high=high, n=count)
