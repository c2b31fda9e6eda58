"""Names, places and devices as they are typed: what may stand in them, checked once, where a record is bound."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

ALL = ("auto", "-1")  # of `trainer.devices`: every one that there is

_WORD = r"[A-Za-z0-9_][A-Za-z0-9._+-]*"
_NAME = re.compile(rf"{_WORD}(/{_WORD})?")


def _called(most: int, expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if len(value) > most or not _NAME.fullmatch(value):
            raise ValueError(f"expected {expected}")
        return value

    return AfterValidator(check)


LETTERS = "up to 80 letters, digits and . _ + -, a letter or digit first (and one / as in a hub id)"
REPOSITORY = "a repository of the hub, owner/name; a folder is taken with model@weak=local weak.path=DIR"
Name = Annotated[str, _called(80, LETTERS)]  # of a task, world or model: for people, and a part of folders' names
Repository = Annotated[str, _called(96, REPOSITORY)]


def _place(value: str) -> str:
    if not value.strip():
        raise ValueError("expected the path of a folder")
    try:
        Path(value).expanduser().exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long; no such user
        raise ValueError(f"expected the path of a folder ({getattr(error, 'strerror', None) or error})") from None
    return os.path.expanduser(value)


def name_of(path: str) -> str:
    """What a repository or a folder is called by its owner, as a `Name`."""
    folder = Path(os.path.abspath(path))
    if folder.parent.name == "snapshots":  # of the hub's cache: models--owner--name/snapshots/commit
        folder = Path(folder.parent.parent.name.rpartition("--")[2])
    return re.sub(r"[^A-Za-z0-9._+-]", "-", folder.name).strip("._+-")[:80] or "local"


Place = Annotated[str, AfterValidator(_place)]


def _devices(value: int | str) -> int | str:
    names = [name.strip() for name in str(value).split(",") if name.strip()]
    numbers = all(name.isascii() and name.isdigit() and len(name) < 5 for name in names)
    if str(value) not in ALL and (not names or not numbers or str(value) == "0" or len(names) > len(set(names))):
        raise ValueError("expected how many (2), which GPUs ('0,2'), or auto")
    return value


Devices = Annotated[int | str, AfterValidator(_devices)]
