"""Reward models in Hugging Face layout, from anywhere: a classifier with one output, or a language model.

What loads and scores them is what loads and scores a job's models (`models.load.open_source`, `data.model_texts`,
`score`), so that one folder gives equal rewards here and there. Only safetensors are read and no code from a repository
is run. Nothing is made up: weights that a folder lacks are an error, never drawn at random.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto import modeling_auto

from w2s_lightning.config.schema import Numerics
from w2s_lightning.data.model_texts import completion_rows, reward_rows
from w2s_lightning.errors import UserError
from w2s_lightning.generate.scoring import score
from w2s_lightning.models.files import Source, load_tokenizer, reading
from w2s_lightning.models.load import Opened, Outputs, is_encoder, max_positions, open_source
from w2s_lightning.models.networks import CompletionLogProbs
from w2s_lightning.stages import ReadOut
from w2s_lightning.tasks.example import Example
from w2s_lightning.tasks.format import Format

Normalisation = Literal["sum", "mean"]


@dataclass(frozen=True)
class RewardModel:
    """Whose rewards: a classifier's, or a policy's log-probabilities against a reference or `reference_free`.

    They are computed on `device` in batches of at most so many tokens; `report` is told a model's path and how many
    answers of how many are done.
    """

    source: Source
    reference: Source | None
    reference_free: Normalisation | None
    numerics: Numerics
    device: torch.device
    tokens_per_batch: int
    report: Callable[[str, int, int], None]


@dataclass(frozen=True)
class Rewards:
    """Rewards and tokens [num_rows, K] of K answers to each prompt, what they are, and how many rows were cut."""

    kind: str
    values: NDArray[np.float32]
    tokens: NDArray[np.int64]
    num_truncated: int


def rewards_of(model: RewardModel, answers: Sequence[Example], form: Format) -> Rewards:
    """Score K answers to each prompt; raise UserError for a model that does not fit what is asked of it."""
    alone = model.reference is None and model.reference_free is None
    if is_classifier(config_of(model.source)):
        if not alone:
            raise UserError(f"{model.source} has a reward head: leave --ref and --reference-free away")
        return _of_classifier(model, answers, form)
    if alone or (model.reference is not None and model.reference_free is not None):
        raise UserError(
            f"{model.source} is a language model: give its reference with --ref MODEL, "
            "or --reference-free sum or mean (one of them)"
        )
    return _of_policy(model, answers, form)


def _of_classifier(model: RewardModel, answers: Sequence[Example], form: Format) -> Rewards:
    opened = open_classifier(model.source, model.numerics)
    rows = reward_rows(answers, form, opened.tokenizer, opened.max_length)
    values = score(
        opened.network.to(model.device),
        rows,
        tokens_per_batch=model.tokens_per_batch,
        device=model.device,
        report=partial(model.report, model.source.path),
    )
    return Rewards("of a classifier", values, rows.text_lengths, rows.num_truncated)


def _of_policy(model: RewardModel, answers: Sequence[Example], form: Format) -> Rewards:
    """Log-ratios have no factor beta (Rafailov et al. 2023, arXiv 2305.18290): it changes no comparison."""
    policy, max_length = open_policy(model.source, model.numerics), model.numerics.max_length
    if model.reference is not None:
        max_length = _room_beside(policy, model.source, model.reference)
    rows = completion_rows(answers, form, policy.tokenizer, min(policy.max_length, max_length))
    read = partial(score, rows=rows, tokens_per_batch=model.tokens_per_batch, device=model.device)
    own = read(policy.network.to(model.device), report=partial(model.report, model.source.path))
    if model.reference is None:
        kind = f"log-probabilities without a reference ({model.reference_free})"
        per_token = np.divide(own, np.maximum(rows.completion_tokens, 1), dtype=np.float32)
        values = own if model.reference_free == "sum" else per_token
    else:
        del policy  # one model in memory at a time
        reference = open_policy(model.reference, model.numerics)
        other = read(reference.network.to(model.device), report=partial(model.report, model.reference.path))
        kind, values = "log-ratios to a reference", own - other
    return Rewards(kind, values, rows.text_lengths, rows.num_truncated)


def _room_beside(policy: Opened, model: Source, reference: Source) -> int:
    """The longest text in tokens that the reference allows; UserError unless it has the policy's vocabulary."""
    tokenizer = load_tokenizer(reference)
    own, other = policy.tokenizer.get_vocab(), tokenizer.get_vocab()
    if own != other:
        raise UserError(
            f"{model} and its reference {reference} have different vocabularies "
            f"({len(own)} and {len(other)} tokens): log-probabilities of different tokens do not compare"
        )
    return max_positions(config_of(reference), tokenizer)


# ---------------------------------------------------------------- opening


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
    opened = open_source(source, ReadOut("head", "zeros"), Outputs(1, ()), numerics)
    # Every decoder of transformers calls its head so; encoders have heads of their own.
    if not is_encoder(config) and not isinstance(getattr(opened.network.model, "score", None), nn.Linear):
        raise UserError(f"{source} ({_architecture(config)}) has no linear head `score`: take a built-in decoder")
    return opened


def open_policy(source: Source, numerics: Numerics) -> Opened:
    """A language model whose log-probabilities are rewards, in eval mode; its network is a `CompletionLogProbs`."""
    config = config_of(source)
    writes = config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not is_encoder(config)
    if is_classifier(config) or not writes:
        raise UserError(f"{source} ({_architecture(config)}) is no causal language model: it has no implicit reward")
    opened = open_source(source, ReadOut("implicit", "zeros"), Outputs(0, ()), numerics)
    network = CompletionLogProbs(opened.network.model, bf16=opened.network.bf16).eval()
    return Opened(network, opened.tokenizer, opened.max_length)


def config_of(source: Source) -> PreTrainedConfig:
    """The source's configuration."""
    with reading(source):
        return AutoConfig.from_pretrained(source.path, revision=source.revision, trust_remote_code=False)


def is_classifier(config: PreTrainedConfig) -> bool:
    """Whether the weights were saved with a classification head."""
    return _architecture(config).endswith("ForSequenceClassification")


def _architecture(config: PreTrainedConfig) -> str:
    return str((config.architectures or ["unknown architecture"])[0])
