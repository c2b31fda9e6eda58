"""Rates on parts of the test set (agreement where a supervisor is right, and wrong), tests of difference, votes."""

import itertools
from statistics import mean

import numpy as np
import pytest

from w2s_lightning.metrics.rates import holm, part_rates, permutation_p_value
from w2s_lightning.metrics.seeds import score_seeds
from w2s_lightning.results.sampled import majority_of, pass_of
from w2s_lightning.selection import majority


def test_rates_on_parts_by_hand() -> None:
    labels = np.array([0, 1, 1, 0, 1, 0])
    supervisor = np.array([0, 1, 1, 0, 0, 1])  # right four times, wrong twice
    student = np.array([0, 1, 1, 1, 1, 1])  # follows 3 of the 4 right ones and 1 of the 2 wrong ones
    right = supervisor == labels
    parts = part_rates(student == supervisor, [right | True, right, ~right, right & False], np.arange(6))
    assert [part and (part.value, part.n) for part in parts] == [(pytest.approx(4 / 6), 6), (0.75, 4), (0.5, 2), None]
    assert parts[2].low <= 0.5 <= parts[2].high
    assert part_rates([1, 0], [[True, True]] * 2, ["p", "q"])[0] == part_rates([1, 0], [[True, True]], ["p", "q"])[0]


def test_a_part_that_lies_in_one_group_leaves_everything_possible() -> None:
    (part,) = part_rates([1, 1, 0, 0], [[False, False, True, True]], ["p", "q", "r", "r"])
    assert (part.value, part.low, part.high) == (0.0, 0.0, 1.0)


def test_a_part_has_the_width_of_its_own_size_and_groups() -> None:
    rng = np.random.default_rng(1)
    scores, mask = rng.integers(2, size=2000), np.arange(2000) < 400
    whole, part = part_rates(scores, [mask | True, mask], np.arange(2000))
    assert part.half_width == pytest.approx(1.96 * 0.5 / 400**0.5, rel=0.1)
    assert whole.half_width == pytest.approx(1.96 * 0.5 / 2000**0.5, rel=0.1)
    (together,) = part_rates(np.repeat(scores[:250], 8), [mask | True], np.repeat(np.arange(250), 8))
    assert together.half_width > 2 * whole.half_width


def test_scores_that_are_no_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="parts have shape"):
        part_rates([0, 1], [[True]], ["p", "q"])
    with pytest.raises(ValueError, match=r"within 0 .. 1"):
        part_rates([0.0, 3.0], [[True, True]], ["p", "q"])


# ---------------------------------------------------------------- is one row better than another?


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
    # groups are swapped as a whole: 40 examples in 4 groups are 4 observations, no p-value is below 2 / 16
    assert permutation_p_value(np.ones(40), np.zeros(40), np.repeat(np.arange(4), 10)) == 2 / 16


def test_random_permutations_reject_a_true_hypothesis_as_often_as_they_say() -> None:
    rng, p_values, ids = np.random.default_rng(1), [], np.repeat(np.arange(60), 4)
    for _ in range(400):
        effect = rng.normal(size=(2, 60))[:, ids]
        first, second = (rng.normal(size=(2, 240)) < effect).astype(float)
        p_values.append(permutation_p_value(first, second, ids, permutations=300))
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.08
    assert 0.4 <= np.mean(np.array(p_values) <= 0.5) <= 0.6


def test_the_p_value_over_seeds_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(2)
    arms = {name: (rng.random((4, 300)) < rate).astype(float) for name, rate in (("a", 0.6), ("b", 0.63), ("c", 0.8))}
    scores = score_seeds(arms, np.arange(300) // 3)
    for other in "bc":
        found = scores.difference("a", other)
        assert (scores.p_value("a", other) < 0.05) == (not found.low <= 0 <= found.high)
    assert scores.p_value("a", "c") < 0.01
    gap = scores.mean_of(scores.paired("a", "b"))
    assert gap.half_width(1 - gap.p_value()) == pytest.approx(abs(gap.value), abs=1e-9)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.9]) == pytest.approx((1.0, 1.0))
    assert (holm([0.2]), holm([])) == ((0.2,), ())


# ---------------------------------------------------------------- votes against plain enumeration


def test_pass_at_n_is_the_share_of_subsets_that_hold_a_right_sample() -> None:
    right = [True, False, False, True, False, False, False, True]
    for n in range(1, 9):
        assert pass_of([None] * 8, right, n) == pytest.approx(mean(map(any, itertools.combinations(right, n))))
    assert pass_of([None] * 4, [False] * 4, 4) == 0.0


@pytest.mark.parametrize(
    ("answers", "right"),
    [
        (["1", "1", "2", "3", None], [True, True, False, False, False]),
        (["1", "2", "2", "1"], [True, False, False, True]),
        ([None, None, None, "4"], [False, False, False, True]),
        (["1", "2", "3", "1", "2", "1/1"], [True, False, False, True, False, True]),  # two texts of one right answer
        (["7"] * 5, [False] * 5),
    ],
)
def test_a_vote_is_the_mean_over_all_orders_of_all_subsets(answers: list[str | None], right: list[bool]) -> None:
    """The project's `majority` gives ties to the first answer, so all orders of a subset together share them."""
    good = {answer for answer, one in zip(answers, right, strict=True) if one}
    for n in range(1, len(answers) + 1):
        votes = [majority(order)[0] for order in itertools.permutations(answers, n)]
        assert majority_of(answers, right, n) == pytest.approx(mean(vote in good for vote in votes))


def test_a_vote_over_many_samples_is_quick_and_a_share() -> None:
    answers: list[str | None] = [str(number) for number in np.random.default_rng(1).geometric(0.2, size=64)]
    right = [answer == "1" for answer in answers]
    values = [majority_of(answers, right, n) for n in (1, 2, 4, 8, 16, 32, 64)]
    assert all(0 <= value <= 1 for value in values)
    assert values[0] == pytest.approx(mean(right))
    assert values[-1] == (majority(answers)[0] == "1")
