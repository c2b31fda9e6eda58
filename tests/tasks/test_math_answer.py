"""Final answers that are mathematics: where they stand, one spelling, and equality that is compared in workers."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tasks.test_final_answer import written
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import Solution
from w2s_lightning.tasks.final_answer import GSM8K_KEY, GradedAnswer, last_boxed
from w2s_lightning.tasks.math_answer import MATH_KEY, normalised

TEST_SET = Path(__file__).resolve().parents[3] / "shared" / "data" / "math" / "test.jsonl"
EXTRACT = json.loads(Path(__file__).with_name("math_golds.json").read_text(encoding="utf-8"))["golds"]
needs_math = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None, reason="math-verify is absent: pip install 'w2s-lightning[math]'"
)


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
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        (r"\begin{pmatrix} 1 & 2 \\ -3 & -5 \end{pmatrix}", r"\begin{pmatrix}1&2\\-3&-5\end{pmatrix}"),
        ("28 percent", "28"),
        (r"28\text{ percent}", "28"),
        (r"25 \, \text{km}", "25"),
        (r"8\sqrt{3} \text { square inches}", r"8\sqrt{3}"),
        ("12 square units", "12"),
        ("15 cm^2", "15"),
        ("6 pi", "6pi"),
        (r"52_{\text{eight}}", "52_{eight}"),
        ("52_8", "52_{8}"),
        (r"9\text{ a.m.}", "9a.m"),
        ("1+2+3=6", "6"),
        ("n = 1+2+3 = 6", "6"),
        ("f(x) = x^2", "x^2"),
        ("y = 2x + 3", "2x+3"),
        ("x^2 + y^2 = 25", "x^2+y^2=25"),
        ("2x - 3z + 5 = 0", "2x-3z+5=0"),
        ("0 = 2x - 3z", "0=2x-3z"),
        (r"\sum_{i=1}^{3} i", r"\sum_{i=1}^{3}i"),
        ("32, 349", "32, 349"),
        ("349, 32", "349,32"),
        (r"32 \text{ and } 349", "32, 349"),
        (r"7, -2, \text{ and } -5", "7,-2,-5"),
        (r"11,\! 111,\! 111", "11111111"),
        (r"\frac9{19}", r"\frac{9}{19}"),
        (r"\frac\pi4", r"\frac{\pi}{4}"),
        (r"x \in [-2,7]", "[-2,7]"),
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
        (r"So \boxed{3}. The answer is: 4", "4", "4"),
        (r"The answer is: 4. So \boxed{3}", "4", "3"),
        (r"So \boxed{3}, and so the answer is right.", None, "3"),
        (r"So \boxed{3}, and so the answer is $2+2=4$. Nice!", None, "4"),
        ("The answer is 7.", "7", "7"),
        ("Final Answer: The final answer is $x^2$. I hope it is correct.", "x^2", "x^2"),
        ("The final answer is $3$ and $4$. I hope it is correct.", "3,4", "3,4"),
        ("The answer is $18. I hope so.", "18", "18"),
        (r"The answer is \(5\). Good.", "5", "5"),
        ("The answer is:\n\\[ \\frac{1}{2} \\]\nDone.", r"\frac{1}{2}", r"\frac{1}{2}"),
        ("The answer is 28 percent. 5 remain", "28", "28"),
        ("The answer is Monday.", "Monday", "Monday"),
        (r"The answer is $\boxed{5}$.", "5", "5"),
        (r"\boxed{32, 349}", None, "32, 349"),
        ("Thus $x = 3$ holds", None, "3"),
        ("there are 12 of them, not 1,234", None, "1234"),
        ("The answer is: 5\n\nQuestion: 1 + 1?\nAnswer: The answer is: 2", "5", "5"),
        ("The answer is: x^2\nand more", "x^2", "x^2"),
        ("no idea", None, None),
        ("", None, None),
    ],
)
def test_what_comes_last_is_the_answer_and_the_mark_is_strict(
    text: str, strict: str | None, flexible: str | None
) -> None:
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
        (True, True),
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
    found = MATH_KEY.compare([("1", wicked), slow, harmless], seconds=2)
    assert found[slow] == "timed_out"
    assert found[harmless] == "right"
    assert found["1", wicked] != "right"
    assert not touched.exists()


def test_without_math_verify_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert MATH_KEY.compare([("1", "1")]) == {("1", "1"): "right"}
    with pytest.raises(UserError, match=r"pip install 'w2s-lightning\[math\]'"):
        MATH_KEY.compare([("x", "2")])


def test_what_text_tells_needs_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact rationals, and words: math-verify rounds the one to six digits and multiplies the letters of the other."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # a worker would be refused
    right = [("0.5", r"\frac{1}{2}"), ("-0.75", r"-\frac{3}{4}"), (r"\frac{2}{4}", r"\frac{1}{2}"), ("even", "Even")]
    wrong = [
        ("0.333333", r"\frac{1}{3}"),
        ("0", "0.0000001"),
        ("VW", "WV"),
        ("odd", "even"),
        ("Evelyn", "5"),
        ("(0,1)", "0,1"),
    ]
    assert MATH_KEY.compare(right) == dict.fromkeys(right, "right")
    assert MATH_KEY.compare(wrong) == dict.fromkeys(wrong, "wrong")


@pytest.mark.parametrize(
    ("work", "code"), [("time.sleep(1)", 0), ("all(True for _ in iter(int, 1))", -27), ("9**9**9**9", -27)]
)
def test_the_clock_of_a_comparison_is_the_processors(work: str, code: int) -> None:
    """A worker that waits (for a processor, say) is left alone; one that computes is ended, in C code too."""
    program = f"import time; from w2s_lightning.tasks.math_answer import start_clock; start_clock(0.4); {work}"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == code


# ---------------------------------------------------------------- MATH's own answers


def respelled(gold: str) -> list[Solution]:
    """The same answer as a model may write it: `\\dfrac`, without blanks, in Minerva's sentence, after another box."""
    large = gold.replace(r"\tfrac", r"\frac").replace(r"\dfrac", r"\frac").replace(r"\frac", r"\dfrac")
    packed = re.sub(r"(?<![A-Za-z,\\])[ \n]+|[ \n]+(?![A-Za-z ])(?<!, )(?<!\\ )", "", gold)
    return written(
        rf"We find \boxed{{{large}}}.",
        rf"So it is \boxed{{{packed}}}",
        rf"Is it \boxed{{0}}? No. Final Answer: The final answer is ${gold}$. I hope it is correct.",
        f"The final answer is ${large}$. I hope it is correct.\n\nQuestion: What is 1 + 1?\nAnswer: The answer is: 2",
    )


def missed(golds: list[str]) -> list[tuple[str, str | None]]:
    pairs = [(normalised(gold) or "", solution) for gold in golds for solution in respelled(gold)]
    graded = MATH_KEY.grade([gold for gold, _ in pairs], [solution for _, solution in pairs])
    return [(gold, one.answer) for (gold, _), one in zip(pairs, graded, strict=True) if not one.flexible]


@needs_math
def test_an_answer_spelled_otherwise_is_right() -> None:
    assert len(EXTRACT) > 50
    assert missed(EXTRACT) == []


@needs_math
@pytest.mark.skipif(not TEST_SET.is_file(), reason=f"real data is absent: {TEST_SET}")
def test_every_gold_answer_of_the_test_set_is_right_when_spelled_otherwise() -> None:
    golds = [last_boxed(json.loads(line)["solution"]) for line in TEST_SET.read_text(encoding="utf-8").splitlines()]
    assert len(golds) == 5000
    assert len(missed([gold or "" for gold in golds])) <= 0.005 * 4 * 5000


def test_a_solution_that_ends_in_the_mark_reads_the_same_answer() -> None:
    for gold in EXTRACT:
        canonical = normalised(gold)
        assert normalised(canonical or "") == canonical
        assert MATH_KEY.parse_strict(f"The answer is: {canonical}") == canonical
        assert MATH_KEY.parse(f"The answer is {canonical}.\n\nQuestion: 4") == canonical


@needs_math
def test_answers_that_differ_are_not_equal() -> None:
    """Pairs of kinds that a comparison mixes up: order, brackets, bases, rows, sets."""
    different = [
        ("(1,2)", "(2,1)"),
        ("(1,2)", "[1,2]"),
        ("52_{8}", "52_{9}"),
        ("52_{8}", "52"),
        ("4t", "4"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}"),
        ("2x-3z+5=0", "2x-3z+6=0"),
        ("x^2+y^2=25", "25"),
        ("32, 349", "32349"),
        ("9a.m", "9"),
        ("(2,12)\\cup(12,102)", "(2,102)"),
    ]
    found = MATH_KEY.compare(different)
    assert {outcome for pair, outcome in found.items() if pair[1] != "9"} == {"wrong"}
    assert found["9a.m", "9"] == "unparsed"
