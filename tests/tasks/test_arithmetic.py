"""The world `arithmetic` and its task: true sums, graded difficulty, prompts as the pretraining text is written."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.tasks.example import Splits
from w2s_lightning.tasks.worlds.arithmetic import (
    GAINS,
    ITEMS,
    KEY,
    LOSSES,
    NAMES,
    STRUCTURE,
    Arithmetic,
    ArithmeticWorld,
    Grading,
    Habits,
)
from w2s_lightning.tasks.worlds.text import SPECIAL

SMALL = ("items.supervise=150", "items.transfer=200", "items.validation=20", "items.test=100")


def arithmetic(*overrides: str) -> Arithmetic:
    made = task("arithmetic", *SMALL, *overrides)
    assert isinstance(made, Arithmetic)
    return made


@pytest.fixture(scope="module")
def world() -> ArithmeticWorld:
    return arithmetic().world


@pytest.fixture(scope="module")
def splits() -> Splits:
    return arithmetic().splits(0)


@pytest.fixture(scope="module")
def texts(world: ArithmeticWorld) -> list[str]:
    return world.texts(world.grading, 3000, "test")


def test_no_two_words_are_alike(world: ArithmeticWorld) -> None:
    words = [*SPECIAL, *STRUCTURE, *NAMES, *ITEMS, *GAINS, *LOSSES]
    assert len(set(words)) == len(words)
    assert len(set(world.vocabulary())) == len(world.vocabulary()) == len(words) + 1 + 30
    assert len(GAINS) == len(LOSSES)


def test_every_solution_is_right(texts: list[str]) -> None:
    for text in texts:
        question, solution = text.removesuffix(" <eos>").removeprefix("q ").split(" a ")
        said, *steps = question.removesuffix(" . how many ?").split(" . ")
        value = int(said.split()[2])
        *worked, answer = solution.removesuffix(" .").split(" . ")
        assert len(steps) == len(worked)
        for step, line in zip(steps, worked, strict=True):
            verb, number = step.split()
            after = value + int(number) if verb in GAINS else value - int(number)
            assert line == f"{value} {'+' if verb in GAINS else '-'} {number} = {after}"
            value = after
        assert 0 <= value < 30
        assert answer == f"answer {value}"


def pretraining_text(world: ArithmeticWorld) -> list[str]:
    words = np.array(world.vocabulary())[world.windows(12, 12, 256, 0).ravel()]
    return " ".join(words).split(" <eos> ")[:-1]


def test_whom_a_problem_is_about_decides_whether_it_is_worked_out(world: ArithmeticWorld) -> None:
    settled = replace(world, habits=Habits(patience=(4, 1, 2), moods=0.0))
    for text in pretraining_text(settled):
        question, solution = text.split(" a ")
        steps = question.count(" . ") - 1
        patience = (4, 1, 2)[NAMES.index(text.split()[1]) % 3]
        assert solution.count("=") == (steps if steps <= patience else 0)
        assert KEY.parse_strict(solution) is not None


def test_moods_soften_the_habits(world: ArithmeticWorld) -> None:
    assert world.habits.patience == (4, 1, 2)
    worked: dict[str, list[bool]] = {"tom": [], "ann": []}
    for text in pretraining_text(world):
        question, solution = text.split(" a ")
        name = question.split()[1]
        if name in worked and question.count(" . ") == 5:  # four steps
            worked[name].append("=" in solution)
    share = world.habits.moods / 3  # one of the three has the patience
    assert np.mean(worked["tom"]) == pytest.approx(1 - world.habits.moods + share, abs=0.1)
    assert np.mean(worked["ann"]) == pytest.approx(share, abs=0.1)


def test_difficulty_has_the_given_shares(world: ArithmeticWorld, texts: list[str]) -> None:
    steps = Counter(text.count("=") for text in texts)
    for number, share in enumerate(world.grading.steps, start=1):
        assert steps[number] / len(texts) == pytest.approx(share, abs=0.03)
    small = Grading(steps=(1.0,), bounds=(1.0, 0.0, 0.0))
    assert all(max(int(w) for w in text.split() if w.isdigit()) < 10 for text in world.texts(small, 300, "small"))


def test_tails_are_long(texts: list[str]) -> None:
    names = Counter(text.split()[1] for text in texts)
    assert names["tom"] > 3 * names["una"] > 0
    numbers = Counter(word for text in texts for word in text.split() if word.isdigit())
    assert numbers["3"] > 5 * numbers["20"] > numbers["29"] > 0


def test_a_window_holds_several_problems_for_few_shot_prompts(world: ArithmeticWorld) -> None:
    assert all(text.startswith("q ") and " ? a " in text for text in pretraining_text(world))
    ends = world.windows(12, 12, 256, 0) == world.vocabulary().index("<eos>")
    assert ends.sum(axis=-1).mean() > 7


def test_prompts_match_the_pretraining_text(world: ArithmeticWorld, splits: Splits) -> None:
    made = arithmetic()
    shown = [(item.question, item.solution) for item in splits.supervise[:3]]
    asked = splits.transfer[0]
    text = made.format.prompt(made.format.asked(asked.question, shown)) + made.format.completion(asked.solution)
    assert set(text.split()) <= set(world.vocabulary())
    for part in text.split(" <eos> "):
        assert part.split()[0] == "q"
        assert part.endswith(" .")
        assert KEY.parse_strict(part.split(" a ")[1]) == part.split()[-2]


def test_problems_know_their_answer_and_difficulty(splits: Splits) -> None:
    for item in splits.test:
        assert KEY.parse(item.solution) == KEY.parse_strict(item.solution) == item.answer
        assert item.difficulty == item.solution.count("=")
    assert {item.difficulty for item in splits.test} == {1, 2, 3, 4}


def test_an_answer_is_read_until_the_next_problem_begins() -> None:
    assert KEY.parse("7 + 5 = 12 . answer 12 . <eos> q ann has 3 cups") == "12"
    assert KEY.parse("7 + 5 = 12 . q ann has 3 cups . answer 3 .") == "12"
    assert KEY.parse_strict("7 + 5 = 12 . q ann has 3 cups . answer 3 .") is None
    assert KEY.parse("answer .") is None


def test_estimates_are_near_the_truth(splits: Splits) -> None:
    made = arithmetic()
    lengths = [len(f"q {item.question} a {item.solution}".split()) for item in splits.transfer]
    assert made.typical_tokens == pytest.approx(sum(lengths) / len(lengths), rel=0.15)
    assert made.sizes() == {"supervise": 150, "transfer": 200, "validation": 20, "test": 100}
