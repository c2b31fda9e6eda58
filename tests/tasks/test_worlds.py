"""What the embedded worlds and their tasks have in common: fixed text, exact and disjoint splits, one test set."""

import hashlib
from typing import Any

import numpy as np
import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.errors import UserError
from w2s_lightning.identity import digest
from w2s_lightning.tasks.example import SPLITS

FEW = ("items.supervise=150", "items.transfer=200", "items.validation=20", "items.test=100")
TASKS = {
    "fact_pairs": (),
    "fact_claims": (),
    "arithmetic": FEW,
    "arithmetic_pairs": FEW,
    "word_problems": FEW,
}
TEXT = {  # shape of windows, sha256 of their bytes
    "fact_claims": ((50, 32, 64), "5d3c4cb30f01cc1b765f6aadfcea0ae31e821d8c9388c9a71cf59c766aae7150"),
    "arithmetic": ((2, 8, 256), "0b97b19f19830280d97b3558c1613b7dfcabb337f982f2fde8d2532e19029ecf"),
    "arithmetic_pairs": ((2, 16, 48), "f3c8cd3501deacd50d5daf7fe3a4d31d63a67903874fc1c654e2526515f42f60"),
    "word_problems": ((2, 8, 192), "f0a62fe7a9b1af5ecc70d241438a975adf67cef5a21ad2c6f29d53484df20daa"),
}


@pytest.mark.parametrize("name", TEXT)
def test_text_is_packed_pinned_and_a_pure_function(name: str) -> None:
    world, ((steps, rows, window), pinned) = task(name).world, TEXT[name]
    windows = world.windows(steps, rows, window, 0)
    assert (windows.shape, windows.dtype) == ((steps, rows, window), np.int16)
    assert hashlib.sha256(windows.tobytes()).hexdigest() == pinned
    assert (world.windows(1, steps * rows, window, 0).ravel() == windows.ravel()).all()
    assert (world.windows(steps, rows, window, 1) != windows).any()
    assert world.windows(0, rows, window, 0).shape == (0, rows, window)
    words = world.vocabulary()
    assert words[:2] == ["<pad>", "<unk>"]
    assert windows.max() < len(words) == len(set(words))


@pytest.mark.parametrize("name", TASKS)
def test_splits_are_exact_and_share_no_group_and_every_word_is_known(name: str) -> None:
    made = task(name, *TASKS[name])
    splits = made.splits(3)
    assert {split: len(splits.of(split)) for split in SPLITS} == made.sizes()
    groups = [{item.group for item in splits.of(split)} for split in SPLITS]
    assert sum(map(len, groups)) == len(set().union(*groups))
    items = [item for split in SPLITS for item in splits.of(split)]
    written = [text for item in items for text in (*item.texts, *item.completions)]
    assert {word for text in written for word in text.split()} <= set(made.world.vocabulary())


@pytest.mark.parametrize("name", TASKS)
def test_a_jobs_seed_never_changes_the_test_set_and_the_tasks_own_does(name: str) -> None:
    made = task(name, *TASKS[name])
    one, other = made.splits(0), made.splits(1)
    assert one.test == other.test
    assert {item.id for item in one.transfer} != {item.id for item in other.transfer}
    assert task(name, *TASKS[name], "seed=1").splits(0).test != one.test


def test_a_tasks_grading_does_not_change_what_is_pretrained() -> None:
    usual = task("arithmetic").world
    assert digest(task("arithmetic", "grading.steps=[1.0]").world) == digest(usual)
    assert digest(task("arithmetic", "world.number_offset=1.0").world) != digest(usual)


NO_FLAW = "{answer: 0, operation: 0, operand: 0, slip: 0, off_by_one: 0}"
REFUSED: dict[str, list[tuple[str, str]]] = {
    "fact_claims": [
        ("template='{distractor} . {claim} thus'", "no word 'thus'"),
        ("template='{distractor} so'", r"must contain \{claim\}"),
        ("template='{claim.__class__} so'", "only plain column names"),
        ("words=[wrong,rigth]", "did you mean `right`"),
        ("facts.test=400", "asks for 598 facts, the world has 288"),
        ("items.test=0", "greater than or equal to 1"),
        ("world.people=1000", "people"),
        ("world.mix.claim=0.5", "must add up to 1"),
        ("template='{claim} so'", r"70 supervise facts give \d+ different items"),
    ],
    "arithmetic": [
        ("grading.steps=[0.5,0.4]", r"grading\.steps=\[0\.5, 0\.4\]: shares must add up to 1"),
        ("grading.bounds=[1.0]", "1 shares in grading.bounds, the world has 3 bounds"),
        ("world.bounds=[10,10,30]", "must grow"),
        ("format.user='q {text} anser'", "the world has no word 'anser': did you mean `answer`"),
    ],
    "arithmetic_pairs": [
        ("world.bounds=[13,10]", "must grow"),
        ("world.bounds=[10]", r"shares in grading\.bounds"),
        (f"flaws={NO_FLAW}", "are all 0: give one of them a weight"),
        (f"world.flaws={NO_FLAW}", "are all 0: give one of them a weight"),
        ("format.chat_template=default", "has no chat template"),
        ("format.user='Q: {text}'", "the world has no word"),
    ],
    "word_problems": [
        ("world.habits.shares=[0.5,0.1,0.3]", r"habits\.shares=\[0\.5, 0\.1, 0\.3\] must add up to 1, not 0\.9"),
        ("world.habits.max_steps_worked=[4,0]", "2 numbers in max_steps_worked and 3 in shares"),
        ("world.habits.run=0.5", "greater than or equal to 1"),
        ("format.user='q {text} how many ? a'", "the world has no word 'how'"),
    ],
}


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in REFUSED.items() for case in cases])
def test_settings_that_cannot_work_are_refused(name: str, case: tuple[str, str]) -> None:
    override, message = case
    with pytest.raises(UserError, match=message):
        task(name, override).splits(0)


def test_too_few_different_problems_say_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("w2s_lightning.tasks.worlds.arithmetic._BATCHES", 1)
    easy: Any = task("arithmetic", "grading.steps=[1.0]", "grading.bounds=[1.0,0,0]", "items.test=2000")
    with pytest.raises(UserError, match=r"different problems for test, not task\.items\.test=2000: ask for fewer"):
        easy.splits(0)
