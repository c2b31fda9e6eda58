r"""Prompts of reasoning tasks, as templates of their YAML: plain text, or messages for a model's chat template.

prompts:
  chat_template: null # plain
  instruction: ""
  question: "Question: {question}\nAnswer:"
  worked: "{solution}"
  joint: " "
  separator: "\n\n"
  stop: ["Question:", "Answer:"]
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict

from w2s_lightning.errors import UserError
from w2s_lightning.schema import record
from w2s_lightning.tasks.templates import Template, TemplateText


class Demonstration(NamedTuple):
    """A question with a solution to it (gold, or some model's own: right or wrong)."""

    question: str
    solution: str


class Message(TypedDict):
    """One turn of a conversation, as chat templates take it."""

    role: Literal["system", "user", "assistant"]
    content: str


@record
class Prompts:
    """How a task asks and how a solution is written down.

    `chat_template`: null for plain text, `default` for the tokenizer's own, or the name of one of its others.
    `question` may use {question}, `worked` (a gold solution as a model should write it) {solution} and {answer}. In
    plain text `joint` stands between question and solution, `separator` after each worked example; `instruction` opens
    the text, as a system message in a conversation. `stop`: strings that end a solution.
    """

    chat_template: str | None
    instruction: str
    question: TemplateText
    worked: TemplateText
    joint: str
    separator: str
    stop: tuple[str, ...]

    def __post_init__(self) -> None:
        for setting, needed, known in (
            ("question", "question", ("question",)),
            ("worked", "solution", ("answer", "solution")),
        ):
            template = Template.parse(getattr(self, setting))
            template.check(known)
            if needed not in template.columns:
                raise UserError(f"task.prompts.{setting}={template.source!r} must contain {{{needed}}}")
        if not all(self.stop):
            raise UserError("task.prompts.stop holds an empty string: every text would end at once")

    @property
    def is_chat(self) -> bool:
        """Whether `messages` is to be used, with `chat_template`."""
        return self.chat_template is not None

    def prompt(self, question: str, demonstrations: Sequence[Demonstration] = ()) -> str:
        """Plain text: instruction, worked examples, the question."""
        shown = [self._asked(shown) + self.completion(solution) for shown, solution in demonstrations]
        opening = [self.instruction] if self.instruction else []
        return self.separator.join([*opening, *shown, self._asked(question)])

    def messages(self, question: str, demonstrations: Sequence[Demonstration] = ()) -> list[Message]:
        """A conversation that ends with the question."""
        made: list[Message] = [{"role": "system", "content": self.instruction}] if self.instruction else []
        for shown, solution in demonstrations:
            made.append({"role": "user", "content": self._asked(shown)})
            made.append({"role": "assistant", "content": solution.strip()})
        return [*made, {"role": "user", "content": self._asked(question)}]

    def completion(self, solution: str) -> str:
        """What follows a plain prompt."""
        return self.joint + solution.strip()

    def gold_solution(self, solution: str, answer: str) -> str:
        """A gold solution as a model should write it."""
        return Template.parse(self.worked).fill({"solution": solution.strip(), "answer": answer})

    def _asked(self, question: str) -> str:
        return Template.parse(self.question).fill({"question": question.strip()})
