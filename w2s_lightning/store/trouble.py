"""Disk full and folders that cannot be written to, as messages for the person who can mend it."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from w2s_lightning.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT)


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
    """Turn a full disk while computing `what` into a UserError; other exceptions pass."""
    try:
        yield
    except Exception as error:
        if is_disk_full(error):
            raise UserError(_full(root, f"computing {what}")) from error
        raise


def is_disk_full(error: BaseException) -> bool:
    """Whether `error`, or what caused it, is a full disk; safetensors and torch only say so in their text."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    if "No space left on device" in str(error):
        return True
    earlier = error.__cause__ or error.__context__
    return earlier is not None and is_disk_full(earlier)


def _full(root: Path, doing: str) -> str:
    there = next(place for place in (root, *root.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    return (
        f"disk full while {doing}: {free / 2**20:.1f} MB free in {root}; checkpoints are kept. Make room "
        f"(python -m w2s_lightning.store gc --store {root}) or name another store with paths.store=FOLDER"
    )
