"""Reward models in Hugging Face layout, from anywhere: a classifier with one output, or a language model.

A fit of ours lies beside its `stage.json`, which says how it reads rows, and the groups of its training prompts; of any
other model nobody knows these.

What loads and scores them is what loads and scores a job's models (`models.load.open_source`, `data.model_texts`,
`score`), so that one folder gives equal rewards here and there. Only safetensors are read and no code from a repository
is run. Nothing is made up: weights that a folder lacks are an error, never drawn at random.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pyarrow import ArrowException
from pydantic import TypeAdapter, ValidationError
from torch import nn
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto import modeling_auto

from w2s_lightning.atomic import read_json
from w2s_lightning.config.schema import Numerics
from w2s_lightning.content import Folder
from w2s_lightning.data import tables
from w2s_lightning.data.model_texts import DEFAULT_TEMPLATE, completion_rows, reward_rows
from w2s_lightning.data.rows import Rows
from w2s_lightning.errors import UserError
from w2s_lightning.generate.scoring import score
from w2s_lightning.models.load import (
    Opened,
    Outputs,
    Source,
    check_folder,
    is_encoder,
    load_tokenizer,
    max_positions,
    open_source,
    reading,
)
from w2s_lightning.models.networks import CompletionLogProbs, DecoderHead
from w2s_lightning.refs import Refs
from w2s_lightning.stages import ReadOut
from w2s_lightning.tasks.example import Example
from w2s_lightning.tasks.format import Format

PLAIN = Format(chat_template=None, user="Human: {text}\n\nAssistant:", joint=" ", separator="\n\n")
CHAT = Format(chat_template=DEFAULT_TEMPLATE, user="{text}", joint="", separator="")

Written = Literal["auto", "chat", "plain"]
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
    """Rewards and tokens [num_rows, K] of K answers to each prompt, what they are, how many rows were cut, notices."""

    kind: str
    values: NDArray[np.float32]
    tokens: NDArray[np.int64]
    num_truncated: int
    notices: tuple[str, ...] = ()


def rewards_of(model: RewardModel, answers: Sequence[Example], form: Format) -> Rewards:
    """Score K answers to each prompt; raise UserError for a model that does not fit what is asked of it.

    Log-ratios have no factor beta (Rafailov et al. 2023, arXiv 2305.18290): it changes no comparison.
    """
    alone = model.reference is None and model.reference_free is None
    read, told = partial(score, tokens_per_batch=model.tokens_per_batch, device=model.device), model.report
    if is_classifier(config_of(model.source)):
        if not alone:
            raise UserError(f"{model.source} has a reward head: leave --ref and --reference-free away")
        opened = open_classifier(model.source, model.numerics)
        rows = reward_rows(answers, form, opened.tokenizer, opened.max_length)
        values = read(opened.network.to(model.device), rows, report=partial(told, model.source.path))
        kind, notices = _pooling(opened, rows)
        return Rewards(kind, values, rows.text_lengths, rows.num_truncated, notices)
    if alone:
        raise UserError(
            f"{model.source} is a language model: give its reference with --ref MODEL, "
            "or --reference-free sum or mean (one of them)"
        )
    policy, max_length = open_policy(model.source, model.numerics), model.numerics.max_length
    if model.reference is not None:
        max_length = _room_beside(policy, model.source, model.reference)
    rows = completion_rows(answers, form, policy.tokenizer, min(policy.max_length, max_length))
    values = read(policy.network.to(model.device), rows, report=partial(told, model.source.path))
    if model.reference is not None:
        del policy  # one model in memory at a time
        reference = open_policy(model.reference, model.numerics).network.to(model.device)
        values = values - read(reference, rows, report=partial(told, model.reference.path))
        return Rewards("log-ratios to a reference", values, rows.text_lengths, rows.num_truncated)
    if model.reference_free == "mean":
        values = np.divide(values, np.maximum(rows.completion_tokens, 1), dtype=np.float32)
    kind = f"log-probabilities without a reference ({model.reference_free})"
    return Rewards(kind, values, rows.text_lengths, rows.num_truncated)


def _pooling(opened: Opened, rows: Rows) -> tuple[str, tuple[str, ...]]:
    """At which token a classifier's rewards were read, and a warning where the other convention reads another one."""
    if not isinstance(opened.network, DecoderHead):
        return "of a classifier", ()
    padding = opened.network.padding
    if padding is None:
        return "of a classifier, read at the last attended token", ()
    word = opened.tokenizer.convert_ids_to_tokens(padding)
    kind = f"of a classifier, read at the last token that is not its padding token {word!r}, as transformers does"
    ending = sum(int(text[-1]) == padding for text in rows.texts)
    if not ending:
        return kind, ()
    return kind, (
        f"{ending} of {len(rows.texts)} texts end in {word!r}, which is this model's padding token too: they are read "
        "before it, where transformers and TRL read them; at the last attended token their rewards would be others",
    )


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


def source_of(name: str, refs: Refs) -> Source:
    """A model folder (or a fit of our store), else a hub repository, `id` or `id@revision`, at its commit."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        place = folder / "model" if (folder / "model" / "config.json").is_file() else folder
        check_folder(Folder.of_model(place))
        return Source(str(place))
    repository, _, revision = name.partition("@")
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise UserError(f"no such model: {name} (expected a folder in Hugging Face layout, or a hub id)")
    try:
        return Source(repository, refs.commit("model", repository, revision or "main"))
    except UserError:
        raise UserError(
            f"cannot find model {repository}: it is no folder here, not in the local cache, and the hub does not answer"
        ) from None


def form_for(source: Source, written: Written) -> Format:
    """How rows are written for a model: as our fit of it was trained, else by its chat template, else as plain text."""
    if written == "auto":
        found = _stage_of(source)
        for name in ("task", "format"):
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, dict):
            try:
                return TypeAdapter(Format).validate_python({key: own for key, own in found.items() if key != "type"})
            except ValidationError:
                raise UserError(f"{source} does not say how rows are written: give --written chat or plain") from None
        written = "chat" if load_tokenizer(source).chat_template else "plain"
    return CHAT if written == "chat" else PLAIN


def _stage_of(source: Source) -> dict[str, Any] | None:
    """What made the model, where it is a fit of ours; raise UserError where that is damaged."""
    stage = Path(source.path).parent / "stage.json"
    try:
        found = read_json(stage) if source.revision is None and stage.is_file() else None
    except ValueError as error:
        raise UserError(f"{stage} is damaged ({error}): move the model's folder elsewhere to use it without") from None
    return found if isinstance(found, dict) else None


def shared_with_training(model: Source, groups: Sequence[str], allowed: bool) -> int | None:
    """How many rows (by the group of their prompt) have prompts that our fit of the model was trained on.

    None for any other model, of which nobody knows. Raises UserError where there are any and that is not allowed.
    """
    file = Path(model.path).parent / tables.PROMPTS
    if model.revision is not None or not file.is_file():
        return None
    try:
        known = set(tables.read(file).column("group_id").to_pylist())
    except (ArrowException, OSError, KeyError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(f"{file} cannot be read ({said}): it says what the model was trained on") from None
    shared = sum(group in known for group in groups)
    if shared and not allowed:
        raise UserError(
            f"{shared} of {len(groups)} prompts are of the data that {model} comes from: take others, or "
            "--allow-overlap to have them counted in the result"
        )
    return shared


def open_classifier(source: Source, numerics: Numerics) -> Opened:
    """A reward model with one output a text, in eval mode.

    A decoder that is no fit of ours is read where transformers reads it: at the last token whose id is not the padding
    id in its configuration (None there: at the last one). Its published scores are made so.

    Raises UserError for a folder with more than one output, or with missing weights.
    """
    config = config_of(source)
    if config.num_labels != 1:
        raise UserError(
            f"{source} gives {config.num_labels} labels, a reward model one score: train it with num_labels=1"
        )
    opened = open_source(source, ReadOut("head", "zeros"), Outputs(1, ()), numerics)
    # Every decoder of transformers calls its head so; encoders have heads of their own.
    if not is_encoder(config) and not isinstance(getattr(opened.network.model, "score", None), nn.Linear):
        raise UserError(f"{source} ({_architecture(config)}) has no linear head `score`: take a built-in decoder")
    if isinstance(opened.network, DecoderHead) and _stage_of(source) is None:
        opened.network.padding = config.get_text_config().pad_token_id
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
