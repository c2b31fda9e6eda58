"""The arms of one job, compared on one test set by a paired bootstrap over groups.

The intervals speak "for these trained models": what another set of test questions could have shown, not what another
seed could have trained. For several seeds see `seeds`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2s_lightning.metrics.intervals import FloatArray, Interval, percentile_bounds
from w2s_lightning.metrics.resampling import DEFAULT_RESAMPLING, Groups, Resampling, draws
from w2s_lightning.metrics.scores import Metric, aligned_columns, mean_score, plain_values


@dataclass(frozen=True, eq=False)
class JobScores:
    """Every arm's value `[A]` and its values over the shared resamples `[B, A]`, from which come all intervals."""

    arms: tuple[str, ...]
    values: FloatArray
    resampled: FloatArray
    num_examples: int
    num_groups: int
    confidence: float

    def interval(self, arm: str) -> Interval:
        """One arm's value with its interval."""
        column = self.column(arm)
        return self.interval_of(float(self.values[column]), self.resampled[:, column])

    def difference(self, first: str, second: str) -> Interval:
        """`first - second` with its paired interval, in the metric's unit."""
        one, two = self.column(first), self.column(second)
        value = float(self.values[one] - self.values[two])
        return self.interval_of(value, self.resampled[:, one] - self.resampled[:, two])

    def interval_of(self, value: float, resampled: FloatArray) -> Interval:
        """The interval of anything that was computed from the resampled arms `[B]`."""
        low, high = percentile_bounds(resampled, num_groups=self.num_groups, confidence=self.confidence)
        return Interval(value=value, low=low, high=high, n=self.num_examples)

    def column(self, arm: str) -> int:
        """Where an arm lies in `values` and `resampled`."""
        if arm not in self.arms:
            raise ValueError(f"there is no arm {arm!r}: expected one of {', '.join(self.arms)}")
        return self.arms.index(arm)


def resample_job(
    arms: Mapping[str, npt.ArrayLike],
    group_ids: Sequence[object] | npt.NDArray[np.generic],
    *,
    metric: Metric = mean_score,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> JobScores:
    """Score every arm on the same resampled groups.

    `arms` maps a name (untuned, floor, student, ceiling, ...) to per-example scores `[n]`, aligned by example id with
    `group_ids` `[n]`. Resamples in which the metric does not exist (AUROC without a positive example) are left out for
    all arms. Raises UserError for a single group or a metric that does not exist on the test set, ValueError for
    scores that do not fit it.
    """
    groups = Groups.of(group_ids)
    groups.require_several()
    columns = np.concatenate(list(aligned_columns(arms, num_examples=groups.num_examples).values()))
    if len(columns) != len(arms):
        raise ValueError("one job has one row of scores an arm: for several seeds use metrics.seeds.score_seeds")
    statistic = metric(columns, groups)
    resampled = np.concatenate([statistic(weights) for weights in draws(groups, resampling)])
    return JobScores(
        arms=tuple(arms),
        values=plain_values(statistic, groups),
        resampled=resampled[np.isfinite(resampled).all(axis=1)],
        num_examples=groups.num_examples,
        num_groups=groups.num_groups,
        confidence=resampling.confidence,
    )
