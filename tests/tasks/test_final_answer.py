"""Final answers that are numbers: published flags, what other extractors get wrong, time linear in the text."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tasks.gsm8k_right_wrong import MODELS, SOLUTIONS, needs_gsm8k
from w2s_lightning.selection import majority_vote
from w2s_lightning.tasks.example import Solution
from w2s_lightning.tasks.final_answer import GSM8K_KEY, GradedAnswer, equations, last_boxed
from w2s_lightning.tasks.math_answer import MATH_KEY

DATA = SOLUTIONS.parent


def written(*texts: str, finish: str | None = None) -> list[Solution]:
    return [Solution("q", text, None, finish) for text in texts]


@needs_gsm8k
def test_every_published_flag_comes_out() -> None:
    rows = [json.loads(line) for line in SOLUTIONS.read_text(encoding="utf-8").splitlines()]
    wrong, seen = [], 0
    for row in rows:
        gold = GSM8K_KEY.parse(row["ground_truth"])
        assert gold is not None
        for model in MODELS:
            seen += 1
            solution, flag = row[model]["solution"], row[model]["is_correct"]
            if GSM8K_KEY.equal(gold, GSM8K_KEY.parse(solution)) != flag:
                wrong.append((solution[-80:], gold, flag))
    assert wrong == []
    assert seen == 5276


@needs_gsm8k
@pytest.mark.parametrize(("name", "count"), [("train", 7473), ("test", 1319)])
def test_every_gold_answer_parses_and_equals_itself(name: str, count: int) -> None:
    solutions = [json.loads(line)["answer"] for line in Path(DATA / f"{name}.jsonl").read_text().splitlines()]
    assert len(solutions) == count
    answers = [GSM8K_KEY.parse_strict(solution) for solution in solutions]
    assert answers == [solution.split("#### ")[1].strip().replace(",", "") for solution in solutions]
    assert all(
        verdict.strict and verdict.flexible
        for verdict in GSM8K_KEY.grade([a or "" for a in answers], written(*solutions))
    )


MARKED = [
    ("#### 18", "18"),
    ("#### 18.", "18"),
    ("#### 18.00", "18"),
    ("#### $18", "18"),
    ("#### 1,234", "1234"),
    ("#### $1,234,567.50.", "1234567.5"),
    ("#### $18 for 2 days", "18"),
    ("#### 18 eggs in 2 days", "18"),
    ("#### - 5", "-5"),
    ("#### -5", "-5"),
    ("#### \u22125", "-5"),
    ("#### \u2013 5", "-5"),
    ("#### -$5", "-5"),
    ("#### $-5", "-5"),
    ("#### 50%", "50"),
    ("#### 3 + 4 = 7", "7"),
    ("####18", "18"),
    ("####\n18", "18"),
    ("#### .5", "0.5"),
    ("#### 007", "7"),
    ("#### -0.0", "0"),
    ("#### 12\n#### 18", "18"),
    ("#### 18\n####", "18"),
    ("so 3\n#### 18\nand 99", "18"),
    ("#### 18\n\nQuestion: 7 apples?\nAnswer: 7\n#### 7", "18"),
    ("Questions answered: 5\n#### 18", "18"),
    (f"#### {'3' * 60}.{'3' * 60}0", f"{'3' * 60}.{'3' * 60}"),
]


@pytest.mark.parametrize(("text", "answer"), MARKED)
def test_a_marked_answer_is_read(text: str, answer: str) -> None:
    assert GSM8K_KEY.parse_strict(text) == answer
    assert GSM8K_KEY.parse(text) == answer


RATIONALS = [
    ("1/2", "0.5"),
    ("32/3", "32/3"),
    ("64/6", "32/3"),
    ("-32/3", "-32/3"),
    (r"\frac{42}{5}", "8.4"),
    (r"$\dfrac{32}{3}$ miles", "32/3"),
    ("10 2/3", "32/3"),
    (r"-8\frac{2}{5}", "-8.4"),
    ("1/2 of 20", "0.5"),
    ("6/3", "2"),
]


@pytest.mark.parametrize(("text", "answer"), RATIONALS)
def test_rationals_are_numbers(text: str, answer: str) -> None:
    assert GSM8K_KEY.parse(f"it was 7\n#### {text}") == answer
    assert GSM8K_KEY.parse(rf"it was 7, now \boxed{{{text}}}") == answer


NO_NUMBER = [
    "6:25",
    "5x",
    "2x + 5",
    "17 or 18",
    "3-4",
    "3 to 4",
    "x5",
    "32/0",
    "5/x",
    "3 + 4",
    "2^3",
    "17, 18",
    "1/2/3",
]
NO_NUMBER += [f"1/{'3' * 200}", "1" * 2000]


@pytest.mark.parametrize("text", NO_NUMBER)
def test_what_is_no_single_number_is_never_its_first_one(text: str) -> None:
    for solution in (f"so 9\n#### {text}", rf"so 9, \boxed{{{text}}}", f"so 9. The answer is {text}."):
        assert GSM8K_KEY.parse(solution) is None, "nor the last number of the text"
    assert GSM8K_KEY.parse_strict(f"#### {text}") is None


UNITS = [
    "18kg",
    "18 cm^2",
    "18 m2",
    "18%",
    "18/hour",
    "18 dollars per day for 7 days",
    "18 (3 a day)",
    "**18**",
    "18 of 20",
]


@pytest.mark.parametrize("text", UNITS)
def test_units_are_no_part_of_a_number(text: str) -> None:
    assert GSM8K_KEY.parse(f"#### {text}") == "18"


UNMARKED = [
    (r"so \boxed{18} in 2 days", "18"),
    (r"\boxed{1{,}234}", "1234"),
    (r"\boxed{\$18.00}", "18"),
    (r"first \boxed{3}, then \boxed{18}", "18"),
    (r"A: 3 and \boxed{18}", "18"),
    ("The answer is 18.", "18"),
    ("The Answer is: **$18** for 2 days", "18"),
    ("The answer is $-5$.", "-5"),
    ("the answer is 3. No, the answer is 18. In 2 days.", "18"),
    ("She sells 9 eggs\nA: 18", "18"),
    ("A: 18 of 20", "18"),
    ("3 + 4 = 7 and 7 + 11 = 18", "18"),
    ("It costs $18 for 2 days", "18"),
    ("$18 for 2 days", "18"),
    ("$18 for 2 days and 20 in all", "20"),
    ("16 - 3 - 4", "4"),
    ("it is -5", "-5"),
    ("x = - 5", "-5"),
    ("5\u201310 eggs", "10"),
    ("half of it is 32/3", "32/3"),
    ("A-5", "5"),
    ("18\n\nQuestion: what is 2 + 2?\nAnswer: 4", "18"),
]


@pytest.mark.parametrize(("text", "answer"), UNMARKED)
def test_an_answer_without_the_mark_is_read_by_the_flexible_key_alone(text: str, answer: str) -> None:
    assert GSM8K_KEY.parse_strict(text) is None
    assert GSM8K_KEY.parse(text) == answer


@pytest.mark.parametrize("text", ["", "  \n", "I do not know", "####", "Question: what is 2 + 2?\n#### 4", "#### none"])
def test_no_answer_is_none(text: str) -> None:
    assert GSM8K_KEY.parse(text) is None
    assert GSM8K_KEY.parse_strict(text) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [("$1,800.0", "1800"), ("-5", "-5"), ("18 eggs", "18"), ("3/4", "0.75"), ("17 or 18", None), ("6:25", None)],
)
def test_a_column_of_answers_holds_one_number(text: str, answer: str | None) -> None:
    assert GSM8K_KEY.parse_bare(text) == answer


def test_verdicts_tell_strict_from_flexible_and_unread() -> None:
    texts = ["#### 18", "so 18", "#### 17 or 18", "", "A: 18\nQuestion: 5"]
    assert GSM8K_KEY.grade(["18"] * 5, written(*texts)) == [
        GradedAnswer("18", strict=True, flexible=True, trouble=None),
        GradedAnswer("18", strict=False, flexible=True, trouble=None),
        GradedAnswer(None, strict=False, flexible=False, trouble="unparsed"),
        GradedAnswer(None, strict=False, flexible=False, trouble="unparsed"),
        GradedAnswer("18", strict=False, flexible=True, trouble=None),
    ]


def test_what_was_cut_off_has_no_answer() -> None:
    """As in votes and filters: a text that stops in the middle of its work is not read by its last number."""
    for finish in ("length", "too_long"):
        assert (
            GSM8K_KEY.grade(["18", "18"], written("so 18", "#### 18", finish=finish))
            == [GradedAnswer(None, strict=False, flexible=False, trouble=None)] * 2
        )
    for finish in ("eos", "stop"):
        assert GSM8K_KEY.grade(["18"], written("#### 18", finish=finish))[0].strict


def test_boxes_may_be_nested_and_left_open() -> None:
    assert last_boxed(r"\boxed{1} and \fbox{\frac{1}{2}}") == r"\frac{1}{2}"
    assert last_boxed(r"\boxed{1} and \boxed{2") == "1"
    assert last_boxed("none") is None


def test_solutions_are_compared_by_their_equations() -> None:
    one = "She sold 48/2 = $<<48/2=24>>24 clips.\nSo 48 + 24 = 72 in all.\n#### 72"
    other = "In May: 48 / 2 = 24.\nTogether 48+24=72 clips\n#### 72"
    assert equations(one) == equations(other) == ("48/2=24", "48+24=72")
    assert equations("3 x 4 = 12 and 3 \u00d7 1,000 = 3,000") == ("3*4=12", "3*1000=3000")
    assert equations("48/2 = 24, so 24") != equations("48 - 24 = 24, so 24")
    assert equations("it is 5") == ()


# ---------------------------------------------------------------- linear time

LOOPS = [
    r"\boxed{",
    "$1$",
    "<<",
    "####",
    "####\n",
    "1",
    "1,",
    "$1 ",
    "answer is ",
    "A:",
    "{",
    "1=",
    "1=2 ",
    r"\boxed{1}",
]
LOOPS += [
    r"\$",
    "1 x",
    "1/2 ",
    "<<1+1=2>>",
    "The answer is: 5\n",
    " ",
    r"\frac{",
    r"\(",
    "and ",
    ". ",
    "1 2/3 ",
    r"\boxed",
]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_megabyte_of_one_thing_is_read_in_no_time(loop: str) -> None:
    """What a job does with a solution: read for votes, judged, compared by its equations. Processor time, any load."""
    text = loop * (1_000_000 // len(loop))
    solutions = written(text, f"The answer is: 5\n#### 5\n{text}")
    for step in (
        lambda: GSM8K_KEY.grade(["5"], solutions[:1]),
        lambda: GSM8K_KEY.grade(["5"], solutions[1:]),
        lambda: MATH_KEY.grade(["5"], solutions[:1]),
        lambda: MATH_KEY.grade(["5"], solutions[1:]),
        lambda: majority_vote([replace(solutions[1], answer="5")], keep_from=0),
    ):
        start = time.process_time()
        step()
        assert time.process_time() - start < 2


@needs_gsm8k
def test_equations_of_real_solutions_are_those_that_a_plain_search_finds() -> None:
    """The plain search tries every place of a run of digits anew, which is quadratic, and finds the same."""
    side = r"[-+*/().$%,0-9 ]*[0-9)%]\s*=\s*[-$]*\s*[0-9][0-9,.]*"
    rows = [json.loads(line) for line in SOLUTIONS.read_text(encoding="utf-8").splitlines()[::10]]
    texts = [row[model]["solution"] for row in rows for model in MODELS]
    assert len(texts) > 500
    for text in texts:
        plain = re.sub("<<.*?>>", "", text).replace("×", "*").replace("÷", "/").replace("−", "-")
        plain = re.sub(r"(?<=[0-9])\s*x\s*(?=[$0-9])", "*", plain)
        assert equations(text) == tuple(re.sub(r"[\s$,%]", "", one).strip(".") for one in re.findall(side, plain))
