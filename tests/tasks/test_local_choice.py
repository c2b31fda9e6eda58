"""`task=local_choice`: a person's own files, from good rows to every kind of bad one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.tasks.composing_tasks import task
from tests.tasks.conftest import Write
from tests.tasks.gsm8k_right_wrong import needs_gsm8k, write_right_wrong
from w2s_lightning.digest import digest
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import SPLITS
from w2s_lightning.tasks.task import DataTask

PINNED = ["c924b0a05e223691", "1a3fd9a604acd42a", "c62f9e62620a8484", "66adf7b87cf63e3e"]


def rows(prefix: str, count: int) -> list[dict[str, Any]]:
    return [{"text": f"{prefix} {n}", "label": ("bad", "good")[n % 2], "topic": n // 4} for n in range(count)]


def local(train: Path, test: Path, *overrides: str) -> DataTask:
    made = task("local_choice", f"train_file={train}", f"test_file={test}", *overrides)
    assert isinstance(made, DataTask)
    return made


@pytest.fixture
def files(jsonl: Write) -> tuple[Path, Path]:
    return jsonl("train", rows("a", 80)), jsonl("test", rows("b", 40))


def test_classes_are_the_sorted_labels_of_the_training_file(files: tuple[Path, Path]) -> None:
    made = local(*files)
    assert made.class_names == made.words == ("bad", "good")
    assert made.num_classes == 2
    assert made.layout == "text"
    labels = {item.texts[0]: item.label for item in made.splits(0).test}
    assert labels["b 0"] == 0
    assert labels["b 1"] == 1


def test_numbers_and_booleans_are_classes_whatever_the_format(jsonl: Write, tmp_path: Path) -> None:
    train = jsonl("train", [{"text": f"a {n}", "label": n % 12} for n in range(240)])
    test = tmp_path / "test.csv"
    test.write_text("text,label\n" + "".join(f"b {n},{n % 12}\n" for n in range(48)))
    made = local(train, test)
    assert made.class_names == tuple(map(str, range(12)))
    parquet = tmp_path / "test.parquet"
    pq.write_table(pa.table({"text": [f"b {n}" for n in range(48)], "label": [n % 12 for n in range(48)]}), parquet)
    assert local(train, parquet).splits(0) == made.splits(0)
    flags = jsonl("flags", [{"text": f"a {n}", "label": n % 2 == 0} for n in range(40)])
    other = jsonl("other", [{"text": f"b {n}", "label": n % 2 == 0} for n in range(40)])
    assert local(flags, other).class_names == ("false", "true")


def test_groups_stay_on_one_side(files: tuple[Path, Path]) -> None:
    splits = local(*files, "reader.group=topic").splits(0)
    assert len({item.group for split in ("supervise", "transfer", "validation") for item in splits.of(split)}) == 10
    assert splits.notices == ("10 groups of the training file (40 examples) removed: also in the test file",)


def test_a_template_may_use_other_columns(files: tuple[Path, Path]) -> None:
    made = local(*files, "reader.template='{topic}: {text}'")
    assert "1: b 5" in {item.texts[0] for item in made.splits(0).test}


def test_difficulty_comes_from_its_column(files: tuple[Path, Path]) -> None:
    made = local(*files, "reader.difficulty=topic")
    assert {item.texts[0]: item.difficulty for item in made.splits(0).test}["b 39"] == 9.0


def test_words_can_be_given(files: tuple[Path, Path]) -> None:
    made = local(*files, "words=[awful,great]")
    assert made.words == ("awful", "great")
    assert made.class_names == ("bad", "good")


def test_the_place_of_a_file_is_no_identity_and_its_content_is(files: tuple[Path, Path], tmp_path: Path) -> None:
    train, test = files
    (tmp_path / "moved").mkdir()
    moved = tmp_path / "moved" / "other.jsonl"
    moved.write_bytes(train.read_bytes())
    assert digest(local(moved, test)) == digest(local(train, test))
    moved.write_bytes(train.read_bytes().replace(b"a 0", b"a x"))
    assert digest(local(moved, test)) != digest(local(train, test))


def test_estimates_are_there_without_training(files: tuple[Path, Path]) -> None:
    made = local(*files)
    assert made.sizes() == {"supervise": 32, "transfer": 40, "validation": 8, "test": 40}
    assert made.typical_tokens in (1, 2)


def test_examples_are_pinned(files: tuple[Path, Path]) -> None:
    splits = local(*files).splits(0)
    assert [splits.of(split)[0].id for split in SPLITS] == PINNED


def changed(row: int, **values: Any) -> list[Mapping[str, Any]]:
    made = rows("a", 80)
    return [*made[:row], {**made[row], **values}, *made[row + 1 :]]


@pytest.mark.parametrize(
    ("train", "overrides", "message"),
    [
        (rows("a", 80), ["reader.label=lable"], r"has no column 'lable' \(task.reader.label\): did you mean 'label'"),
        (rows("a", 80), ["reader.text=prompt"], "has no column 'prompt'"),
        (rows("a", 80), ["reader.group=topics"], "did you mean 'topic'"),
        (rows("a", 80), ["reader.template='{txt}'"], "did you mean 'text'"),
        (rows("a", 80), ["reader.template='{text.upper}'"], "only plain column names"),
        (rows("a", 80), ["reader.label=text"], "80 different labels in 80 rows"),
        (rows("a", 80), ["words=[one]"], "1 words for 2 classes"),
        (rows("a", 80), ["reader.difficulty=label"], r"train\.jsonl:1: column 'label' holds 'bad', expected a number"),
        (changed(3, text=""), [], r"train\.jsonl:4: column 'text' is empty"),
        (changed(3, text=["a"]), [], r"train\.jsonl:4: column 'text' holds list"),
        (changed(3, label=None), [], r"train\.jsonl:4: column 'label' is empty"),
        (changed(3, label=0.5), [], r"train\.jsonl:4: label 0\.5"),
        (changed(3, text="a 0"), [], r"train\.jsonl:1 and .*train\.jsonl:4: one text has the labels 'bad' and 'good'"),
        ([{"text": f"a {n}", "label": 1} for n in range(9)], [], "one class only, '1'"),
        (rows("a", 2), [], "no examples for|all of one class"),
        ([{"text": f"a {n}", "label": n % 2} for n in range(80)], [], r"test\.jsonl:1: label 'bad'.* none of 0, 1"),
        (rows("b", 40), [], "give two different files"),
        (rows("a", 80), ["shares.supervise=0.6"], r"add up to 1\.2"),
        (rows("a", 80), ["limits.test=0"], "greater than or equal to 1"),
        (rows("a", 80), ["train_file=null"], "train_file has no file: type task.train_file="),
        (rows("a", 80), ["train_file=/no/such.jsonl"], "data file not found: /no/such.jsonl"),
    ],
)
def test_bad_input_is_one_clear_message(jsonl: Write, train: Any, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        local(jsonl("train", train), jsonl("test", rows("b", 40)), *overrides).splits(0)
    assert str(caught.value).count("\n") <= 1


@pytest.fixture(scope="module")
def solutions(tmp_path_factory: pytest.TempPathFactory) -> DataTask:
    """GSM8K's published model solutions, judged right or wrong, split by question."""
    train, test = write_right_wrong(tmp_path_factory.mktemp("gsm8k"))
    return local(train, test, "reader.group=question", "reader.difficulty=failed", "words=[right,wrong]")


@needs_gsm8k
def test_every_real_solution_is_used_or_counted(solutions: DataTask) -> None:
    splits = solutions.splits(0)
    used = sum(len(splits.of(split)) for split in SPLITS)
    counted = sum(int(notice.split(": ")[1].split()[0]) for notice in splits.notices)
    assert used + counted == 1319 * 4
    assert solutions.class_names == ("right", "wrong")


@needs_gsm8k
def test_a_real_question_stays_on_one_side(solutions: DataTask) -> None:
    splits = solutions.splits(0)
    questions = [{item.texts[0].split("\n")[0] for item in splits.of(split)} for split in SPLITS]
    assert sum(map(len, questions)) == len(set().union(*questions)) == 1319


@needs_gsm8k
def test_seeds_share_the_real_test_set(solutions: DataTask) -> None:
    assert solutions.splits(0).test == solutions.splits(1).test
    assert solutions.splits(0).supervise != solutions.splits(1).supervise


@needs_gsm8k
def test_harder_real_questions_have_more_wrong_solutions(solutions: DataTask) -> None:
    for failed in range(5):
        labels = [item.label for item in solutions.splits(0).transfer if item.difficulty == failed]
        assert sum(labels) / len(labels) == pytest.approx(failed / 4, abs=0.1)
