"""Prompts of reasoning tasks: plain text and conversations."""

from dataclasses import replace

import pytest

from tests.tasks.composing_tasks import task
from w2s_lightning.errors import UserError
from w2s_lightning.tasks.prompts import Demonstration, Prompts

SHOWN = [Demonstration("one?", "It is 1.\n#### 1"), Demonstration("two?", "#### 2\n")]


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    made = task("gsm8k").prompts
    assert isinstance(made, Prompts)
    return made


def test_plain_text_shows_worked_examples_and_ends_with_the_question(prompts: Prompts) -> None:
    assert prompts.prompt("three?") == "Question: three?\nAnswer:"
    assert prompts.prompt("three?", SHOWN) == (
        "Question: one?\nAnswer: It is 1.\n#### 1\n\nQuestion: two?\nAnswer: #### 2\n\nQuestion: three?\nAnswer:"
    )


def test_an_instruction_opens_the_text(prompts: Prompts) -> None:
    told = replace(prompts, instruction="Think.")
    assert told.prompt("three?", SHOWN[1:]).startswith("Think.\n\nQuestion: two?\nAnswer: #### 2\n\nQuestion: three?")


def test_a_completion_is_what_a_worked_example_shows(prompts: Prompts) -> None:
    text = prompts.prompt("three?", SHOWN[:1])
    assert text.startswith(prompts.prompt("one?") + prompts.completion(SHOWN[0].solution) + prompts.separator)


def test_a_conversation_alternates(prompts: Prompts) -> None:
    chat = replace(prompts, chat_template="default", question="{question}", instruction="Think.")
    assert chat.is_chat
    assert not prompts.is_chat
    assert chat.messages("three?", SHOWN[:1]) == [
        {"role": "system", "content": "Think."},
        {"role": "user", "content": "one?"},
        {"role": "assistant", "content": "It is 1.\n#### 1"},
        {"role": "user", "content": "three?"},
    ]


def test_braces_in_questions_and_solutions_stay(prompts: Prompts) -> None:
    assert "{x} \\frac{1}{2}" in prompts.prompt("{x} \\frac{1}{2}")
    assert prompts.gold_solution("\\boxed{1}", "1") == "\\boxed{1}"


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("question", "Question:", r"prompts\.question='Question:' must contain \{question\}"),
        ("question", "{qestion}", "no column 'qestion'; did you mean 'question'"),
        ("worked", "{answer}", r"must contain \{solution\}"),
        ("worked", "{solution.x}", "only plain column names"),
        ("stop", ("",), "empty string"),
    ],
)
def test_templates_that_cannot_work_are_refused(prompts: Prompts, setting: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(prompts, **{setting: value})
