"""Groups of test examples and their resampling.

Examples with one `group_id` (the solutions of one question, the items about one fact) are not independent, so it is
always groups that are drawn, never single examples. A draw is a row of weights, how often each group was taken; all
arms of a comparison see the same rows, which is what makes it paired.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.intervals import FloatArray, check_confidence

IndexArray = npt.NDArray[np.intp]
_CELLS_AT_ONCE = 2_000_000  # weights held in memory at a time: 16 MB


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How often to draw, from which seed, for which confidence; 2,000 resamples leave 50 beyond each end at 95 %."""

    resamples: int = 2000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if self.resamples < 100:
            raise UserError(
                f"{self.resamples} resamples cannot show an interval's ends: use 100 or more (2000 is usual)"
            )


DEFAULT_RESAMPLING = Resampling()


@dataclass(frozen=True, eq=False)
class Groups:
    """Which group each test example belongs to: `index` `[n]` in 0 .. G-1, `sizes` `[G]` in examples."""

    index: IndexArray
    sizes: FloatArray

    @classmethod
    def of(cls, group_ids: Sequence[object] | npt.NDArray[np.generic]) -> "Groups":
        """Number the groups in the order of their sorted ids, so that the order of the examples changes no draw."""
        _, index = np.unique(np.asarray(group_ids), return_inverse=True)
        if index.size == 0:
            raise UserError("there is no test example: check the task's test split and its limits")
        return cls(index=index, sizes=np.bincount(index).astype(np.float64))

    @property
    def num_groups(self) -> int:
        """G."""
        return len(self.sizes)

    @property
    def num_examples(self) -> int:
        """n."""
        return len(self.index)

    def sums(self, columns: FloatArray) -> FloatArray:
        """Sum columns `[A, n]` within groups: `[A, G]`."""
        return np.stack([np.bincount(self.index, weights=column, minlength=self.num_groups) for column in columns])

    def require_several(self) -> None:
        """Raise UserError when there is a single group, since nothing can be resampled then."""
        if self.num_groups < 2:
            raise UserError(
                "all test examples share one group_id, so no interval exists: use a test split with more groups"
            )


def draws(groups: Groups, resampling: Resampling) -> Iterator[FloatArray]:
    """Draw G groups with replacement, `resamples` times: yields weights `[b, G]`, the b adding up to `resamples`."""
    generator = np.random.default_rng(resampling.seed)
    total = groups.num_groups
    for rows in _chunks(resampling.resamples, groups):
        chosen = generator.integers(total, size=(rows, total)) + total * np.arange(rows)[:, None]
        yield np.bincount(chosen.ravel(), minlength=rows * total).reshape(rows, total).astype(np.float64)


def nudges(groups: Groups, step: float) -> Iterator[FloatArray]:
    """Weights of 1 with one group at `1 + step`, for every group in turn: yields `[g, G]`, the g adding up to G."""
    start = 0
    for rows in _chunks(groups.num_groups, groups):
        weights = np.ones((rows, groups.num_groups))
        weights[np.arange(rows), start + np.arange(rows)] += step
        yield weights
        start += rows


def _chunks(rows: int, groups: Groups) -> Iterator[int]:
    """Split `rows` so that rows x examples stays small, whatever the size of the test set."""
    largest = max(1, _CELLS_AT_ONCE // groups.num_examples)
    while rows > 0:
        yield min(rows, largest)
        rows -= largest
