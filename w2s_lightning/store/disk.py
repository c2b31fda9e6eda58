"""The store's folder on the disk: whether it is ours, and what people are told where it cannot be written to."""

import errno
import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from w2s_lightning import refs
from w2s_lightning.atomic import read_json, replacing
from w2s_lightning.errors import UserError

MARKER = "w2s_store.json"
FORMAT = 2  # 1: stages were named by what people call things
WORK, LEASES, QUARANTINE, CHECKPOINTS = ".work", ".lease", ".quarantine", "ckpt"


def is_ours(root: Path) -> bool:
    """Whether a store is at `root`, False when nothing is; raises UserError when something else is."""
    if root.exists() and not root.is_dir():
        raise UserError(f"the store must be a folder, but {root} is a file; name one with paths.store=FOLDER")
    names = set(os.listdir(root)) if root.is_dir() else set()
    if MARKER in names:
        try:
            found = read_json(root / MARKER)["format"]
        except (OSError, ValueError, KeyError, TypeError):
            found = "unreadable"
        if found != FORMAT:
            raise UserError(
                f"the store {root} has format {found}, this version reads {FORMAT} and leaves it as it is: "
                "name another folder with paths.store=FOLDER"
            )
    elif any(not name.startswith((f".{MARKER}", refs.FILE, f".{refs.FILE}")) for name in names):
        raise UserError(
            f"{root} is not a store of w2s_lightning: it holds other files and no {MARKER}. "
            "Name an empty or new folder with paths.store=FOLDER"
        )
    return MARKER in names


def establish(root: Path) -> None:
    """Mark `root` as a store unless it is one; several processes may do so at once."""
    with writable(root):
        if is_ours(root):
            return
        root.mkdir(parents=True, exist_ok=True)
        with replacing(root / MARKER) as scratch:
            scratch.write_text(json.dumps({"format": FORMAT, "made_by": "w2s_lightning"}) + "\n")
            sync(scratch)


def make_folder(root: Path, *parts: str) -> Path:
    """A folder below `root`, made if need be."""
    folder = root.joinpath(*parts)
    with writable(root):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def sync(*paths: Path) -> None:
    """Wait until files or folders are on the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def writable(root: Path) -> Iterator[None]:
    """Turn the store's own failing writes below `root` into a UserError."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise UserError(_full(root, "writing")) from error
        raise UserError(
            f"cannot write to the store {root}: {error.strerror or error}. "
            "Mend the folder or its permissions, or name another with paths.store=FOLDER"
        ) from error


@contextmanager
def room(root: Path, what: str) -> Iterator[None]:
    """Turn a full disk, or a limit on files, while computing `what` into a UserError; other exceptions pass."""
    try:
        yield
    except Exception as error:
        if is_disk_full(error):
            raise UserError(_full(root, f"computing {what}")) from error
        if _says(error, (errno.EFBIG,), "File too large"):
            raise UserError(
                f"a file grew too large while computing {what}; checkpoints are kept. Raise the limit on files "
                f"(`ulimit -f` shows it) or name a store on another file system with paths.store=FOLDER"
            ) from error
        raise


def is_disk_full(error: BaseException) -> bool:
    """Whether `error`, or what caused it, is a full disk."""
    return _says(error, (errno.ENOSPC, errno.EDQUOT), "No space left on device")


def _says(error: BaseException, numbers: Collection[int], text: str) -> bool:
    """Whether `error`, or what caused it, is one of these; safetensors and torch only say so in their text."""
    said = isinstance(error, OSError) and error.errno in numbers
    earlier = error.__cause__ or error.__context__
    return said or text in str(error) or (earlier is not None and _says(earlier, numbers, text))


def _full(root: Path, doing: str) -> str:
    there = next(place for place in (root, *root.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    return (
        f"disk full while {doing}: {free / 2**20:.1f} MB free in {root}; checkpoints are kept. Make room "
        f"(python -m w2s_lightning.store gc --store {root}) or name another store with paths.store=FOLDER"
    )
