"""The task `arithmetic_pairs`: a right worked answer against one with a single mistake."""

from collections import Counter

import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import SPLITS, Example, Splits
from w2s_lightning.tasks.worlds.arithmetic import Arithmetic
from w2s_lightning.tasks.worlds.arithmetic_pairs import ArithmeticPairs
from w2s_lightning.tasks.worlds.flaws import FLAWS, Step, flawed, steps_of


def pairs_of(splits: Splits) -> list[Example]:
    return [item for split in SPLITS for item in splits.of(split)]


SMALL = (
    *("items.supervise=150", "items.transfer=200", "items.validation=20", "items.test=200"),
    *(f"{whose}.steps=[0.4,0.3,0.3]" for whose in ("grading", "world.grading")),
    "flaws={answer: 1, operation: 1, operand: 1, slip: 1, off_by_one: 1}",
)


@pytest.fixture(scope="module")
def pairs() -> ArithmeticPairs:
    made = task("arithmetic_pairs", *SMALL)
    assert isinstance(made, ArithmeticPairs)
    return made


@pytest.fixture(scope="module")
def splits(pairs: ArithmeticPairs) -> Splits:
    return pairs.splits(0)


def is_right(step: Step) -> bool:
    return step.redone(step.before).after == step.after


def test_the_chosen_answer_is_right_and_the_rejected_has_one_mistake(splits: Splits) -> None:
    for item in pairs_of(splits):
        right, wrong = steps_of(item.chosen), steps_of(item.rejected)
        assert all(map(is_right, right))
        assert right[-1].after == int(item.chosen.split()[-2]) != int(item.rejected.split()[-2])
        mistakes = [step for step in wrong if not is_right(step)]
        parted = [(one, other) for one, other in zip(right, wrong, strict=True) if one[1:3] != other[1:3]]
        match item.subset:
            case "answer":
                assert wrong == right
            case "operation":
                assert not mistakes
                assert [(one.operand, one.sign != other.sign) for one, other in parted] == [
                    (parted[0][0].operand, True)
                ]
            case "operand":
                assert not mistakes
                assert len(parted) == 1
                assert parted[0][0].sign == parted[0][1].sign
            case "slip" | "off_by_one":
                assert not parted
                (mistake,) = mistakes
                off = abs(mistake.after - mistake.redone(mistake.before).after)
                assert off == 1 if item.subset == "off_by_one" else 2 <= off <= 9


def test_a_wrong_answer_is_told_by_neither_length_nor_size(pairs: ArithmeticPairs, splits: Splits) -> None:
    for item in pairs_of(splits):
        assert len(item.chosen.split()) == len(item.rejected.split())
        largest = [max(int(word) for word in text.split() if word.isdigit()) for text in item.completions]
        bound = next(bound for bound in pairs.world.bounds if bound > largest[item.label])
        assert max(largest) < bound


def test_every_flaw_is_made_and_difficulty_is_its_place(splits: Splits) -> None:
    counts = Counter(item.subset for item in pairs_of(splits))
    assert set(counts) == set(FLAWS)
    assert min(counts.values()) > 0.4 * max(counts.values())
    assert all(item.difficulty == 1 + FLAWS.index(str(item.subset)) for item in pairs_of(splits))


def test_pairs_read_as_the_pretraining_text(pairs: ArithmeticPairs, splits: Splits) -> None:
    known = set(pairs.world.vocabulary())
    for item in splits.test:
        assert all(set(text.split()) <= known for text in item.texts)
        assert all(text.startswith("q ") and " how many ? a " in text for text in item.texts)


def test_problems_are_written_and_split_as_those_of_the_task_arithmetic(pairs: ArithmeticPairs, splits: Splits) -> None:
    same = ("name", "seed", "grading", "parts", "items", "format")
    problems = Arithmetic(world=pairs.world.problems, **{name: getattr(pairs, name) for name in same})
    assert [item.group for item in splits.test] == [item.group for item in problems.splits(0).test]
    computed = [{item.group for item in splits.of(split)} for split in SPLITS]
    assert sum(map(len, computed)) == len(set[str]().union(*computed))


def test_a_seed_never_changes_the_test_pairs(pairs: ArithmeticPairs, splits: Splits) -> None:
    other = pairs.splits(1)
    assert other.test == splits.test
    assert {item.id for item in other.transfer} != {item.id for item in splits.transfer}


def test_flaws_can_be_chosen(pairs: ArithmeticPairs) -> None:
    subtle = task("arithmetic_pairs", *SMALL, *(f"flaws.{flaw}=0" for flaw in FLAWS[:-1]))
    assert Counter(item.subset for item in pairs_of(subtle.splits(0)))["off_by_one"] > 500
    with pytest.raises(UserError, match=r"are all 0: give one of them a weight"):
        task("arithmetic_pairs", *(f"flaws.{flaw}=0" for flaw in FLAWS))
    with pytest.raises(UserError, match="has no chat template"):
        task("arithmetic_pairs", "format.chat_template=default")
    with pytest.raises(UserError, match="the world has no word"):
        task("arithmetic_pairs", "format.user='Q: {text}'")


def test_flaws_by_hand() -> None:
    solution = "7 + 2 = 9 . 9 - 5 = 4 . answer 4 ."
    assert flawed(solution, "answer", 6) == [f"7 + 2 = 9 . 9 - 5 = 4 . answer {n} ." for n in (5, 3, 2, 1, 0)]
    assert flawed(solution, "off_by_one", 10) == [
        "7 + 2 = 8 . 8 - 5 = 3 . answer 3 .",
        "7 + 2 = 9 . 9 - 5 = 5 . answer 5 .",
        "7 + 2 = 9 . 9 - 5 = 3 . answer 3 .",
    ]
    assert flawed(solution, "operation", 20) == [
        "7 - 2 = 5 . 5 - 5 = 0 . answer 0 .",
        "7 + 2 = 9 . 9 + 5 = 14 . answer 14 .",
    ]
    assert flawed("0 + 1 = 1 . answer 1 .", "operation", 10) == []
    assert "7 + 2 = 9 . 9 - 6 = 3 . answer 3 ." in flawed(solution, "operand", 10)
    assert "7 + 2 = 7 . 7 - 5 = 2 . answer 2 ." in flawed(solution, "slip", 10)
