r"""Final answers: how they are read from a worked solution and compared, as numbers or as mathematics.

Answers are text in one canonical form ("18" for "$18.00"), so that votes, agreement filters and comparisons are string
equality. Nothing that a model wrote is ever evaluated: text is searched with regular expressions; answers of MATH are
compared by math-verify (the extra `[math]`), of which only the LaTeX grammar is used (its plain expressions go through
Python's `eval`), in worker processes that are killed when one comparison takes too long or too much memory.
"""

import importlib
import importlib.util
import logging
import os
import re
import resource
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from multiprocessing import get_context
from typing import ClassVar, Literal

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import Solution

_MINUS = "-\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"  # hyphens, en dash, minus signs
_NUMBER = re.compile(r"(?:[0-9]+(?:,[0-9]+)*)(?:\.[0-9]+)?|\.[0-9]+")
_SAID = re.compile(r"(?i:\banswer\s+is\b)|(?<![A-Za-z])A:")
# "$18 for 2 days" says 18: the second number belongs to the first one's unit.
_PER = re.compile(r"\$\s*[0-9][0-9,.]*\s+(?:for|per|in|every|each)\s+(?P<unit>[0-9][0-9,.]*)")
_RECITED = r"\bQuestion\b"  # where a model goes on with a next problem
_LATEX = (("{,}", ","), (r"\,", ""), (r"\!", ""), (r"\$", "$"), (r"\%", "%"))

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
    """Answers that are numbers, compared as decimals.

    `mark` stands before a marked answer, at `cut` (a regular expression) a recited next problem begins. Order of the
    flexible reading: the last mark, the last `\\boxed{}`, the last "answer is" or "A:", the last number.
    """

    reading = 2

    mark: str
    cut: str

    def parse(self, text: str) -> str | None:
        said = self._cut(text)
        boxed = last_boxed(said) or ""
        for latex, plain in _LATEX:
            boxed = boxed.replace(latex, plain)
        found = _marked(said, re.escape(self.mark)) or _first(boxed) or _marked(said, _SAID)
        if found is not None:
            return found
        units = {per.start("unit") for per in _PER.finditer(said)}
        numbers = [number for place, number in _numbers(said) if place not in units]
        return numbers[-1] if numbers else None

    def parse_strict(self, text: str) -> str | None:
        return _marked(self._cut(text), re.escape(self.mark))

    def parse_bare(self, text: str) -> str | None:
        numbers = [number for _, number in _numbers(text)]
        return numbers[0] if len(numbers) == 1 else None

    def _cut(self, text: str) -> str:
        return re.split(self.cut, text, maxsplit=1)[0]


GSM8K_KEY = NumberKey(mark="####", cut=_RECITED)
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


def _marked(text: str, mark: str | re.Pattern[str]) -> str | None:
    """The number after the last such mark that has one on its line."""
    places = [found.end() for found in re.finditer(mark, text)]
    lines = (text[place:].lstrip(" \t\r\n:*").split("\n", 1)[0] for place in reversed(places))
    return next((number for number in map(_first, lines) if number is not None), None)


def _first(line: str) -> str | None:
    """The first number of an answer's line; of an equation, the first after the last equals sign."""
    for part in (line.rpartition("=")[2], line):
        for _, number in _numbers(part):
            return number
    return None


def _numbers(text: str) -> Iterator[tuple[int, str]]:
    """Where each number of a text stands, and the number as a decimal without commas, leading and trailing zeros.

    So equal text is an equal number, of any length.
    """
    for found in _NUMBER.finditer(text):
        whole, _, part = found[0].replace(",", "").partition(".")
        whole, part = whole.lstrip("0") or "0", part.rstrip("0")
        plain = f"{whole}.{part}" if part else whole
        yield found.start(), f"-{plain}" if plain != "0" and _is_negative(text[: found.start()]) else plain


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


# ---------------------------------------------------------------- mathematics

SECONDS = 5.0  # for one comparison
_WORKERS = 2
_MEMORY = 4 << 30  # bytes a worker may map
_LONGEST = 400  # characters of an answer: longer ones are no answers
_MARK = re.compile(r"The answer is:")
_MATH_SAID = re.compile(r"(?i:\banswer\s+is\b):?|(?<![A-Za-z])A:")
_INLINE = re.compile(r"\$([^$]+)\$")
_LATEX_NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?")


class MathKey(AnswerKey):
    r"""Answers that are mathematics. Strict: what follows the last "The answer is:".

    Flexible, in this order: the last `\boxed{}`, the last "answer is", the last inline formula, the last number. The
    answer is normalised LaTeX, whose equality is what votes and filters count (arXiv 2407.13647).
    """

    reading = 2

    def parse(self, text: str) -> str | None:
        said = re.split(_RECITED, text, maxsplit=1)[0]
        boxed = last_boxed(said)
        if boxed is not None:
            return normalised(boxed)
        last = [found for pattern in (_INLINE, _LATEX_NUMBER) for found in pattern.findall(said)[-1:]]
        return _after(said, _MATH_SAID) or next(filter(None, map(normalised, last)), None)

    def parse_strict(self, text: str) -> str | None:
        return _after(re.split(_RECITED, text, maxsplit=1)[0], _MARK)

    def parse_bare(self, text: str) -> str | None:
        return normalised(text)

    def compare(
        self, pairs: Iterable[tuple[str, str]], *, seconds: float = SECONDS
    ) -> Mapping[tuple[str, str], Comparison]:
        """Mathematical equality, each within so many seconds; equal text needs no worker.

        Raises UserError when math-verify is not installed.
        """
        found = dict(super().compare(pairs))
        unequal = [pair for pair, outcome in found.items() if outcome == "wrong"]
        if unequal and importlib.util.find_spec("math_verify") is None:
            raise UserError("comparing answers of MATH needs math-verify: pip install 'w2s-lightning[math]'")
        return found | dict(zip(unequal, _in_workers(unequal, seconds), strict=True)) if unequal else found


MATH_KEY = MathKey()


def _in_workers(pairs: Sequence[tuple[str, str]], seconds: float) -> list[Comparison]:
    from pebble import ProcessExpired, ProcessPool  # here: few jobs compare anything, and it loads asyncio

    workers, found = min(_WORKERS, len(pairs), os.cpu_count() or 1), list[Comparison]()
    with ProcessPool(workers, context=get_context("spawn"), initializer=_prepare) as pool:
        try:
            for started in [pool.schedule(_compare, pair, timeout=seconds) for pair in pairs]:
                try:
                    found.append(started.result())
                except (TookTooLong, ProcessExpired, MemoryError, RecursionError):
                    found.append("timed_out")
        except BaseException:
            pool.stop()
            raise
    return found


def _prepare() -> None:
    """In a worker: load math-verify before the first clock starts, and limit memory."""
    logging.disable(logging.CRITICAL)  # it warns that its own time limits are off
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    importlib.import_module("math_verify")


def _compare(gold: str, answer: str) -> Comparison:
    """In a worker: gold first, since the comparison is not symmetric. Its own SIGALRM limits are off."""
    math_verify = importlib.import_module("math_verify")
    config = [math_verify.LatexExtractionConfig()]
    left, right = (
        math_verify.parse(rf"\boxed{{{text}}}", config, fallback_mode="no_fallback", parsing_timeout=None)
        for text in (gold, answer)
    )
    if not left or not right:
        return "unparsed"
    return "right" if math_verify.verify(left, right, timeout_seconds=None) else "wrong"


def _after(text: str, mark: re.Pattern[str]) -> str | None:
    """The answer on the line after the last such mark, without a final full stop."""
    places = [found.end() for found in mark.finditer(text)]
    return normalised(text[places[-1] :].strip(" \n:*").split("\n", 1)[0]) if places else None


_DROPPED = re.compile(
    r"\\left(?![a-z])|\\right(?![a-z])|\\[!,;:]|\\ |\\\$|\\%|[$%]|\^\s*\{?\\circ\}?|\\(?:display|text)style"
)
_UNIT = re.compile(r"(?<=[0-9)}])\s*\\(?:text|mbox|mathrm)\{\s[^{}]*\}(?:\^\{?[0-9]\}?)?$")
_BLANK = re.compile(r"(\\[A-Za-z]+)\s+(?=[A-Za-z])|\s+")  # one stays where it ends a command: \sin x
_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textbf)\{([^{}]*)\}")


def normalised(answer: str) -> str | None:
    r"""An answer's LaTeX in one spelling (after Hendrycks et al.'s `strip_string`), None when nothing is left.

    Spaces, sizes of brackets, units, degrees, dollars and per cent go; `\dfrac12`, `1/2` become `\frac{1}{2}`.
    """
    boxed = last_boxed(answer)
    text = (answer if boxed is None else boxed).strip().rstrip(".")
    text = _DROPPED.sub(" ", re.sub(r"\\[dt]frac", r"\\frac", _UNIT.sub("", text.strip(" $"))))
    text = _BLANK.sub(lambda found: f"{found[1]} " if found[1] else "", _TEXT.sub(r"\1", text))
    text = re.sub(r"\\frac([0-9])([0-9])", r"\\frac{\1}{\2}", re.sub(r"\\sqrt([0-9])", r"\\sqrt{\1}", text))
    text = re.sub(r"^[A-Za-z]=", "", re.sub(r"^(-?)([0-9]+)/([0-9]+)$", r"\1\\frac{\2}{\3}", text))
    if re.fullmatch(r"-?[0-9]{1,3}(\{?,\}?[0-9]{3})+(\.[0-9]+)?", text):
        text = re.sub(r"\{?,\}?", "", text)
    text = re.sub(r"(?<![0-9])\.(?=[0-9])", "0.", text)
    if re.fullmatch(r"-?[0-9]+\.[0-9]*", text):
        text = text.rstrip("0").rstrip(".")
    return text if 0 < len(text) <= _LONGEST else None
