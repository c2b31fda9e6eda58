"""Labels that a tokenizer splits: the plan sees it, heads begin at zero, and words that somebody chose are refused."""

import csv
from pathlib import Path

import pytest

from tests.composing import plan
from w2s_lightning.content import Folder
from w2s_lightning.errors import UserError
from w2s_lightning.plan import Plan
from w2s_lightning.stages import Fit
from w2s_lightning.verdict_words import lost_words


@pytest.fixture
def own(tmp_path, folder):
    """A job of own files whose labels are these, and of the same small model twice."""

    def planned(labels: tuple[str, str], *overrides: str, model: str = "gpt2") -> Plan:
        for name, count in (("train", 60), ("test", 40)):
            lines = [(f"is {name} {n} warm", labels[n % 2]) for n in range(count)]
            with (tmp_path / f"{name}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([("text", "label"), *lines])
        files = [f"task.{name}_file={tmp_path / name}.csv" for name in ("train", "test")]
        models = [f"model@{role}={folder(model)}" for role in ("weak", "strong")]
        return plan("task=local_choice", *files, *models, *overrides)

    return planned


def beginnings(made: Plan) -> set[str]:
    return {stage.readout.head_init for stage in made.stages if isinstance(stage, Fit)}


def test_labels_that_are_one_token_each_are_verdict_words(own):
    made = own(("no", "yes"))
    assert beginnings(made) == {"unembedding"}
    assert "untuned_words" in [row.name for row in made.rows]
    assert made.notices == ()


def test_labels_that_a_tokenizer_splits_leave_the_head_at_zero(own):
    made = own(("zyzzyva", "yes"))
    assert beginnings(made) == {"zeros"}
    assert "untuned_words" not in [row.name for row in made.rows]
    (notice,) = made.notices
    assert notice.startswith("verdict words: none for gpt2")
    assert "since the labels zyzzyva are not one token each" in notice
    assert {
        stage.digest for stage in own(("zyzzyva", "yes"), "weak.head_init=zeros", "strong.head_init=zeros").stages
    } == {stage.digest for stage in made.stages}, "what is used is what counts"


def test_no_words_at_all_take_a_zero_head_by_themselves(own):
    made = own(("no", "yes"), "task.words=[]")
    assert beginnings(made) == {"zeros"}
    assert made.notices == ()


@pytest.mark.parametrize("readout", ["head", "words"])
def test_words_that_were_chosen_are_refused_with_what_to_type(own, readout):
    with pytest.raises(
        UserError, match=r"zyzzyva.*task.words=.. weak.head_init=zeros strong.head_init=zeros"
    ) as refused:
        own(("no", "yes"), "task.words=[zyzzyva,yes]", f"fit.readout={readout}")
    assert "\n" not in str(refused.value)


def test_labels_cannot_be_read_as_words_where_they_are_none(own):
    with pytest.raises(UserError, match="1 of 2 verdict words are not one token each"):
        own(("zyzzyva", "yes"), "fit.readout=words")


def test_an_encoder_has_no_words_to_look_for(own):
    assert own(("zyzzyva", "yes"), model="bert").notices == ()


def test_a_tokenizer_that_cannot_be_read_says_nothing(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{}")
    assert lost_words(Folder(tmp_path, "a"), ("no", "yes")) == ()
