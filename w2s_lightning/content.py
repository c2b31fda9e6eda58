"""Local files and folders that enter an identity by what they hold, never by where they lie.

Hashes of large files are remembered under the user's cache folder by path, size and modification time.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from w2s_lightning.atomic import read_json, write_whole
from w2s_lightning.errors import UserError
from w2s_lightning.identity import digest

_MODEL_FILES = (".json", ".safetensors", ".txt", ".model", ".jinja")


@dataclass(frozen=True)
class DataFile:
    """One local data file; `identity()` is its content alone."""

    path: Path
    sha256: str

    @classmethod
    def at(cls, path: str | Path) -> "DataFile":
        """Hash the file at `path`; raise UserError when it is missing, empty or no file."""
        place = Path(os.path.expanduser(path))
        if not os.path.isfile(place):  # unlike Path's own, it takes whatever is typed
            raise UserError(f"data file not found: {place} (expected a JSONL, CSV or Parquet file)")
        if place.stat().st_size == 0:
            raise UserError(f"data file is empty: {place}")
        return cls(place.resolve(), _hash_of(place.resolve()))

    def identity(self) -> Mapping[str, Any]:
        return {"sha256": self.sha256}

    def check(self) -> Path:
        """The path, after making sure that the file still holds what was planned."""
        if _hash_of(self.path) != self.sha256:
            raise UserError(f"{self.path} changed after the plan was made: run the same command again")
        return self.path


@dataclass(frozen=True)
class Folder:
    """A local folder in a hub repository's layout (a model or a data set); `identity()` is its files' content."""

    path: Path
    sha256: str

    @classmethod
    def at(cls, path: str | Path, endings: tuple[str, ...] | None = None) -> "Folder":
        """Hash the files of the folder at `path`; raise UserError when it is missing or empty."""
        place = Path(os.path.expanduser(path))
        if not os.path.isdir(place):
            raise UserError(f"folder not found: {place}")
        root = place.resolve()
        files = [f for f in sorted(root.rglob("*")) if f.is_file() and ".git" not in f.relative_to(root).parts]
        hashes = {str(f.relative_to(root)): _hash_of(f) for f in files if endings is None or f.suffix in endings}
        if not hashes:
            expected = "" if endings is None else f" (expected files that end in {', '.join(endings)})"
            raise UserError(f"nothing to read in the folder {place}{expected}")
        return cls(root, digest(hashes))

    @classmethod
    def of_model(cls, path: str | Path) -> "Folder":
        """A model folder: weights, configuration and tokenizer; what else lies there does not count."""
        place = Path(path).expanduser()
        if place.is_dir() and not (place / "config.json").is_file():  # it may be a home with a million files
            raise UserError(f"{place} is not a model folder: config.json is missing")
        return cls.at(path, _MODEL_FILES)

    def identity(self) -> Mapping[str, Any]:
        return {"folder_sha256": self.sha256}


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remembered(what: str, path: Path, find: Callable[[Path], str]) -> str:
    """What `find` says of a file while size and modification time stay; of a large one in later processes too."""
    stat = path.stat()
    return _remembered(what, find, str(path), stat.st_size, stat.st_mtime_ns)


def _hash_of(path: Path) -> str:
    return remembered("", path, file_sha256)


@cache
def _remembered(what: str, find: Callable[[Path], str], path: str, size: int, mtime_ns: int) -> str:
    if size < 1 << 24:
        return find(Path(path))
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    memory, key = Path(cache_home) / "w2s_lightning" / "content.json", f"{what}{path}:{size}:{mtime_ns}"
    try:
        known = read_json(memory)
    except (FileNotFoundError, ValueError):  # not there yet, or damaged: everything is found anew
        known = None
    if not isinstance(known, dict):
        known = {}
    if key not in known:
        known[key] = find(Path(path))
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_whole(memory, json.dumps(known))
    return str(known[key])
