r"""How a task's questions, conversations and answers are written down for a model, in training and evaluation alike.

format:
  chat_template: null # plain
  instruction: ""
  user: "Question: {text}\nAnswer:"
  worked: "{solution}"
  joint: " "
  separator: "\n\n"
  stop: ["Question:", "Answer:"]

A conversation becomes plain text here; a chat template needs a model's tokenizer and is applied where rows are made
(`data`). Templates hold plain columns in braces and nothing else: `str.format` would follow attributes and indices
(`{text.__class__}`) of whatever it is given.
"""

import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator

from w2s_lightning.config.schema import record
from w2s_lightning.errors import UserError, did_you_mean
from w2s_lightning.tasks.draws import fingerprint
from w2s_lightning.tasks.example import Example, Turn, example_id, prompt_group
from w2s_lightning.tasks.source import SameAnswers, Unusable


@dataclass(frozen=True)
class Template:
    """A parsed template: pieces of literal text, each followed by a column or by None."""

    source: str
    pieces: tuple[tuple[str, str | None], ...]

    @staticmethod
    @cache
    def parse(source: str) -> "Template":
        """Raise UserError for unbalanced braces, attribute or index access, conversions and format specifications."""
        try:
            parsed = list(string.Formatter().parse(source))
        except ValueError as error:
            raise UserError(f"template {source!r}: {error} (write {{{{ and }}}} for literal braces)") from None
        for _, column, spec, conversion in parsed:
            plain = column is None or (column and not any(sign in column for sign in ".[]"))
            if not plain or spec or conversion:
                raise UserError(f"template {source!r}: only plain column names may stand in braces, like {{text}}")
        return Template(source, tuple((literal, column) for literal, column, _, _ in parsed))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that stand in it, in order of appearance."""
        return tuple(dict.fromkeys(column for _, column in self.pieces if column is not None))

    def check(self, known: Collection[str], needed: str | None, setting: str) -> None:
        """Raise UserError for a column that is not known, and where `needed` is not among its columns."""
        for column in self.columns:
            if column not in known:
                raise UserError(f"{setting}={self.source!r}: no column {column!r}; {did_you_mean(column, known)}")
        if needed is not None and needed not in self.columns:
            raise UserError(f"{setting}={self.source!r} must contain {{{needed}}}")

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text with every column's value in its place."""
        return "".join(literal + ("" if column is None else str(values[column])) for literal, column in self.pieces)


TemplateText = Annotated[str, AfterValidator(lambda source: Template.parse(source).source)]
"""A template as it stands in YAML, refused when it is not a plain one."""


@record
class Format:
    """How conversations and answers are written down.

    `chat_template`: null for plain text, `default` for the tokenizer's own, or the name of one of its others. In plain
    text `user` is a user's turn ({text}) up to where the answer begins, `joint` stands before an answer, `separator`
    after it and after a system's turn. Of reasoning tasks alone: `instruction` opens every text (as a system's turn),
    `worked` is a gold solution as a model should write it ({solution}, {answer}), `stop` are strings that end one; a
    model's end-of-text token ends it too.
    """

    chat_template: str | None
    user: TemplateText
    joint: str
    separator: str
    instruction: str = ""
    worked: TemplateText = "{solution}"
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Template.parse(self.user).check(("text",), "text", "task.format.user")
        Template.parse(self.worked).check(("answer", "solution"), "solution", "task.format.worked")
        if not all(self.stop):
            raise UserError("task.format.stop holds an empty string: every text would end at once")

    @property
    def is_chat(self) -> bool:
        """Whether a model's chat template writes `messages`, in place of `prompt`."""
        return self.chat_template is not None

    def asked(self, question: str, shown: Sequence[tuple[str, str]] = ()) -> tuple[Turn, ...]:
        """A question as a conversation: the instruction, worked examples (question and solution), the question."""
        opening = [Turn("system", self.instruction)] if self.instruction else []
        for one, solution in shown:
            opening += [Turn("user", one.strip()), Turn("assistant", solution.strip())]
        return (*opening, Turn("user", question.strip()))

    def prompt(self, turns: Sequence[Turn]) -> str:
        """Plain text of a conversation up to the answer."""
        text = ""
        for turn in turns:
            match turn.role:
                case "system":
                    text += turn.text + self.separator
                case "user":
                    text += Template.parse(self.user).fill({"text": turn.text})
                case "assistant":
                    text += self.completion(turn.text) + self.separator
        return text

    def messages(self, question: str, shown: Sequence[tuple[str, str]] = ()) -> list[dict[str, str]]:
        """The same for a chat template; `user` asks here too, where the turns of a preference stand for themselves."""
        write = Template.parse(self.user).fill
        asked = self.asked(question, shown)
        return messages([one._replace(text=write({"text": one.text})) if one.role == "user" else one for one in asked])

    def completion(self, answer: str) -> str:
        """What follows a plain prompt."""
        return self.joint + answer

    def gold_solution(self, solution: str, answer: str) -> str:
        """A gold solution as a model should write it."""
        return Template.parse(self.worked).fill({"solution": solution.strip(), "answer": answer})


def messages(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """A conversation as chat templates take it."""
    return [{"role": turn.role, "content": turn.text} for turn in turns]


def pair(
    turns: Sequence[Turn],
    chosen: str,
    rejected: str,
    format: Format,
    *,
    place: str,
    group: str | None = None,
    subset: str | None = None,
    margin: float | None = None,
    difficulty: float | None = None,
) -> Example:
    """A checked pair; `place` is `file:line`, `group` None for the prompt's own.

    Which answer stands first depends on the two texts alone, so a pair and its reverse differ in nothing but the label.
    Raises Unusable for empty or equal answers and for a negative margin.
    """
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        if not answer.strip():
            raise Unusable(f"{place}: the {name} answer is empty")
    if chosen.strip() == rejected.strip():
        raise SameAnswers(f"{place}: chosen and rejected are the same")
    if margin is not None and not (isfinite(margin) and margin >= 0):
        raise Unusable(
            f"{place}: margin {margin:g} says that the rejected answer is the better one; expected 0 or more"
        )
    prompt = format.prompt(turns)
    texts = {answer: prompt + format.completion(answer) for answer in (chosen, rejected)}
    both = sorted(texts.values())
    first, second = sorted(texts, key=lambda answer: fingerprint("option", *both, texts[answer]))
    options = (texts[first], texts[second])
    return Example(
        id=example_id(options),
        group=group or prompt_group(turns),
        texts=options,
        label=int(second == chosen),
        difficulty=difficulty,
        turns=tuple(turns),
        completions=(first, second),
        subset=subset,
        margin=margin,
    )


# ---------------------------------------------------------------- conversations as data sets write them


def conversation(value: Any, place: str) -> tuple[Turn, ...]:
    """The turns of a prompt: one text by the user, or a list of messages (`role`, `content`) that ends with the user.

    Raises Unusable where turns do not alternate (a system's turn may come first), are empty or end with the assistant.
    """
    return alternating([Turn("user", value)] if isinstance(value, str) else _listed(value, place), place)


def alternating(turns: Sequence[Turn], place: str) -> tuple[Turn, ...]:
    """The same turns; raise Unusable unless they are a prompt: see `conversation`."""
    first = 1 if turns and turns[0].role == "system" else 0
    for number, turn in enumerate(turns):
        wanted = turn.role if number < first else ("user", "assistant")[(number - first) % 2]
        if turn.role != wanted:
            raise Unusable(f"{place}: turn {number + 1} is the {turn.role}'s where the {wanted}'s should alternate")
        if not turn.text.strip():
            raise Unusable(f"{place}: turn {number + 1}, the {turn.role}'s, is empty")
    if len(turns) == first or turns[-1].role != "user":
        raise Unusable(f"{place}: the prompt must end with a user's turn")
    return tuple(turns)


def answered(value: Any, place: str) -> tuple[tuple[Turn, ...] | None, str]:
    """The conversation before an answer, and the answer: a text, or messages of which the last is the assistant's.

    The conversation is None where the value holds the answer alone. Raises Unusable as `conversation` does.
    """
    if isinstance(value, str):
        return None, value
    turns = _listed(value, place)
    if not turns or turns[-1].role != "assistant":
        raise Unusable(f"{place}: an answer given as turns must end with the assistant's")
    return alternating(turns[:-1], place) if len(turns) > 1 else None, turns[-1].text


_SPEAKERS = ("system", "user", "assistant")


def _listed(value: Any, place: str) -> list[Turn]:
    messages = value if isinstance(value, list) else [None]
    turns = []
    for number, message in enumerate(messages, start=1):
        role, text = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if role not in _SPEAKERS or not isinstance(text, str):
            shown = f"turn {number} is {message!r}"[:120] if isinstance(value, list) else f"got {type(value).__name__}"
            raise Unusable(
                f"{place}: {shown}; expected a text, or turns such as {{role: user, content: ...}} with the roles "
                f"{', '.join(_SPEAKERS)}"
            )
        turns.append(Turn(role, text))
    return turns
