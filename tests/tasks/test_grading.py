"""Counts over judged solutions."""

import pytest

from w2s_lightning.tasks.answers import Verdict
from w2s_lightning.tasks.grading import (
    Quality,
    Tally,
    majority_is_right,
    pass_at,
    selection_quality,
    tally,
    tally_by,
)

STRICT = Verdict("7", strict=True, flexible=True, trouble=None)
LOOSE = Verdict("7", strict=False, flexible=True, trouble=None)
WRONG = Verdict("8", strict=False, flexible=False, trouble=None)
UNREAD = Verdict(None, strict=False, flexible=False, trouble="unparsed")
LATE = Verdict("9", strict=False, flexible=False, trouble="timed_out")


def test_a_tally_keeps_strict_flexible_and_trouble_apart() -> None:
    found = tally([STRICT, LOOSE, WRONG, UNREAD, LATE])
    assert found == Tally(count=5, flexible=0.4, strict=0.2, unparsed=0.2, timed_out=0.2)


def test_a_tally_goes_by_level() -> None:
    found = tally_by([1.0, None, 1.0], [STRICT, WRONG, UNREAD])
    assert {key: (one.count, one.flexible) for key, one in found.items()} == {1.0: (2, 0.5), None: (1, 0.0)}


def test_pass_at_k_is_the_chance_of_one_right_in_k() -> None:
    drawn = [STRICT, WRONG, WRONG, LOOSE]
    assert pass_at(drawn, 1) == 0.5
    assert pass_at(drawn, 2) == pytest.approx(1 - 1 / 6)
    assert pass_at(drawn, 3) == pass_at(drawn, 4) == 1
    assert pass_at([WRONG] * 3, 3) == 0


def test_a_vote_is_right_when_its_answer_is() -> None:
    drawn = [STRICT, WRONG, UNREAD]
    assert majority_is_right(drawn, "7")
    assert not majority_is_right(drawn, "8")
    assert not majority_is_right(drawn, None)


def test_a_selection_has_precision_and_recall() -> None:
    right = {"a": True, "b": True, "c": False, "d": True}
    assert selection_quality(["a", "c"], right) == Quality(kept_share=0.5, precision=0.5, recall=pytest.approx(1 / 3))
    assert selection_quality([], right) == Quality(0.0, None, 0.0)
    assert selection_quality(["a"], {"a": False}) == Quality(1.0, 0.0, None)
