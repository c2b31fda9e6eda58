"""Tiny real models with their tokenizers, opened once a session."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests.generate.drawing import Tiny
from tests.models.tiny import CONFIGS, make_folder
from w2s_lightning.models.load import Source, load_tokenizer, quiet


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tiny]:
    """`tiny("llama")` is an opened tiny model; `grouped` is a Llama whose query heads share key heads."""
    root = tmp_path_factory.mktemp("tiny")
    return cache(lambda family: opened(root / family, family))


def opened(path: Path, family: str) -> Tiny:
    make_folder(path, "llama" if family == "grouped" else family)
    tokenizer = load_tokenizer(Source(str(path)))
    if family == "grouped":
        return Tiny(path, grouped(len(tokenizer)), tokenizer)
    with quiet():
        return Tiny(path, AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval(), tokenizer)


def grouped(vocabulary: int) -> PreTrainedModel:
    torch.manual_seed(1)
    heads = {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 4}
    sizes = {**CONFIGS["llama"], "hidden_size": 24, "intermediate_size": 48, **heads}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", vocab_size=vocabulary, **sizes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5)
    return model
