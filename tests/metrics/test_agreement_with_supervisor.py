"""Agreement of a student with its supervisor, split by the supervisor being right or wrong."""

import numpy as np
import pytest

from w2s_lightning.metrics.agreement import agreement
from w2s_lightning.metrics.subsets import subset_rates


def test_agreement_by_hand() -> None:
    labels = np.array([0, 1, 1, 0, 1, 0])
    supervisor = np.array([0, 1, 1, 0, 0, 1])  # right four times, wrong twice
    student = np.array([0, 1, 1, 1, 1, 1])  # follows 3 of the 4 right ones and 1 of the 2 wrong ones
    result = agreement(student, supervisor, labels, np.arange(6))
    assert (result.overall.value, result.overall.n) == (pytest.approx(4 / 6), 6)
    assert result.supervisor_right is not None
    assert result.supervisor_wrong is not None
    assert (result.supervisor_right.value, result.supervisor_right.n) == (0.75, 4)
    assert (result.supervisor_wrong.value, result.supervisor_wrong.n) == (0.5, 2)
    assert result.supervisor_wrong.low <= 0.5 <= result.supervisor_wrong.high


def test_a_supervisor_that_is_never_wrong_has_no_agreement_when_wrong() -> None:
    result = agreement(["4", "5"], ["4", "6"], ["4", "6"], ["p", "q"])
    assert result.supervisor_wrong is None
    assert result.supervisor_right == result.overall
    assert result.overall.value == 0.5


def test_a_part_that_lies_in_one_group_leaves_everything_possible() -> None:
    result = agreement([0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1], ["p", "q", "r", "r"])
    assert result.supervisor_wrong is not None
    assert (result.supervisor_wrong.value, result.supervisor_wrong.low, result.supervisor_wrong.high) == (
        0.0,
        0.0,
        1.0,
    )


def test_intervals_widen_when_examples_share_their_group() -> None:
    rng = np.random.default_rng(0)
    student, right = np.repeat(rng.integers(2, size=100), 8), np.ones(800, dtype=int)
    apart = agreement(student, right, right, np.arange(800)).overall
    together = agreement(student, right, right, np.repeat(np.arange(100), 8)).overall
    assert apart.value == together.value
    assert together.half_width > 2 * apart.half_width


def test_a_subset_has_the_width_of_its_own_size() -> None:
    rng = np.random.default_rng(1)
    scores, mask = rng.integers(2, size=2000), np.arange(2000) < 400
    whole, part = subset_rates(scores, [np.ones(2000, dtype=bool), mask], np.arange(2000))
    assert whole is not None
    assert part is not None
    assert part.half_width == pytest.approx(1.96 * 0.5 / 400**0.5, rel=0.1)
    assert whole.half_width == pytest.approx(1.96 * 0.5 / 2000**0.5, rel=0.1)


def test_answers_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="three arrays"):
        agreement([0, 1], [0], [0], ["p"])
    with pytest.raises(ValueError, match=r"within 0 .. 1"):
        subset_rates([0.0, 3.0], [[True, True]], ["p", "q"])
