"""Intervals, and what they are read off: resampled groups of test examples, or a t distribution.

Examples with one `group_id` (the solutions of one question, the items about one fact) are not independent, so it is
always groups that are drawn, never single examples. A draw is a row of weights, how often each group was taken; all
arms of a comparison see the same rows, which is what makes it paired. Low and high are never clipped to a metric's
range: a t interval of an accuracy near 1 may pass 1.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit  # scipy.stats would cost half a second of imports

from w2s_lightning.errors import UserError

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]
GroupIds = Sequence[object] | npt.NDArray[np.generic]
"""The group of each test example `[n]`."""

CONFIDENCE = 0.95
RESAMPLES = 2000  # leaves 50 beyond each end at 95 %
FEW_GROUPS = 30  # effective ones: with fewer, intervals rest on how few questions happened to be drawn
CELLS_AT_ONCE = 2_000_000  # weights held in memory at a time: 16 MB


@dataclass(frozen=True)
class Interval:
    """A value with the two ends of its confidence interval; `n` is the number of test examples it was computed on."""

    value: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half the distance between the ends, in the value's unit."""
        return (self.high - self.low) / 2


def percentile_bounds(resampled: FloatArray, num_groups: int) -> tuple[float, float]:
    """Read the expanded percentile interval off resampled values `[B]` (infinite ones are allowed, NaN not).

    The percentile bootstrap is too narrow for few groups; its tail probability is therefore taken from
    `Phi(-sqrt(G / (G - 1)) t_{G-1})` (Hesterberg 2015, arXiv 1411.5279, expanded percentile interval). The ends are
    order statistics, the outer ones: no interpolation, so that "all but k values are positive" and "the low end is
    positive" are the same statement, on which the definition of PGR rests.
    """
    freedom = num_groups - 1
    quantile = float(stdtrit(freedom, (1 - CONFIDENCE) / 2))
    tail = float(ndtr(quantile * math.sqrt(num_groups / freedom)))
    ordered = np.sort(resampled)
    rank = math.floor(tail * (len(ordered) - 1))
    return float(ordered[rank]), float(ordered[len(ordered) - 1 - rank])


def t_quantile(freedom: float, confidence: float) -> float:
    """How many standard errors a two-sided t interval reaches to each side."""
    return float(stdtrit(freedom, (1 + confidence) / 2))


@dataclass(frozen=True, eq=False)
class Groups:
    """Which group each test example belongs to: `index` `[n]` in 0 .. `num_groups` - 1."""

    index: IndexArray
    num_groups: int

    @classmethod
    def of(cls, group_ids: GroupIds) -> "Groups":
        """Number the groups in the order of their sorted ids, so that the order of the examples changes no draw."""
        _, index = np.unique(np.asarray(group_ids), return_inverse=True)
        if index.size == 0:
            raise UserError("there is no test example: check the task's test split and its limits")
        return cls(index, int(index.max()) + 1)

    @classmethod
    def several(cls, group_ids: GroupIds) -> "Groups":
        """As `of`; raise UserError when there is a single group, since nothing can be resampled then."""
        groups = cls.of(group_ids)
        if groups.num_groups < 2:
            raise UserError(
                "all test examples share one group_id, so no interval exists: use a test split with more groups"
            )
        return groups

    @property
    def num_examples(self) -> int:
        """n."""
        return len(self.index)

    @property
    def effective(self) -> float:
        """How many groups of equal size say as much: N^2 / sum of squared sizes (Kish 1965)."""
        sizes = np.bincount(self.index, minlength=self.num_groups)
        return float(self.num_examples**2 / (sizes**2).sum())

    def sums(self, columns: FloatArray) -> FloatArray:
        """Sum columns `[A, n]` within groups: `[A, G]`."""
        return np.stack([np.bincount(self.index, weights=column, minlength=self.num_groups) for column in columns])

    def draws(self, resamples: int) -> Iterator[FloatArray]:
        """Draw G groups with replacement, always the same ones: weights `[b, G]`, the b adding up to `resamples`."""
        generator, total = np.random.default_rng(0), self.num_groups
        for rows in self._chunks(resamples):
            chosen = generator.integers(total, size=(rows, total)) + total * np.arange(rows)[:, None]
            yield np.bincount(chosen.ravel(), minlength=rows * total).reshape(rows, total).astype(np.float64)

    def left_out(self) -> Iterator[FloatArray]:
        """Weights of 1 without one group, for every group in turn: `[g, G]`, the g adding up to G."""
        start = 0
        for rows in self._chunks(self.num_groups):
            weights = np.ones((rows, self.num_groups))
            weights[np.arange(rows), start + np.arange(rows)] = 0
            yield weights
            start += rows

    def _chunks(self, rows: int) -> Iterator[int]:
        """Split `rows` so that rows x examples stays small, whatever the size of the test set."""
        largest = max(1, CELLS_AT_ONCE // self.num_examples)
        while rows > 0:
            yield min(rows, largest)
            rows -= largest
