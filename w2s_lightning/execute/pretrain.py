"""The embedded ladder: small Llama-architecture models, trained from scratch on the text of their world."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from w2s_lightning.config.schema import Optimisation
from w2s_lightning.data.rows import Rows
from w2s_lightning.execute.fit import keep, train, write_fitted
from w2s_lightning.fit.loop import Fitted
from w2s_lightning.fit.paradigms import FitPlan, Supervised
from w2s_lightning.models.device import Resources
from w2s_lightning.models.networks import LanguageModel
from w2s_lightning.objectives import next_token
from w2s_lightning.stages import Pretrain

MAX_POSITIONS = 512
CLIP_NORM = 1.0  # a fit's own is in its settings


def compute(stage: Pretrain, folder: Path, resources: Resources) -> None:
    """Write the stage's model, curve and counts into `folder`."""
    settings = stage.settings
    tokenizer = word_level(stage.world.vocabulary())
    network = untrained(stage, tokenizer)
    fitted = Fitted((), 0, None)
    if settings.steps > 0:
        windows = stage.world.windows(settings.steps, settings.rows_per_step, settings.window, settings.seed)
        texts = windows.reshape(-1, settings.window).astype(np.int64)
        ids = tuple(map(str, range(len(texts))))
        rows = Rows(ids, list(texts), 1, pad_id=0).trained_on(np.ones(len(texts)), ids=texts)
        order = np.arange(len(texts)).reshape(settings.steps, -1)
        optimisation = Optimisation(
            lr=settings.lr,
            epochs=1.0,
            rows_per_step=settings.rows_per_step,
            warmup_steps=settings.warmup_steps,
            schedule="linear",
            weight_decay=settings.weight_decay,
            clip_norm=CLIP_NORM,
        )
        plan = FitPlan(optimisation, num_steps=settings.steps, seed=settings.seed, over_step=False)
        fitted = train(stage, Supervised(network, objective=next_token, plan=plan), rows, order, resources)
    about = f"A Llama-architecture model pretrained from scratch on the embedded world `{stage.world.name}`."
    keep(stage, network.model, tokenizer, folder, about)
    write_fitted(folder, fitted, {"num_steps": settings.steps, "num_params": network.model.num_parameters()})


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
