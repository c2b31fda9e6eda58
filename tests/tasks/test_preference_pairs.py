"""Pairs: what a conversation and two answers become, and every row that is none."""

from dataclasses import replace
from typing import Any

import pytest

from w2s_lightning.errors import UserError
from w2s_lightning.tasks.example import Example, Turn, example_id, question_group
from w2s_lightning.tasks.format import Format, answered, conversation, messages, pair
from w2s_lightning.tasks.source import SourceRow, Unusable
from w2s_lightning.tasks.split import ExamplePool, make_pool

FORM = Format(chat_template=None, user="Human: {text}\n\nAssistant:", joint=" ", separator="\n\n")
ASKED = (Turn("user", "how?"),)
TALK = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "hello"},
    {"role": "user", "content": "how?"},
]


def made(chosen: str = "so", rejected: str = "no", turns: tuple[Turn, ...] = ASKED, **more: Any) -> Example:
    return pair(turns, chosen, rejected, FORM, place="f:1", **more)


def test_a_pair_is_a_choice_of_two_whole_texts() -> None:
    one = made()
    assert sorted(one.texts) == ["Human: how?\n\nAssistant: no", "Human: how?\n\nAssistant: so"]
    assert one.texts[one.label].endswith(" so")
    assert one.id == example_id(one.texts)
    assert (one.chosen, one.rejected) == ("so", "no")
    assert [FORM.prompt(one.turns) + FORM.completion(end) for end in one.completions] == list(one.texts)


def test_a_pair_and_its_reverse_differ_in_the_label_alone() -> None:
    one, reverse = made("so", "no"), made("no", "so")
    assert one.label + reverse.label == 1
    assert replace(reverse, label=one.label) == one


def test_the_better_answer_stands_on_either_side_equally_often() -> None:
    labels = [made(f"right {n}", f"wrong {n}").label for n in range(400)]
    assert 0.4 < sum(labels) / len(labels) < 0.6


def test_turns_are_written_down_in_order() -> None:
    turns = (Turn("system", "Be brief."), *conversation(TALK, "f:1"))
    assert FORM.prompt(turns) == "Be brief.\n\nHuman: hi\n\nAssistant: hello\n\nHuman: how?\n\nAssistant:"
    assert messages(turns)[-1] == {"role": "user", "content": "how?"}
    assert all(text.startswith(FORM.prompt(turns)) for text in made(turns=turns).texts)


def test_leading_blanks_of_an_answer_stay() -> None:
    assert made("    return 1", "    return 2").chosen == "    return 1"


def test_a_single_question_has_the_group_of_a_problem_with_it() -> None:
    assert made(turns=(Turn("user", "How  many EGGS?"),)).group == question_group("how many eggs?")
    assert made().group == made("a", "b").group != made(turns=conversation(TALK, "f:1")).group


def test_what_a_file_knows_besides_is_kept() -> None:
    one = made(subset="maths", margin=1.5, difficulty=-1.5)
    assert (one.subset, one.margin, one.difficulty) == ("maths", 1.5, -1.5)
    assert one.id == made().id


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "must end with a user's turn"),
        ([{"role": "system", "content": "x"}], "must end with a user's turn"),
        (TALK[:2], "must end with a user's turn"),
        ([TALK[0], TALK[2]], "turn 2 is the user's where the assistant's should alternate"),
        ([TALK[1], TALK[0]], "turn 1 is the assistant's where the user's"),
        ([TALK[0], {"role": "system", "content": "x"}, TALK[2]], "turn 2 is the system's"),
        ([{"role": "system", "content": ""}, TALK[0]], "turn 1, the system's, is empty"),
        ([TALK[0], {"role": "assistant", "content": " "}, TALK[2]], "turn 2, the assistant's, is empty"),
        ([{"role": "robot", "content": "x"}], "turn 1 is .*robot.*expected a text, or turns"),
        ([{"from": "human", "value": "x"}], "turn 1 is .*expected a text, or turns"),
        (["x"], "turn 1 is 'x'; expected a text, or turns"),
        ({"role": "user"}, "got dict; expected a text, or turns"),
        (7, "got int; expected a text, or turns"),
        ("", "turn 1, the user's, is empty"),
    ],
)
def test_prompts_that_are_none_are_refused_with_their_place(value: Any, message: str) -> None:
    with pytest.raises(Unusable, match=message) as caught:
        conversation(value, "data.jsonl:7")
    assert str(caught.value).startswith("data.jsonl:7: ")


def test_an_answer_is_a_text_or_ends_a_conversation() -> None:
    assert answered("so", "f:1") == (None, "so")
    assert answered([{"role": "assistant", "content": "so"}], "f:1") == (None, "so")
    assert answered([*TALK, {"role": "assistant", "content": "so"}], "f:1") == (conversation(TALK, "f:1"), "so")
    with pytest.raises(Unusable, match="must end with the assistant's"):
        answered(TALK, "f:1")


@pytest.mark.parametrize(
    ("chosen", "rejected", "margin", "message"),
    [
        ("", "no", None, "f:1: the chosen answer is empty"),
        ("so", " \n", None, "f:1: the rejected answer is empty"),
        ("so", "so ", None, "f:1: chosen and rejected are the same"),
        ("so", "no", -1.0, "f:1: margin -1 says that the rejected answer is the better one"),
    ],
)
def test_answers_that_compare_nothing_are_refused(
    chosen: str, rejected: str, margin: float | None, message: str
) -> None:
    with pytest.raises(Unusable, match=message):
        made(chosen, rejected, margin=margin)


def pooled(own: bool, *answers: tuple[str, str]) -> ExamplePool:
    what = "training file" if own else "hub (train)"
    rows = [SourceRow(f"f:{n}", {"chosen": one, "rejected": other}, own) for n, (one, other) in enumerate(answers, 1)]
    return make_pool(rows, read, what, kind="preference")


def read(row: SourceRow) -> Example:
    return pair(ASKED, row.values["chosen"], row.values["rejected"], FORM, place=row.place)


SAME = "chosen and rejected are the same"


def test_equal_answers_are_counted_and_left_out() -> None:
    pool = pooled(True, ("a", "b"), ("c", "c"), ("d", "d "), ("a", "b"))
    assert len(pool.examples) == 1
    assert pool.notices == (
        f"training file: 2 pairs whose two answers are the same left out (the first is f:2: {SAME})",
        "training file: 1 duplicate pair left out",
    )


def test_a_persons_file_is_refused_for_any_other_fault() -> None:
    with pytest.raises(UserError, match="f:2: the chosen answer is empty"):
        pooled(True, ("a", "b"), ("", "c"))
    with pytest.raises(UserError, match="f:1 and f:3: one pair with either answer as the better one"):
        pooled(True, ("a", "b"), ("c", "d"), ("b", "a"))


def test_published_rows_with_faults_are_counted_and_left_out() -> None:
    pool = pooled(False, ("a", "b"), ("", "c"), ("e", "e"), ("x", "y"), ("y", "x"))
    assert [item.texts for item in pool.examples] == [made("a", "b").texts]
    assert pool.notices == (
        "hub (train): 1 pair without a comparison left out (the first is f:2: the chosen answer is empty)",
        f"hub (train): 1 pair whose two answers are the same left out (the first is f:3: {SAME})",
        "hub (train): 1 pair with conflicting labels left out",
    )
    for own in (False, True):
        with pytest.raises(UserError, match=f"none of the 1 rows can be used: f:1: {SAME}"):
            pooled(own, ("e", "e"))
