"""The store's own folder: what marks it as ours, and the names inside it."""

import json
import os
from pathlib import Path

from w2s_lightning.atomic import replacing
from w2s_lightning.errors import UserError
from w2s_lightning.store.manifest import sync_one
from w2s_lightning.store.trouble import writable

MARKER = "w2s_store.json"
FORMAT = 1
WORK, LEASES, QUARANTINE = ".work", ".lease", ".quarantine"


def is_ours(root: Path) -> bool:
    """Whether a store is at `root`, False when nothing is; raises UserError when something else is."""
    if root.exists() and not root.is_dir():
        raise UserError(f"the store must be a folder, but {root} is a file; name one with paths.store=FOLDER")
    names = set(os.listdir(root)) if root.is_dir() else set()
    if MARKER in names:
        _check_format(root)
        return True
    if any(not name.startswith(f".{MARKER}") for name in names):
        raise UserError(
            f"{root} is not a store of w2s_lightning: it holds other files and no {MARKER}. "
            "Name an empty or new folder with paths.store=FOLDER"
        )
    return False


def establish(root: Path) -> None:
    """Mark `root` as a store unless it is one; several processes may do so at once."""
    with writable(root):
        if is_ours(root):
            return
        root.mkdir(parents=True, exist_ok=True)
        with replacing(root / MARKER) as scratch:
            scratch.write_text(json.dumps({"format": FORMAT, "made_by": "w2s_lightning"}) + "\n")
            sync_one(scratch)


def make_folder(root: Path, *parts: str) -> Path:
    """A folder below `root`, made if need be."""
    folder = root.joinpath(*parts)
    with writable(root):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check_format(root: Path) -> None:
    try:
        found = json.loads((root / MARKER).read_bytes())["format"]
    except (ValueError, KeyError, TypeError):
        found = "unreadable"
    if found != FORMAT:
        raise UserError(
            f"the store {root} has format {found}, this version reads {FORMAT}: "
            "name another folder with paths.store=FOLDER"
        )
