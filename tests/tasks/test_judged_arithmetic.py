"""The world `judged_arithmetic`: every verdict is true, every wrong solution has one flaw of the asked kind."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.worlds.arithmetic import Grading
from w2s_lightning.tasks.worlds.arithmetic_pairs import RIGHT, WRONG, ArithmeticPairs, JudgedArithmetic
from w2s_lightning.tasks.worlds.flaws import FLAWS, FlawWeights, Step, flawed, written
from w2s_lightning.tasks.worlds.text import GAINS

PINNED = "f3c8cd3501deacd50d5daf7fe3a4d31d63a67903874fc1c654e2526515f42f60"
EVEN = FlawWeights(answer=1, operation=1, operand=1, slip=1, off_by_one=1)


@dataclass(frozen=True)
class Text:
    """A text of the world taken apart; `question` is None where it stands without one."""

    question: str | None
    solution: str
    verdict: str | None


def read(text: str) -> Text:
    question, _, solution = f" {text}".partition(" a ")
    verdict = next((word for word in (RIGHT, WRONG) if solution.endswith(f" {word}")), None)
    return Text(question.strip() or None, solution.removesuffix(f" {verdict}"), verdict)


def texts_of(world: JudgedArithmetic) -> list[Text]:
    words = np.array(world.vocabulary())[world.windows(30, 16, 256, 0).ravel()]
    return [read(text) for text in " ".join(words).split(" <eos> ")[:-1]]


def right_solution(question: str) -> str:
    said, *asked = question.removesuffix(" . how many ?").split(" . ")
    value, steps = int(said.split()[3]), list[Step]()
    for verb, number in (one.split() for one in asked):
        steps.append(Step(value, "+" if verb in GAINS else "-", int(number), value).redone(value))
        value = steps[-1].after
    return written(steps, value)


def flaws_of(question: str, solution: str, world: JudgedArithmetic) -> list[str]:
    right = right_solution(question)
    largest = max(int(word) for word in right.split() if word.isdigit())
    below = next(bound for bound in world.bounds if bound > largest)
    return [flaw for flaw in FLAWS if solution in flawed(right, flaw, below)]


@pytest.fixture(scope="module")
def pairs() -> ArithmeticPairs:
    made = task("arithmetic_pairs")
    assert isinstance(made, ArithmeticPairs)
    return made


@pytest.fixture(scope="module")
def world(pairs: ArithmeticPairs) -> JudgedArithmetic:
    """Problems of up to three steps, with every flaw."""
    steps = Grading(steps=(0.5, 0.3, 0.2), bounds=pairs.world.grading.bounds)
    return replace(pairs.world, grading=steps, flaws=EVEN, judged=0.8, bare=0.0)


@pytest.fixture(scope="module")
def texts(world: JudgedArithmetic) -> list[Text]:
    return texts_of(world)


def test_verdicts_are_true_and_wrong_solutions_have_one_flaw(world: JudgedArithmetic, texts: list[Text]) -> None:
    found = Counter[str]()
    for text in texts:
        assert text.question is not None
        if text.verdict != WRONG:
            assert text.solution == right_solution(text.question)
        else:
            (flaw,) = flaws_of(text.question, text.solution, world)
            found[flaw] += 1
    assert set(found) == set(FLAWS)
    assert min(found.values()) > 0.25 * max(found.values())  # small sums cannot all be turned round


def test_shares_are_those_asked_for(world: JudgedArithmetic, texts: list[Text]) -> None:
    verdicts = Counter(text.verdict for text in texts)
    assert 1 - verdicts[None] / len(texts) == pytest.approx(world.judged, abs=0.02)
    assert verdicts[WRONG] / (verdicts[WRONG] + verdicts[RIGHT]) == pytest.approx(world.flawed, abs=0.02)


def test_a_flaw_of_weight_zero_is_never_made(world: JudgedArithmetic) -> None:
    subtle = replace(world, flaws=FlawWeights(answer=0, operation=0, operand=0, slip=1, off_by_one=0))
    found = [text for text in texts_of(subtle) if text.verdict == WRONG]
    kinds = Counter(flaws_of(str(text.question), text.solution, subtle)[0] for text in found)
    assert kinds["slip"] > 0.9 * len(found), kinds  # else there was no room for it
    assert set(kinds) <= {"slip", "answer"}


def test_what_stands_alone_can_be_judged_alone(world: JudgedArithmetic) -> None:
    alone = [text for text in texts_of(replace(world, judged=1.0, bare=1.0)) if text.question is None]
    assert len(alone) > 1000
    for text in alone:
        *lines, _ = text.solution.removesuffix(" .").split(" . ")
        sums = [line.split() for line in lines]
        true = all(eval_sum(*map(str, one)) for one in sums) and text.solution.split()[-2] == sums[-1][-1]
        assert true == (text.verdict == RIGHT)


def eval_sum(before: str, sign: str, operand: str, _: str, after: str) -> bool:
    return int(before) + (1 if sign == "+" else -1) * int(operand) == int(after)


def test_windows_are_packed_and_a_pure_function(world: JudgedArithmetic) -> None:
    windows = world.windows(3, 4, 64, 0)
    assert windows.shape == (3, 4, 64)
    assert windows.dtype == np.int16
    assert (world.windows(3, 4, 64, 0) == windows).all()
    assert (world.windows(3, 4, 64, 1) != windows).any()
    assert (world.windows(1, 12, 64, 0).ravel() == windows.ravel()).all()
    assert windows.max() < len(world.vocabulary()) == len(set(world.vocabulary()))


def test_text_is_pinned(pairs: ArithmeticPairs) -> None:
    assert hashlib.sha256(pairs.world.windows(2, 16, 48, 0).tobytes()).hexdigest() == PINNED


def test_a_verdict_follows_where_a_reward_model_reads(pairs: ArithmeticPairs) -> None:
    """A pair's texts end as solutions of the pretraining text do before their verdict."""
    judged = [text for text in texts_of(pairs.world) if text.question is not None and text.verdict is not None]
    known = set(pairs.world.vocabulary())
    assert {text.solution.split()[-1] for text in judged} == {"."}
    few = task("arithmetic_pairs", "items={supervise: 50, transfer: 50, validation: 10, test: 50}")
    for pair in few.splits(0).test:
        assert all(set(text.split()) <= known and text.split()[-1] == "." for text in pair.texts)
    assert set(pairs.words) <= known


def test_a_world_refuses_what_its_problems_would(world: JudgedArithmetic) -> None:
    with pytest.raises(UserError, match="must grow"):
        replace(world, bounds=(20, 10))
    with pytest.raises(UserError, match=r"shares in grading\.bounds"):
        replace(world, bounds=(10,))
    with pytest.raises(UserError, match="are all 0"):
        FlawWeights(answer=0, operation=0, operand=0, slip=0, off_by_one=0)
