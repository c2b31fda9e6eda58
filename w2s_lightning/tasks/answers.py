"""Final answers: how they are read from a worked solution and compared, for GSM8K and everything else with numbers.

Answers are text in one canonical form ("18" for "$18.00"), so that votes, agreement filters and comparisons are string
equality. Nothing that a model wrote is ever evaluated: text is searched with regular expressions, that is all.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

_MINUS = "-\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"  # hyphens, en dash, minus signs
_NUMBER = re.compile(r"(?:[0-9]+(?:,[0-9]+)*)(?:\.[0-9]+)?|\.[0-9]+")
_SAID = re.compile(r"(?i:\banswer\s+is\b)|(?<![A-Za-z])A:")
# "$18 for 2 days" says 18: the second number belongs to the first one's unit.
_PER = re.compile(r"\$\s*[0-9][0-9,.]*\s+(?:for|per|in|every|each)\s+(?P<unit>[0-9][0-9,.]*)")
_LATEX = (("{,}", ","), (r"\,", ""), (r"\!", ""), (r"\$", "$"), (r"\%", "%"))

Trouble = Literal["unparsed", "timed_out"]


@dataclass(frozen=True)
class Verdict:
    """How one solution was judged: `answer` is what the flexible reading found (None: nothing).

    `strict` and `flexible`: whether the marked answer, whether the answer in the flexible reading is right. `trouble`
    says why there was nothing to compare; a comparison is given up (`timed_out`) in MATH only. Both count as wrong.
    """

    answer: str | None
    strict: bool
    flexible: bool
    trouble: Trouble | None


class AnswerKey(Protocol):
    """How a task's answers are read and compared; every answer is in canonical form."""

    def parse(self, text: str) -> str | None:
        """Flexible: the final answer wherever a solution gives it, None when there is none."""

    def parse_strict(self, text: str) -> str | None:
        """The marked final answer alone."""

    def parse_bare(self, text: str) -> str | None:
        """The answer from text that holds nothing else (a column of gold answers)."""

    def equal(self, gold: str, answer: str | None) -> bool:
        """Whether two answers are the same, as votes and filters count them."""

    def grade(self, golds: Sequence[str], texts: Sequence[str]) -> list[Verdict]:
        """Judge one solution for each gold answer."""


@dataclass(frozen=True)
class NumberKey:
    """Answers that are numbers, compared as decimals.

    `mark` stands before a marked answer, at `cut` (a regular expression) a recited next problem begins. Order of the
    flexible reading: the last mark, the last `\\boxed{}`, the last "answer is" or "A:", the last number.
    """

    mark: str
    cut: str

    def parse(self, text: str) -> str | None:
        """As `AnswerKey.parse`: the first reading in this order that gives a number."""
        said = self._cut(text)
        found = _marked(said, self._mark)
        for read in (_boxed_number, _said, _last):
            found = read(said) if found is None else found
        return found

    def parse_strict(self, text: str) -> str | None:
        return _marked(self._cut(text), self._mark)

    def parse_bare(self, text: str) -> str | None:
        numbers = [number for _, number in _numbers(text)]
        return numbers[0] if len(numbers) == 1 else None

    def equal(self, gold: str, answer: str | None) -> bool:
        return gold == answer

    def grade(self, golds: Sequence[str], texts: Sequence[str]) -> list[Verdict]:
        pairs = [(gold, self.parse(text), self.parse_strict(text)) for gold, text in zip(golds, texts, strict=True)]
        return [
            Verdict(found, gold == marked, gold == found, "unparsed" if found is None else None)
            for gold, found, marked in pairs
        ]

    def _cut(self, text: str) -> str:
        return re.split(self.cut, text, maxsplit=1)[0]

    @cached_property
    def _mark(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.mark))


GSM8K_KEY = NumberKey(mark="####", cut=r"\bQuestion\b")
"""The key of GSM8K (arXiv 2110.14168); the published test set holds a gold solution that begins with "Questions"."""


def last_boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{...}` or `\fbox{...}` whose braces close; None without one."""
    for place in reversed([found.end() for found in re.finditer(r"\\(?:boxed|fbox)\s*\{", text)]):
        depth = 1
        for end in range(place, len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                return text[place:end].strip()
    return None


def equations(text: str) -> tuple[str, ...]:
    """The equations of a solution in order, without blanks, units and calculator marks ("48/2=24").

    Two solutions with the same list are the same reasoning in other words (rejection sampling, arXiv 2308.01825).
    """
    plain = re.sub(r"<<.*?>>", "", text).replace("×", "*").replace("÷", "/").replace("−", "-")
    plain = re.sub(r"(?<=[0-9])\s*x\s*(?=[$0-9])", "*", plain)
    found = re.findall(r"[-+*/().$%,0-9 ]*[0-9)%]\s*=\s*[-$]*\s*[0-9][0-9,.]*", plain)
    return tuple(re.sub(r"[\s$,%]", "", equation).strip(".") for equation in found)


def _boxed_number(text: str) -> str | None:
    content = last_boxed(text)
    if content is None:
        return None
    for latex, plain in _LATEX:
        content = content.replace(latex, plain)
    return _first(content)


def _said(text: str) -> str | None:
    return _marked(text, _SAID)


def _marked(text: str, mark: re.Pattern[str]) -> str | None:
    """The number after the last such mark that has one on its line."""
    places = [found.end() for found in mark.finditer(text)]
    lines = (text[place:].lstrip(" \t\r\n:*").split("\n", 1)[0] for place in reversed(places))
    return next((number for number in map(_first, lines) if number is not None), None)


def _first(line: str) -> str | None:
    """The first number of an answer's line; of an equation, the first after the last equals sign."""
    for part in (line.rpartition("=")[2], line):
        for _, number in _numbers(part):
            return number
    return None


def _last(text: str) -> str | None:
    units = {found.start("unit") for found in _PER.finditer(text)}
    numbers = [number for place, number in _numbers(text) if place not in units]
    return numbers[-1] if numbers else None


def _numbers(text: str) -> Iterator[tuple[int, str]]:
    """Where each number of a text stands, and its canonical form."""
    for found in _NUMBER.finditer(text):
        yield found.start(), _canonical(found[0], negative=_is_negative(text[: found.start()]))


def _canonical(number: str, *, negative: bool) -> str:
    """A decimal without commas, leading and trailing zeros: equal text is an equal number, of any length."""
    whole, _, part = number.replace(",", "").partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    plain = f"{whole}.{part}" if part else whole
    return f"-{plain}" if negative and plain != "0" else plain


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
