"""The permutation test by groups and Holm's correction."""

import itertools

import numpy as np
import pytest

from w2s_lightning.metrics.differences import holm, permutation_p_value
from w2s_lightning.metrics.seeds import score_seeds


def test_few_groups_are_permuted_exhaustively() -> None:
    first, second = np.array([1.0, 1, 1, 0, 1, 1, 0, 1]), np.array([0.0, 0, 1, 1, 0, 0, 0, 0])
    ids = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    sums = [np.sum((first - second)[ids == group]) for group in range(4)]
    patterns = list(itertools.product((1, -1), repeat=4))
    expected = np.mean([abs(np.dot(signs, sums)) >= abs(sum(sums)) for signs in patterns])
    assert permutation_p_value(first, second, ids) == pytest.approx(expected)
    assert permutation_p_value(second, first, ids) == pytest.approx(expected)


def test_equal_arms_have_p_value_one_and_a_clear_difference_the_smallest_possible() -> None:
    scores = np.random.default_rng(0).integers(2, size=200).astype(float)
    assert permutation_p_value(scores, scores, np.arange(200)) == 1.0
    assert permutation_p_value(np.ones(200), np.zeros(200), np.arange(200), permutations=999) == 1 / 1000


def test_groups_are_swapped_as_a_whole() -> None:
    """40 examples in 4 groups are 4 observations: no p-value below 2 / 16."""
    assert permutation_p_value(np.ones(40), np.zeros(40), np.repeat(np.arange(4), 10)) == 2 / 16
    assert permutation_p_value(np.ones(40), np.zeros(40), np.arange(40)) < 0.001


def test_random_permutations_reject_a_true_hypothesis_as_often_as_they_say() -> None:
    rng, p_values = np.random.default_rng(1), []
    for seed in range(400):
        ids = np.repeat(np.arange(60), 4)
        effect = rng.normal(size=(2, 60))[:, ids]
        first, second = (rng.normal(size=(2, 240)) < effect).astype(float)
        p_values.append(permutation_p_value(first, second, ids, permutations=300, seed=seed))
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.08
    assert 0.4 <= np.mean(np.array(p_values) <= 0.5) <= 0.6


def test_the_p_value_over_seeds_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(2)
    arms = {name: (rng.random((4, 300)) < rate).astype(float) for name, rate in (("a", 0.6), ("b", 0.63), ("c", 0.8))}
    scores = score_seeds(arms, np.arange(300) // 3)
    for first, second in (("a", "b"), ("a", "c")):
        assert (scores.p_value(first, second) < 0.05) == (not scores.difference(first, second).reaches(0.0))
    assert scores.p_value("a", "c") < 0.01
    edge = scores.difference("a", "b")
    at_its_own_level = score_seeds(arms, np.arange(300) // 3, confidence=1 - scores.p_value("a", "b")).difference(
        "a", "b"
    )
    assert min(abs(at_its_own_level.low), abs(at_its_own_level.high)) == pytest.approx(0, abs=1e-9)
    assert edge.value == at_its_own_level.value


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.9]) == pytest.approx((1.0, 1.0))
    assert holm([0.2]) == (0.2,)
    assert holm([]) == ()
    with pytest.raises(ValueError, match=r"0 .. 1"):
        holm([0.1, 1.2])
