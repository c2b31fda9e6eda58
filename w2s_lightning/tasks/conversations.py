r"""Conversations: turns as data sets write them, and the one way in which a task writes them down for a model.

form:
  chat_template: null # plain
  user: "Human: {text}\n\nAssistant:"
  joint: " "
  separator: "\n\n"
"""

from collections.abc import Sequence
from typing import Any

from w2s_lightning.errors import UserError
from w2s_lightning.schema import record
from w2s_lightning.tasks.example import Turn
from w2s_lightning.tasks.files import Unusable
from w2s_lightning.tasks.prompts import Message
from w2s_lightning.tasks.templates import Template, TemplateText

_SPEAKERS = ("system", "user", "assistant")


@record
class Form:
    """How a conversation and an answer to it are written down, the same for training and for evaluation.

    `chat_template`: null for plain text, `default` for the tokenizer's own, or the name of one of its others. In plain
    text `user` is a user's turn ({text}) up to where the answer begins; `joint` stands before an answer, `separator`
    after it and after a system's turn.
    """

    chat_template: str | None
    user: TemplateText
    joint: str
    separator: str

    def __post_init__(self) -> None:
        template = Template.parse(self.user)
        template.check(("text",))
        if not template.columns:
            raise UserError(f"task.form.user={self.user!r} must contain {{text}}")

    @property
    def is_chat(self) -> bool:
        """Whether a model's chat template writes the conversation (`data.pairs`), in place of `prompt`."""
        return self.chat_template is not None

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

    def completion(self, answer: str) -> str:
        """What follows a plain prompt."""
        return self.joint + answer


def messages(turns: Sequence[Turn]) -> list[Message]:
    """A conversation as chat templates take it."""
    return [{"role": turn.role, "content": turn.text} for turn in turns]


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
