"""What lies in a store, what of it is damaged, and what nothing refers to.

A result refers to every stage it was made from, ancestors included (`result.json`, `stages[].digest`). Whatever
is younger than the keeping time stays, since the result of a running job is not written yet.
"""

import json
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from w2s_lightning.errors import UserError
from w2s_lightning.identity import SHORT, digest
from w2s_lightning.store.artifacts import Store
from w2s_lightning.store.disk import LEASES, QUARANTINE, WORK, make_folder, writable
from w2s_lightning.store.lease import LEASE_SECONDS
from w2s_lightning.store.manifest import STAGE, Damaged, Manifest, files_in


@dataclass(frozen=True)
class Garbage:
    """A file or folder of the store that can go, with the reason."""

    path: Path
    reason: str


def artifact_folders(store: Store) -> Iterator[Path]:
    """Everything that lies where artifacts lie, damaged or not."""
    for kind in sorted(store.root.glob("*/")):
        if not kind.name.startswith("."):
            yield from sorted(path for path in kind.iterdir() if not path.name.startswith("."))


def damage_of(folder: Path) -> str | None:
    """What is wrong with an artifact after re-reading every byte; None when nothing is."""
    try:
        manifest = Manifest.read(folder)
        manifest.glance(folder)
        for name, entry in manifest.files.items():
            entry.verify(folder / name)
        named = folder.name.rpartition("-")[2] == manifest.digest[:SHORT]
        if not named or digest(json.loads((folder / STAGE).read_bytes())) != manifest.digest:
            return f"folder name, {STAGE} and manifest name different stages"
    except Damaged as damage:
        return str(damage)
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"
    return None


def referenced(outputs: Path) -> set[str]:
    """Digests of all stages that a `result.json` below `outputs` names; raises UserError without any."""
    found: set[str] = set()
    results = sorted(outputs.rglob("result.json"))
    if not results:
        raise UserError(f"no result.json below {outputs}: name the folder of your results with --outputs DIR")
    for path in results:
        try:
            found.update(stage["digest"] for stage in json.loads(path.read_bytes())["stages"])
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is not readable as a result: mend or delete it, then repeat") from None
    return found


def garbage(store: Store, keep: set[str], keep_seconds: float) -> Iterator[Garbage]:
    """Unreferenced artifacts, abandoned work, quarantine and stale leases, all older than `keep_seconds`."""
    before = time.time() - keep_seconds
    for folder in artifact_folders(store):
        digest_of = None
        with suppress(Damaged):
            digest_of = Manifest.read(folder).digest
        if digest_of not in keep and folder.lstat().st_mtime < before:
            yield Garbage(folder, "no result refers to it")
    for work in (store.root / WORK).glob("*"):
        newest = max(path.lstat().st_mtime for path in (work, *work.rglob("*")))
        if newest < before and not _is_live(store.root / LEASES / work.name):
            yield Garbage(work, "abandoned work")
    for place, reason in ((QUARANTINE, "quarantine"), (LEASES, "stale lease")):
        for path in (store.root / place).glob("*"):
            if path.lstat().st_mtime < before and not (place == LEASES and _is_live(path)):
                yield Garbage(path, reason)


def delete(store: Store, path: Path) -> None:
    """Remove by rename first, so that nobody sees half an artifact."""
    with writable(store.root):
        target = make_folder(store.root, WORK) / f"trash-{secrets.token_hex(8)}"
        path.rename(target)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()


def size_of(path: Path) -> int:
    """Bytes of a file or of all visible files of a folder."""
    return sum(stat.st_size for stat in files_in(path).values()) if path.is_dir() else path.lstat().st_size


def _is_live(lease: Path) -> bool:
    return lease.exists() and time.time() - lease.stat().st_mtime < 10 * LEASE_SECONDS
