"""Rules that choose worked solutions: each branch of the published rules, on hand-made cases."""

import pytest

from w2s_lightning.errors import UserError
from w2s_lightning.selection import (
    EMPTY,
    NOT_OVERRULED,
    UNANIMOUS,
    UNSURE,
    SelectedPairs,
    Solutions,
    agreement,
    contrastive_pairs,
    majority,
    majority_vote,
    oracle_gold_filter,
    random_questions,
)
from w2s_lightning.tasks.example import Solution

NONE = "-"


def one(id: str, answer: str, source: str = "weak") -> Solution:
    return Solution(id, f"{source} says {answer}", None if answer == NONE else answer)


def side(source: str, **answers: str) -> list[Solution]:
    return [one(id, answer, source) for id, answer in answers.items()]


def samples(id: str, answers: str) -> list[Solution]:
    """One sample a letter, `-` for none without an answer."""
    return [one(id, answer, f"sample {n}") for n, answer in enumerate(answers)]


def pairs(weak: list[Solution], drawn: list[Solution], most_pairs: int = 1, seed: int = 0) -> SelectedPairs:
    return contrastive_pairs(weak, drawn, keep_from=0.6, overrule_from=0.8, most_pairs=most_pairs, seed=seed)


# ---------------------------------------------------------------- stage I


def texts(kept: Solutions) -> list[str]:
    return [solution.text for solution in kept]


def test_agreement_keeps_equal_answers_that_are_not_empty() -> None:
    weak = side("weak", a="7", b="7", c=NONE, d="9", e=NONE)
    strong = side("icl", e="1", d="9", c=NONE, b="8", a="7")
    assert texts(agreement(weak, strong, learn="weak")) == ["weak says 7", "weak says 9"]
    assert texts(agreement(weak, strong, learn="strong")) == ["icl says 7", "icl says 9"]
    both = agreement(weak, strong, learn="hybrid")
    assert texts(both) == ["weak says 7", "icl says 7", "weak says 9", "icl says 9"], "in turn"


def test_no_agreement_says_how_many_and_what_to_change() -> None:
    with pytest.raises(UserError, match=r"0 of 2 questions .*\(2 weak and 1 strong solutions.*more demonstrations"):
        agreement(side("weak", a="1", b="2"), side("icl", a="2", b=NONE), learn="weak")


@pytest.mark.parametrize(
    "strong", [side("icl", a="1"), side("icl", a="1", c="2"), [*side("icl", a="1", b="2"), one("a", "1")]]
)
def test_agreement_needs_the_same_questions(strong: list[Solution]) -> None:
    with pytest.raises(UserError, match="same questions, each once"):
        agreement(side("weak", a="1", b="2"), strong, learn="weak")


def test_the_control_of_agreement_keeps_as_many_random_questions_that_both_answer() -> None:
    weak = [one(f"q{n}", NONE if n < 5 else "7") for n in range(50)]
    strong = [one(f"q{n}", "7" if n < 25 else "8", "icl") for n in range(50)]
    drawn = random_questions(weak, strong, learn="hybrid", seed=0)
    ids = list(dict.fromkeys(solution.id for solution in drawn))
    assert len(agreement(weak, strong, learn="weak")) == len(ids) == 20
    assert [solution.id for solution in drawn] == [id for id in ids for _ in range(2)]
    assert ids == [solution.id for solution in weak if solution.id in ids], "in the order of the questions"
    assert not {f"q{n}" for n in range(5)} & set(ids), "without an answer there is nothing to learn"
    assert any(int(id[1:]) >= 25 for id in ids), "agreement plays no part"
    assert set(random_questions(weak[::-1], strong, learn="hybrid", seed=0)) == set(drawn)
    assert random_questions(weak, strong, learn="hybrid", seed=1) != drawn


# ---------------------------------------------------------------- votes


@pytest.mark.parametrize(
    ("answers", "vote"),
    [
        (["7", "8", "7"], ("7", 2 / 3)),
        (["8", "7", "7", "8"], ("8", 0.5)),
        (["7", None, None], (None, 2 / 3)),
        (["7", None], ("7", 0.5)),
        ([None, "7"], (None, 0.5)),
        (["7"] * 6 + ["8"] * 4, ("7", 0.6)),
        ([], (None, 0.0)),
    ],
)
def test_a_vote_counts_empty_answers_and_ties_go_to_the_first(
    answers: list[str | None], vote: tuple[str | None, float]
) -> None:
    assert majority(answers) == vote


def test_a_majority_vote_keeps_what_ends_in_the_vote() -> None:
    drawn = [*samples("a", "7787777888"), *samples("b", "7788899999"), *samples("c", "-------777")]
    voted = majority_vote(drawn, keep_from=0.6)
    assert {(solution.id, solution.answer) for solution in voted} == {("a", "7")}
    assert len(voted) == 6
    with pytest.raises(UserError, match=r"no sample is left \(2 with too small a majority\): lower keep_from=0\.9"):
        majority_vote([*samples("a", "78"), *samples("b", "78")], keep_from=0.9)


# ---------------------------------------------------------------- stage II


def test_a_weak_answer_that_is_the_majoritys_is_chosen_over_a_minority_sample() -> None:
    made = pairs(side("weak", a="7"), samples("a", "7777778899"))
    (pair,) = made.pairs
    assert pair.weak_is_chosen
    assert pair.chosen.text == "weak says 7"
    assert pair.rejected.answer in ("8", "9")
    assert pair.confidence == 0.6
    assert made.skipped == {}


def test_a_sample_without_an_answer_belongs_to_the_minority() -> None:
    (pair,) = pairs(side("weak", a="7"), samples("a", "777777777-")).pairs
    assert pair.rejected.answer is None


def test_a_confident_majority_overrules_the_weak_answer() -> None:
    (pair,) = pairs(side("weak", a="5"), samples("a", "7777777789")).pairs
    assert not pair.weak_is_chosen
    assert pair.chosen.answer == "7"
    assert pair.rejected.text == "weak says 5"
    assert pair.confidence == 0.8


def test_a_weak_solution_without_an_answer_can_be_overruled() -> None:
    (pair,) = pairs(side("weak", a=NONE), samples("a", "7777777777")).pairs
    assert pair.rejected.answer is None
    assert not pair.weak_is_chosen


@pytest.mark.parametrize(
    ("weak", "drawn", "reason"),
    [
        ("7", "7777788888", UNSURE),  # 0.5, a tie
        ("7", "7777789999", UNSURE),  # 0.5
        ("7", "------7777", EMPTY),  # 0.6 of no answer
        (NONE, "------7777", EMPTY),
        ("7", "-----77777", UNSURE),  # a tie with no answer
        ("7", "7777777777", UNANIMOUS),
        ("5", "7777778899", NOT_OVERRULED),  # 0.6
        ("5", "7777777899", NOT_OVERRULED),  # 0.7
    ],
)
def test_a_question_that_gives_no_pair_is_counted_by_reason(weak: str, drawn: str, reason: str) -> None:
    good = samples("z", "7777777778")
    made = pairs([one("a", weak), one("z", "7")], [*samples("a", drawn), *good])
    assert [pair.id for pair in made.pairs] == ["z"]
    assert made.skipped == {reason: 1}


@pytest.mark.parametrize(("drawn", "kept"), [("7777788888", False), ("7777778888", True), ("7777777888", True)])
def test_the_threshold_of_trust_is_inclusive(drawn: str, kept: bool) -> None:
    made = pairs([one("a", "7"), one("z", "7")], [*samples("a", drawn), *samples("z", "7777777778")])
    assert ("a" in [pair.id for pair in made.pairs]) == kept


def test_no_pair_at_all_says_the_counts_and_what_to_change() -> None:
    weak = side("weak", a="7", b="5", c="7", d="1")
    drawn = [*samples("a", "7777777777"), *samples("b", "7777777888")]
    drawn += [*samples("c", "7788"), *samples("d", "----")]
    with pytest.raises(UserError) as caught:
        pairs(weak, drawn)
    text = str(caught.value)
    assert "no pair can be built from 4 questions" in text
    for reason in (UNANIMOUS, NOT_OVERRULED, UNSURE, EMPTY):
        assert f"1 {reason}" in text
    assert "keep_from=0.6, overrule_from=0.8" in text


def test_up_to_three_pairs_have_different_samples() -> None:
    weak, drawn = side("weak", a="7"), samples("a", "7777778899")
    three = pairs(weak, drawn, most_pairs=3).pairs
    assert len({pair.rejected.text for pair in three}) == len(three) == 3
    assert {pair.chosen.text for pair in three} == {"weak says 7"}
    alike = [*samples("a", "777777"), *[Solution("a", "the same", "8")] * 4]
    assert len(pairs(weak, alike, most_pairs=3).pairs) == 1
    overruled = pairs(side("weak", a="5"), samples("a", "7777777789"), most_pairs=3).pairs
    assert len({pair.chosen.text for pair in overruled}) == 3
    assert len(pairs(weak, samples("a", "7777777789"), most_pairs=3).pairs) == 2


def test_draws_go_by_seed_and_question_and_not_by_order() -> None:
    weak = [one(f"q{n}", "7") for n in range(30)]
    drawn = [sample for n in range(30) for sample in samples(f"q{n}", "7777771234")]
    made = pairs(weak, drawn)
    assert pairs(weak, drawn) == made
    assert set(pairs(weak[::-1], drawn).pairs) == set(made.pairs)
    assert pairs(weak[:10], drawn).pairs == made.pairs[:10]
    assert pairs(weak, drawn, seed=1).pairs != made.pairs
    assert len({pair.rejected.answer for pair in made.pairs}) == 4


def test_a_question_without_samples_is_refused() -> None:
    with pytest.raises(UserError, match="no samples for question b"):
        pairs(side("weak", a="7", b="7"), samples("a", "7777777778"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_from": 60}, "keep_from=60 should be a number from 0 to 1"),
        ({"overrule_from": -0.1}, "overrule_from=-0.1 should be"),
        ({"most_pairs": 0}, "most_pairs=0 should be a whole number"),
    ],
)
def test_thresholds_that_are_none_are_refused(options: dict[str, float], message: str) -> None:
    rule: dict[str, float] = {"keep_from": 0.6, "overrule_from": 0.8, "most_pairs": 1, "seed": 0, **options}
    with pytest.raises(UserError, match=message):
        contrastive_pairs(side("weak", a="7"), samples("a", "78"), **rule)  # type: ignore[arg-type]


# ---------------------------------------------------------------- duplicates, controls


def test_solutions_with_the_same_equations_are_one() -> None:
    made = [
        Solution("a", "3 + 4 = 7 eggs\n#### 7", "7"),
        Solution("a", "She has 3+4=7.\n#### 7", "7"),
        Solution("a", "4 + 3 = 7\n#### 7", "7"),
        Solution("b", "3 + 4 = 7\n#### 7", "7"),
        Solution("b", "seven  it is", "7"),
        Solution("b", "seven it is", "7"),
    ]
    assert [(kept.id, kept.text) for kept in majority_vote(made, keep_from=1)] == [
        ("a", "3 + 4 = 7 eggs\n#### 7"),
        ("a", "4 + 3 = 7\n#### 7"),
        ("b", "3 + 4 = 7\n#### 7"),
        ("b", "seven  it is"),
    ]


def test_the_oracle_filter_keeps_right_answers() -> None:
    gold = side("gold", a="7", b="7")
    assert [kept.id for kept in oracle_gold_filter(side("weak", a="7", b="8"), gold)] == ["a"]
    with pytest.raises(UserError, match="none of 2 solutions is right"):
        oracle_gold_filter(side("weak", a=NONE, b="8"), gold)
