"""Model folders, repositories and tokenizers: how they open, and one clear message for each that cannot be used."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from tests.models.tiny import TEXTS, WORDS
from tests.models.tiny_stages import HEAD, NUMERICS, weights
from tests.models.tiny_task import TinyTask
from w2s_lightning.config.schema import Numerics
from w2s_lightning.errors import UserError
from w2s_lightning.execute.pretrain import word_level
from w2s_lightning.models.load import Source, load_tokenizer, open_model, word_ids
from w2s_lightning.stages import BareModel, HubWeights


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder("llama"), tmp_path / "model")


def opened(source, numerics=NUMERICS):
    return open_model(BareModel(source, HEAD, numerics), TinyTask(), store=None)


def configure(path, **changes):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


def rename_weights(path):
    found = load_file(path / "model.safetensors")
    save_file({f"other.{name}": tensor for name, tensor in found.items()}, path / "model.safetensors")


def test_a_good_folder_opens(copy):
    made = opened(weights(copy))
    assert made.max_length == 64
    assert {p.dtype for p in made.network.parameters()} == {torch.float32}


OWN_CODE = {"auto_map": {"AutoModel": "modeling_mystery.Mystery"}}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / "model.safetensors").rename(path / "pytorch_model.bin"), "no safetensors"),
        (lambda path: configure(path, model_type="mystery", **OWN_CODE), "wants to run its own code"),
        (lambda path: configure(path, model_type="mystery"), "that transformers lacks"),
        (lambda path: configure(path, model_type="t5"), "neither a decoder nor an encoder"),
        (lambda path: (path / "config.json").write_text("{"), "is not JSON"),
        (rename_weights, "do not fit"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(copy, spoil, message):
    spoil(copy)
    with pytest.raises(UserError, match=message):
        opened(weights(copy))


def test_an_attention_that_is_not_installed_is_refused(copy):
    numerics = Numerics(precision="fp32", attention="flash_attention_2", max_length=64)
    with pytest.raises(UserError, match=r"fit\.attention"):
        opened(weights(copy), numerics)


def test_a_folder_that_changed_after_planning_is_refused(copy):
    planned = weights(copy)
    configure(copy, initializer_range=0.5)
    with pytest.raises(UserError, match="changed after the plan"):
        opened(planned)


def test_a_hub_model_without_a_network_says_how_to_use_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"(?s)nobody/nothing@000000000000.*weak.path=DIR"):
        opened(HubWeights("nobody/nothing", "0" * 40))


# ---------------------------------------------------------------- tokenizers


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
    with pytest.raises(UserError, match="verdict words are not one token each in the tokenizer of"):
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
