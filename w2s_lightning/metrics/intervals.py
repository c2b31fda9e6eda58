"""Intervals: the one record for "this number, give or take", and the two ways in which it is made.

Low and high are never clipped to a metric's range: a t interval of an accuracy near 1 may pass 1.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit  # scipy.stats would cost half a second of imports

FloatArray = npt.NDArray[np.float64]


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

    def reaches(self, point: float) -> bool:
        """Whether `point` lies in the closed interval."""
        return self.low <= point <= self.high


def check_confidence(confidence: float) -> None:
    """Raise ValueError unless `confidence` is a probability strictly between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: expected a number between 0 and 1, such as 0.95")


def percentile_bounds(resampled: FloatArray, *, num_groups: int, confidence: float) -> tuple[float, float]:
    """Read the expanded percentile interval off resampled values `[B]` (infinite ones are allowed, NaN not).

    The percentile bootstrap is too narrow for few groups; its tail probability is therefore taken from
    `Phi(-sqrt(G / (G - 1)) t_{G-1})` (Hesterberg 2015, arXiv 1411.5279, expanded percentile interval). The ends are
    order statistics, the outer ones: no interpolation, so that "all but k values are positive" and "the low end is
    positive" are the same statement, on which the definition of PGR rests.
    """
    freedom = num_groups - 1
    quantile = float(stdtrit(freedom, (1 - confidence) / 2))
    tail = float(ndtr(quantile * math.sqrt(num_groups / freedom)))
    ordered = np.sort(resampled)
    rank = math.floor(tail * (len(ordered) - 1))
    return float(ordered[rank]), float(ordered[len(ordered) - 1 - rank])


def t_quantile(freedom: float, confidence: float) -> float:
    """How many standard errors a two-sided t interval reaches to each side."""
    return float(stdtrit(freedom, (1 + confidence) / 2))
