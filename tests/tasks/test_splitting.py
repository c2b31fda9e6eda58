"""Splits by group: disjoint, fixed for a seed whatever the order of a file, duplicates and leaks counted."""

from collections.abc import Sequence

import pytest

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import SPLITS, Example, Splits, choice
from w2s_lightning.tasks.source import SourceRow
from w2s_lightning.tasks.split import ExamplePool, Limits, Shares, held_out, make_pool, make_splits

SHARES = Shares(supervise=0.4, transfer=0.5, validation=0.1)
NO_LIMITS = Limits(supervise=None, transfer=None, validation=None, test=None)


def grouped(prefix: str, groups: int, members: int = 3) -> list[Example]:
    return [
        choice([f"{prefix} {g} {m}"], label=m % 2, group=f"{prefix} {g}") for g in range(groups) for m in range(members)
    ]


def split(
    train: Sequence[Example],
    test: Sequence[Example],
    seed: int = 0,
    *,
    shares: Shares = SHARES,
    limits: Limits = NO_LIMITS,
) -> Splits:
    return make_splits(
        ExamplePool(tuple(train), ()), ExamplePool(tuple(test), ()), shares=shares, limits=limits, seed=seed
    )


def test_splits_share_no_group_and_have_the_shares_asked_for() -> None:
    splits = split(grouped("a", 200), grouped("b", 50))
    groups = [{item.group for item in splits.of(split)} for split in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 250
    sizes = [len(splits.of(split)) for split in SPLITS]
    assert sizes == pytest.approx([240, 300, 60, 150], abs=3)


def test_the_order_of_the_file_does_not_matter() -> None:
    train, test = grouped("a", 30), grouped("b", 10)
    one = split(train, test, 2)
    other = split(train[::-1], test[::-1], 2)
    assert one == other


def test_a_seed_moves_the_training_side_only() -> None:
    train, test = grouped("a", 30), grouped("b", 10)
    made = [split(train, test, seed) for seed in (0, 1)]
    assert made[0].test == made[1].test
    assert made[0].supervise != made[1].supervise


def test_a_share_held_out_for_testing_is_of_whole_groups_whatever_the_order() -> None:
    pool = ExamplePool(tuple(grouped("a", 50)), ("one note",))
    rest, held = held_out(pool, 0.2)
    backwards = held_out(ExamplePool(pool.examples[::-1], ()), 0.2)[1]
    assert {item.id for item in held.examples} == {item.id for item in backwards.examples}
    assert not {item.group for item in rest.examples} & {item.group for item in held.examples}
    assert len(held.examples) == pytest.approx(0.2 * len(pool.examples), abs=2)
    assert len(rest.examples) + len(held.examples) == len(pool.examples)
    assert rest.notices + held.notices == ("one note",)


def test_limits_cut_and_the_test_subset_stays() -> None:
    limits = Limits(supervise=7, transfer=None, validation=2, test=11)
    train, test = grouped("a", 30), grouped("b", 10)
    made = [split(train, test, seed, limits=limits) for seed in (0, 1)]
    assert [len(made[0].of(split)) for split in SPLITS] == [7, len(made[0].transfer), 2, 11]
    assert made[0].test == made[1].test


def test_shares_may_leave_some_over() -> None:
    shares = Shares(supervise=0.2, transfer=0.2, validation=0.1)
    splits = split(grouped("a", 100), grouped("b", 10), shares=shares)
    assert len(splits.supervise) + len(splits.transfer) + len(splits.validation) == pytest.approx(150, abs=3)


def test_a_test_group_in_training_is_removed_counted_and_said() -> None:
    train, test = grouped("a", 30), [*grouped("b", 10), choice(["a 3 new"], label=0, group="a 3")]
    splits = split(train, test)
    assert splits.notices == ("1 group of the training file (3 examples) removed: also in the test file",)
    assert len(splits.test) == 31


def test_a_test_text_in_training_under_another_group_is_removed_with_its_group() -> None:
    train, test = grouped("a", 30), [*grouped("b", 10), choice(["a 3 0"], label=0, group="elsewhere")]
    splits = split(train, test)
    assert "1 group of the training file (3 examples) removed" in splits.notices[0]


def test_limits_on_test_do_not_change_training() -> None:
    train, test = grouped("a", 30), [*grouped("b", 10), *grouped("a", 5)]
    small = Limits(supervise=None, transfer=None, validation=None, test=6)
    whole, cut = (split(train, test, limits=limits) for limits in (NO_LIMITS, small))
    assert whole.supervise == cut.supervise


def test_the_same_file_twice_leaves_nothing_to_train_on() -> None:
    items = grouped("a", 30)
    with pytest.raises(UserError, match="give two different files"):
        split(items, items)


def test_too_few_examples_name_the_split() -> None:
    with pytest.raises(UserError, match=r"no examples for (transfer|validation)"):
        split(grouped("a", 1), grouped("b", 3))


def test_a_split_of_one_class_is_refused() -> None:
    one_class = [choice([f"b {n}"], label=1, group=str(n)) for n in range(5)]
    with pytest.raises(UserError, match="test has 5 examples, all of one class"):
        split(grouped("a", 30), one_class)


def test_shares_over_one_are_refused() -> None:
    with pytest.raises(UserError, match=r"add up to 1\.5"):
        Shares(supervise=0.5, transfer=0.5, validation=0.5)


def read(row: SourceRow) -> Example:
    return choice([row.text("text")], label=row.values["label"], group=row.text("text"))


def pooled(*rows: tuple[str, int], own: bool) -> ExamplePool:
    found = [
        SourceRow(f"train.csv:{n}", {"text": text, "label": label}, own) for n, (text, label) in enumerate(rows, 2)
    ]
    return make_pool(found, read, "imdb (train)", kind="choice", class_names=("no", "yes"))


@pytest.mark.parametrize("own", [True, False])
def test_duplicates_are_left_out_and_counted(own: bool) -> None:
    made = pooled(("a", 0), ("b", 1), ("a", 0), own=own)
    assert [item.texts for item in made.examples] == [("a",), ("b",)]
    assert made.notices == ("imdb (train): 1 duplicate example left out",)


def test_one_text_with_two_labels_is_refused_with_both_lines() -> None:
    with pytest.raises(UserError, match=r"train\.csv:2 and train\.csv:4.*'no' and 'yes'.*aaa\.\.\.") as caught:
        pooled(("a" * 100, 0), ("b", 1), ("a" * 100, 1), own=True)
    assert len(str(caught.value)) < 200


def test_published_conflicts_are_left_out_and_counted() -> None:
    made = pooled(("a", 0), ("b", 1), ("a", 1), own=False)
    assert [item.texts for item in made.examples] == [("b",)]
    assert made.notices == ("imdb (train): 1 example with conflicting labels left out",)
