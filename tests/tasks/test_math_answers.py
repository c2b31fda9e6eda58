"""MATH's answers: one spelling, then mathematical equality in workers that can be killed."""

import importlib.util
from pathlib import Path

import pytest

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.final_answer import MATH_KEY, GradedAnswer, normalised

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
    verdicts = MATH_KEY.grade([gold for gold, _ in cases], [text for _, text in cases])
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
