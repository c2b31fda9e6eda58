"""Rates on parts of the test set, as for agreement with a supervisor where it is right and where it is wrong."""

import numpy as np
import pytest

from w2s_lightning.metrics.rates import part_rates


def test_rates_on_parts_by_hand() -> None:
    labels = np.array([0, 1, 1, 0, 1, 0])
    supervisor = np.array([0, 1, 1, 0, 0, 1])  # right four times, wrong twice
    student = np.array([0, 1, 1, 1, 1, 1])  # follows 3 of the 4 right ones and 1 of the 2 wrong ones
    right = supervisor == labels
    overall, when_right, when_wrong = part_rates(student == supervisor, [right | True, right, ~right], np.arange(6))
    assert (overall.value, overall.n) == (pytest.approx(4 / 6), 6)
    assert (when_right.value, when_right.n) == (0.75, 4)
    assert (when_wrong.value, when_wrong.n) == (0.5, 2)
    assert when_wrong.low <= 0.5 <= when_wrong.high


def test_a_part_without_examples_has_no_rate() -> None:
    whole, same, empty = part_rates([1, 0], [[True, True], [True, True], [False, False]], ["p", "q"])
    assert empty is None
    assert same == whole
    assert whole.value == 0.5


def test_a_part_that_lies_in_one_group_leaves_everything_possible() -> None:
    (part,) = part_rates([1, 1, 0, 0], [[False, False, True, True]], ["p", "q", "r", "r"])
    assert (part.value, part.low, part.high) == (0.0, 0.0, 1.0)


def test_intervals_widen_when_examples_share_their_group() -> None:
    rng = np.random.default_rng(0)
    scores, everywhere = np.repeat(rng.integers(2, size=100), 8), np.ones((1, 800), dtype=bool)
    (apart,) = part_rates(scores, everywhere, np.arange(800))
    (together,) = part_rates(scores, everywhere, np.repeat(np.arange(100), 8))
    assert apart.value == together.value
    assert together.half_width > 2 * apart.half_width


def test_a_subset_has_the_width_of_its_own_size() -> None:
    rng = np.random.default_rng(1)
    scores, mask = rng.integers(2, size=2000), np.arange(2000) < 400
    whole, part = part_rates(scores, [np.ones(2000, dtype=bool), mask], np.arange(2000))
    assert part.half_width == pytest.approx(1.96 * 0.5 / 400**0.5, rel=0.1)
    assert whole.half_width == pytest.approx(1.96 * 0.5 / 2000**0.5, rel=0.1)


def test_scores_that_are_no_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="parts have shape"):
        part_rates([0, 1], [[True]], ["p", "q"])
    with pytest.raises(ValueError, match=r"within 0 .. 1"):
        part_rates([0.0, 3.0], [[True, True]], ["p", "q"])
