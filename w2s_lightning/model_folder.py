"""A local model folder, looked at before anything runs: are its files whole, do they belong together? Loads no torch.

What `config.json`, the headers of safetensors and `tokenizer.json` can tell is refused here, naming the file. Which
tensors an architecture has only transformers knows: `models.load` asks it before the first stage is computed.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from w2s_lightning.atomic import read_json
from w2s_lightning.content import Folder, remembered
from w2s_lightning.errors import UserError

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_WIDTHS = ("hidden_size", "n_embd", "d_model", "dim", "embedding_size", "word_embed_proj_dim", "emb_dim")
_SIZES = (
    *(*_LAYERS, *_WIDTHS, "vocab_size", "num_attention_heads", "n_head", "num_key_value_heads", "head_dim"),
    *("intermediate_size", "max_position_embeddings", "n_positions"),
)
_LARGEST, _MOST_LABELS = 2**31, 10**6  # transformers writes a name for each label
_DTYPES = ("float32", "float16", "bfloat16", "float64", "auto")
_STACK = re.compile(r"^((?:.*?\.)?(?:layers|layer|h|blocks|block))\.(\d+)\.")
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
_UNEMBEDDINGS = ("lm_head.weight", "embed_out.weight", "output.weight")
BUFFER = re.compile(r"(?:attn|attention)\.(?:masked_)?bias$|\.position_ids$|rotary_emb\.inv_freq$")
"""Names of masks and positions that older checkpoints hold, and that are computed anew."""
_EXPONENTS = {"F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80), "F32": ("<u4", 0x7F800000), "F64": ("<u8", 0x7FF << 52)}
"""Of a number that is NaN or infinite all these bits are set."""
_CHUNK = 1 << 24


@dataclass(frozen=True)
class _Tensor:
    """One tensor of a safetensors file, and where its bytes lie in it."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    def bytes(self) -> bytes:
        with self.file.open("rb") as stream:
            stream.seek(self.start)
            return stream.read(self.end - self.start)


@lru_cache(maxsize=64)
def check_model_folder(folder: Folder) -> Mapping[str, Any]:
    """The folder's `config.json`; raise UserError, naming the file, for a folder that is no whole, consistent model."""
    file = folder.path / "config.json"
    config = model_config(folder.path)
    tensors = _tensors(folder.path)
    text = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    _check_layers(file, text, tensors)
    embedding = _check_embedding(file, text, tensors)
    if embedding is not None:
        _check_tied(file, config, tensors, embedding)
    _check_tokenizer(folder.path, _LARGEST if embedding is None else embedding.shape[0])
    for name, tensor in tensors.items():
        if tensor.dtype not in _EXPONENTS and name.endswith("weight"):  # what is kept of masks may be whole numbers
            raise UserError(
                f"{tensor.file}: the tensor {name} holds {tensor.dtype} numbers, as quantized weights do: take the "
                f"model with one of {', '.join(_EXPONENTS)}"
            )
    for weights in sorted({tensor.file for tensor in tensors.values()}):
        if name := remembered("not finite", weights, _not_finite):
            raise UserError(f"{weights}: the tensor {name} holds NaN or infinite numbers: take weights that are whole")
    return config


def model_config(folder: Path) -> dict[str, Any]:
    """A model folder's `config.json`; raise UserError without one, and for values that no model can have."""
    file = folder / "config.json"
    if not file.is_file():
        raise UserError(f"{folder} is not a model folder: config.json is missing")
    config = json_object(file)
    if not isinstance(config.get("model_type"), str):
        raise UserError(
            f"{file}: model_type is {str(config.get('model_type'))[:40]!r}, expected an architecture's name"
        )
    if config.get("is_encoder_decoder"):
        raise UserError(
            f"{file}: {config.get('model_type')} is an encoder-decoder, neither a decoder nor an encoder: "
            "take another model"
        )
    if config.get("quantization_config") is not None:
        raise UserError(
            f"{file}: quantization_config is given, and quantized weights cannot be trained here: take the model "
            "without it"
        )
    try:
        entries = list(_entries(config))
    except RecursionError:
        raise UserError(f"{file}: it is nested too deep") from None
    for key, value in entries:
        wanted = ""
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if key == "num_labels" and value is not None:
            fine = type(value) is int and 0 <= value <= _MOST_LABELS
            wanted = "" if fine else f"a whole number up to {_MOST_LABELS}"
        elif key in ("dtype", "torch_dtype") and value is not None and not isinstance(value, dict):
            # An object has one for each part.
            fine = isinstance(value, str) and value.removeprefix("torch.") in _DTYPES
            wanted = "" if fine else f"one of {', '.join(_DTYPES)}"
        elif key in _SIZES and isinstance(value, str | bool | int | float):
            fine = type(value) is int and 1 <= value < _LARGEST
            wanted = "" if fine else f"a whole number from 1 to {_LARGEST - 1}"
        elif isinstance(value, float) and not math.isfinite(value):
            wanted = "a finite number"
        elif key.endswith("_theta") and value is not None:
            wanted = "" if plain and value > 0 else "a number above 0"
        elif key.endswith(("_eps", "_epsilon")) and value is not None:
            wanted = "" if plain and value >= 0 else "a number of 0 or more"
        if wanted:
            raise UserError(f"{file}: {key} is {str(value)[:40]!r}, expected {wanted}")
    return config


def _entries(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys and values, those of objects inside too; numbers in lists may be infinite (limits)."""
    for key, value in settings.items():
        yield key, value
        if isinstance(value, dict):
            yield from _entries(value)


def json_object(file: Path) -> dict[str, Any]:
    """A JSON file that holds an object; raise UserError, naming it, for anything else."""
    try:
        found = read_json(file)
    except ValueError as error:
        raise UserError(f"{file}: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{file} holds no JSON object, like {{...}}")
    return found


# ---------------------------------------------------------------- weights


def _tensors(folder: Path) -> dict[str, _Tensor]:
    """The tensors of the files that transformers reads, by name; raise UserError for a file that is not whole."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if (folder / "adapter_config.json").is_file():
        raise UserError(
            f"{folder}/adapter_config.json: adapters on another model: merge them into it first, "
            "with merge_and_unload() and save_pretrained(folder)"
        )
    names: dict[str, str] = {}
    if single.is_file():
        files = [single]
    elif index.is_file():
        names = json_object(index).get("weight_map") or {}
        if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
            raise UserError(f"{index} has no weight_map, which says in which file each tensor lies")
        files = [folder / name for name in sorted(set(names.values()))]
    elif any(folder.glob("*.safetensors")):
        raise UserError(f"{folder} has neither model.safetensors nor model.safetensors.index.json beside its parts")
    else:
        raise UserError(
            f"{folder} has no safetensors weights: convert them first, "
            "with AutoModel.from_pretrained(folder).save_pretrained(folder)"
        )
    tensors: dict[str, _Tensor] = {}
    for file in files:
        if not file.is_file() or file.parent != folder:
            raise UserError(f"{index} names the file {file.name!r}, which is not in the folder: copy all parts")
        held = _header(file)
        if twice := sorted(held.keys() & tensors.keys()):
            both = f"{tensors[twice[0]].file.name} and {file.name}"
            raise UserError(f"{folder}: {both} both hold {twice[0]}: keep the files that belong together")
        tensors |= held
    if lost := sorted(name for name, file in names.items() if name not in tensors or tensors[name].file.name != file):
        raise UserError(
            f"{index} names {len(lost)} tensors that its files do not hold as it says ({lost[0]}, ...): keep the files "
            "that belong together"
        )
    if not tensors:
        raise UserError(f"{files[0]} holds no tensors")
    return tensors


def _header(file: Path) -> dict[str, _Tensor]:
    try:
        with safe_open(file, framework="numpy"):  # it compares every offset and the file's size
            pass
    except (SafetensorError, OSError) as error:
        told = str(error).splitlines()[0].removeprefix("Error while deserializing header: ")
        raise UserError(f"{file} is not a whole safetensors file ({told}): copy or download it again") from None
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entries = json.loads(stream.read(length))
    return {
        name: _Tensor(file, one["dtype"], tuple(one["shape"]), *(8 + length + end for end in one["data_offsets"]))
        for name, one in entries.items()
        if name != "__metadata__"
    }


def _not_finite(file: Path) -> str:
    """The first tensor with a NaN or infinite number, "" where there is none; masks may hold them."""
    for name, tensor in sorted(_header(file).items(), key=lambda item: item[1].start):
        if tensor.dtype not in _EXPONENTS or BUFFER.search(name) or tensor.start == tensor.end:
            continue
        kind, exponent = _EXPONENTS[tensor.dtype]
        mask = np.array(exponent, dtype=kind)
        with file.open("rb") as stream:
            stream.seek(tensor.start)
            for place in range(tensor.start, tensor.end, _CHUNK):
                numbers = np.frombuffer(stream.read(min(_CHUNK, tensor.end - place)), dtype=kind)
                if ((numbers & mask) == mask).any():
                    return name
    return ""


# ---------------------------------------------------------------- what belongs together


def _check_layers(file: Path, config: Mapping[str, Any], tensors: Mapping[str, _Tensor]) -> None:
    """Raise UserError for more or fewer layers of tensors than the configuration says, where there is one stack."""
    stacks: dict[str, set[int]] = {}
    for match in filter(None, map(_STACK.match, tensors)):
        stacks.setdefault(match[1], set()).add(int(match[2]))
    key = next((key for key in _LAYERS if isinstance(config.get(key), int)), None)
    if key is None or len(stacks) != 1:
        return
    ((stack, found),) = stacks.items()
    beyond = config.get("num_nextn_predict_layers")  # layers that predict further tokens, kept after the others
    known = config[key] + (beyond if isinstance(beyond, int) else 0)
    lost = config[key] - len([number for number in found if number < config[key]])
    if lost or max(found) >= known:
        raise UserError(
            f"{file}: {key}={config[key]} does not fit the weights, which hold {len(found)} layers ({stack}.0 to "
            f"{stack}.{max(found)}): take the config.json and the weights of one model"
        )


def _check_embedding(file: Path, config: Mapping[str, Any], tensors: Mapping[str, _Tensor]) -> _Tensor | None:
    """The word embedding, where one can be told; raise UserError where its shape is not the configuration's."""
    found = [(name, one) for name, one in tensors.items() if name.endswith(_EMBEDDINGS) and len(one.shape) == 2]
    if len(found) != 1:
        return None
    ((name, embedding),) = found
    rows, width = embedding.shape
    if config.get("vocab_size", rows) != rows:
        raise UserError(f"{file}: vocab_size={config['vocab_size']} does not fit the weights ({name} has {rows} rows)")
    stated = {key: config[key] for key in _WIDTHS if isinstance(config.get(key), int)}
    if stated and width not in stated.values():
        said = ", ".join(f"{key}={value}" for key, value in stated.items())
        raise UserError(f"{file}: {said} does not fit the weights ({name} is {width} wide)")
    return embedding


def _check_tied(file: Path, config: Mapping[str, Any], tensors: Mapping[str, _Tensor], embedding: _Tensor) -> None:
    """Raise UserError where `tie_word_embeddings` says other than the weights."""
    tied, written = config.get("tie_word_embeddings"), config.get("architectures")
    name = next((name for name in tensors if name.endswith(_UNEMBEDDINGS)), None)
    if tied is False and name is None and isinstance(written, list) and "ForCausalLM" in str(written):
        raise UserError(
            f"{file}: tie_word_embeddings=false, and the weights have no {_UNEMBEDDINGS[0]}: should it be true?"
        )
    if tied is True and name is not None:
        same = tensors[name].shape == embedding.shape and tensors[name].dtype == embedding.dtype
        if not same or tensors[name].bytes() != embedding.bytes():
            raise UserError(
                f"{file}: tie_word_embeddings=true, and {name} differs from the embedding: should it be false?"
            )


def _check_tokenizer(folder: Path, rows: int) -> None:
    """Raise UserError for a tokenizer with ids that the embedding of so many rows has none for.

    Special tokens may lie beyond it: Gemma 3's text models keep that of images, which no text becomes.
    """
    settings, file = folder / "tokenizer_config.json", folder / "tokenizer.json"
    longest = json_object(settings).get("model_max_length") if settings.is_file() else None
    if longest is not None and not (type(longest) in (int, float) and longest >= 1):
        raise UserError(f"{settings}: model_max_length is {str(longest)[:40]!r}, expected 1 or more")
    if not file.exists():  # other kinds of tokenizer are looked at when they are opened
        return
    found = json_object(file)
    try:
        tokens = found["model"]["vocab"]
        ids = range(len(tokens)) if isinstance(tokens, list) else tokens.values()
        added = [one["id"] for one in found.get("added_tokens") or () if not one.get("special")]
        highest = max([-1, *ids, *added])
    except (AttributeError, KeyError, TypeError):
        raise UserError(
            f"{file} is no tokenizer: its vocabulary (model.vocab) or its added_tokens cannot be read"
        ) from None
    if highest >= rows:
        raise UserError(
            f"{file}: token ids go up to {highest}, and the embedding has {rows} rows: take the tokenizer of this model"
        )


# ---------------------------------------------------------------- what others ask of a folder


def has_chat_template(folder: Path) -> bool:
    """Whether a model folder's tokenizer brings a chat template, in any of the places where transformers looks."""
    if any(folder.glob("chat_template*")) or (folder / "additional_chat_templates").is_dir():
        return True
    file = folder / "tokenizer_config.json"
    return file.is_file() and bool(json_object(file).get("chat_template"))


def vocabulary(folder: Path) -> dict[str, int] | None:
    """Token ids of a model folder by token, None where `tokenizer.json` does not list them."""
    file = folder / "tokenizer.json"
    found = json_object(file) if file.is_file() else {"model": {}}
    tokens = found["model"].get("vocab")
    if not isinstance(tokens, dict):
        return None
    return {**tokens, **{one["content"]: one["id"] for one in found.get("added_tokens", ())}}
