"""Tiny real models with their tokenizers, opened once a session."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.generate.drawing import Tiny
from tests.models.tiny import make_folder
from w2s_lightning.models.load import Source, load_tokenizer, quiet


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tiny]:
    """`tiny("llama")` is an opened tiny model; `grouped` is a Llama whose query heads share key heads."""
    root, made = tmp_path_factory.mktemp("tiny"), dict[str, Tiny]()

    def of(family: str) -> Tiny:
        if family not in made:
            made[family] = opened(root / family, family)
        return made[family]

    return of


def opened(path: Path, family: str) -> Tiny:
    make_folder(path, "llama" if family == "grouped" else family)
    tokenizer = load_tokenizer(Source(str(path)))
    if family == "grouped":
        return Tiny(path, grouped(len(tokenizer)), tokenizer)
    with quiet():
        return Tiny(path, AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval(), tokenizer)


def grouped(vocabulary: int) -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5)
    return model
