"""Rules that make targets from targets: of labels, and each branch of the published rules for worked solutions."""

from typing import Any

import numpy as np
import pytest

from w2s_lightning import selection
from w2s_lightning.errors import UserError
from w2s_lightning.selection import SelectedPairs, Solutions, TargetTable, apply_rule
from w2s_lightning.tasks.example import Solution

NONE = "-"


def table(*probs: float, ids: str | None = None) -> TargetTable:
    """Two classes; `probs` are those of class 1."""
    names = tuple(ids or map(str, range(len(probs))))
    right = np.array(probs)
    return TargetTable(names, np.stack([1 - right, right], axis=1), np.ones(len(probs)))


MANY = table(*np.linspace(0, 1, 1000))


# ---------------------------------------------------------------- labels


def test_a_filter_keeps_what_is_confident_either_way() -> None:
    kept = selection.confidence_filter(table(0.1, 0.25, 0.3, 0.74, 0.75, 1.0, ids="abcdef"), threshold=0.75)
    assert kept.ids == ("a", "b", "e", "f")
    assert kept.probs[:, 1].tolist() == [0.1, 0.25, 0.75, 1.0]
    with pytest.raises(UserError, match=r"keeps 0 of 2 targets \(the most confident one has 0\.600\).*lower threshold"):
        selection.confidence_filter(table(0.4, 0.5), threshold=0.9)


def test_weights_follow_confidence_and_keep_their_mean() -> None:
    weighted = selection.confidence_weight(table(0.5, 1.0))
    assert weighted.weights == pytest.approx([2 / 3, 4 / 3])
    assert weighted.probs.tolist() == table(0.5, 1.0).probs.tolist()


def log_odds(probs: Any) -> Any:
    return np.log(probs) - np.log1p(-probs)


@pytest.mark.parametrize("prior", [0.5, 0.3])
def test_balanced_labels_have_the_priors_mean_and_one_shift_of_log_odds(prior: float) -> None:
    """Against a scan of 200,000 shifts, without a solver."""
    before = table(0.55, 0.6, 0.7, 0.8, 0.95, 0.99)
    after = selection.balance(before, prior=(1 - prior, prior))
    shifts = np.linspace(-10, 10, 200_001)
    means = np.mean([1 / (1 + np.exp(-(one + shifts))) for one in log_odds(before.probs[:, 1])], axis=0)
    by_hand = shifts[np.abs(means - prior).argmin()]
    assert log_odds(after.probs[:, 1]) - log_odds(before.probs[:, 1]) == pytest.approx([by_hand] * 6, abs=1e-4)
    assert after.probs.mean(axis=0) == pytest.approx([1 - prior, prior], abs=1e-9)
    assert (after.ids, after.weights.tolist()) == (before.ids, before.weights.tolist())


def test_balanced_labels_by_hand() -> None:
    """Log-odds log 2 and log 8 lie evenly about log 4: that is the shift to one half; balanced labels stay."""
    after = selection.balance(table(2 / 3, 8 / 9), prior=(0.5, 0.5))
    assert after.probs[:, 1] == pytest.approx([1 / 3, 2 / 3])
    again = selection.balance(after, prior=(0.5, 0.5))
    assert again.probs == pytest.approx(after.probs)
    hard = table(0.0, 1.0)
    assert selection.balance(hard, prior=(0.5, 0.5)).probs.tolist() == hard.probs.tolist()


def test_of_three_classes_each_gets_its_prior_and_one_shift() -> None:
    raised = np.random.default_rng(0).gamma(1.0, size=(200, 3)) * [1, 2, 4]
    before = TargetTable(tuple(map(str, range(200))), raised / raised.sum(axis=1, keepdims=True), np.ones(200))
    prior = (0.5, 0.3, 0.2)
    after = selection.balance(before, prior=prior)
    assert after.probs.mean(axis=0) == pytest.approx(prior, abs=2e-6)
    shifts = np.log(after.probs) - np.log(before.probs)
    assert np.ptp(shifts[:, 1] - shifts[:, 0]) < 1e-9
    assert np.ptp(shifts[:, 2] - shifts[:, 0]) < 1e-9


def test_labels_that_no_shift_moves_are_refused() -> None:
    with pytest.raises(UserError, match=r"shares 0\.5, 0\.5: 4 of 4 answers are certain"):
        selection.balance(table(0.0, 1.0, 1.0, 1.0), prior=(0.5, 0.5))


def test_a_mean_joins_by_id_and_refuses_other_examples_and_other_classes() -> None:
    joined = selection.mean(table(0.2, 0.4, ids="ab"), table(0.8, 0.0, ids="ba"))
    assert joined.ids == ("a", "b")
    assert joined.probs[:, 1] == pytest.approx([0.1, 0.6])
    with pytest.raises(UserError, match="2 of them not in common"):
        selection.mean(table(0.2, 0.4, ids="ab"), table(0.2, 0.4, ids="ac"))
    three = TargetTable(("a",), np.array([[0.2, 0.3, 0.5]]), np.ones(1))
    with pytest.raises(UserError, match="2 and 3"):
        selection.mean(table(0.2, ids="a"), three)


def test_a_permutation_moves_targets_and_not_examples() -> None:
    after = selection.permute(MANY, seed=0)
    assert after.ids == MANY.ids
    assert sorted(after.probs[:, 1]) == sorted(MANY.probs[:, 1])
    assert abs(np.corrcoef(MANY.probs[:, 1], after.probs[:, 1])[0, 1]) < 0.1
    assert selection.permute(MANY, seed=0).probs.tolist() == after.probs.tolist()
    assert selection.permute(MANY, seed=1).probs.tolist() != after.probs.tolist()


def test_the_most_confident_share_is_kept_as_hard_labels() -> None:
    source = table(0.4, 0.9, 0.5, 0.2, ids="abcd")
    kept = selection.most_confident(source, share=0.5)
    assert kept.ids == ("b", "d")
    assert kept.probs.tolist() == [[0, 1], [1, 0]]
    assert len(selection.most_confident(source, share=0.0).ids) == 1


def test_targets_must_be_probabilities_with_unique_ids() -> None:
    with pytest.raises(AssertionError):
        TargetTable(("a", "a"), np.full((2, 2), 0.5), np.ones(2))
    with pytest.raises(AssertionError, match="add up to 1"):
        TargetTable(("a",), np.array([[0.5, 0.6]]), np.ones(1))


# ---------------------------------------------------------------- rules by name


def test_rules_are_called_by_name() -> None:
    assert apply_rule("confidence_filter", {"threshold": 0.75}, 0, [table(0.5, 0.9)]).ids == ("1",)
    assert apply_rule("mean", {}, 0, [table(0.2), table(0.4)]).probs[:, 1] == pytest.approx([0.3])
    assert apply_rule("permute", {}, 5, [MANY]).probs.tolist() == selection.permute(MANY, seed=5).probs.tolist()


@pytest.mark.parametrize(
    ("rule", "options", "count", "message"),
    [
        ("confidence_fliter", {}, 1, "no selection rule 'confidence_fliter': did you mean `confidence_filter`"),
        ("confidence_filter", {"treshold": 0.5}, 1, "takes the options threshold, and was given treshold"),
        ("confidence_filter", {}, 1, "takes the options threshold, and was given none"),
        ("permute", {"seed": 1}, 1, "takes the options none, and was given seed"),
        ("permute", {}, 2, r"takes 1 sources \(table\), not 2"),
    ],
)
def test_a_rule_called_wrongly_is_explained(rule: str, options: dict[str, Any], count: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        apply_rule(rule, options, 0, [table(0.2, 0.9)] * count)


def test_no_rule_changes_what_it_is_given() -> None:
    before = MANY.probs.copy(), MANY.weights.copy()
    options: dict[str, Any] = {
        "confidence_filter": {"threshold": 0.6},
        "most_confident": {"share": 0.5},
        "balance": {"prior": (0.3, 0.7)},
    }
    of_labels = [name for name, rule in selection.RULES.items() if TargetTable in rule.__annotations__.values()]
    assert len(of_labels) == 7
    for rule in of_labels:
        apply_rule(rule, options.get(rule, {}), 0, [MANY] * (2 if rule.startswith("oracle_") else 1))
    assert (MANY.probs == before[0]).all()
    assert (MANY.weights == before[1]).all()


# ---------------------------------------------------------------- solutions: stage I


def one(id: str, answer: str, source: str = "weak") -> Solution:
    return Solution(id, f"{source} says {answer}", None if answer == NONE else answer)


def side(source: str, **answers: str) -> list[Solution]:
    return [one(id, answer, source) for id, answer in answers.items()]


def samples(id: str, answers: str) -> list[Solution]:
    """One sample a letter, `-` for none without an answer."""
    return [one(id, answer, f"sample {n}") for n, answer in enumerate(answers)]


def pairs(weak: list[Solution], drawn: list[Solution], most_pairs: int = 1, seed: int = 0) -> SelectedPairs:
    return selection.contrastive_pairs(weak, drawn, keep_from=0.6, overrule_from=0.8, most_pairs=most_pairs, seed=seed)


def texts(kept: Solutions) -> list[str]:
    return [solution.text for solution in kept]


def test_agreement_keeps_equal_answers_that_are_not_empty() -> None:
    weak = side("weak", a="7", b="7", c=NONE, d="9", e=NONE)
    strong = side("icl", e="1", d="9", c=NONE, b="8", a="7")
    assert texts(selection.agreement(weak, strong, learn="weak")) == ["weak says 7", "weak says 9"]
    assert texts(selection.agreement(weak, strong, learn="strong")) == ["icl says 7", "icl says 9"]
    both = selection.agreement(weak, strong, learn="hybrid")
    assert texts(both) == ["weak says 7", "icl says 7", "weak says 9", "icl says 9"], "in turn"


def test_no_agreement_says_how_many_and_what_to_change() -> None:
    with pytest.raises(UserError, match=r"0 of 2 questions .*\(2 weak and 1 strong solutions.*more demonstrations"):
        selection.agreement(side("weak", a="1", b="2"), side("icl", a="2", b=NONE), learn="weak")


@pytest.mark.parametrize(
    "strong", [side("icl", a="1"), side("icl", a="1", c="2"), [*side("icl", a="1", b="2"), one("a", "1")]]
)
def test_agreement_needs_the_same_questions(strong: list[Solution]) -> None:
    with pytest.raises(UserError, match="same questions, each once"):
        selection.agreement(side("weak", a="1", b="2"), strong, learn="weak")


def test_the_control_of_agreement_keeps_as_many_random_questions_that_both_answer() -> None:
    weak = [one(f"q{n}", NONE if n < 5 else "7") for n in range(50)]
    strong = [one(f"q{n}", "7" if n < 25 else "8", "icl") for n in range(50)]
    drawn = selection.random_questions(weak, strong, learn="hybrid", seed=0)
    ids = list(dict.fromkeys(solution.id for solution in drawn))
    assert len(selection.agreement(weak, strong, learn="weak")) == len(ids) == 20
    assert [solution.id for solution in drawn] == [id for id in ids for _ in range(2)]
    assert ids == [solution.id for solution in weak if solution.id in ids], "in the order of the questions"
    assert not {f"q{n}" for n in range(5)} & set(ids), "without an answer there is nothing to learn"
    assert any(int(id[1:]) >= 25 for id in ids), "agreement plays no part"
    assert set(selection.random_questions(weak[::-1], strong, learn="hybrid", seed=0)) == set(drawn)
    assert selection.random_questions(weak, strong, learn="hybrid", seed=1) != drawn


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
    assert selection.majority(answers) == vote


def test_a_majority_vote_keeps_what_ends_in_the_vote() -> None:
    drawn = [*samples("a", "7787777888"), *samples("b", "7788899999"), *samples("c", "-------777")]
    voted = selection.majority_vote(drawn, keep_from=0.6)
    assert {(solution.id, solution.answer) for solution in voted} == {("a", "7")}
    assert len(voted) == 6
    with pytest.raises(UserError, match=r"no sample is left \(2 with too small a majority\): lower keep_from=0\.9"):
        selection.majority_vote([*samples("a", "78"), *samples("b", "78")], keep_from=0.9)


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


def test_what_was_cut_off_votes_but_is_no_side_of_a_pair() -> None:
    """A fit ends every side with the end token, which a model that was cut off did not write."""
    cut = [Solution("a", f"cut off {n}, 3 + 4 = 7", None, "length") for n in range(3)]
    (pair,) = pairs(side("weak", a="7"), [*samples("a", "7777777"), *cut, *samples("a", "-")]).pairs
    assert pair.rejected.text == f"sample 0 says {NONE}", "a whole sample without an answer is a worse one"
    assert pair.confidence == pytest.approx(7 / 11), "the cut ones are counted"
    weak = [Solution("a", "cut off", None, "length"), one("z", "7")]
    made = pairs(weak, [*samples("a", "7777777777"), *samples("z", "7777777778")])
    assert [pair.id for pair in made.pairs] == ["z"]
    assert made.skipped == {selection.CUT_OFF: 1}
    only_cut = [*samples("a", "7777777"), *cut, *samples("z", "7777777778")]
    assert pairs(side("weak", a="7", z="7"), only_cut).skipped == {selection.UNANIMOUS: 1}


@pytest.mark.parametrize(("weak", "drawn", "confidence"), [("5", "7777777789", 0.8), (NONE, "7777777777", 1.0)])
def test_a_confident_majority_overrules_the_weak_answer(weak: str, drawn: str, confidence: float) -> None:
    (pair,) = pairs(side("weak", a=weak), samples("a", drawn)).pairs
    assert not pair.weak_is_chosen
    assert pair.chosen.answer == "7"
    assert pair.rejected.text == f"weak says {weak}"
    assert pair.confidence == confidence


@pytest.mark.parametrize(
    ("weak", "drawn", "reason"),
    [
        ("7", "7777788888", selection.UNSURE),  # 0.5, a tie
        ("7", "7777789999", selection.UNSURE),  # 0.5
        ("7", "------7777", selection.EMPTY),  # 0.6 of no answer
        (NONE, "------7777", selection.EMPTY),
        ("7", "-----77777", selection.UNSURE),  # a tie with no answer
        ("7", "7777777777", selection.UNANIMOUS),
        ("5", "7777778899", selection.NOT_OVERRULED),  # 0.6
        ("5", "7777777899", selection.NOT_OVERRULED),  # 0.7
        ("7", "7777778888", None),  # 0.6: the thresholds are inclusive
        ("5", "7777777789", None),  # 0.8
    ],
)
def test_a_question_that_gives_no_pair_is_counted_by_reason(weak: str, drawn: str, reason: str | None) -> None:
    good = samples("z", "7777777778")
    made = pairs([one("a", weak), one("z", "7")], [*samples("a", drawn), *good])
    assert [pair.id for pair in made.pairs] == (["z"] if reason else ["a", "z"])
    assert made.skipped == ({reason: 1} if reason else {})


def test_no_pair_at_all_says_the_counts_and_what_to_change() -> None:
    weak = side("weak", a="7", b="5", c="7", d="1")
    drawn = [*samples("a", "7777777777"), *samples("b", "7777777888")]
    drawn += [*samples("c", "7788"), *samples("d", "----")]
    with pytest.raises(UserError) as caught:
        pairs(weak, drawn)
    text = str(caught.value)
    assert "no pair can be built from 4 questions" in text
    for reason in (selection.UNANIMOUS, selection.NOT_OVERRULED, selection.UNSURE, selection.EMPTY):
        assert f"1 {reason}" in text
    assert "keep_from=0.6, overrule_from=0.8" in text
    with pytest.raises(UserError, match="no samples for question b"):
        pairs(side("weak", a="7", b="7"), samples("a", "7777777778"))


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
    assert [(kept.id, kept.text) for kept in selection.majority_vote(made, keep_from=1)] == [
        ("a", "3 + 4 = 7 eggs\n#### 7"),
        ("a", "4 + 3 = 7\n#### 7"),
        ("b", "3 + 4 = 7\n#### 7"),
        ("b", "seven  it is"),
    ]


def test_the_oracle_filter_keeps_right_answers() -> None:
    gold = side("gold", a="7", b="7")
    assert [kept.id for kept in selection.oracle_gold_filter(side("weak", a="7", b="8"), gold)] == ["a"]
    with pytest.raises(UserError, match="none of 2 solutions is right"):
        selection.oracle_gold_filter(side("weak", a=NONE, b="8"), gold)
