"""Is one arm better than another? A paired permutation test by groups, and Holm's correction for several questions.

Two students of one floor and one ceiling have equal PGRs exactly when they have equal scores, so the test of the
scores is the test of their PGRs. For arms over seeds the p-value is `seeds.SeedScores.p_value`.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from w2s_lightning.metrics.intervals import FloatArray
from w2s_lightning.metrics.rates import aligned_columns
from w2s_lightning.metrics.resampling import Groups

_CELLS_AT_ONCE = 2_000_000


def permutation_p_value(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    group_ids: Sequence[object] | npt.NDArray[np.generic],
    *,
    permutations: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p-value of "the two arms are exchangeable", for per-example scores `[n]` of one job.

    Under it the arms may be swapped in any group as a whole, which flips the sign of the group's difference. All sign
    patterns are tried when there are no more than `permutations` of them, else that many random ones, the observed one
    counted among them (Phipson & Smyth 2010, arXiv 1603.05766), so that p is never 0.
    """
    groups = Groups.of(group_ids)
    columns = aligned_columns({"first": first, "second": second}, num_examples=groups.num_examples)
    sums = groups.sums(columns["first"] - columns["second"])[0]
    sums = sums[sums != 0]  # an all-equal group has the same difference under either sign
    reached = float(abs(sums.sum())) - 1e-9 * float(np.abs(sums).sum())  # equal sums may differ by rounding
    if 2 ** len(sums) <= permutations:
        patterns = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1
        return float((np.abs((1 - 2 * patterns) @ sums) >= reached).mean())
    return (1 + _count_reaching(sums, reached, permutations=permutations, seed=seed)) / (1 + permutations)


def _count_reaching(sums: FloatArray, reached: float, *, permutations: int, seed: int) -> int:
    """How many of `permutations` random sign patterns give a sum of at least `reached` in size."""
    generator = np.random.default_rng(seed)
    rows, count = max(1, _CELLS_AT_ONCE // len(sums)), 0
    for start in range(0, permutations, rows):
        size = (min(rows, permutations - start), len(sums))
        signs = 1.0 - 2.0 * generator.integers(2, size=size, dtype=np.int8)
        count += int(np.count_nonzero(np.abs(signs @ sums) >= reached))
    return count


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values of one figure's tests, in the order given (Holm 1979): reject where the adjusted one is below
    alpha, and the chance of any false rejection among all stays below alpha."""
    given = np.asarray(p_values, dtype=np.float64)
    if given.size and not ((given >= 0) & (given <= 1)).all():
        raise ValueError(f"p-values lie within 0 .. 1: got {list(p_values)}")
    order = np.argsort(given, kind="stable")
    scaled = given[order] * np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return tuple(adjusted.tolist())
