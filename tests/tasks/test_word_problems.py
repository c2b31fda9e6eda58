"""The world `word_problems` and its task: true sums, lines of one length, runs of one habit, prompts like its text."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import Splits
from w2s_lightning.tasks.worlds.arithmetic import GAINS, KEY
from w2s_lightning.tasks.worlds.word_problems import WordProblems, WordProblemWorld, Writers

SMALL = ("items.supervise=150", "items.transfer=200", "items.validation=20", "items.test=100")


def word_problems(*overrides: str) -> WordProblems:
    made = task("word_problems", *SMALL, *overrides)
    assert isinstance(made, WordProblems)
    return made


@pytest.fixture(scope="module")
def world() -> WordProblemWorld:
    return word_problems().world


@pytest.fixture(scope="module")
def splits() -> Splits:
    return word_problems().splits(0)


def pretraining_text(world: WordProblemWorld) -> list[str]:
    rows = np.array(world.vocabulary())[world.windows(20, 8, 192, 0).reshape(-1, 192)]
    return [one for row in rows for one in " ".join(row).split(" <eos> ")[:-1]]


def steps_of(text: str) -> int:
    return text.count(" then ")


def test_no_two_words_are_alike(world: WordProblemWorld) -> None:
    assert len(set(world.vocabulary())) == len(world.vocabulary())


def test_every_solution_is_right_and_a_line_of_it_as_long_as_one_of_the_question(world: WordProblemWorld) -> None:
    for text in world.texts(world.grading, 2000, "test"):
        question, solution = text.removesuffix(" <eos>").removeprefix("q ").split(" a ")
        said, *steps = question.removesuffix(" .").split(" . then ")
        name, _, start, item = said.split()
        *worked, answer = solution.removesuffix(" .").split(" . ")
        value = int(start)
        assert len(steps) == len(worked)
        for step, line in zip(steps, worked, strict=True):
            who, verb, number, what = step.split()
            assert (who, what) == (name, item)
            after = value + int(number) if verb in GAINS else value - int(number)
            assert line == f"{value} {'+' if verb in GAINS else '-'} {number} = {after}"
            assert len(f"then {step} .".split()) == len(f"{line} .".split()) == 6
            value = after
        assert 0 <= value < world.bounds[-1]
        assert answer == f"answer {value}"


def test_a_run_is_written_by_one_writer(world: WordProblemWorld) -> None:
    settled = replace(world, habits=Writers(max_steps_worked=(4, 0), shares=(0.5, 0.5), run=8))
    text = pretraining_text(settled)
    worked = [one.split(" a ")[1].count("=") for one in text]
    assert {count in (0, steps_of(one)) for count, one in zip(worked, text, strict=True)} == {True}
    habits = [count > 0 for count in worked]
    assert np.mean(habits) == pytest.approx(0.5, abs=0.15)
    switches = np.mean([first != second for first, second in pairwise(habits)])
    assert switches == pytest.approx(1 / 8 / 2, abs=0.03), "half of the new runs are of the other habit"


def test_a_writer_works_out_problems_up_to_its_most_steps(world: WordProblemWorld) -> None:
    settled = replace(world, habits=Writers(max_steps_worked=(2,), shares=(1.0,), run=8))
    text = pretraining_text(settled)
    assert {steps_of(one) for one in text} == {1, 2, 3, 4}
    for one in text:
        question, solution = one.split(" a ")
        steps = steps_of(one)
        assert solution.count("=") == (steps if steps <= 2 else 0)
        if steps > 2:
            start, (_, verb, number, *_) = question.split()[3], question.split(" . then ")[1].split()
            first = int(start) + (int(number) if verb in GAINS else -int(number))
            assert solution == f"answer {first} .", "it reads no further than the first step"


def test_every_row_begins_with_a_problem_as_a_prompt_does(world: WordProblemWorld) -> None:
    windows = world.windows(20, 8, 192, 0)
    assert set(windows[:, :, 0].ravel().tolist()) == {world.vocabulary().index("q")}
    ends = windows == world.vocabulary().index("<eos>")
    assert ends.sum(axis=-1).min() >= 4, "so that four demonstrations and a question are nothing new"


def test_unprompted_most_of_the_text_is_answered_at_once(world: WordProblemWorld) -> None:
    worked: dict[int, list[bool]] = {steps: [] for steps in (1, 2, 3, 4)}
    for one in pretraining_text(world):
        worked[steps_of(one)].append("=" in one)
    assert all(np.mean(own) < 0.6 for own in worked.values())
    assert all(np.mean(own) > 0.1 for own in worked.values())


def test_habits_are_checked() -> None:
    with pytest.raises(UserError, match=r"must add up to 1, not 0\.9"):
        Writers(max_steps_worked=(4, 0), shares=(0.5, 0.4), run=6)
    with pytest.raises(UserError, match="2 numbers in max_steps_worked and 1 in shares"):
        Writers(max_steps_worked=(4, 0), shares=(1.0,), run=6)


def test_difficulty_has_the_given_shares(world: WordProblemWorld) -> None:
    steps = Counter(map(steps_of, world.texts(world.grading, 3000, "test")))
    for number, share in enumerate(world.grading.steps, start=1):
        assert steps[number] / 3000 == pytest.approx(share, abs=0.03)


def test_prompts_match_the_pretraining_text(world: WordProblemWorld, splits: Splits) -> None:
    made = word_problems()
    shown = [(item.question, item.solution) for item in splits.supervise[:3]]
    asked = splits.transfer[0]
    text = made.format.prompt(made.format.asked(asked.question, shown)) + made.format.completion(asked.solution)
    assert set(text.split()) <= set(world.vocabulary())
    for part in text.split(" <eos> "):
        assert part.split()[0] == "q"
        assert part.endswith(" .")
        assert KEY.parse_strict(part.split(" a ")[1]) == part.split()[-2]


def test_problems_know_their_answer_and_difficulty_and_no_computation_is_in_two_splits(splits: Splits) -> None:
    for item in splits.test:
        assert KEY.parse(item.solution) == KEY.parse_strict(item.solution) == item.answer
        assert item.difficulty == item.solution.count("=")
    assert {item.difficulty for item in splits.test} == {1, 2, 3, 4}
    sides = [{item.group for item in splits.of(split)} for split in ("supervise", "transfer", "validation", "test")]
    assert len(set.union(*sides)) == sum(map(len, sides))


def test_estimates_are_near_the_truth(splits: Splits) -> None:
    made = word_problems()
    lengths = [len(f"q {item.question} a {item.solution}".split()) for item in splits.transfer]
    assert made.typical_tokens == pytest.approx(sum(lengths) / len(lengths), rel=0.15)
