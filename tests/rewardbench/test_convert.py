"""Published comparisons as rows: LLMBar as RewardBench's subsets, GSM8K solutions as pairs for training."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.content import DataFile
from w2s_lightning.metrics.rewardbench import SECTIONS
from w2s_lightning.rewardbench.convert import LLMBAR, main
from w2s_lightning.tasks.answers import GSM8K_KEY
from w2s_lightning.tasks.conversations import Form
from w2s_lightning.tasks.examples import SPLITS
from w2s_lightning.tasks.problems import question_group
from w2s_lightning.tasks.reward_sets import read_reward_set

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CONF = Path(__file__).resolve().parents[2] / "conf" / "task"
FORM = Form(chat_template=None, user="{text}", joint=" ", separator=" ")
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"real data is absent: {SHARED}")


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@needs_data
def test_llmbar_becomes_three_subsets_of_chat_hard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "llmbar.jsonl"
    assert main(["llmbar", str(SHARED / "llmbar"), "--out", str(out)]) == 0
    made = lines(out)
    counts = Counter(row["subset"] for row in made)
    assert counts == {"llmbar-natural": 100, "llmbar-adver-GPTInst": 92, "llmbar-adver-GPTOut": 47}
    assert all(SECTIONS["Chat Hard"][subset] == count for subset, count in counts.items())
    for stem in ("natural", "adver-GPTInst", "adver-GPTOut"):
        for row, source in zip(
            [row for row in made if row["subset"] == LLMBAR[stem]],
            json.loads((SHARED / "llmbar" / f"{stem}.json").read_text()),
            strict=True,
        ):
            assert row["prompt"] == source["input"]
            assert row["chosen"] == source[f"output_{source['label']}"]
            assert row["rejected"] == source[f"output_{3 - source['label']}"]
    rows = read_reward_set(DataFile.at(out), FORM)
    assert len(rows.pairs) == 239
    assert rows.notices == ()
    assert "239 rows in" in capsys.readouterr().out


@pytest.fixture(scope="module")
def gsm8k_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gsm8k_pairs")
    assert main(["gsm8k", str(SHARED / "gsm8k" / "example_model_solutions.jsonl"), "--out", str(folder)]) == 0
    return folder


def test_the_test_pairs_of_a_task_are_rows_in_its_own_subsets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "flaws.jsonl"
    assert main(["task", str(CONF / "arithmetic_pairs.yaml"), "--out", str(out)]) == 0
    pairs = task("arithmetic_pairs").splits(3).test
    assert [(row["prompt"], row["chosen"], row["rejected"], row["subset"]) for row in lines(out)] == [
        (pair.turns[0].text, pair.chosen, pair.rejected, pair.subset) for pair in pairs
    ]
    assert f"{len(pairs)} rows" in capsys.readouterr().out
    assert main(["task", str(CONF / "facts.yaml"), "--out", str(out)]) == 1
    assert "facts.yaml is a task of kind choice" in capsys.readouterr().err


@needs_data
def test_gsm8k_pairs_are_right_against_wrong_and_split_by_question(gsm8k_pairs: Path) -> None:
    published = lines(SHARED / "gsm8k" / "example_model_solutions.jsonl")
    gold = {row["question"]: GSM8K_KEY.parse(row["ground_truth"]) for row in published}
    train, test = (lines(gsm8k_pairs / f"{name}.jsonl") for name in ("train", "test"))
    for row in (*train, *test):
        assert GSM8K_KEY.parse(row["chosen"]) == gold[row["prompt"]] != GSM8K_KEY.parse(row["rejected"])
        assert "<<" not in row["chosen"] + row["rejected"]
        assert 1 <= row["failed"] <= 3
    questions = [{row["prompt"] for row in rows} for rows in (train, test)]
    assert questions[0].isdisjoint(questions[1])
    mixed = [
        row["question"] for row in published if len({o["is_correct"] for o in row.values() if isinstance(o, dict)}) == 2
    ]
    assert len(questions[0]) + len(questions[1]) == len(mixed)


@needs_data
def test_gsm8k_pairs_say_that_their_questions_are_for_testing(gsm8k_pairs: Path) -> None:
    made = task(
        "local_preference",
        f"train_file={gsm8k_pairs}/train.jsonl",
        f"test_file={gsm8k_pairs}/test.jsonl",
        "columns.difficulty=failed",
    )
    splits = made.splits(0)
    assert "rows are about test questions of gsm8k" in splits.notices[0]
    groups = {item.group for split in SPLITS for item in splits.of(split)}
    tested = {question_group(row["question"]) for row in lines(SHARED / "gsm8k" / "test.jsonl")}
    trained = {question_group(row["question"]) for row in lines(SHARED / "gsm8k" / "train.jsonl")}
    assert groups <= tested
    assert groups.isdisjoint(trained)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": "a", "output_1": "b", "output_2": "c", "label": 3}, "natural.json: row 1: label 3, expected 1 or 2"),
        ({"input": "a", "output_1": "b", "label": 1}, "natural.json: row 1: expected the texts input, output_1"),
        ("x", "natural.json: row 1: expected the texts"),
    ],
)
def test_files_in_another_layout_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: object, message: str
) -> None:
    (tmp_path / "natural.json").write_text(json.dumps([row]))
    assert main(["llmbar", str(tmp_path), "--out", str(tmp_path / "out.jsonl")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_what_is_no_such_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["llmbar", str(tmp_path), "--out", str(tmp_path / "o")]) == 1
    (tmp_path / "natural.json").write_text("{")
    assert main(["llmbar", str(tmp_path), "--out", str(tmp_path / "o")]) == 1
    (tmp_path / "s.jsonl").write_text(json.dumps({"question": "q", "ground_truth": "a"}) + "\n")
    assert main(["gsm8k", str(tmp_path / "s.jsonl"), "--out", str(tmp_path / "o")]) == 1
    first, second, third = capsys.readouterr().err.splitlines()
    assert "holds none of LLMBar's files" in first
    assert "natural.json is not JSON" in second
    assert "s.jsonl:1: expected columns with a solution and is_correct for each model" in third
