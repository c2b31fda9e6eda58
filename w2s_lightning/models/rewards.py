"""Reward models in Hugging Face layout, from anywhere: a classifier with one output, or a language model.

Only safetensors are read and no code from a repository is run, as everywhere. Nothing is made up: weights that a folder
lacks are an error, never drawn at random.
"""

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto import modeling_auto

from w2s_lightning.errors import UserError
from w2s_lightning.inference.log_probs import CompletionLogProbs
from w2s_lightning.models.build import is_encoder, max_positions
from w2s_lightning.models.networks import Classifier, DecoderHead, EncoderHead, Network
from w2s_lightning.models.open import Opened
from w2s_lightning.models.source import Source, quiet, reading
from w2s_lightning.models.tokenizer import load_tokenizer
from w2s_lightning.schema import Numerics


def open_classifier(source: Source, numerics: Numerics) -> Opened:
    """A reward model with one output a text, in eval mode.

    Raises UserError for a folder without a classification head, with more than one output, or with missing weights.
    """
    config = config_of(source)
    if not is_classifier(config):
        raise UserError(f"{source} ({_architecture(config)}) has no reward head: score it as a language model")
    if config.num_labels != 1:
        raise UserError(
            f"{source} gives {config.num_labels} labels, a reward model one score: train it with num_labels=1"
        )
    model = _load(AutoModelForSequenceClassification, source, numerics)
    return _opened(_with_head(model, source, bf16=numerics.precision == "bf16"), source, numerics)


def open_policy(source: Source, numerics: Numerics) -> Opened:
    """A language model whose log-probabilities are rewards, in eval mode (a `CompletionLogProbs`)."""
    config = config_of(source)
    writes = config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not is_encoder(config)
    if is_classifier(config) or not writes:
        raise UserError(f"{source} ({_architecture(config)}) is no causal language model: it has no implicit reward")
    model = _load(AutoModelForCausalLM, source, numerics)
    return _opened(CompletionLogProbs(model, bf16=numerics.precision == "bf16"), source, numerics)


def config_of(source: Source) -> PreTrainedConfig:
    """The source's configuration."""
    with reading(source):
        return AutoConfig.from_pretrained(source.path, revision=source.revision, trust_remote_code=False)


def is_classifier(config: PreTrainedConfig) -> bool:
    """Whether the weights were saved with a classification head."""
    return _architecture(config).endswith("ForSequenceClassification")


def _architecture(config: PreTrainedConfig) -> str:
    return str((config.architectures or ["unknown architecture"])[0])


def _load(cls: type, source: Source, numerics: Numerics) -> PreTrainedModel:
    with reading(source), quiet():
        model, info = cls.from_pretrained(  # type: ignore[attr-defined]
            source.path,
            revision=source.revision,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation=numerics.attention,
            output_loading_info=True,
        )
    missing = sorted(info["missing_keys"])
    if missing:
        raise UserError(f"{source}: {len(missing)} weights of config.json are missing ({missing[0]}, ...)")
    return model.eval()


def _with_head(model: PreTrainedModel, source: Source, *, bf16: bool) -> Classifier:
    if is_encoder(model.config):
        return EncoderHead(model, bf16=bf16)
    if not isinstance(getattr(model, "score", None), nn.Linear):  # every decoder of transformers calls its head so
        raise UserError(f"{source} ({_architecture(model.config)}) has no linear head `score`: take a built-in decoder")
    return DecoderHead(model, bf16=bf16)


def _opened(network: Network, source: Source, numerics: Numerics) -> Opened:
    tokenizer = load_tokenizer(source)
    limit = min(numerics.max_length, max_positions(network.model.config, tokenizer))
    return Opened(network.eval(), tokenizer, limit)
