"""What `model@strong=NAME` means where no file of `conf/model/` has that name: a folder, or a repository of the hub.

Hydra asks for the YAML of a name (`hydra_plugins`); for these it is written here. How many parameters a repository's
model has is read from the headers of its weights or told by its `config.json`, and its learning rates go by that.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from w2s_lightning.config.by_size import folder_parameters, rates_file
from w2s_lightning.errors import UserError
from w2s_lightning.model_folder import json_object
from w2s_lightning.plan import ENCODERS
from w2s_lightning.refs import cached_config, described

_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_MULTIPLES = {"m": 1e6, "b": 1e9}


def is_folder(name: str) -> bool:
    """Whether a name can only be that of a folder, there or not: `./x`, `/models/x`."""
    return name.startswith(("/", "./", "../", "~/")) or name in (".", "..")


def is_repository(name: str) -> bool:
    """Whether it is one of the hub, `owner/name`, or a folder that looks like one."""
    return _REPOSITORY.fullmatch(name) is not None


def block_of(name: str, conf: Path) -> dict[str, Any]:
    """The YAML of a model that is called by its folder or repository, as if it stood in `conf/model/`."""
    folder = Path(name).expanduser()
    if is_folder(name) or folder.is_dir():
        return _based_on("local", path=name)
    if (known := _files_by_repository(conf).get(name)) is not None:
        return _based_on(known)
    file = cached_config(name)
    if file is None:
        params, config = described(name)
    else:
        config = json_object(file)
        params = folder_parameters(file.parent) or parameters_of(config)
    params = params or _in_the_name(name)
    if not params:
        raise UserError(
            f"how large is {name}? Neither the local cache nor the hub tells: without a network, take a folder in its "
            "layout (`model@strong=./folder`)"
        )
    encoder = config.get("model_type") in ENCODERS
    own = {"name": name.partition("/")[2], "path": name, "params": params, "encoder": encoder}
    return _based_on("_hub", rates_file(params), **own)


def _based_on(*files: str, **own: Any) -> dict[str, Any]:
    return {"defaults": [*(f"/model/{file}@_here_" for file in files), "_self_"], **own}


@cache
def _files_by_repository(conf: Path) -> Mapping[str, str]:
    """The files of `conf/model/` by the repository that they are for."""
    files = {
        file.stem: yaml.safe_load(file.read_text("utf-8")).get("path")
        for file in sorted((conf / "model").glob("*.yaml"))
    }
    return {path: stem for stem, path in files.items() if path is not None and "/" in path}


def parameters_of(config: Mapping[str, Any]) -> int:
    """About how many parameters a model of this `config.json` has; 0 where it does not say what that takes."""

    def first(*names: str) -> int:
        return next((value for name in names if isinstance(value := config.get(name), int) and value > 0), 0)

    width, layers = first("hidden_size", "n_embd", "d_model", "dim"), first("num_hidden_layers", "n_layer", "n_layers")
    heads = first("num_attention_heads", "n_head", "n_heads") or 1
    head = first("head_dim") or width // heads
    keys = (first("num_key_value_heads") or heads) * head
    inner = first("intermediate_size", "n_inner", "hidden_dim") or 4 * width
    gated = "silu" in str(config.get("hidden_act")) or "hidden_activation" in config  # three matrices instead of two
    words = first("vocab_size") * width * (1 if config.get("tie_word_embeddings", True) else 2)
    return words + layers * width * (2 * heads * head + 2 * keys + (3 if gated else 2) * inner)


def _in_the_name(name: str) -> int:
    """Parameters as they are called: 7B, 0.5b, 410m."""
    found = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)([mb])(?![a-z])", name.replace("_", "-").lower())
    return int(float(found[1]) * _MULTIPLES[found[2]]) if found else 0
