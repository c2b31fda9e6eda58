"""The vote of n and pass@n against plain enumeration of all subsets."""

from itertools import combinations, permutations
from statistics import mean

import numpy as np
import pytest

from w2s_lightning.metrics.vote import majority_of, pass_of, powers_of_two
from w2s_lightning.selection import majority


def test_pass_at_n_is_the_share_of_subsets_that_hold_a_right_sample() -> None:
    right = [True, False, False, True, False, False, False, True]
    for n in range(1, 9):
        assert pass_of(right, n) == pytest.approx(mean(any(one) for one in combinations(right, n)))
    assert pass_of([False] * 4, 4) == 0.0
    assert pass_of([True], 1) == 1.0


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
