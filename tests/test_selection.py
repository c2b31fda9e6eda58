"""Rules that make targets from targets."""

import numpy as np
import pytest

from w2s_lightning.errors import UserError
from w2s_lightning.selection import (
    RULES,
    TargetTable,
    apply_rule,
    confidence_filter,
    confidence_weight,
    mean,
    most_confident,
    permute,
)


def table(*probs: float, ids: str | None = None) -> TargetTable:
    """Two classes; `probs` are those of class 1."""
    names = tuple(ids or "abcdefghijklmnop"[: len(probs)])
    right = np.array(probs)
    return TargetTable(names, np.stack([1 - right, right], axis=1), np.ones(len(probs)))


def many(count: int = 1000) -> TargetTable:
    right = np.linspace(0, 1, count)
    return TargetTable(tuple(map(str, range(count))), np.stack([1 - right, right], axis=1), np.ones(count))


def test_a_filter_keeps_what_is_confident_either_way() -> None:
    kept = confidence_filter(table(0.1, 0.25, 0.3, 0.74, 0.75, 1.0), threshold=0.75)
    assert kept.ids == ("a", "b", "e", "f")
    assert kept.probs[:, 1].tolist() == [0.1, 0.25, 0.75, 1.0]


def test_a_filter_that_keeps_nothing_says_what_to_change() -> None:
    with pytest.raises(UserError, match=r"keeps 0 of 2 targets \(the most confident one has 0\.600\).*lower threshold"):
        confidence_filter(table(0.4, 0.5), threshold=0.9)


def test_weights_follow_confidence_and_keep_their_mean() -> None:
    weighted = confidence_weight(table(0.5, 1.0))
    assert weighted.weights == pytest.approx([2 / 3, 4 / 3])
    assert weighted.probs.tolist() == table(0.5, 1.0).probs.tolist()


def test_a_mean_joins_by_id() -> None:
    joined = mean(table(0.2, 0.4, ids="ab"), table(0.8, 0.0, ids="ba"))
    assert joined.ids == ("a", "b")
    assert joined.probs[:, 1] == pytest.approx([0.1, 0.6])


def test_a_mean_refuses_other_examples_and_other_classes() -> None:
    with pytest.raises(UserError, match="2 of them not in common"):
        mean(table(0.2, 0.4, ids="ab"), table(0.2, 0.4, ids="ac"))
    three = TargetTable(("a",), np.array([[0.2, 0.3, 0.5]]), np.ones(1))
    with pytest.raises(UserError, match="2 and 3"):
        mean(table(0.2), three)


def test_a_permutation_moves_targets_and_not_examples() -> None:
    before, after = many(), permute(many(), seed=0)
    assert after.ids == before.ids
    assert sorted(after.probs[:, 1]) == sorted(before.probs[:, 1])
    assert abs(np.corrcoef(before.probs[:, 1], after.probs[:, 1])[0, 1]) < 0.1
    assert permute(many(), seed=0).probs.tolist() == after.probs.tolist()
    assert permute(many(), seed=1).probs.tolist() != after.probs.tolist()


def test_rules_are_called_by_name() -> None:
    assert apply_rule("confidence_filter", {"threshold": 0.75}, 0, [table(0.5, 0.9)]).ids == ("b",)
    assert apply_rule("mean", {}, 0, [table(0.2), table(0.4)]).probs[:, 1] == pytest.approx([0.3])
    one = apply_rule("permute", {}, 5, [many()])
    assert one.probs.tolist() == permute(many(), seed=5).probs.tolist()


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ("confidence_fliter", {}, "no selection rule 'confidence_fliter': did you mean 'confidence_filter'"),
        ("confidence_filter", {"treshold": 0.5}, "no option 'treshold': did you mean 'threshold'"),
        ("confidence_filter", {}, "needs the option 'threshold'"),
        ("confidence_filter", {"threshold": 75}, "threshold=75 should be a number from 0 to 1"),
        ("confidence_filter", {"threshold": "high"}, "threshold='high' should be a number"),
        ("permute", {"seed": 1}, "no option 'seed'"),
    ],
)
def test_a_rule_called_wrongly_is_explained(rule: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        apply_rule(rule, options, 0, [table(0.2, 0.9)])


def test_a_rule_for_one_table_refuses_two() -> None:
    with pytest.raises(UserError, match=r"takes 1 sources \(table\), not 2"):
        apply_rule("permute", {}, 0, [table(0.2), table(0.3)])


def test_the_most_confident_share_is_kept_as_hard_labels() -> None:
    source = TargetTable(("a", "b", "c", "d"), np.array([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5], [0.8, 0.2]]), np.ones(4))
    kept = most_confident(source, share=0.5)
    assert kept.ids == ("b", "d")
    assert kept.probs.tolist() == [[0, 1], [1, 0]]
    assert len(most_confident(source, share=0.0).ids) == 1


def test_no_rule_changes_what_it_is_given() -> None:
    source, options = many(50), {"threshold": 0.6, "share": 0.5}
    before = source.probs.copy(), source.weights.copy()
    needed = {"confidence_filter": ["threshold"], "most_confident": ["share"]}
    of_labels = [name for name, rule in RULES.items() if TargetTable in rule.__annotations__.values()]
    assert len(of_labels) == 6
    for rule in of_labels:
        tables = [source, source] if rule.startswith("oracle_") else [source]
        apply_rule(rule, {name: options[name] for name in needed.get(rule, [])}, 0, tables)
    assert (source.probs == before[0]).all()
    assert (source.weights == before[1]).all()


def test_targets_must_be_probabilities_with_unique_ids() -> None:
    with pytest.raises(AssertionError):
        TargetTable(("a", "a"), np.full((2, 2), 0.5), np.ones(2))
    with pytest.raises(AssertionError, match="add up to 1"):
        TargetTable(("a",), np.array([[0.5, 0.6]]), np.ones(1))
