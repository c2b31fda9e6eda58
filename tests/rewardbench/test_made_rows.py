"""The lines of docs/rewardbench.md that make rows from published data are run as they stand there."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.content import DataFile
from w2s_lightning.metrics.sections import SECTIONS
from w2s_lightning.tasks.example import SPLITS, question_group
from w2s_lightning.tasks.final_answer import GSM8K_KEY
from w2s_lightning.tasks.format import Format
from w2s_lightning.tasks.reward_sets import read_reward_set

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared" / "data"
PAGE = REPOSITORY / "docs" / "rewardbench.md"
STEMS = ("natural", "adver-GPTInst", "adver-GPTOut")
FORM = Format(chat_template=None, user="{text}", joint="", separator="")
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason=f"real data is absent: {SHARED}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the page's lines write, run beside the shared data as a person runs them."""
    place = tmp_path_factory.mktemp("page")
    (place / "shared").symlink_to(SHARED.parent)
    (place / "repository").mkdir()
    blocks = re.findall(
        r"```python\n(.*?)```", PAGE.read_text().split("## Real rows at hand")[1].split("\n## ")[0], re.S
    )
    assert len(blocks) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place / "repository")
        exec(compile("\n".join(blocks), str(PAGE), "exec"), {})
    return place / "repository" / "data"


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@needs_data
def test_llmbar_becomes_three_subsets_of_chat_hard(made: Path) -> None:
    rows = lines(made / "llmbar.jsonl")
    counts = Counter(row["subset"] for row in rows)
    assert counts == {f"llmbar-{stem}": SECTIONS["Chat Hard"][f"llmbar-{stem}"] for stem in STEMS}
    sources = [row for stem in STEMS for row in json.loads((SHARED / "llmbar" / f"{stem}.json").read_text())]
    for row, source in zip(rows, sources, strict=True):
        better, worse = (source[f"output_{label}"] for label in (source["label"], 3 - source["label"]))
        assert (row["prompt"], row["chosen"], row["rejected"]) == (source["input"], better, worse)
    read = read_reward_set(DataFile.at(made / "llmbar.jsonl"), FORM)
    assert (len(read.pairs), read.notices) == (239, ())


@needs_data
def test_gsm8k_pairs_are_right_against_wrong_and_split_by_question(made: Path) -> None:
    published = lines(SHARED / "gsm8k" / "example_model_solutions.jsonl")
    gold = {row["question"]: GSM8K_KEY.parse(row["ground_truth"]) for row in published}
    train, test = (lines(made / f"gsm8k_{name}.jsonl") for name in ("train", "test"))
    for row in (*train, *test):
        assert GSM8K_KEY.parse(row["chosen"]) == gold[row["prompt"]] != GSM8K_KEY.parse(row["rejected"])
        assert "<<" not in row["chosen"] + row["rejected"]
        assert 1 <= row["failed"] <= 3
    trained, tested = ({row["prompt"] for row in rows} for rows in (train, test))
    mixed = {
        row["question"] for row in published if len({o["is_correct"] for o in row.values() if isinstance(o, dict)}) == 2
    }
    assert trained.isdisjoint(tested)
    assert trained | tested == mixed


@needs_data
def test_gsm8k_pairs_say_that_their_questions_are_for_testing(made: Path) -> None:
    files = (f"train_file={made}/gsm8k_train.jsonl", f"test_file={made}/gsm8k_test.jsonl")
    splits = task("local_preference", *files, "reader.difficulty=failed").splits(0)
    assert "rows are about test questions of gsm8k" in splits.notices[0]
    groups = {item.group for split in SPLITS for item in splits.of(split)}
    tested = {question_group(row["question"]) for row in lines(SHARED / "gsm8k" / "test.jsonl")}
    trained = {question_group(row["question"]) for row in lines(SHARED / "gsm8k" / "train.jsonl")}
    assert groups <= tested
    assert groups.isdisjoint(trained)
