"""Published data sets whose rows need more than the names of their columns, each as its authors wrote it down."""

import re
from dataclasses import replace
from math import log

from w2s_lightning.config.schema import record
from w2s_lightning.tasks.example import Example, Turn, problem
from w2s_lightning.tasks.final_answer import CALCULATOR, GSM8K_KEY, AnswerKey, equations, last_boxed
from w2s_lightning.tasks.format import Format, alternating, pair
from w2s_lightning.tasks.math_answer import MATH_KEY
from w2s_lightning.tasks.readers import PairReader, Reader
from w2s_lightning.tasks.source import SourceRow, UnparsedAnswer, Unusable

_SPEAKER = re.compile(r"\n\n(Human|Assistant):")
_LEVEL = re.compile(r"Level ([1-5])")
_CONVERSATIONS = PairReader(
    prompt=None, chosen="chosen", rejected="rejected", margin=None, subset=None, group=None, difficulty=None
)


@record
class AnthropicHH(Reader):
    """Helpful and harmless dialogues (arXiv 2204.05862): two transcripts that part in their last answer."""

    kind = "preference"
    published = dict.fromkeys(("chosen", "rejected"), "the columns of Anthropic/hh-rlhf")
    typical_tokens = 300

    def read(self, row: SourceRow, format: Format) -> Example:
        (turns, chosen), (other, rejected) = _transcript(row, "chosen"), _transcript(row, "rejected")
        if turns != other:
            raise Unusable(f"{row.place}: the two transcripts part before their last answer")
        return pair(turns, chosen, rejected, format, place=row.place)


def _transcript(row: SourceRow, column: str) -> tuple[tuple[Turn, ...], str]:
    """The turns before the last answer, and that answer, of `\\n\\nHuman: ...\\n\\nAssistant: ...`."""
    before, *parts = _SPEAKER.split(row.text_or_blank(column))
    turns = [
        Turn("user" if speaker == "Human" else "assistant", text.strip())
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]
    if before.strip() or not turns or turns[-1].role != "assistant":
        raise Unusable(f"{row.place}: column {column!r} is no transcript from a Human's turn to an Assistant's")
    return alternating(turns[:-1], row.place), turns[-1].text


@record
class UltraFeedback(Reader):
    """UltraFeedback (arXiv 2310.01377) as binarized for Zephyr: whole conversations with a score from 1 to 10 each.

    The margin is the difference of the scores, and difficulty its negative; rows with equal scores compare nothing.
    """

    kind = "preference"
    published = dict.fromkeys(
        ("chosen", "rejected", "score_chosen", "score_rejected"), "the columns of HuggingFaceH4/ultrafeedback_binarized"
    )
    typical_tokens = 300

    def read(self, row: SourceRow, format: Format) -> Example:
        better, worse = row.number("score_chosen"), row.number("score_rejected")
        assert better is not None
        assert worse is not None
        if better <= worse:
            raise Unusable(f"{row.place}: the chosen answer has score {better:g}, the rejected one {worse:g}")
        return replace(_CONVERSATIONS.read(row, format), margin=better - worse, difficulty=worse - better)


@record
class Shp(Reader):
    """Stanford Human Preferences (arXiv 2110.08420): two comments on a post, the better one with more votes.

    The subset is the forum, the margin the logarithm of the ratio of the votes, and difficulty its negative.
    """

    kind = "preference"
    published = dict.fromkeys(
        ("history", "human_ref_A", "human_ref_B", "labels", "score_ratio", "domain"), "the columns of stanfordnlp/SHP"
    )
    typical_tokens = 300

    def read(self, row: SourceRow, format: Format) -> Example:
        label, ratio = row.text("labels"), row.number("score_ratio")  # 1 where A is the better one
        if label not in ("0", "1") or ratio is None or ratio <= 0:
            raise Unusable(
                f"{row.place}: labels {label!r} and score_ratio {ratio}, expected 0 or 1 and a ratio above 0"
            )
        answers = row.text_or_blank("human_ref_A"), row.text_or_blank("human_ref_B")
        chosen, rejected = answers if label == "1" else answers[::-1]
        return pair(
            alternating([Turn("user", row.text_or_blank("history"))], row.place),
            chosen,
            rejected,
            format,
            place=row.place,
            subset=re.sub(r"_(train|validation|test)$", "", row.text("domain")),
            margin=abs(log(ratio)),
            difficulty=-abs(log(ratio)),
        )


@record
class Gsm8k(Reader):
    """GSM8K (arXiv 2110.14168): a worked solution whose last line is `#### N`.

    Calculator marks (`<<48/2=24>>`) are taken out of what models learn to write; difficulty is their number (without
    any: that of equations), the steps.
    """

    kind = "reasoning"
    published = dict.fromkeys(
        ("question", "answer"), "GSM8K's columns are question and answer; for others use task=local_reasoning"
    )
    typical_tokens = 190
    typical_solution_tokens = 120

    @property
    def key(self) -> AnswerKey:
        return GSM8K_KEY

    def read(self, row: SourceRow, format: Format) -> Example:
        question, worked = row.text("question"), row.text("answer")
        answer = GSM8K_KEY.parse_strict(worked)
        if answer is None:
            end = worked.strip().splitlines()[-1][-60:]
            raise UnparsedAnswer(
                f"{row.place}: the gold answer does not parse: expected a last line `#### 18`, got {end!r}"
            )
        solution = format.gold_solution(CALCULATOR.sub("", worked), answer)
        steps = len(CALCULATOR.findall(worked)) or len(equations(worked))
        return problem(question, solution, answer, float(steps) or None)


@record
class HendrycksMath(Reader):
    r"""MATH (arXiv 2103.03874): the answer stands in a solution's `\boxed{}`; difficulty is the level from 1 to 5."""

    kind = "reasoning"
    published = dict.fromkeys(("problem", "solution", "level"), "the columns of MATH")
    typical_tokens = 320
    typical_solution_tokens = 220

    @property
    def key(self) -> AnswerKey:
        return MATH_KEY

    def read(self, row: SourceRow, format: Format) -> Example:
        question, solution = row.text("problem"), row.text("solution")
        boxed = last_boxed(solution)
        answer = None if boxed is None else MATH_KEY.parse_bare(boxed)
        if answer is None:
            raise UnparsedAnswer(
                rf"{row.place}: the gold answer does not parse: expected \boxed{{...}} in the solution"
            )
        level = _LEVEL.fullmatch(row.text_or_blank("level"))
        return problem(question, format.gold_solution(solution, answer), answer, float(level[1]) if level else None)
