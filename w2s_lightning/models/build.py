"""From a source of weights to a network with the wanted read-out.

Decoders carry the layout of `AutoModelForSequenceClassification` (head) or `AutoModelForCausalLM` (words), encoders
their own classification layout, so that what is saved loads without this package.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto import modeling_auto

from w2s_lightning.errors import UserError
from w2s_lightning.models.networks import Classifier, DecoderHead, EncoderHead, LanguageModel, Network, WordLogits
from w2s_lightning.models.source import Source, quiet, reading
from w2s_lightning.models.tokenizer import word_ids
from w2s_lightning.schema import Numerics
from w2s_lightning.stages import ReadOut


@dataclass(frozen=True)
class Shape:
    """What a task asks of a network: number of outputs (1 when options are scored one by one) and verdict words."""

    num_outputs: int
    words: tuple[str, ...]


def build(
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    readout: ReadOut,
    shape: Shape,
    *,
    numerics: Numerics,
    dropout: float,
) -> Network:
    """A network from pretrained weights with a read-out that no fit has touched, in eval mode.

    Weights that the source lacks (an encoder's pooler) are drawn from torch's global generator: seed it before.
    """
    config = _config(source, dropout)
    if readout.kind in ("text", "implicit"):
        return _writer(source, tokenizer, config=config, numerics=numerics)
    if readout.kind == "words":
        return _words(source, tokenizer, shape, config=config, numerics=numerics)
    network = _classifier(source, config, shape, numerics=numerics, fresh=True)
    network.model.config.pad_token_id = tokenizer.pad_token_id
    with torch.no_grad():
        network.head.weight.copy_(_head_rows(network, source, tokenizer, readout, shape))
        if network.head.bias is not None:
            network.head.bias.zero_()
    return network.eval()


def reload(
    source: Source, tokenizer: PreTrainedTokenizerBase, readout: ReadOut, shape: Shape, *, numerics: Numerics
) -> Network:
    """A network that a fit has saved, in eval mode."""
    config = _config(source, None)
    if readout.kind in ("text", "implicit"):
        return _writer(source, tokenizer, config=config, numerics=numerics)
    if readout.kind == "words":
        return _words(source, tokenizer, shape, config=config, numerics=numerics)
    return _classifier(source, config, shape, numerics=numerics, fresh=False).eval()


def max_positions(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Longest input in tokens that model and tokenizer allow."""
    limit = getattr(config, "max_position_embeddings", None)  # absent where positions are unbounded
    return min(int(tokenizer.model_max_length), limit or int(tokenizer.model_max_length))


def is_encoder(config: PreTrainedConfig) -> bool:
    """Whether the architecture reads in both directions: it has a masked-language-model form in transformers."""
    return config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES


def _config(source: Source, dropout: float | None) -> PreTrainedConfig:
    with reading(source):
        config = AutoConfig.from_pretrained(source.path, revision=source.revision, trust_remote_code=False)
    if not is_encoder(config) and config.model_type not in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(f"{source} ({config.model_type}) is neither a decoder nor an encoder: take another model")
    if dropout is not None:
        for name, value in config.to_dict().items():
            if ("dropout" in name or name.endswith("pdrop")) and isinstance(value, int | float):
                setattr(config, name, dropout)
    return config


def _load(
    cls: type, source: Source, config: PreTrainedConfig, *, numerics: Numerics, fresh: bool = False
) -> PreTrainedModel:
    with reading(source), quiet():
        model, info = cls.from_pretrained(  # type: ignore[attr-defined]
            source.path,
            revision=source.revision,
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation=numerics.attention,
            ignore_mismatched_sizes=fresh,
            output_loading_info=True,
        )
    missing = sorted(info["missing_keys"])
    if fresh:  # a head is what gets new weights, and an encoder's pooler below it
        body = f"{model.base_model_prefix}."
        missing = [key for key in missing if key.startswith(body) and "pooler" not in key]
    if missing:
        raise UserError(f"{source}: the weights do not fit config.json, {len(missing)} are missing ({missing[0]}, ...)")
    return model


def _classifier(
    source: Source, config: PreTrainedConfig, shape: Shape, *, numerics: Numerics, fresh: bool
) -> Classifier:
    config.num_labels = shape.num_outputs
    model = _load(AutoModelForSequenceClassification, source, config, numerics=numerics, fresh=fresh)
    kind = EncoderHead if is_encoder(config) else DecoderHead
    return kind(model, bf16=numerics.precision == "bf16")


def _writer(
    source: Source, tokenizer: PreTrainedTokenizerBase, *, config: PreTrainedConfig, numerics: Numerics
) -> LanguageModel:
    if is_encoder(config):
        raise UserError(f"{source} is an encoder, which writes no text: take a decoder")
    model = _load(AutoModelForCausalLM, source, config, numerics=numerics)
    model.config.pad_token_id = tokenizer.pad_token_id
    return LanguageModel(model, bf16=numerics.precision == "bf16").eval()


def _words(
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    shape: Shape,
    *,
    config: PreTrainedConfig,
    numerics: Numerics,
) -> WordLogits:
    if is_encoder(config):
        raise UserError(f"{source} is an encoder, which predicts no next word: use fit.readout=head")
    ids = word_ids(tokenizer, _verdict_words(shape))
    model = _load(AutoModelForCausalLM, source, config, numerics=numerics)
    model.config.pad_token_id = tokenizer.pad_token_id
    bf16 = numerics.precision == "bf16"
    return WordLogits(model, bf16=bf16, word_ids=ids, as_score=shape.num_outputs == 1).eval()


def _head_rows(
    network: Classifier, source: Source, tokenizer: PreTrainedTokenizerBase, readout: ReadOut, shape: Shape
) -> Tensor:
    """Initial head weights [num_outputs, width]: zeros, or the verdict words' unembedding rows (Burns et al.)."""
    if readout.head_init == "zeros" or isinstance(network, EncoderHead):
        return torch.zeros_like(network.head.weight)
    ids = word_ids(tokenizer, _verdict_words(shape))
    rows = _unembedding(network.model, source)[ids]
    return rows[1:] - rows[:1] if shape.num_outputs == 1 else rows


def _unembedding(model: PreTrainedModel, source: Source) -> Tensor:
    if model.config.tie_word_embeddings:
        return model.get_input_embeddings().weight.detach()
    with reading(source), quiet():
        causal = AutoModelForCausalLM.from_pretrained(
            source.path, revision=source.revision, dtype=torch.float32, trust_remote_code=False, use_safetensors=True
        )
    return causal.get_output_embeddings().weight.detach()


def _verdict_words(shape: Shape) -> tuple[str, ...]:
    wanted = 2 if shape.num_outputs == 1 else shape.num_outputs
    if len(shape.words) != wanted:
        raise UserError(
            f"the task has {len(shape.words)} verdict words where {wanted} are needed: "
            "use fit.readout=head with head_init=zeros, or set task.words"
        )
    return shape.words
