"""Encoded rows, frozen features and the joins by example id."""

import numpy as np
import pytest
import torch

from tests.models.tiny_task import TinyTask
from w2s_lightning.data.model_texts import encode
from w2s_lightning.data.rows import Rows
from w2s_lightning.data.tables import aligned, places, read, read_targets, vectors, with_targets, write
from w2s_lightning.errors import UserError
from w2s_lightning.execute.pretrain import word_level
from w2s_lightning.results.stored import matrix
from w2s_lightning.selection import TargetTable
from w2s_lightning.stages import Gold
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import choice, group_id

TOKENIZER = word_level(["<pad>", "<unk>", "a", "b", "c", "d"])
TOKENIZER.truncation_side = "left"


def examples(*texts, label=0):
    return [choice([text], label=label, group=group_id(text)) for text in texts]


def test_texts_are_padded_on_the_right_and_masked():
    rows = encode(["x", "y"], [("a b",), ("c",)], tokenizer=TOKENIZER, max_length=8)
    inputs = rows.collate(np.array([1, 0]))
    assert inputs["ids"].tolist() == [[4, 0], [2, 3]]
    assert inputs["mask"].tolist() == [[1, 0], [1, 1]]
    assert rows.lengths.tolist() == [2, 1]
    assert rows.num_tokens(np.array([0, 0, 1])) == 5


def test_an_overlong_text_loses_its_start_and_is_counted():
    rows = encode(["x", "y"], [("a b c d",), ("a b",)], tokenizer=TOKENIZER, max_length=3)
    assert [text.tolist() for text in rows.texts] == [[3, 4, 5], [2, 3]]
    assert rows.num_truncated == 1


def test_several_texts_a_row_lie_side_by_side():
    rows = encode(["x", "y"], [("a b c d e f", "a"), ("b", "c d")], tokenizer=TOKENIZER, max_length=4)
    assert rows.collate(np.array([1]))["ids"].tolist() == [[3, 0], [4, 5]]
    assert rows.lengths.tolist() == [8, 4]
    assert rows.num_truncated == 1


def test_an_empty_text_is_one_attended_token():
    rows = encode(["x"], [("",)], tokenizer=TOKENIZER, max_length=4)
    assert rows.collate(np.array([0]))["mask"].tolist() == [[1]]


def test_features_and_windows_collate_too():
    features = Rows(("x", "y"), (), 2, 0, features=np.arange(12, dtype=np.float32).reshape(2, 2, 3))
    assert features.collate(np.array([1]))["input"].tolist() == [[6, 7, 8], [9, 10, 11]]
    assert features.num_tokens(np.array([0])) == 0
    windows = Rows(("x", "y"), list(np.arange(8).reshape(2, 4)), 1, 0)
    assert torch.equal(windows.collate(np.array([1]))["ids"], torch.tensor([[4, 5, 6, 7]]))
    assert windows.num_tokens(np.array([0, 1])) == 8


def test_vectors_survive_parquet(tmp_path):
    probs = np.random.default_rng(0).random((5, 3))
    write(tmp_path / "t.parquet", {"example_id": list("abcde"), "probs": vectors(probs)})
    assert (matrix(read(tmp_path / "t.parquet"), "probs") == probs).all()


def test_joining_goes_by_id_and_refuses_what_is_missing_or_double():
    assert places(["b", "a"], ["a", "b", "c"], "x").tolist() == [1, 0]
    with pytest.raises(UserError, match="1 of 2 example ids are missing"):
        places(["a", "z"], ["a", "b"], "x")
    with pytest.raises(UserError, match="stands twice"):
        places(["a"], ["a", "a"], "x")


def test_targets_follow_their_examples_whatever_the_order():
    split = examples("a", "b", "c")
    table = TargetTable(
        tuple(e.id for e in reversed(split)), np.array([[0.1, 0.9], [0.6, 0.4], [1, 0]]), np.arange(3.0)
    )
    probs, weights = aligned([e.id for e in split], table, "soft", "x")
    assert probs.tolist() == [[1, 0], [0.6, 0.4], [0.1, 0.9]]
    assert weights.tolist() == [2, 1, 0]
    hard, _ = aligned([e.id for e in split], table, "hard", "x")
    assert hard.tolist() == [[1, 0], [1, 0], [0, 1]]


def test_a_filtered_table_keeps_the_splits_order_and_strangers_are_refused():
    split = examples("a", "b", "c")
    some = TargetTable((split[2].id, split[0].id), np.full((2, 2), 0.5), np.ones(2))
    assert [e.texts[0] for e in with_targets(split, some, "x")] == ["a", "c"]
    stranger = TargetTable((split[0].id, "stranger"), np.full((2, 2), 0.5), np.ones(2))
    with pytest.raises(UserError, match="1 of 2 targets are for other examples"):
        with_targets(split, stranger, "x")
    with pytest.raises(UserError, match="no target is left"):
        with_targets(split, TargetTable((), np.zeros((0, 2)), np.zeros(0)), "x")


def test_gold_is_one_hot(tmp_path):
    table = read_targets(Gold("test"), examples("a", "b", label=2), TinyTask(num_classes=3), Store.at(tmp_path))
    assert table.probs.tolist() == [[0, 0, 1], [0, 0, 1]]
