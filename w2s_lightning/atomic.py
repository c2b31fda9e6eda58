"""Files that a reader finds whole, old or new, and never half: written beside their place and then renamed.

Everything that others may read while it is rewritten goes through here; whole folders are the store's `publish`. What
our commands read back may have been damaged all the same: `read_json` and `read_yaml` have one error. Folders that are
named by words are named here, and never lie outside of their root.
"""

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from w2s_lightning.errors import UserError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where PyYAML was built with it
_DEEPEST = 5000
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # in JSON
LONGEST = 160  # characters of words in a folder's name: file systems take 255 bytes, and digests and times follow


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A scratch file to write; at the end it takes the place of `path`, on an error it is gone and `path` as before."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")  # beside it: a rename works within one file system only
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file by `replacing`; its folder must be there."""
    with replacing(path) as scratch:
        scratch.write_bytes(content.encode() if isinstance(content, str) else content)


def read_json(path: Path) -> Any:
    """What a JSON file holds; raise FileNotFoundError where there is none, a one-line ValueError for any damage."""
    return parse_json(read_bytes(path))


def parse_json(content: bytes) -> Any:
    """What a JSON file's bytes say; raise a one-line ValueError for any damage."""
    try:
        text = _text(content)
        found = json.loads(text)
        if SURROGATE.search(text):  # most are halves of a pair, which makes one character
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except UnicodeEncodeError:
        raise ValueError("it holds half a character") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None


def read_yaml(path: Path) -> Any:
    """As `read_json`, of YAML."""
    text = _text(read_bytes(path))
    lines = (len(line) - len(line.lstrip()) + line.count("- ") + line.count("? ") for line in text.splitlines())
    try:
        if text.count("[") + text.count("{") + max(lines, default=0) > _DEEPEST:  # libyaml would end the process
            raise RecursionError
        return yaml.load(text, _LOADER)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).partition("\n")[0]) from None


def read_bytes(path: Path) -> bytes:
    """A file's bytes; raise as `read_json` does."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise ValueError("it is no file")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no {path}") from None
    except OSError as error:
        raise ValueError(error.strerror or "it cannot be read") from None


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None


def folder_name(words: str) -> str:
    """Words as a part of one folder's name: the slash of a hub id becomes `--`, and what is too long is cut."""
    return words.replace("/", "--")[:LONGEST]


def below(root: Path, *parts: str) -> Path:
    """A path below `root`; raise UserError where the parts lead out of it. Links are followed: they are the user's."""
    place = root.joinpath(*parts)
    if not os.path.abspath(place).startswith(os.path.join(os.path.abspath(root), "")):
        raise UserError(f"{'/'.join(parts)} would lie outside of {root}: give another name")
    return place
