"""Templates fill plain columns and follow nothing else."""

import pytest

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.templates import Template


def test_columns_are_filled_in_place() -> None:
    template = Template.parse("Q: {question} A: {answer} {{sic}}")
    assert template.columns == ("question", "answer")
    assert template.fill({"question": "why?", "answer": 4}) == "Q: why? A: 4 {sic}"


def test_braces_in_a_value_stay_text() -> None:
    assert Template.parse("{text}").fill({"text": "{question.__class__}"}) == "{question.__class__}"


def test_a_column_may_have_spaces() -> None:
    assert Template.parse("{Review Text}").fill({"Review Text": "good"}) == "good"


@pytest.mark.parametrize("source", ["{text.__class__}", "{text[0]}", "{text!r}", "{text:>9}", "{}", "{text", "}"])
def test_anything_but_a_plain_column_is_refused(source: str) -> None:
    with pytest.raises(UserError, match="template"):
        Template.parse(source)


def test_an_unknown_column_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'question'"):
        Template.parse("{qestion}").check(["question", "label"])
