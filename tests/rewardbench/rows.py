"""Pairs of different lengths for tests of scoring, and a chat template for tiny tokenizers."""

from w2s_lightning.tasks.example import Example, Turn
from w2s_lightning.tasks.format import Format, pair

FORM = Format(chat_template=None, user="is {text} ?", joint=" ", separator=" . ")
CHAT = Format(chat_template="default", user="{text}", joint="", separator="")
TALK = (
    "is tea warm ? the tea is warm and the day is long .",
    "is snow black ? snow is white , the night is black .",
    "is the yard long ? dogs bark in the yard all day .",
    "is a fish warm ? a fish swims in the sea .",
    "is it so ? yes .",
)
END = "<|endoftext|>"
TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }} ;{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def pairs(form: Format = FORM) -> list[Example]:
    """Five pairs; answers have from one to nine words."""
    told = [text.split(" ? ") for text in TALK]
    return [
        pair([Turn("user", question.removeprefix("is "))], answer, told[n - 1][1][: 9 + 2 * n], form, place=f"rows:{n}")
        for n, (question, answer) in enumerate(told)
    ]
