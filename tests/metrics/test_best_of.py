"""Best of n, the vote of n and pass@n against plain enumeration of all subsets."""

from itertools import combinations, permutations
from math import comb
from statistics import mean

import numpy as np
import pytest

from w2s_lightning.metrics.best_of import best_of, majority_of, pass_of, powers_of_two
from w2s_lightning.solutions import majority

CASES = [
    ([3.0, 2.0, 1.0, 0.0], [True, False, True, False]),
    ([1.0, 1.0, 0.0, 0.0, 0.0], [True, False, False, True, True]),
    ([0.0] * 6, [True, False, False, True, False, False]),
    ([-1.0, 5.0, 5.0, 5.0, 2.0, 2.0], [True, False, True, False, True, False]),
    ([0.5], [True]),
]


def picked(scores: list[float], right: list[bool], places: tuple[int, ...]) -> float:
    """What a subset's best-scored samples are worth when they share the credit."""
    most = max(scores[place] for place in places)
    return mean(right[place] for place in places if scores[place] == most)


@pytest.mark.parametrize(("scores", "right"), CASES)
def test_best_of_n_is_the_mean_over_all_subsets(scores: list[float], right: list[bool]) -> None:
    for n in range(1, len(scores) + 1):
        subsets = list(combinations(range(len(scores)), n))
        assert best_of(scores, right, n) == pytest.approx(mean(picked(scores, right, one) for one in subsets))


def test_random_samples_agree_with_enumeration_too() -> None:
    generator = np.random.default_rng(0)
    for _ in range(30):
        scores = generator.integers(4, size=8).astype(float).tolist()
        right = generator.integers(2, size=8).astype(bool).tolist()
        for n in (1, 3, 5, 8):
            plain = mean(picked(scores, right, one) for one in combinations(range(8), n))
            assert best_of(scores, right, n) == pytest.approx(plain)


def test_the_order_of_samples_and_the_scale_of_scores_decide_nothing() -> None:
    scores, right = [2.0, 1.0, 1.0, 0.0], [False, True, False, True]
    values = {round(best_of([scores[p] for p in o], [right[p] for p in o], 2), 12) for o in permutations(range(4))}
    assert len(values) == 1
    assert best_of([100 * score - 7 for score in scores], right, 2) == best_of(scores, right, 2)


def test_a_verifier_that_knows_nothing_gains_nothing_and_one_that_knows_all_gives_pass_at_n() -> None:
    right = [True, False, False, True, False, False, False, True]
    for n in range(1, 9):
        assert best_of([0.0] * 8, right, n) == pytest.approx(3 / 8)
        assert pass_of(right, n) == pytest.approx(1 - comb(5, n) / comb(8, n))
        assert best_of([-1.0 * one for one in right], right, n) == pytest.approx(comb(3, n) / comb(8, n))


ANSWERS = [
    (["1", "1", "2", "3", None], [True, True, False, False, False]),
    (["1", "2", "2", "1"], [True, False, False, True]),
    ([None, None, None, "4"], [False, False, False, True]),
    (["1", "2", "3", "1", "2", "1/1"], [True, False, False, True, False, True]),  # two texts of one right answer
    (["7"] * 5, [False] * 5),
]


@pytest.mark.parametrize(("answers", "right"), ANSWERS)
def test_a_vote_is_the_mean_over_all_orders_of_all_subsets(answers: list[str | None], right: list[bool]) -> None:
    """The project's `majority` gives ties to the first answer, so all orders of a subset together share them."""
    good = {answer for answer, one in zip(answers, right, strict=True) if one}
    for n in range(1, len(answers) + 1):
        votes = [majority([answers[place] for place in order])[0] for order in permutations(range(len(answers)), n)]
        assert majority_of(answers, right, n) == pytest.approx(mean(vote in good for vote in votes))


def test_a_vote_over_many_samples_is_quick_and_a_share() -> None:
    generator = np.random.default_rng(1)
    answers: list[str | None] = [str(number) for number in generator.geometric(0.2, size=64)]
    right = [answer == "1" for answer in answers]
    values = [majority_of(answers, right, n) for n in powers_of_two(64)]
    assert all(0 <= value <= 1 for value in values)
    assert values[0] == pytest.approx(mean(right))
    assert values[-1] == (majority(answers)[0] == "1")


def test_sizes_are_powers_of_two_and_the_last_is_all_there_are() -> None:
    assert powers_of_two(1) == (1,)
    assert powers_of_two(4) == (1, 2, 4)
    assert powers_of_two(10) == (1, 2, 4, 8, 10)
