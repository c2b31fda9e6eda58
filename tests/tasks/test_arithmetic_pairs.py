"""The world `judged_arithmetic` and the task `arithmetic_pairs`: true verdicts, and wrong solutions of one mistake."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.tasks.example import SPLITS, Example, Splits
from w2s_lightning.tasks.worlds.arithmetic import GAINS, Arithmetic, ArithmeticWorld, Grading, Habits
from w2s_lightning.tasks.worlds.arithmetic_pairs import (
    FLAWS,
    RIGHT,
    WRONG,
    ArithmeticPairs,
    FlawWeights,
    JudgedArithmetic,
    mistakes,
    parsed,
    spoiled,
    told,
)

EVEN = FlawWeights(answer=1, operation=1, operand=1, slip=1, off_by_one=1)
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


@pytest.fixture(scope="module")
def world(pairs: ArithmeticPairs) -> JudgedArithmetic:
    """Problems of up to three steps, with every flaw."""
    steps = Grading(steps=(0.5, 0.3, 0.2), bounds=pairs.world.grading.bounds)
    return replace(pairs.world, grading=steps, flaws=EVEN, judged=0.8, bare=0.0)


@pytest.fixture(scope="module")
def texts(world: JudgedArithmetic) -> list["Text"]:
    return texts_of(world)


@dataclass(frozen=True)
class Text:
    """A text of the world taken apart; `question` is None where it stands without one."""

    question: str | None
    solution: str
    verdict: str | None


def texts_of(world: JudgedArithmetic) -> list[Text]:
    words, found = np.array(world.vocabulary())[world.windows(30, 16, 256, 0).ravel()], []
    for text in " ".join(words).split(" <eos> ")[:-1]:
        question, _, solution = f" {text}".partition(" a ")
        verdict = next((word for word in (RIGHT, WRONG) if solution.endswith(f" {word}")), None)
        found.append(Text(question.strip() or None, solution.removesuffix(f" {verdict}"), verdict))
    return found


def sums(solution: str) -> tuple[list[tuple[int, str, int, int]], int]:
    """Each step as (before, sign, operand, after), and the answer."""
    *lines, answer = solution.removesuffix(" .").split(" . ")
    words = [line.split() for line in lines]
    steps = [(int(before), sign, int(operand), int(after)) for before, sign, operand, _, after in words]
    return steps, int(answer.split()[1])


def error(before: int, sign: str, operand: int, after: int) -> int:
    return after - before - (operand if sign == "+" else -operand)


def right_solution(question: str) -> str:
    said, *asked = question.removesuffix(" . how many ?").split(" . ")
    value, lines = int(said.split()[3]), []
    for verb, number in (one.split() for one in asked):
        after = value + int(number) if verb in GAINS else value - int(number)
        lines.append(f"{value} {'+' if verb in GAINS else '-'} {number} = {after} . ")
        value = after
    return f"{''.join(lines)}answer {value} ."


def flaw_of(right: str, wrong: str, bounds: tuple[int, ...]) -> str:
    """The one mistake that makes `wrong` of `right`; all else is worked on from it, and no number leaves its bound."""
    numbers = [[int(word) for word in text.split() if word.isdigit()] for text in (right, wrong)]
    bound = next(bound for bound in bounds if bound > max(numbers[0]))
    assert max(numbers[1]) < bound
    assert len(right.split()) == len(wrong.split())
    (steps, answer), (other_steps, other_answer) = sums(right), sums(wrong)
    assert answer != other_answer
    assert not any(error(*step) for step in steps)
    assert [step[0] for step in other_steps] == [steps[0][0], *(step[3] for step in other_steps[:-1])]
    errors = [abs(error(*step)) for step in other_steps if error(*step)]
    parted = [(one[1:3], other[1:3]) for one, other in zip(steps, other_steps, strict=True) if one[1:3] != other[1:3]]
    if other_steps == steps:
        return "answer"
    assert other_answer == other_steps[-1][3]
    if errors:
        assert not parted
        (size,) = errors
        assert size <= 9
        return "off_by_one" if size == 1 else "slip"
    ((own, other),) = parted
    assert (own[0] == other[0]) != (own[1] == other[1])
    return "operand" if own[0] == other[0] else "operation"


# ---------------------------------------------------------------- the world


def test_verdicts_are_true_and_wrong_solutions_have_one_flaw(world: JudgedArithmetic, texts: list[Text]) -> None:
    found = Counter[str]()
    for text in texts:
        right = right_solution(str(text.question))
        if text.verdict == WRONG:
            found[flaw_of(right, text.solution, world.bounds)] += 1
        else:
            assert text.solution == right
    assert set(found) == set(FLAWS)
    assert min(found.values()) > 0.25 * max(found.values())  # small sums cannot all be turned round


def test_shares_are_those_asked_for(world: JudgedArithmetic, texts: list[Text]) -> None:
    verdicts = Counter(text.verdict for text in texts)
    assert 1 - verdicts[None] / len(texts) == pytest.approx(world.judged, abs=0.02)
    assert verdicts[WRONG] / (verdicts[WRONG] + verdicts[RIGHT]) == pytest.approx(world.flawed, abs=0.02)


def test_a_flaw_of_weight_zero_is_never_made(world: JudgedArithmetic) -> None:
    subtle = replace(world, flaws=FlawWeights(answer=0, operation=0, operand=0, slip=1, off_by_one=0))
    found = [text for text in texts_of(subtle) if text.verdict == WRONG]
    kinds = Counter(flaw_of(right_solution(str(text.question)), text.solution, subtle.bounds) for text in found)
    assert kinds["slip"] > 0.9 * len(found), kinds  # else there was no room for it
    assert set(kinds) <= {"slip", "answer"}


def test_what_stands_alone_can_be_judged_alone(world: JudgedArithmetic) -> None:
    alone = [text for text in texts_of(replace(world, judged=1.0, bare=1.0)) if text.question is None]
    assert len(alone) > 1000
    for text in alone:
        steps, answer = sums(text.solution)
        assert (text.verdict == RIGHT) == (not any(error(*step) for step in steps) and answer == steps[-1][3])


# ---------------------------------------------------------------- the task


def pairs_of(splits: Splits) -> list[Example]:
    return [item for split in SPLITS for item in splits.of(split)]


def test_a_rejected_answer_has_the_one_mistake_that_its_pair_names(pairs: ArithmeticPairs, splits: Splits) -> None:
    for item in pairs_of(splits):
        assert item.subset == flaw_of(item.chosen, item.rejected, pairs.world.bounds)
        assert item.difficulty == 1 + FLAWS.index(item.subset)
    counts = Counter(item.subset for item in pairs_of(splits))
    assert set(counts) == set(FLAWS)
    assert min(counts.values()) > 0.4 * max(counts.values())


def test_pairs_read_as_the_pretraining_text_up_to_its_verdict(pairs: ArithmeticPairs, splits: Splits) -> None:
    assert set(pairs.words) <= set(pairs.world.vocabulary())
    for text in (text for item in splits.test for text in item.texts):
        assert text.startswith("q ")
        assert " how many ? a " in text
        assert text.endswith(" .")  # after which a verdict follows
    judged = [text for text in texts_of(pairs.world) if text.question is not None and text.verdict is not None]
    assert {text.solution.split()[-1] for text in judged} == {"."}


def test_problems_are_written_and_split_as_those_of_the_task_arithmetic(pairs: ArithmeticPairs, splits: Splits) -> None:
    same = ("name", "bounds", "word_offset", "number_offset", "grading")
    habits = Habits(patience=(6,), moods=0.0)
    world = ArithmeticWorld(habits=habits, **{name: getattr(pairs.world, name) for name in same})
    same = ("name", "seed", "grading", "parts", "items", "format")
    problems = Arithmetic(world=world, **{name: getattr(pairs, name) for name in same})
    assert [item.group for item in splits.test] == [item.group for item in problems.splits(0).test]


def test_flaws_can_be_chosen() -> None:
    subtle = task("arithmetic_pairs", *SMALL, *(f"flaws.{flaw}=0" for flaw in FLAWS[:-1]))
    assert Counter(item.subset for item in pairs_of(subtle.splits(0)))["off_by_one"] > 500


@pytest.mark.parametrize(
    ("solution", "flaw", "bounds", "answers"),
    [
        ("3 + 2 = 5 . answer 5 .", "answer", (7,), [6, 4, 3, 2, 1, 0]),
        ("7 + 2 = 9 . 9 - 5 = 4 . answer 4 .", "off_by_one", (10,), [3, 5, 3]),
        ("7 + 2 = 9 . 9 - 5 = 4 . answer 4 .", "operation", (5, 20), [0, 14]),
        ("0 + 1 = 1 . answer 1 .", "operation", (10,), []),
        ("2 + 1 = 3 . 3 - 2 = 1 . answer 1 .", "operand", (5,), [2, 0, 2]),
        ("2 + 1 = 3 . answer 3 .", "slip", (7,), [5, 1, 6, 0]),
    ],
)
def test_all_mistakes_of_a_kind_by_hand(solution: str, flaw: str, bounds: tuple[int, ...], answers: list[int]) -> None:
    right, number = parsed([solution]), FLAWS.index(flaw)
    (room,) = mistakes(right, number, bounds)
    wrong = [told(*spoiled(right, *np.array([[number], [place], [by]])))[0] for place, by in room]
    assert [sums(one)[1] for one in wrong] == answers
    assert {flaw_of(solution, one, bounds) for one in wrong} <= {flaw}
