r"""Final answers of worked solutions: what every key of answers does, and answers that are numbers.

Answers are text in one canonical form ("18" for "$18.00", "0.5" for "1/2"), so that votes, agreement filters and
comparisons are string equality. Nothing that a model wrote is ever evaluated: text is searched with regular
expressions, each of them and each loop linear in the text, since a looping model writes `\boxed{` ten thousand times.
`math_answer` has the answers that are mathematics.
"""

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

from w2s_lightning.tasks.example import Solution

RECITED = r"\bQuestion\b"
"""Where a model goes on with a next problem."""
_MINUS = "-\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"  # hyphens, en dash, minus signs
_NUMBER = re.compile(r"(?:[0-9]+(?:,[0-9]+)*)(?:\.[0-9]+)?|\.[0-9]+")
_SAID = re.compile(r"(?i:\banswer\s+is\b)|(?<![A-Za-z])A:")
# "$18 for 2 days" says 18: the second number belongs to the first one's unit.
_PER = re.compile(r"\$\s*[0-9][0-9,.]*\s+(?:for|per|in|every|each)\s+(?P<unit>[0-9][0-9,.]*)")
_LATEX = (("{,}", ","), (r"\,", ""), (r"\!", ""), (r"\$", "$"), (r"\%", "%"), ("**", ""))
_MOST_READ = 1000  # characters of a marked answer: a longer one is none
_MOST_DIGITS = 100  # of a rational's numerator and denominator

Trouble = Literal["unparsed", "timed_out"]
Comparison = Literal["right", "wrong", "unparsed", "timed_out"]
_TROUBLE: Mapping[Comparison, Trouble] = {"unparsed": "unparsed", "timed_out": "timed_out"}


@dataclass(frozen=True)
class GradedAnswer:
    """How one solution was judged: `answer` is what the flexible reading found (None: nothing).

    `strict` and `flexible`: whether the marked answer, whether the answer in the flexible reading is right. `trouble`
    says why a whole solution gave nothing to compare; in MATH a comparison may be given up (`timed_out`). Both: wrong.
    """

    answer: str | None
    strict: bool
    flexible: bool
    trouble: Trouble | None


class AnswerKey(ABC):
    """How a task's answers are read and compared; every answer is in canonical form.

    `reading` counts up when other answers are read of the same solutions: identity of every stage that reads them.
    """

    reading: ClassVar[int]
    spelling: ClassVar[int | None] = None
    """Counts up when gold answers are spelled otherwise: identity of the data, whose gold solutions end in them."""

    @abstractmethod
    def parse(self, text: str) -> str | None:
        """Flexible: the final answer wherever a solution gives it, None when there is none."""

    @abstractmethod
    def parse_strict(self, text: str) -> str | None:
        """The marked final answer alone."""

    @abstractmethod
    def parse_bare(self, text: str) -> str | None:
        """The answer from text that holds nothing else (a column of gold answers)."""

    def equal(self, gold: str, answer: str | None) -> bool:
        """Whether two answers are the same text, as votes and filters count them; `grade` may know more."""
        return gold == answer

    def compare(self, pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Comparison]:
        """Whether gold and answer of each pair are equal."""
        return {pair: "right" if self.equal(*pair) else "wrong" for pair in pairs}

    def grade(self, golds: Sequence[str], solutions: Sequence[Solution]) -> list[GradedAnswer]:
        """Judge one solution for each gold answer; what was cut off is not read: it has no answer, as in votes."""
        texts = [(gold, one.text if one.is_whole else "") for gold, one in zip(golds, solutions, strict=True)]
        read = [(gold, self.parse(text), self.parse_strict(text)) for gold, text in texts]
        found = self.compare((gold, answer) for gold, *answers in read for answer in answers if answer is not None)
        graded = []
        for (gold, answer, marked), one in zip(read, solutions, strict=True):
            outcome = "unparsed" if answer is None else found[gold, answer]
            strict = marked is not None and found[gold, marked] == "right"
            trouble = _TROUBLE.get(outcome) if one.is_whole else None
            graded.append(GradedAnswer(answer, strict, outcome == "right", trouble))
        return graded


# ---------------------------------------------------------------- numbers


@dataclass(frozen=True)
class NumberKey(AnswerKey):
    """Answers that are numbers: decimals, and rationals in lowest terms where no decimal is one.

    `mark` stands before a marked answer, at `cut` (a regular expression) a recited next problem begins. Order of the
    flexible reading: the last mark, the last `\\boxed{}`, the last "answer is" or "A:" (each only with a digit behind
    it), the last number. What is marked and no single number ("6:25", "5x", "17 or 18") is no answer, in any reading.
    """

    reading = 2

    mark: str
    cut: str

    def parse(self, text: str) -> str | None:
        said = re.split(self.cut, text, maxsplit=1)[0]
        for marked in (_line_after(said, re.escape(self.mark)), last_boxed(said), _line_after(said, _SAID)):
            if marked is not None and re.search("[0-9]", marked):
                return _single(marked)
        units = {per.start("unit") for per in _PER.finditer(said)}
        numbers = deque((found for found in _NUMBER.finditer(said) if found.start() not in units), maxlen=2)
        if not numbers:
            return None
        before, last = numbers[0], numbers[-1]
        if said[before.end() : last.start()] == "/":
            return _ratio(_decimal(said, before), _decimal(said, last))
        return _decimal(said, last)

    def parse_strict(self, text: str) -> str | None:
        marked = _line_after(re.split(self.cut, text, maxsplit=1)[0], re.escape(self.mark))
        return None if marked is None else _single(marked)

    def parse_bare(self, text: str) -> str | None:
        found = _single(text)
        return found if "/" in text or len(_NUMBER.findall(text)) == 1 else None


GSM8K_KEY = NumberKey(mark="####", cut=RECITED)
"""The key of GSM8K (arXiv 2110.14168); the published test set holds a gold solution that begins with "Questions"."""


def last_boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{...}` or `\fbox{...}` whose braces close; None without one."""
    place = last_box(text)
    return None if place is None else text[slice(*place)].strip()


def last_box(text: str) -> tuple[int, int] | None:
    """Where the last closed box's content begins and ends."""
    first = re.search(r"\\(?:boxed|fbox)\s*\{", text)
    if first is None:
        return None
    opened, last = list[int](), None
    for token in re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL).finditer(text, first.start()):
        if token[0] == "{" or len(token[0]) > 2:
            opened.append(-1 if token[0] == "{" else token.end())
        elif token[0] == "}" and opened:
            start = opened.pop()
            if start >= 0 and (last is None or start > last[0]):
                last = start, token.start()
    return last


_SIDE = "-+*/().$%,0123456789 "  # of an equation


def equations(text: str) -> tuple[str, ...]:
    """The equations of a solution in order, without blanks, units and calculator marks ("48/2=24").

    Two solutions with the same list are the same reasoning in other words (rejection sampling, arXiv 2308.01825).
    """
    plain = CALCULATOR.sub("", text).replace("×", "*").replace("÷", "/").replace("−", "-")
    plain = re.sub(r"(?<=[0-9])\s*x\s*(?=[$0-9])", "*", plain)
    found, end = [], 0
    for right in re.finditer(r"=\s*+[-$]*+\s*+[0-9][0-9,.]*+", plain):
        left = plain[end : right.start()].rstrip()
        if left and left[-1] in "0123456789)%":
            side = left[len(left.rstrip(_SIDE)) :]
            found.append(re.sub(r"[\s$,%]", "", side + right[0]).strip("."))
            end = right.end()
        else:
            end = right.start() + 1
    return tuple(found)


CALCULATOR = re.compile(r"<<[^<>]*>>")
"""GSM8K's calculator marks ("<<48/2=24>>")."""


def _line_after(text: str, mark: str | re.Pattern[str]) -> str | None:
    """The line after the last such mark that has a digit on it."""
    for after in reversed(re.split(mark, text)[1:]):
        line = after.lstrip(" \t\r\n:*").split("\n", 1)[0]
        if re.search("[0-9]", line):
            return line
    return None


_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}")
_OVER = re.compile(r"(?P<mixed>\s+[0-9]+)?\s*/\s*(?P<under>[0-9]+(?:\.[0-9]+)?)(?![0-9,])")
# What makes a number a part of something else: "5x", "5xy", "6:25", "3-4", "5*x"; "5kg", "5/hour" are numbers.
_GOES_ON = re.compile(
    r"[A-Za-z](?![A-Za-z])|[xyzn]+(?![A-Za-z])|\s*[-+*/^:×÷·\u2013\u2212]\s*[$(]*(?:[0-9]|[A-Za-z](?![A-Za-z]))"
)
_WITHIN = re.compile(r"\b(?:for|per|in|every|each|of|from|after|by|at|on|over|within|than)\s+\$?$")


def _single(marked: str) -> str | None:
    """The one number that a marked answer is, units aside ("$18 for 2 days"); of an equation its last side."""
    if len(marked) > _MOST_READ:
        return None
    said = re.split(r"[.!?;](?=\s|$)", marked, maxsplit=1)[0].rpartition("=")[2]
    for latex, plain in _LATEX:
        said = said.replace(latex, plain)
    said = _FRACTION.sub(r" \1/\2", said)
    first = _NUMBER.search(said)
    if first is None or said[: first.start()][-1:].isalpha() or said[: first.start()][-1:] in ("^", "_"):
        return None
    number, after = _decimal(said, first), said[first.end() :]
    over = _OVER.match(after)
    if over is not None:
        mixed = over["mixed"]  # "1 1/2"
        ratio = _ratio(mixed.strip() if mixed else number, over["under"])
        if ratio is None or (mixed and "." in number):
            return None
        part = Fraction(ratio)
        number = _written(Fraction(number) + (-part if number.startswith("-") else part)) if mixed else ratio
        after = after[over.end() :]
    if _GOES_ON.match(after):
        return None
    after = re.sub(r"\s\([^()]*\)", "", after)  # "18 (3 a day)" says 18
    for other in _NUMBER.finditer(after):
        before = after[: other.start()]
        if not (before[-1:].isalpha() or before[-1:] in ("^", "_") or _WITHIN.search(before)):  # "cm^2", "for 2 days"
            return None
    return number


def _decimal(text: str, found: re.Match[str]) -> str:
    """A number of a text as a decimal without commas, leading and trailing zeros: equal text is an equal number."""
    whole, _, part = found[0].replace(",", "").partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    plain = f"{whole}.{part}" if part else whole
    return f"-{plain}" if plain != "0" and _is_negative(text[max(0, found.start() - 40) : found.start()]) else plain


def _ratio(top: str, under: str) -> str | None:
    """A rational in the same form: a decimal where there is one, else in lowest terms ("32/3")."""
    if max(len(top), len(under)) > _MOST_DIGITS or Fraction(under) == 0:
        return None
    return _written(Fraction(top) / Fraction(under))


def _written(number: Fraction) -> str:
    left, places = number.denominator, 0
    while left % 10 == 0 or left % 2 == 0 or left % 5 == 0:
        left, places = left // (10 if left % 10 == 0 else 2 if left % 2 == 0 else 5), places + 1
    if left > 1:
        return f"{number.numerator}/{number.denominator}"
    digits = str(abs(number.numerator) * 10**places // number.denominator).rjust(places + 1, "0")
    whole, part = (digits[:-places], digits[-places:].rstrip("0")) if places else (digits, "")
    return ("-" if number < 0 else "") + (f"{whole}.{part}" if part else whole)


def _is_negative(before: str) -> bool:
    """Whether the text before a number ends in its sign, and not in a minus between two numbers or words."""
    sign = before.rstrip("$ \t")
    if not sign or sign[-1] not in _MINUS:
        return False
    left = sign[:-1]
    other = left.rstrip()[-1:]
    if other.isalpha():  # "is -5" is negative; "A-5" and "eggs - 5" are not
        return left != left.rstrip() and before[-1] in _MINUS + "$"
    return not (other.isdigit() or other in tuple(")]}%"))
