"""The embedded ladder: small Llama-architecture models with random weights and their tokenizer, for pretraining."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from w2s_lightning.models.networks import LanguageModel
from w2s_lightning.stages import Pretrain

MAX_POSITIONS = 512


def untrained(stage: Pretrain, tokenizer: PreTrainedTokenizerBase) -> LanguageModel:
    """The stage's architecture (tied embeddings, hidden layer four times as wide), initialised from its seed."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=stage.width,
        intermediate_size=4 * stage.width,
        num_hidden_layers=stage.layers,
        num_attention_heads=stage.heads,
        num_key_value_heads=stage.heads,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        attn_implementation="sdpa",
    )
    torch.manual_seed(stage.settings.seed)
    return LanguageModel(LlamaForCausalLM(config), bf16=False)


def word_level(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer over blank-separated words; the special tokens come first in `vocabulary`."""
    ids = {word: i for i, word in enumerate(vocabulary)}
    assert len(ids) == len(vocabulary), "a word stands twice in the vocabulary"
    backend = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    specials = {f"{name}_token": f"<{name}>" for name in ("pad", "unk", "bos", "eos") if f"<{name}>" in ids}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **specials)
