"""Tasks of kind preference: three hub data sets in their own columns, and the embedded world."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.composing_tasks import task
from tests.tasks.test_own_files import turns
from w2s_lightning.digest import digest
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import SPLITS, Example, Splits, Turn
from w2s_lightning.tasks.worlds.arithmetic import Arithmetic
from w2s_lightning.tasks.worlds.arithmetic_pairs import ArithmeticPairs
from w2s_lightning.tasks.worlds.flaws import FLAWS, Step, flawed, steps_of

Rows = Sequence[Mapping[str, Any]]
HUB = ("anthropic_hh", "ultrafeedback_binarized", "shp")


def pairs_of(splits: Splits) -> list[Example]:
    return [item for split in SPLITS for item in splits.of(split)]


# ---------------------------------------------------------------- the hub's columns


def transcript(prefix: str, n: int, end: str) -> str:
    return f"\n\nHuman: {prefix} {n}?\n\nAssistant: what {n}?\n\nHuman: this\n\nAssistant: {end} {n}"


def hh(prefix: str, count: int) -> list[dict[str, Any]]:
    return [{"chosen": transcript(prefix, n, "good"), "rejected": transcript(prefix, n, "bad")} for n in range(count)]


def ultrafeedback(prefix: str, count: int) -> list[dict[str, Any]]:
    asked = [{"prompt": f"{prefix} {n}?", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(count)]
    return [
        {
            "prompt": row["prompt"],
            "prompt_id": "x",
            "chosen": turns(row, "chosen"),
            "rejected": turns(row, "rejected"),
            "messages": turns(row, "chosen"),
            "score_chosen": 8.0,
            "score_rejected": 8.0 - n % 4,
        }
        for n, row in enumerate(asked)
    ]


def shp(prefix: str, count: int) -> list[dict[str, Any]]:
    return [
        {
            "post_id": "x",
            "domain": "askbaking_train",
            "history": f"{prefix} {n // 2}?",
            "human_ref_A": f"{'good' if n % 2 else 'bad'} {n}",
            "human_ref_B": f"{'bad' if n % 2 else 'good'} {n}",
            "labels": n % 2,
            "score_ratio": 2.0 + n,
        }
        for n in range(count)
    ]


def hub(place: Path, name: str, train: Rows, test: Rows, *overrides: str) -> Any:
    """The task on a folder in the data set's layout and columns."""
    place.mkdir(parents=True, exist_ok=True)
    ends = ("train_prefs", "test_prefs") if name == "ultrafeedback_binarized" else ("train", "test")
    card = "".join(f"  - split: {end}\n    path: {end}.jsonl\n" for end in ends)
    (place / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{card}---\n")
    for end, rows in zip(ends, (train, test), strict=True):
        (place / f"{end}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return task(name, f"source.path={place}", *overrides)


MAKE = {"anthropic_hh": hh, "ultrafeedback_binarized": ultrafeedback, "shp": shp}


@pytest.mark.parametrize("name", HUB)
@pytest.mark.usefixtures("offline_datasets")
def test_hub_columns_become_pairs_with_the_better_answer_chosen(tmp_path: Path, name: str) -> None:
    splits = hub(tmp_path / name, name, MAKE[name]("a", 80), MAKE[name]("b", 20)).splits(0)
    found = pairs_of(splits)
    assert len(splits.test) == (15 if name == "ultrafeedback_binarized" else 20)
    assert all(item.chosen.startswith("good ") and item.rejected.startswith("bad ") for item in found)
    assert 10 < sum(item.label for item in found) < len(found) - 10


@pytest.mark.usefixtures("offline_datasets")
def test_transcripts_become_turns_and_those_that_part_early_are_counted(tmp_path: Path) -> None:
    odd = [
        {"chosen": transcript("x", 1, "good"), "rejected": transcript("y", 1, "bad")},
        {"chosen": "\n\nHuman: hi\n\nHuman: there\n\nAssistant: good", "rejected": "\n\nHuman: hi\n\nAssistant: bad"},
        {"chosen": "good", "rejected": "bad"},
        {"chosen": transcript("x", 2, "good") + "\n\nHuman: bye", "rejected": transcript("x", 2, "bad")},
        {"chosen": transcript("x", 3, "same"), "rejected": transcript("x", 3, "same")},
    ]
    splits = hub(tmp_path / "hh", "anthropic_hh", [*hh("a", 80), *odd], hh("b", 20)).splits(0)
    first = pairs_of(splits)[0]
    assert [turn.role for turn in first.turns] == ["user", "assistant", "user"]
    assert first.turns[2] == Turn("user", "this")
    others, same = splits.notices
    assert same.startswith("anthropic_hh (train): 1 pair whose two answers are the same left out")
    assert others.startswith("anthropic_hh (train): 4 pairs without a comparison left out (the first is ")
    assert "the two transcripts part before their last answer" in others


@pytest.mark.usefixtures("offline_datasets")
def test_scores_become_margins_and_equal_scores_are_counted(tmp_path: Path) -> None:
    splits = hub(tmp_path / "uf", "ultrafeedback_binarized", ultrafeedback("a", 80), ultrafeedback("b", 20)).splits(0)
    assert {(item.margin, item.difficulty) for item in pairs_of(splits)} == {(1.0, -1.0), (2.0, -2.0), (3.0, -3.0)}
    assert [notice.split(" left")[0] for notice in splits.notices] == [
        "ultrafeedback_binarized (train_prefs): 20 pairs without a comparison",
        "ultrafeedback_binarized (test_prefs): 5 pairs without a comparison",
    ]


@pytest.mark.usefixtures("offline_datasets")
def test_votes_become_margins_and_posts_are_groups(tmp_path: Path) -> None:
    splits = hub(tmp_path / "shp", "shp", shp("a", 80), shp("b", 20)).splits(0)
    assert {item.subset for item in pairs_of(splits)} == {"askbaking"}
    assert len({item.group for item in splits.test}) == 10
    margins = sorted(item.margin or 0 for item in pairs_of(splits) if item in splits.test)
    assert margins[0] == pytest.approx(0.6931, abs=1e-4)
    assert all(item.difficulty == -(item.margin or 0) for item in pairs_of(splits))


def test_hub_tasks_are_identified_by_their_commit_and_need_no_download() -> None:
    for name in HUB:
        made = task(name)
        assert made.sizes()["supervise"] == 15000
        assert digest(made.resolved(lambda repository, revision: "0" * 40)) != digest(made)
        with pytest.raises(UserError, match=r"commit of data set .* is not known"):
            made.splits(0)


# ---------------------------------------------------------------- the embedded world

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
