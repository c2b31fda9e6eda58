"""From a stage's weights to a network ready to run, with the wanted read-out and its tokenizer; and how it is saved.

Decoders carry the layout of `AutoModelForSequenceClassification` (head) or `AutoModelForCausalLM` (words, text),
encoders their own classification layout, so that what is saved loads without this package. Only safetensors are read
and no code from a repository is ever run.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto import modeling_auto
from transformers.utils import logging as hf_logging

from w2s_lightning.config.schema import Numerics
from w2s_lightning.content import Folder
from w2s_lightning.errors import UserError
from w2s_lightning.model_folder import BUFFER, check_model_folder
from w2s_lightning.models.networks import Classifier, DecoderHead, EncoderHead, LanguageModel, Network, WordLogits
from w2s_lightning.refs import cached_config
from w2s_lightning.stages import BareModel, Fit, FolderWeights, HubWeights, Pretrain, ReadOut, Task, Weights
from w2s_lightning.store import Store
from w2s_lightning.verdict_words import refuse_lost, token_ids

CARD = """---
license: unknown
tags: [w2s-lightning]
---
# {label}

Made by w2s_lightning, stage digest `{digest}`.

{about}

License: unknown. It follows from that of the initial weights and of the training data.
"""


@dataclass(frozen=True)
class Source:
    """A model in Hugging Face layout: a local folder (`revision` None) or a hub repository at a commit.

    Without `numbers` it is only looked at: all is opened but for what the weights hold.
    """

    path: str
    revision: str | None = None
    numbers: bool = True

    def __str__(self) -> str:
        return self.path if self.revision is None else f"{self.path}@{self.revision[:12]}"


@dataclass(frozen=True)
class Outputs:
    """What a task asks of a network: how many logits a text (1 where options are scored one by one), verdict words."""

    number: int
    words: tuple[str, ...]

    @property
    def verdict_words(self) -> tuple[str, ...]:
        """One word for each class, or (not the right one, the right one); UserError for a task without them."""
        wanted = 2 if self.number == 1 else self.number
        if len(self.words) != wanted:
            raise UserError(
                f"the task has {len(self.words)} verdict words where {wanted} are needed: "
                "set task.words, or use fit.readout=head weak.head_init=zeros strong.head_init=zeros"
            )
        return self.words


@dataclass(frozen=True)
class Opened:
    """A network in eval mode, its tokenizer, and the longest text in tokens that both allow."""

    network: Network
    tokenizer: PreTrainedTokenizerBase
    max_length: int

    @property
    def classifier(self) -> Classifier:
        """The network as one whose head can be trained alone; UserError for the verdict words' read-out."""
        if not isinstance(self.network, Classifier):
            raise UserError("a probe trains a head: use fit.readout=head, or fit.tuning=full with the verdict words")
        return self.network


def open_model(
    source: Fit | BareModel, task: Task, store: Store, *, dropout: float = 0.0, seed: int = 0, numbers: bool = True
) -> Opened:
    """The network that a finished fit left, or pretrained weights with an untouched read-out for `task`.

    Of the latter `seed` draws weights that the source lacks (an encoder's pooler).
    """
    torch.manual_seed(seed)
    untouched = isinstance(source, BareModel)
    weights, task = (source.weights, task) if isinstance(source, BareModel) else (source, source.task)
    if task.kind == "reasoning":
        outputs = Outputs(0, ())
    else:  # one output where K options are scored as texts of their own, else K outputs for one text
        outputs = Outputs(1 if task.layout == "options" else len(task.class_names), tuple(task.words))
    place = replace(_source(weights, store), numbers=numbers)
    return open_source(place, source.readout, outputs, source.numerics, dropout=dropout, untouched=untouched)


def open_source(
    source: Source,
    readout: ReadOut,
    outputs: Outputs,
    numerics: Numerics,
    *,
    dropout: float | None = None,
    untouched: bool = False,
) -> Opened:
    """A model with a read-out: its own, or (`untouched`) one that no fit has touched.

    Raises UserError for weights that are missing, unless they are an untouched head's, and for layers left over.
    """
    config, bf16 = _config(source, dropout), numerics.precision == "bf16"
    tokenizer = load_tokenizer(source)
    network: Network
    if readout.kind == "head":
        config.num_labels = outputs.number
        model = _load(AutoModelForSequenceClassification, source, config, numerics, fresh=untouched)
        network = (EncoderHead if is_encoder(config) else DecoderHead)(model, bf16=bf16)
        if untouched:
            _set_head(network, source, tokenizer, readout, outputs, numerics)
    elif is_encoder(config):
        what = "predicts no next word" if readout.kind == "words" else "writes no text"
        instead = "use fit.readout=head" if readout.kind == "words" else "take a decoder"
        raise UserError(f"{source} is an encoder, which {what}: {instead}")
    elif readout.kind == "words":
        ids = word_ids(tokenizer, outputs.verdict_words)
        model = _load(AutoModelForCausalLM, source, config, numerics)
        network = WordLogits(model, bf16=bf16, word_ids=ids, as_score=outputs.number == 1)
    else:
        network = LanguageModel(_load(AutoModelForCausalLM, source, config, numerics), bf16=bf16)
    _check_tokens(source, tokenizer, network.model)
    if untouched or readout.kind != "head":
        network.model.config.pad_token_id = tokenizer.pad_token_id
    return Opened(network.eval(), tokenizer, min(numerics.max_length, max_positions(network.model.config, tokenizer)))


def max_positions(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Longest input in tokens that model and tokenizer allow."""
    limit = getattr(config, "max_position_embeddings", None)  # absent where positions are unbounded
    return min(int(tokenizer.model_max_length), limit or int(tokenizer.model_max_length))


def is_encoder(config: PreTrainedConfig) -> bool:
    """Whether the architecture reads in both directions: it has a masked-language-model form in transformers."""
    return config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES


def _source(weights: Weights | Fit, store: Store) -> Source:
    match weights:
        case Pretrain() | Fit():
            return Source(str(store.open(weights) / "model"))
        case HubWeights(path=path, commit=commit):
            return Source(path, commit)
        case FolderWeights(folder=folder):
            check_folder(folder)
            if Folder.of_model(folder.path).sha256 != folder.sha256:
                raise UserError(f"{folder.path} changed after the plan was made: run the same command again")
            return Source(str(folder.path))


def _config(source: Source, dropout: float | None) -> PreTrainedConfig:
    with reading(source, "config.json"), quiet():
        config = AutoConfig.from_pretrained(source.path, revision=source.revision, trust_remote_code=False)
    reads_or_writes = is_encoder(config) or config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if config.is_encoder_decoder or not reads_or_writes:
        raise UserError(f"{source} ({config.model_type}) is neither a decoder nor an encoder: take another model")
    if is_encoder(config) and getattr(config, "is_decoder", False):
        raise UserError(f"{source}: config.json says is_decoder=true of an encoder: set it to false")
    # How a model answers is asked here in one way, whatever its folder says.
    config.output_attentions, config.output_hidden_states, config.return_dict = False, False, True
    if dropout is not None:
        for name, value in config.to_dict().items():
            if ("dropout" in name or name.endswith("pdrop")) and isinstance(value, int | float):
                setattr(config, name, dropout)
    return config


def _load(
    cls: type, source: Source, config: PreTrainedConfig, numerics: Numerics, *, fresh: bool = False
) -> PreTrainedModel:
    with reading(source, "config.json"), quiet():  # the files of the weights have been looked at
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
            device_map=None if source.numbers else "meta",
        )
    if source.revision is not None and (settings := cached_config(source.path, source.revision)) is not None:
        check_model_folder(Folder(settings.parent, source.revision))  # it lies in the cache by now
    missing, reshaped = set(info["missing_keys"]), {name for name, *_ in info["mismatched_keys"]}
    # What lies in a layer counts: other heads and poolers may be left over.
    surplus = {name for name in info["unexpected_keys"] if re.search(r"\.\d+\.", name) and not BUFFER.search(name)}
    for fault, names in (("are missing", missing), ("have another shape", reshaped), ("are left over", surplus)):
        if fresh and names is not surplus:  # a head is what gets new weights, and an encoder's pooler below it
            body = f"{model.base_model_prefix}."
            names = {name for name in names if name.startswith(body) and "pooler" not in name}
        if names:
            told = f"{len(names)} {fault} ({min(names)}{', ...' if len(names) > 1 else ''})"
            raise UserError(f"{source}: the weights do not fit config.json, {told}: take both of one model")
    return model


def _check_tokens(source: Source, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Raise UserError for a tokenizer with ids that the embedding has no row for.

    Added tokens may lie beyond it (Gemma 3 keeps that of images), unless every text has them.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    used = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)
    highest = max([tokenizer.vocab_size - 1, *tokenizer("")["input_ids"], *(one for one in used if one is not None)])
    if highest >= rows:
        raise UserError(
            f"{source}: the tokenizer's ids go up to {highest}, and the embedding has {rows} rows: "
            "take the tokenizer of this model"
        )


def _set_head(
    network: Classifier,
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    readout: ReadOut,
    outputs: Outputs,
    numerics: Numerics,
) -> None:
    """Initial head weights: zeros, or the verdict words' unembedding rows (Burns et al. 2023)."""
    with torch.no_grad():
        network.head.weight.zero_()
        if network.head.bias is not None:
            network.head.bias.zero_()
        if readout.head_init == "unembedding" and isinstance(network, DecoderHead):
            ids, embedding = word_ids(tokenizer, outputs.verdict_words), network.model.get_input_embeddings()
            if not network.model.config.tie_word_embeddings:
                causal = _load(AutoModelForCausalLM, source, _config(source, None), numerics)
                embedding = causal.get_output_embeddings()
            rows = embedding.weight.detach()[ids]
            network.head.weight.copy_(rows[1:] - rows[:1] if outputs.number == 1 else rows)


# ---------------------------------------------------------------- reading and saving files


def check_folder(folder: Folder) -> None:
    """Raise UserError for a folder that is no whole model, or one of a kind that needs code of its own."""
    settings = check_model_folder(folder)
    if (kind := settings.get("model_type")) not in CONFIG_MAPPING:
        wants = "wants to run its own code" if "auto_map" in settings else "is of a kind that transformers lacks"
        raise UserError(f"{folder.path} {wants} (model_type {kind!r}): use a built-in architecture")


@contextmanager
def reading(source: Source, file: str = "") -> Iterator[None]:
    """Turn what transformers raises for a bad or unreachable model into one UserError, which names a folder's file."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"{source}: {str(error).strip().splitlines()[0]} (or use fit.attention=sdpa)") from error
    except Exception as error:  # transformers and tokenizers raise anything for what they cannot use
        if "attn_implementation" in str(error):
            raise UserError(f"{source} lacks this attention implementation: use fit.attention=eager") from error
        reason = f"{type(error).__name__}: {' '.join(str(error).strip().splitlines()[:2])}"[:300].rstrip(": ")
        if source.revision is None:
            place = Path(source.path) / file
            raise UserError(f"cannot read the model {'file' if file else 'folder'} {place}: {reason}") from error
        raise UserError(
            f"cannot load {source} from the hub: {reason}\n"
            "Without a network use a folder that holds it: model@weak=local weak.path=DIR (or strong)"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and its report of freshly initialised heads, which are intended."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.ERROR)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


def load_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    """The source's tokenizer: pads on the right, truncates on the left (the verdict is read at the end).

    One without a padding token pads with another token: harmless, since nothing looks at padded positions.
    """
    with reading(source), quiet():
        tokenizer = AutoTokenizer.from_pretrained(source.path, revision=source.revision, trust_remote_code=False)
    tokenizer.padding_side = "right"
    tokenizer.truncation_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def word_ids(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> list[int]:
    """Token id of each verdict word; raise UserError for a word that is not one known token.

    A plan has looked at them, but for a tokenizer that it could not read.
    """

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    ids, lost = token_ids(words, encode, tokenizer.unk_token_id)
    refuse_lost(lost, words, tokenizer.name_or_path)
    return ids


def save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, label: str, digest: str, about: str
) -> None:
    """Write safetensors, configuration, tokenizer and README.md into `folder`; `from_pretrained` loads it."""
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(CARD.format(label=label, digest=digest, about=about), "utf-8")
