"""Final answers: GSM8K's published flags and what other extractors get wrong; mathematics compared in workers."""

import importlib.util
import json
from pathlib import Path

import pytest

from tests.tasks.gsm8k_right_wrong import MODELS, SOLUTIONS, needs_gsm8k
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import Solution
from w2s_lightning.tasks.final_answer import GSM8K_KEY, MATH_KEY, GradedAnswer, equations, last_boxed, normalised

DATA = SOLUTIONS.parent
needs_math = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None, reason="math-verify is absent: pip install 'w2s-lightning[math]'"
)


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


@pytest.mark.parametrize(("text", "answer"), [("$1,800.0", "1800"), ("-5", "-5"), ("18 eggs", "18"), ("3/4", None)])
def test_a_column_of_answers_holds_one_number(text: str, answer: str | None) -> None:
    assert GSM8K_KEY.parse_bare(text) == answer


def test_verdicts_tell_strict_from_flexible_and_unread() -> None:
    texts = ["#### 18", "so 18", "#### 17 or 18", "", "A: 18\nQuestion: 5"]
    assert GSM8K_KEY.grade(["18"] * 5, written(*texts)) == [
        GradedAnswer("18", strict=True, flexible=True, trouble=None),
        GradedAnswer("18", strict=False, flexible=True, trouble=None),
        GradedAnswer("17", strict=False, flexible=False, trouble=None),
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


# ---------------------------------------------------------------- mathematics


@pytest.mark.parametrize(
    ("latex", "spelling"),
    [
        (r"\dfrac12", r"\frac{1}{2}"),
        (r"\tfrac{1}{2}", r"\frac{1}{2}"),
        ("3/4", r"\frac{3}{4}"),
        ("-3/4", r"-\frac{3}{4}"),
        (r"\left( 1, \frac 12 \right)", r"(1,\frac{1}{2})"),
        (r"18\text{ cm}", "18"),
        (r"18\text{ cm}^2", "18"),
        (r"\text{Monday}", "Monday"),
        (r"\text{(A)}", "(A)"),
        (r"90^\circ", "90"),
        (r"90^{\circ}", "90"),
        (r"\$5.50", "5.5"),
        (r"10\%", "10"),
        ("1,234,567", "1234567"),
        (r"1{,}234", "1234"),
        ("(1,234)", "(1,234)"),
        ("x = 5", "5"),
        ("-.5", "-0.5"),
        ("5.00", "5"),
        (r"\sqrt3", r"\sqrt{3}"),
        (r"2 \sin  x", r"2\sin x"),
        (r"\pi\,r^2", r"\pi r^2"),
        (r"10,\!000", "10000"),
        (r"$\boxed{7}$.", "7"),
        ("", None),
        ("$ $", None),
        ("1" * 1000, None),
    ],
)
def test_answers_get_one_spelling(latex: str, spelling: str | None) -> None:
    assert normalised(latex) == spelling


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        (r"So $\boxed{\frac12}$. The answer is: $\frac{1}{2}$.", r"\frac{1}{2}", r"\frac{1}{2}"),
        (r"So \boxed{3}. The answer is: 4", "4", "3"),
        ("The answer is 7.", None, "7"),
        ("Thus $x = 3$ holds", None, "3"),
        ("there are 12 of them, not 1,234", None, "1234"),
        ("The answer is: 5\n\nQuestion: 1 + 1?\nAnswer: The answer is: 2", "5", "5"),
        ("The answer is: x^2\nand more", "x^2", "x^2"),
        ("no idea", None, None),
        ("", None, None),
    ],
)
def test_boxed_comes_first_and_the_mark_is_strict(text: str, strict: str | None, flexible: str | None) -> None:
    assert MATH_KEY.parse_strict(text) == strict
    assert MATH_KEY.parse(text) == flexible


def test_votes_count_equal_text() -> None:
    assert MATH_KEY.equal(r"\frac{1}{2}", MATH_KEY.parse(r"\boxed{\dfrac{1}{2}}"))
    assert not MATH_KEY.equal(r"\frac{1}{2}", MATH_KEY.parse(r"\boxed{0.5}"))
    assert not MATH_KEY.equal("1", None)
    assert not GSM8K_KEY.equal("0", None)


@needs_math
def test_solutions_are_judged_as_mathematics() -> None:
    cases = [
        (r"\frac{1}{2}", r"\boxed{0.5}"),
        (r"\frac{1}{2}", r"\boxed{3} The answer is: 0.50"),
        ("x^2+1", "The answer is: $1 + x^2$"),
        ("(1,2)", r"\boxed{(2,1)}"),
        ("5", "The answer is: 5"),
        ("5", "I do not know"),
        ("a", r"The answer is: \frac{"),
        (r"2\sin x\cos x", r"\boxed{2 \cos x \, \sin x}"),
    ]
    verdicts = MATH_KEY.grade([gold for gold, _ in cases], written(*(text for _, text in cases)))
    assert [(verdict.strict, verdict.flexible) for verdict in verdicts] == [
        (False, True),
        (True, False),
        (True, True),
        (False, False),
        (True, True),
        (False, False),
        (False, False),
        (False, True),
    ]
    assert verdicts[5] == GradedAnswer(None, strict=False, flexible=False, trouble="unparsed")
    assert [verdict.trouble for verdict in verdicts[:5]] == [None] * 5
    assert verdicts[6].trouble == "unparsed"


@needs_math
def test_nothing_is_evaluated_and_nothing_hangs(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    wicked = f"__import__('os').system('touch {touched}')"
    slow, harmless = ("7", "9^{9^{9^9}}!"), ("4", r"\sqrt{16}")
    found = MATH_KEY.compare([("1", wicked), slow, harmless], seconds=1)
    assert found[slow] == "timed_out"
    assert found[harmless] == "right"
    assert found["1", wicked] != "right"
    assert not touched.exists()


def test_without_math_verify_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert MATH_KEY.compare([("1", "1")]) == {("1", "1"): "right"}
    with pytest.raises(UserError, match=r"pip install 'w2s-lightning\[math\]'"):
        MATH_KEY.compare([("1", "2")])
