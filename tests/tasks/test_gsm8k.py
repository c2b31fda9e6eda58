"""GSM8K from its published files, and from a folder in the hub's layout."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.composing_tasks import task
from tests.tasks.conftest import Write
from tests.tasks.gsm8k_right_wrong import SOLUTIONS, needs_gsm8k
from tests.tasks.test_hub_choice import COMMIT, folder
from w2s_lightning.digest import digest
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import SPLITS
from w2s_lightning.tasks.task import DataTask

SMALL = ("limits.supervise=null", "limits.transfer=null", "limits.validation=null", "limits.test=null")


def rows(prefix: str, count: int) -> list[Mapping[str, Any]]:
    return [
        {
            "question": f"{prefix}: what is {n} + 2?",
            "answer": f"It is {n}+2=<<{n}+2={n + 2}>>{n + 2}.\n#### {n + 2}",
        }
        for n in range(count)
    ]


def local(train: Path, test: Path, *overrides: str) -> DataTask:
    made = task("gsm8k", f"train_file={train}", f"test_file={test}", *SMALL, *overrides)
    assert isinstance(made, DataTask)
    return made


@pytest.fixture
def files(jsonl: Write) -> tuple[Path, Path]:
    return jsonl("train", rows("train", 60)), jsonl("test", rows("test", 20))


@needs_gsm8k
def test_the_published_files_are_read_whole() -> None:
    data = SOLUTIONS.parent
    splits = local(data / "train.jsonl", data / "test.jsonl", "shares.validation=0.059").splits(0)
    counts = [len(splits.of(split)) for split in SPLITS]
    assert counts[3] == 1319
    assert sum(counts[:3]) == pytest.approx(7473, abs=10)
    assert splits.notices == ()
    items = [item for split in SPLITS for item in splits.of(split)]
    assert not any("<<" in item.solution for item in items)
    assert all(item.solution.splitlines()[-1].startswith("#### ") for item in items)
    steps = [item.difficulty for item in items if item.difficulty is not None]
    assert len(steps) > 0.99 * len(items)
    assert 3 < sum(steps) / len(steps) < 4


def test_calculator_marks_go_and_count_as_steps(files: tuple[Path, Path]) -> None:
    item = local(*files).splits(0).test[0]
    number = int(item.answer) - 2
    assert item.solution == f"It is {number}+2={number + 2}.\n#### {number + 2}"
    assert item.difficulty == 1


def test_seeds_share_the_test_set_alone(files: tuple[Path, Path]) -> None:
    one, other = (local(*files).splits(seed) for seed in (0, 1))
    assert one.test == other.test
    assert {item.id for item in one.supervise} != {item.id for item in other.supervise}


def test_a_test_question_is_taken_out_of_training_whatever_its_blanks(jsonl: Write) -> None:
    leaked = {"question": "TEST:  what is 3 + 2?", "answer": "#### 5"}
    splits = local(jsonl("train", [*rows("train", 60), leaked]), jsonl("test", rows("test", 20))).splits(0)
    assert splits.notices == ("1 group of the training file (1 example) removed: also in the test file",)


def test_duplicates_are_left_out_and_counted(jsonl: Write) -> None:
    train = rows("train", 60)
    made = local(jsonl("train", [*train, train[0], train[1]]), jsonl("test", rows("test", 20)))
    assert made.splits(0).notices == ("training file: 2 duplicate questions left out",)


def test_files_enter_by_content_and_stand_in_for_the_hub(files: tuple[Path, Path], tmp_path: Path) -> None:
    moved = tmp_path / "moved.jsonl"
    moved.write_bytes(files[0].read_bytes())
    assert digest(local(*files)) == digest(local(moved, files[1], "source.path=other/repo"))
    assert digest(local(*files)) != digest(local(files[1], moved))
    assert local(*files).resolved(lambda repository, revision: pytest.fail("asked the hub")) == local(*files)


def test_the_hub_is_identified_by_its_commit() -> None:
    known = task("gsm8k").resolved(lambda repository, revision: COMMIT)
    assert known.source.identity()["commit"] == COMMIT
    assert digest(known) != digest(task("gsm8k"))
    assert digest(known) == digest(task("gsm8k", f"source.commit={COMMIT}"))


@pytest.mark.usefixtures("offline_datasets")
def test_a_folder_in_the_hubs_layout_is_read_and_its_gaps_are_counted(tmp_path: Path) -> None:
    def write(train: Sequence[Mapping[str, Any]]) -> Path:
        splits = {"train": train, "test": rows("test", 20)}
        files = {f"main/{name}-00000-of-00001.parquet": content for name, content in splits.items()}
        card = "---\nconfigs:\n- config_name: main\n  data_files:\n" + "".join(
            f"  - split: {name}\n    path: main/{name}-*\n" for name in splits
        )
        return folder(tmp_path / f"gsm8k_{len(train)}", files, card + "---\n")

    broken = {"question": "broken?", "answer": "no answer here"}
    other = {"question": "train: what is 3 + 2?", "answer": "#### 6"}
    splits = task("gsm8k", f"source.path={write([*rows('train', 60), broken, other])}", *SMALL).splits(0)
    unparsed, conflicting = splits.notices
    assert unparsed.startswith("gsm8k (train): 1 question without a gold answer that parses left out (the first is ")
    assert conflicting == "gsm8k (train): 1 question with conflicting answers left out"
    with pytest.raises(UserError, match=r"\(train\):1: the gold answer does not parse"):
        task("gsm8k", f"source.path={write([broken])}", *SMALL).splits(0)


def changed(**values: Any) -> list[Mapping[str, Any]]:
    made = rows("train", 60)
    return [*made[:3], {**made[3], **values}, *made[4:]]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (changed(answer="It is five."), r"train\.jsonl:4: the gold answer does not parse: expected .*'It is five\.'"),
        (changed(answer="so 5\n#### five"), r"train\.jsonl:4: the gold answer does not parse: .*'#### five'"),
        (changed(answer=""), r"train\.jsonl:4: column 'answer' is empty"),
        (changed(question=rows("train", 1)[0]["question"]), r"jsonl:1 and .*jsonl:4: one question has the answers"),
        ([{"question": "x", "solution": "#### 1"}], r"no column 'answer'.*task=local_reasoning"),
        (rows("test", 20), "give two different files"),
    ],
)
def test_bad_files_are_one_clear_message(jsonl: Write, train: Sequence[Mapping[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        local(jsonl("train", train), jsonl("test", rows("test", 20))).splits(0)


def test_one_file_alone_is_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match=r"task\.test_file has no file: .*; give both files, or none for the hub"):
        task("gsm8k", f"train_file={files[0]}")
    with pytest.raises(UserError, match="data file not found: /no/such"):
        task("gsm8k", "train_file=/no/such.jsonl", f"test_file={files[1]}")
