"""A person's own problems with worked solutions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.composing_tasks import task
from tests.tasks.conftest import Write
from w2s_lightning.digest import digest
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import SPLITS
from w2s_lightning.tasks.task import DataTask


def rows(prefix: str, count: int) -> list[Mapping[str, Any]]:
    return [
        {
            "question": f"{prefix} {n} + 2?",
            "solution": f"{n} + 2 = {n + 2}",
            "answer": f"{n + 2}.0 eggs",
            "topic": f"{prefix} {n // 2}",
            "level": n % 3,
        }
        for n in range(count)
    ]


def local(train: Path, test: Path, *overrides: str) -> DataTask:
    made = task("local_reasoning", f"train_file={train}", f"test_file={test}", *overrides)
    assert isinstance(made, DataTask)
    return made


@pytest.fixture
def files(jsonl: Write) -> tuple[Path, Path]:
    return jsonl("train", rows("train", 80)), jsonl("test", rows("test", 20))


def test_solutions_end_in_the_marked_answer(files: tuple[Path, Path]) -> None:
    made = local(*files, "reader.difficulty=level")
    for item in made.splits(0).test:
        number = int(item.question.split()[1])
        assert item.answer == str(number + 2)
        assert item.solution == f"{number} + 2 = {number + 2}\n#### {number + 2}"
        assert made.key.parse_strict(made.format.completion(item.solution)) == item.answer
        assert item.difficulty == number % 3


def test_groups_stay_on_one_side(files: tuple[Path, Path]) -> None:
    splits = local(*files, "reader.group=topic").splits(0)
    topics = [{item.question.split()[1] for item in splits.of(split)} for split in SPLITS[:3]]
    halves = [{int(number) // 2 for number in numbers} for numbers in topics]
    assert sum(map(len, halves)) == len(set().union(*halves)) == 40


def test_answers_may_be_mathematics(jsonl: Write) -> None:
    def problems(prefix: str, count: int) -> list[Mapping[str, Any]]:
        return [
            {"question": f"{prefix} {n}", "solution": "so", "answer": rf"$\dfrac{{{n}}}{{3}}$"} for n in range(count)
        ]

    overrides = ["reader.answers=math", "format.worked='{solution} The answer is: {answer}'"]
    made = local(jsonl("train", problems("train", 40)), jsonl("test", problems("test", 5)), *overrides)
    assert sorted(item.answer for item in made.splits(0).test) == [rf"\frac{{{n}}}{{3}}" for n in range(5)]


def test_estimates_are_there_without_training(files: tuple[Path, Path]) -> None:
    made = local(*files)
    assert made.sizes() == {"supervise": 36, "transfer": 36, "validation": 8, "test": 20}
    assert made.typical_tokens > made.typical_solution_tokens > 1


def test_identity_is_the_content_of_the_files(files: tuple[Path, Path], tmp_path: Path) -> None:
    moved = tmp_path / "other.jsonl"
    moved.write_bytes(files[0].read_bytes())
    assert digest(local(moved, files[1])) == digest(local(*files))
    assert digest(local(*files, "reader.answers=math", "format.worked='{solution} The answer is: {answer}'")) != digest(
        local(*files)
    )


def changed(**values: Any) -> list[Mapping[str, Any]]:
    made = rows("train", 80)
    return [*made[:3], {**made[3], **values}, *made[4:]]


@pytest.mark.parametrize(
    ("train", "overrides", "message"),
    [
        (changed(answer="five"), [], r"train\.jsonl:4: the gold answer 'five' does not parse: expected one number"),
        (changed(answer="5 or 6"), [], r"train\.jsonl:4: the gold answer '5 or 6' does not parse"),
        (changed(answer=None), [], r"train\.jsonl:4: column 'answer' is empty"),
        (changed(solution="#### 9"), ["format.worked='{solution}'"], r"jsonl:4: the solution ends in '9', the gold"),
        (changed(question="train 0 + 2?"), [], r"jsonl:1 and .*jsonl:4: one question has the answers '2' and '5'"),
        (
            changed(level="hard"),
            ["reader.difficulty=level"],
            r"holds .hard., expected a number",
        ),
        (
            rows("train", 80),
            ["reader.answer=anser"],
            r"no column 'anser' \(task.reader.answer\): did you mean 'answer'",
        ),
        (rows("train", 80), ["reader.answers=text"], "answers"),
        (rows("train", 80), ["train_file=null"], "train_file has no file"),
        (rows("train", 2), [], "no examples for"),
    ],
)
def test_bad_input_is_one_clear_message(jsonl: Write, train: Any, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        local(jsonl("train", train), jsonl("test", rows("test", 20)), *overrides).splits(0)
