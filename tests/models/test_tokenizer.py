"""Tokenizers: padding, truncation, verdict words, the ladder's own."""

import pytest
from transformers import AutoTokenizer

from tests.models.tiny import TEXTS, WORDS
from w2s_lightning.errors import UserError
from w2s_lightning.execute.pretrain import word_level
from w2s_lightning.models.load import Source, load_tokenizer, word_ids


def test_a_tokenizer_without_a_padding_token_gets_one(folder):
    assert AutoTokenizer.from_pretrained(folder("llama")).pad_token is None
    tokenizer = load_tokenizer(Source(str(folder("llama"))))
    assert tokenizer.pad_token == tokenizer.eos_token
    assert (tokenizer.padding_side, tokenizer.truncation_side) == ("right", "left")


def test_verdict_words_are_found_with_their_leading_space(folder):
    tokenizer = load_tokenizer(Source(str(folder("gpt2"))))
    assert [tokenizer.decode([i]) for i in word_ids(tokenizer, WORDS)] == [" no", " yes"]
    bert = load_tokenizer(Source(str(folder("bert"))))
    assert [bert.decode([i]) for i in word_ids(bert, WORDS)] == ["no", "yes"]


@pytest.mark.parametrize("words", [("yes", "zyzzyva"), ("yes", "yes")])
def test_verdict_words_that_are_not_one_token_each_are_refused(folder, words):
    with pytest.raises(UserError, match="verdict words are not one token of their own"):
        word_ids(load_tokenizer(Source(str(folder("gpt2")))), words)


def test_the_ladders_tokenizer_survives_saving(tmp_path):
    made = word_level(["<pad>", "<unk>", "so", "right", "wrong"])
    made.save_pretrained(tmp_path)
    loaded = load_tokenizer(Source(str(tmp_path)))
    assert loaded("so right blue")["input_ids"] == made("so right blue")["input_ids"] == [2, 3, 1]
    assert (loaded.pad_token_id, loaded.unk_token_id, len(loaded)) == (0, 1, 5)
    assert word_ids(loaded, ["wrong", "right"]) == [4, 3]


def test_left_truncation_keeps_the_end_and_the_special_tokens(folder):
    tokenizer = load_tokenizer(Source(str(folder("bert"))))
    whole = tokenizer(TEXTS[0])["input_ids"]
    short = tokenizer(TEXTS[0], truncation=True, max_length=6)["input_ids"]
    assert short == [whole[0], *whole[-5:]]
