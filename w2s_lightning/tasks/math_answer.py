r"""Answers that are mathematics: how they are found in a solution, spelled in one way and compared.

What equal text and exact rationals do not decide is compared by math-verify (the extra `[math]`), of which only the
LaTeX grammar is used (its plain expressions go through Python's `eval`), in worker processes that end when one
comparison takes too much processor time or memory.
"""

import importlib
import importlib.util
import logging
import os
import re
import resource
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from multiprocessing import get_context

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.final_answer import RECITED, AnswerKey, Comparison, last_box, last_boxed

SECONDS = 5.0  # of processor time for one comparison: how busy the machine is changes no verdict
_WORKERS = 2
_MEMORY = 4 << 30  # bytes a worker may map
_LONGEST = 400  # characters of an answer: longer ones are no answers
_MOST_READ = 1000  # and before it is spelled anew
_STRICT = re.compile(r"The (?:final )?answer is\b\s*:?")
_SAID = re.compile(r"(?i:\banswer\s+is\b)\s*:?|(?<![A-Za-z])A:")
_NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?")


class MathKey(AnswerKey):
    r"""Answers that are mathematics. Strict: what follows the last "The (final) answer is", with or without a colon.

    Flexible: the last `\boxed{}` or the last "answer is", whichever comes later; the last inline formula, the last
    number. A sentence after the answer is none of it ("The final answer is $X$. I hope it is correct."). The answer is
    normalised LaTeX, whose equality is what votes and filters count (arXiv 2407.13647).
    """

    reading = 2
    spelling = 2

    def parse(self, text: str) -> str | None:
        said = re.split(RECITED, text, maxsplit=1)[0]
        box, marks = last_box(said), list(_SAID.finditer(said))
        boxed = None if box is None else normalised(said[slice(*box)])
        if marks and (box is None or marks[-1].start() > box[0]):
            marked = _after(said, marks[-1], known=box is not None)
            if marked is not None:
                return marked
        if box is not None:
            return boxed
        numbers = _NUMBER.findall(said)[-1:]
        return next(filter(None, map(normalised, [_last_formula(said), *numbers])), None)

    def parse_strict(self, text: str) -> str | None:
        said = re.split(RECITED, text, maxsplit=1)[0]
        marks = list(_STRICT.finditer(said))
        return _after(said, marks[-1], known=False) if marks else None

    def parse_bare(self, text: str) -> str | None:
        return normalised(text)

    def compare(
        self, pairs: Iterable[tuple[str, str]], *, seconds: float = SECONDS
    ) -> Mapping[tuple[str, str], Comparison]:
        """Mathematical equality, each within so many seconds of processor time; most pairs need no worker.

        Raises UserError when math-verify is not installed.
        """
        found = {pair: _at_sight(*pair) for pair in pairs}
        hard = [pair for pair, outcome in found.items() if outcome is None]
        if hard and importlib.util.find_spec("math_verify") is None:
            raise UserError("comparing answers of MATH needs math-verify: pip install 'w2s-lightning[math]'")
        compared = dict(zip(hard, _in_workers(hard, seconds), strict=True)) if hard else {}
        return {pair: compared[pair] if outcome is None else outcome for pair, outcome in found.items()}


MATH_KEY = MathKey()


# ---------------------------------------------------------------- where an answer stands

_FORMULA = re.compile(r"(\$\$?)((?:\\.|[^$\\])*)\1|\\\((.*?)\\\)|\\\[(.*?)\\\]", re.DOTALL)
_JOINED = re.compile(r"\s*(?:,\s*and\b|,|and\b|or\b)\s*(?=\$|\\\()")
_SENTENCE = re.compile(r"[.;!?](?=\s|$)")


def _after(text: str, mark: re.Match[str], *, known: bool) -> str | None:
    """The answer after a mark: a formula, or its line up to the end of the sentence.

    Where another answer is `known`, words alone are one only after a colon ("so this answer is right").
    """
    rest = text[mark.end() : mark.end() + _MOST_READ].lstrip(" \n*")
    colon = mark[0].endswith(":") or rest.startswith(":")
    rest = rest.lstrip(" \n:*")
    formulas = list[str]()
    formula = _FORMULA.match(rest)
    while formula is not None:
        formulas.append(formula[2] or formula[3] or formula[4] or "")
        rest = rest[formula.end() :]
        joined = _JOINED.match(rest)
        formula = None if joined is None else _FORMULA.match(rest, joined.end())
        if formula is not None:
            rest = rest[formula.start() :]
            formula = _FORMULA.match(rest)
    if formulas:
        return normalised(", ".join(formulas))
    line = rest.split("\n", 1)[0]
    said = line if line.startswith((r"\boxed", r"\fbox")) else _SENTENCE.split(line, maxsplit=1)[0]
    if known and not colon and re.search(r"[0-9\\]|^\S{1,2}$", said.strip()) is None:
        return None
    return normalised(said)


def _last_formula(text: str) -> str:
    """The last inline formula: between dollars, or in round or square brackets of LaTeX."""
    opened, last = None, ""
    for token in re.finditer(r"\\.|\$+", text, re.DOTALL):
        ends = token[0].startswith("$") or token[0] in (r"\)", r"\]")
        if token[0] in (r"\(", r"\[") or (token[0].startswith("$") and opened is None):
            opened = token.end()
        elif ends and opened is not None:
            last, opened = text[opened : token.start()][: _MOST_READ + 1], None
    return last


# ---------------------------------------------------------------- one spelling

# `\\` ends a matrix's row: it is looked at first, and kept, so that no half of it is taken for `\ ` or `\,`.
_DROPPED = re.compile(
    r"(\\\\)|\\left(?![a-z])|\\right(?![a-z])|\\[!,;:]|\\ |\\\$|\\%|[$%~]|\^\s*\{?\\circ\}?|\\(?:display|text)style"
)
_GROUPED = re.compile(r"(?<=[0-9])(?:\{,\}|,\s*\\[!,])\s*(?=[0-9]{3}(?![0-9]))")
_THOUSANDS = re.compile(r"-?\s*[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_WORDY = r"\\(?:text|mbox|mathrm|textrm|textbf|textit|mathbf)\s*"
_HOUR = r"(?![^{}]*\b[ap]\.?\s?m\b)"  # 9 a.m. is no 9
_UNIT = re.compile(
    rf"(?:(?<=[0-9)}}])|(?<=\\pi))(?:\s|\\[,;: ]|~)*"
    rf"{_WORDY}\{{{_HOUR}(?!\s*(?:and|or)\b)[^{{}}0-9]*\}}\s*(?:\^\s*\{{?[0-9]\}}?)?$"
)
_PLAIN_UNIT = re.compile(r"(?<=[0-9)}%])\s+((?:[A-Za-z]{2,}\.?\s*)+)(?:\^\{?[0-9]\}?)?$")
_NO_UNIT = re.compile(r"\b(?:and|or|pi|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|mod|infinity|am|pm)\b", re.IGNORECASE)
_AND = re.compile(rf"\s*,?\s*(?:{_WORDY}\{{\s*,?\s*(?:and|or)\s*\}}|(?<![\\A-Za-z])(?:and|or)(?![A-Za-z]))\s*")
_BLANK = re.compile(r"(\\\\)|(\\[A-Za-z]+)\s+(?=[A-Za-z])|\s+")  # one stays where it ends a command: \sin x
_FRACTION = re.compile(r"\\frac ?([0-9A-Za-z]|\{[^{}]*\}|\\pi)([0-9A-Za-z]|\{[^{}]*\}|\\pi)")
_TEXT = re.compile(_WORDY + r"\{([^{}]*)\}")
_SYMBOL = re.compile(
    r"(?:[A-Za-z]|[A-Z]{2,3}|\\[a-z]+ ?[A-Z]{0,3})(?:_\{?[A-Za-z0-9]+\}?)?'?(?:\([A-Za-z](?:,[A-Za-z])*\))?"
    r"|\([A-Za-z](?:,[A-Za-z])*\)"
)
_CLOSED = re.compile(r"\\(?:frac|sqrt|cdot|times|div|pi|binom|ldots|dots)(?![a-z])|[^A-Za-z\\]")


def normalised(answer: str) -> str | None:
    r"""An answer's LaTeX in one spelling (after Hendrycks et al.'s `strip_string`), None when nothing is left.

    Spaces, sizes of brackets, units, degrees, dollars and per cent (its word, too) go; `\dfrac12`, `1/2` become
    `\frac{1}{2}`, "3 and 4" the list `3,4`; of `x=5` and `1+2+3=6` the last side stays.
    """
    boxed = last_boxed(answer[: 2 * _MOST_READ])
    text = (answer if boxed is None else boxed)[: _MOST_READ + 1].strip()
    if len(text) > _MOST_READ:
        return None
    text = _GROUPED.sub("", text.strip(" $\n").rstrip(".").rstrip())
    text = re.sub(rf"(?<=[0-9}}])\s*(?:{_WORDY}\{{\s*per\s?cent\s*\}}|\bper\s?cent\b)", "", text)
    text = _AND.sub(", ", _UNIT.sub("", text))
    plain = _PLAIN_UNIT.search(text)
    if plain is not None and _NO_UNIT.search(plain[1]) is None:
        text = text[: plain.start()]
    text = _DROPPED.sub(lambda found: found[1] or " ", re.sub(r"\\[dtc]frac", r"\\frac", text)).strip()
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    text = _BLANK.sub(lambda found: found[1] or (f"{found[2]} " if found[2] else ""), _TEXT.sub(r"\1", text))
    text = re.sub(r"\\sqrt([0-9])", r"\\sqrt{\1}", text)
    text = _FRACTION.sub(lambda found: rf"\frac{{{found[1].strip('{}')}}}{{{found[2].strip('{}')}}}", text)
    text = re.sub(r"^(-?)([0-9]+)/([0-9]+)$", r"\1\\frac{\2}{\3}", _last_side(text))
    text = re.sub(r"(?<![0-9])\.(?=[0-9])", "0.", text)
    text = re.sub(r"^(-?[0-9][0-9A-Za-z.]*)_([0-9]+)$", r"\1_{\2}", text)  # the base of a number
    if re.fullmatch(r"-?[0-9]+\.[0-9]*", text):
        text = text.rstrip("0").rstrip(".")
    if _THOUSANDS.fullmatch(text):  # a list, "32, 349": without its blank it would be a number
        text = text.replace(",", ", ")
    text = text.rstrip(".")
    return text if 0 < len(text) <= _LONGEST else None


def _last_side(text: str) -> str:
    """Of `x=5`, `f(x)=x^2`, `1+2+3=6` and `n=1+2=3` the last side; an equation between unknowns stays whole."""
    text = re.sub(r"^[A-Za-z]\\in(?![A-Za-z]) ?", "", text)
    sides = text.split("=")
    if len(sides) == 1 or "&" in text or any(not side or side.count("{") != side.count("}") for side in sides):
        return text
    *before, last = sides
    named = len(before) == 1 and _SYMBOL.fullmatch(before[0]) is not None
    known = all(_SYMBOL.fullmatch(side) or _is_closed(side) for side in before) and _is_closed(last)
    return last if named or known else text


def _is_closed(side: str) -> bool:
    """Whether there is no unknown in it."""
    return _CLOSED.sub("", side) == ""


# ---------------------------------------------------------------- equality

_RATIONAL = re.compile(r"(-?)(?:([0-9]+(?:\.[0-9]+)?)|\\frac\{(-?[0-9]+)\}\{([0-9]*[1-9][0-9]*)\})")
_OF_BASE = re.compile(r"-?[0-9][0-9A-Za-z.]*_\{[0-9A-Za-z]+\}")
_WORD = re.compile(r"[A-Za-z]{3,}|[A-Za-z]*[A-Z][A-Za-z]+|[A-Za-z]+[A-Z]")


def _at_sight(gold: str, answer: str) -> Comparison | None:
    """What text alone tells: equal text, rationals (exactly), words (math-verify multiplies their letters)."""
    if gold == answer:
        return "right"
    left, right = _rational(gold), _rational(answer)
    if left is not None and right is not None:
        return "right" if left == right else "wrong"
    if _OF_BASE.fullmatch(gold) or _OF_BASE.fullmatch(answer):  # math-verify does not look at the base
        return "wrong"
    if "," in gold and "," in answer and (gold[0] in "([") != (answer[0] in "(["):  # a list is no point, no interval
        return "wrong"
    words = _WORD.fullmatch(gold), _WORD.fullmatch(answer)
    if any(words):
        return "right" if all(words) and gold.casefold() == answer.casefold() else "wrong"
    return None


def _rational(text: str) -> Fraction | None:
    found = _RATIONAL.fullmatch(text)
    if found is None:
        return None
    number = Fraction(found[2]) if found[2] else Fraction(int(found[3]), int(found[4]))
    return -number if found[1] else number


def _in_workers(pairs: Sequence[tuple[str, str]], seconds: float) -> list[Comparison]:
    from pebble import ProcessExpired, ProcessPool  # here: few jobs compare anything, and it loads asyncio

    workers, found = min(_WORKERS, len(pairs), os.cpu_count() or 1), list[Comparison]()
    with ProcessPool(workers, context=get_context("spawn"), initializer=_prepare) as pool:
        try:
            for started in [pool.schedule(_compare, (*pair, seconds)) for pair in pairs]:
                try:
                    found.append(started.result())
                except (ProcessExpired, MemoryError, RecursionError):
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


def _compare(gold: str, answer: str, seconds: float) -> Comparison:
    """In a worker: gold first, since the comparison is not symmetric. Its own SIGALRM limits are off."""
    start_clock(seconds)
    math_verify = importlib.import_module("math_verify")
    plain = math_verify.LatexExtractionConfig()  # whose list of units makes 4 of "4t"; ours went in `normalised`
    config = [replace(plain, normalization_config=replace(plain.normalization_config, units=False))]
    left, right = (
        math_verify.parse(rf"\boxed{{{text}}}", config, fallback_mode="no_fallback", parsing_timeout=None)
        for text in (gold, answer)
    )
    equal = left and right and math_verify.verify(left, right, timeout_seconds=None)
    start_clock(0)
    return "unparsed" if not left or not right else "right" if equal else "wrong"


def start_clock(seconds: float) -> None:
    """End this process (by SIGPROF) after so many seconds of processor time, of Python or of C; 0: stop the clock.

    Time on the wall would make a verdict depend on what else the machine does.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)
