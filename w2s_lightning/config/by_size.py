"""How large a model is, and the learning rates of models of others, which go by that.

The rates stand in files of `conf/model/`: models with a file of their own take one by name, all others by their size.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from math import prod
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open

from w2s_lightning.config.schema import LocalModel
from w2s_lightning.config.typed import name_of

_SIZES = ((3e8, "_below_300m"), (8e8, "_below_800m"), (5e9, "_below_5b"))
_LARGER = "_from_5b"
_MODELS = Path(__file__).resolve().parents[2] / "conf" / "model"


@lru_cache(maxsize=256)
def folder_parameters(folder: Path) -> int:
    """Numbers in a folder's safetensors files, read from their headers; 0 where there are none that can be read."""
    count = 0
    for file in filter(Path.is_file, folder.glob("*.safetensors")):  # opening a pipe would wait for ever
        with suppress(OSError, SafetensorError), safe_open(file, framework="numpy") as tensors:
            count += sum(prod(one.get_shape()) for one in map(tensors.get_slice, tensors.keys()))
    return count


def rates_file(params: int) -> str:
    """The file of `conf/model/` with the learning rates of a model of so many parameters."""
    return next((file for below, file in _SIZES if params < below), _LARGER)


def completed(block: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """A model's block with what is left to its place (null): its name, and of a local folder rates by size."""
    if block.get("name", "") is None:
        block = {**block, "name": name_of(path)}
    given = block.get("lr")
    if block.get("_target_") != f"{LocalModel.__module__}.LocalModel" or not isinstance(given, Mapping):
        return block
    folder = Path(os.path.realpath(path))  # which takes a circle of links too: whoever opens the folder names it
    by_size = _read(rates_file(folder_parameters(folder)))
    return {**block, "lr": {name: by_size.get(name) if rate is None else rate for name, rate in given.items()}}


@cache
def _read(file: str) -> Mapping[str, float]:
    rates: Mapping[str, float] = yaml.safe_load((_MODELS / f"{file}.yaml").read_text())["lr"]
    return rates
