"""How often a student gives its supervisor's answer, where the supervisor is right and where it is wrong.

The two rates are the effect itself: a student that generalises follows a right supervisor and overrules a wrong one,
one that imitates follows both (Burns et al. 2023, arXiv 2312.09390, section 5.1). This is a diagnostic on gold labels,
for test examples or, after training, for `transfer`; nothing in training may read it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from w2s_lightning.metrics.subsets import subset_rates


@dataclass(frozen=True)
class Agreement:
    """Agreement with the supervisor; a part without any example is None. Each interval's `n` is its examples."""

    overall: Interval
    supervisor_right: Interval | None
    supervisor_wrong: Interval | None


def agreement(
    student: npt.ArrayLike,
    supervisor: npt.ArrayLike,
    labels: npt.ArrayLike,
    group_ids: Sequence[object] | npt.NDArray[np.generic],
    *,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> Agreement:
    """Compare answers `[n]` of student and supervisor, given gold `labels` `[n]`, all aligned by example id.

    Answers may be option numbers or normalised final answers (text); they agree when they are equal. Intervals are by
    the group bootstrap of `subsets.subset_rates`.
    """
    answers, followed, gold = np.asarray(student), np.asarray(supervisor), np.asarray(labels)
    if not answers.shape == followed.shape == gold.shape or answers.ndim != 1:
        raise ValueError(f"expected three arrays [n]: got {answers.shape}, {followed.shape} and {gold.shape}")
    right = followed == gold
    masks = np.stack([np.ones_like(right), right, ~right])
    overall, when_right, when_wrong = subset_rates(answers == followed, masks, group_ids, resampling=resampling)
    assert overall is not None  # Groups.of has refused an empty test set
    return Agreement(overall=overall, supervisor_right=when_right, supervisor_wrong=when_wrong)
