"""How questions and conversations are written down: templates of plain columns, plain text, messages."""

from dataclasses import replace

import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.format import Format, Template

SHOWN = [("one?", "It is 1.\n#### 1"), ("two?", "#### 2\n")]


@pytest.fixture(scope="module")
def plain() -> Format:
    made = task("gsm8k").format
    assert isinstance(made, Format)
    return made


def prompt(format: Format, question: str, shown: list[tuple[str, str]]) -> str:
    return format.prompt(format.asked(question, shown))


def test_plain_text_shows_worked_examples_and_ends_with_the_question(plain: Format) -> None:
    assert prompt(plain, "three?", []) == "Question: three?\nAnswer:"
    assert prompt(plain, "three?", SHOWN) == (
        "Question: one?\nAnswer: It is 1.\n#### 1\n\nQuestion: two?\nAnswer: #### 2\n\nQuestion: three?\nAnswer:"
    )
    told = replace(plain, instruction="Think.")
    assert prompt(told, "three?", SHOWN[1:]).startswith("Think.\n\nQuestion: two?\nAnswer: #### 2\n\nQuestion: three?")


def test_a_completion_is_what_a_worked_example_shows(plain: Format) -> None:
    text = prompt(plain, "three?", SHOWN[:1])
    assert text.startswith(prompt(plain, "one?", []) + plain.completion(SHOWN[0][1]) + plain.separator)


def test_a_conversation_alternates_and_asks_as_plain_text_does(plain: Format) -> None:
    chat = replace(plain, chat_template="default", user="Q: {text}", instruction="Think.")
    assert chat.is_chat
    assert not plain.is_chat
    assert chat.messages("three?", SHOWN[:1]) == [
        {"role": "system", "content": "Think."},
        {"role": "user", "content": "Q: one?"},
        {"role": "assistant", "content": "It is 1.\n#### 1"},
        {"role": "user", "content": "Q: three?"},
    ]


def test_braces_in_questions_and_solutions_stay(plain: Format) -> None:
    assert "{x} \\frac{1}{2}" in prompt(plain, "{x} \\frac{1}{2}", [])
    assert plain.gold_solution("\\boxed{1}", "1") == "\\boxed{1}"


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("user", "Question:", r"format\.user='Question:' must contain \{text\}"),
        ("user", "{txt}", "no column 'txt'; did you mean `text`"),
        ("worked", "{answer}", r"must contain \{solution\}"),
        ("worked", "{solution.x}", "only plain column names"),
        ("stop", ("",), "empty string"),
    ],
)
def test_formats_that_cannot_work_are_refused(plain: Format, setting: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(plain, **{setting: value})


def test_columns_are_filled_in_place() -> None:
    template = Template.parse("Q: {question} A: {Review Text} {{sic}}")
    assert template.columns == ("question", "Review Text")
    assert template.fill({"question": "{why.__class__}", "Review Text": 4}) == "Q: {why.__class__} A: 4 {sic}"


@pytest.mark.parametrize("source", ["{text.__class__}", "{text[0]}", "{text!r}", "{text:>9}", "{}", "{text", "}"])
def test_anything_but_a_plain_column_is_refused(source: str) -> None:
    with pytest.raises(UserError, match="template"):
        Template.parse(source)
