r"""Final answers of MATH (arXiv 2103.03874): read as text, compared as mathematics by math-verify (the extra `[math]`).

What a model wrote is never evaluated: only math-verify's LaTeX grammar reads it (its plain expressions go through
Python's `eval`, so they are switched off), in worker processes that are killed when one comparison takes too long or
too much memory.
"""

import importlib
import importlib.util
import logging
import os
import re
import resource
from collections.abc import Iterable, Sequence
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Literal

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.answers import Trouble, Verdict, last_boxed

SECONDS = 5.0  # for one comparison
_WORKERS = 2
_MEMORY = 4 << 30  # bytes a worker may map
_LONGEST = 400  # characters of an answer: longer ones are no answers
_CUT = re.compile(r"\bQuestion\b")
_MARK = re.compile(r"The answer is:")
_SAID = re.compile(r"(?i:\banswer\s+is\b):?|(?<![A-Za-z])A:")
_INLINE = re.compile(r"\$([^$]+)\$")
_NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?")

_Comparison = Literal["right", "wrong", "unparsed", "timed_out"]


@dataclass(frozen=True)
class MathKey:
    r"""Answers that are mathematics. Strict: what follows the last "The answer is:".

    Flexible, in this order: the last `\boxed{}`, the last "answer is", the last inline formula, the last number.
    """

    def parse(self, text: str) -> str | None:
        """As `AnswerKey.parse`: the answer as normalised LaTeX."""
        said = _CUT.split(text, maxsplit=1)[0]
        boxed = last_boxed(said)
        if boxed is not None:
            return normalised(boxed)
        last = [found for pattern in (_INLINE, _NUMBER) for found in pattern.findall(said)[-1:]]
        return _after(said, _SAID) or next(filter(None, map(normalised, last)), None)

    def parse_strict(self, text: str) -> str | None:
        return _after(_CUT.split(text, maxsplit=1)[0], _MARK)

    def parse_bare(self, text: str) -> str | None:
        boxed = last_boxed(text)
        return normalised(text if boxed is None else boxed)

    def equal(self, gold: str, answer: str | None) -> bool:
        """Equality of the normalised text: what votes and filters count (arXiv 2407.13647); `grade` knows more."""
        return gold == answer

    def grade(self, golds: Sequence[str], texts: Sequence[str]) -> list[Verdict]:
        """Judge solutions by mathematical equality.

        Raises UserError when math-verify is not installed.
        """
        read = [(gold, self.parse(text), self.parse_strict(text)) for gold, text in zip(golds, texts, strict=True)]
        pairs = ((gold, answer) for gold, *answers in read for answer in answers if answer is not None)
        found = compare(pairs)
        return [_verdict(found, gold, answer, marked) for gold, answer, marked in read]


MATH_KEY = MathKey()


def compare(pairs: Iterable[tuple[str, str]], *, seconds: float = SECONDS) -> dict[tuple[str, str], _Comparison]:
    """Whether gold and answer of each pair are equal, each within so many seconds; equal text needs no worker."""
    wanted = list(dict.fromkeys(pairs))
    unequal = [pair for pair in wanted if pair[0] != pair[1]]
    found: dict[tuple[str, str], _Comparison] = {pair: "right" for pair in wanted if pair[0] == pair[1]}
    if unequal:
        if importlib.util.find_spec("math_verify") is None:
            raise UserError("comparing answers of MATH needs math-verify: pip install 'w2s-lightning[math]'")
        found.update(zip(unequal, _in_workers(unequal, seconds), strict=True))
    return found


def _in_workers(pairs: Sequence[tuple[str, str]], seconds: float) -> list[_Comparison]:
    workers = min(_WORKERS, len(pairs), os.cpu_count() or 1)
    with ProcessPool(workers, context=get_context("spawn"), initializer=_prepare) as pool:
        try:
            started = [pool.schedule(_compare, pair, timeout=seconds) for pair in pairs]
            return [_outcome(future) for future in started]
        except BaseException:
            pool.stop()
            raise


def _outcome(future: "ProcessFuture[_Comparison]") -> _Comparison:
    try:
        outcome: _Comparison = future.result()
        return outcome
    except (TookTooLong, ProcessExpired, MemoryError, RecursionError):
        return "timed_out"


def _prepare() -> None:
    """In a worker: load math-verify before the first clock starts, and limit memory."""
    logging.disable(logging.CRITICAL)  # it warns that its own time limits are off
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    importlib.import_module("math_verify")


def _compare(gold: str, answer: str) -> _Comparison:
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


def _verdict(found: dict[tuple[str, str], _Comparison], gold: str, answer: str | None, marked: str | None) -> Verdict:
    outcome: _Comparison = "unparsed" if answer is None else found[gold, answer]
    strict = marked is not None and found[gold, marked] == "right"
    trouble: Trouble | None = "unparsed" if outcome == "unparsed" else "timed_out" if outcome == "timed_out" else None
    return Verdict(answer, strict, outcome == "right", trouble)


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
