"""The store itself: look up, compute once, publish by rename, verify, quarantine."""

import errno
import json
import logging
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psutil

from w2s_lightning.atomic import below
from w2s_lightning.identity import SHORT, Stage
from w2s_lightning.store.disk import (
    CHECKPOINTS,
    LEASES,
    QUARANTINE,
    WORK,
    establish,
    is_ours,
    make_folder,
    room,
    sync,
    writable,
)
from w2s_lightning.store.lease import LEASE_SECONDS, lease
from w2s_lightning.store.manifest import MANIFEST, STAGE, Damaged, FileEntry, Manifest, provenance

logger = logging.getLogger(__name__)


class Missing(LookupError):
    """The stage is not in the store."""


@dataclass(frozen=True)
class Artifact:
    """A finished stage; `seconds` is what computing it took, also when it was `cached` (came from the store)."""

    path: Path
    cached: bool
    seconds: float


class Store:
    """Finished stages in one folder. The constructor touches nothing; `Store.at` checks and creates."""

    def __init__(self, root: str | Path, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.root = Path(root).expanduser().absolute()
        self._lease_seconds = lease_seconds
        self._verified: dict[Path, FileEntry] = {}
        self._labelled: dict[str, tuple[int, dict[str, Path]]] = {}
        self._waited_for: set[str] = set()  # other processes

    @classmethod
    def at(cls, root: str | Path, create: bool = True) -> Self:
        """The store at `root`, made if need be; without `create` a missing folder is an empty store.

        Raises UserError for a folder that holds something else, has another format or cannot be written to.
        """
        store = cls(root)
        with writable(store.root):
            present = is_ours(store.root)
        if create and not present:
            establish(store.root)
        return store

    def path(self, stage: Stage) -> Path:
        """Where the stage's artifact lies, whatever it was called when it was made, or will lie."""
        own = below(self.root, stage.kind, stage.folder)
        return own if os.path.lexists(own) else self._others(own.parent).get(stage.digest[:SHORT], own)

    def _others(self, kind: Path) -> dict[str, Path]:
        """Artifacts of a kind by digest alone, read again when its folder has changed: a plan asks a thousandfold."""
        with suppress(OSError):
            changed = kind.stat().st_mtime_ns
            if self._labelled.get(kind.name, (0, {}))[0] != changed:
                there = {path.name.rpartition("-")[2]: path for path in kind.iterdir()}
                self._labelled[kind.name] = changed, there
            return self._labelled[kind.name][1]
        return {}

    def has(self, stage: Stage) -> bool:
        """Plan-time hit: manifest, identity, names, sizes and modification times are right.

        Reads no output, except one whose time alone is off (a copied store): that one is hashed.
        """
        with suppress(Missing, Damaged):
            self.manifest(stage)
            return True
        return False

    def manifest(self, stage: Stage) -> Manifest:
        """The artifact's manifest after the checks of `has`; raises Missing or Damaged."""
        folder = self.path(stage)
        if not os.path.lexists(folder):
            raise Missing(f"{_name(stage)} is not in the store {self.root}")
        manifest = Manifest.read(folder)
        if manifest.digest != stage.digest:
            raise Damaged(f"{STAGE} does not hold the wanted identity")
        manifest.glance(folder)
        return manifest

    def open(self, stage: Stage) -> Path:
        """The artifact's folder after checking every file's sha256, once per process.

        Raises Missing, or Damaged after moving the artifact into quarantine: compute it again.
        """
        self._check(stage, None)
        return self.path(stage)

    def file(self, stage: Stage, name: str) -> Path:
        """One output after checking its sha256 alone (metrics beside large weights); raises like `open`."""
        if name not in self._check(stage, (name,)).files:
            raise FileNotFoundError(f"{self.path(stage)} has no {name}")
        return self.path(stage) / name

    def read_json(self, stage: Stage, name: str) -> Any:
        """A JSON output; raises like `file`."""
        return json.loads(self.file(stage, name).read_bytes())

    def checkpoints(self, stage: Stage) -> Path:
        """The folder for checkpoints of the unfinished stage; it goes when the stage is finished."""
        return make_folder(self.root, WORK, stage.digest, CHECKPOINTS)

    def obtain(self, stage: Stage, compute: Callable[[Path], None], more: Mapping[str, Any] | None = None) -> Artifact:
        """The stage's artifact, from the store or else made by `compute` in the folder that it is given.

        `more` adds to the manifest's provenance (device, threads). Raises UserError when the store cannot be
        written to or the disk is full, and whatever `compute` raises; nothing then lies under the final name.
        """
        if (found := self._found(stage)) is not None:
            return found
        establish(self.root)
        place = make_folder(self.root, LEASES) / stage.digest
        with ExitStack() as stack:
            with writable(self.root):
                name, known = _name(stage), self._waited_for
                stack.enter_context(lease(place, name, lambda: self.has(stage), self._lease_seconds, known))
            return self._found(stage) or self._make(stage, compute, more or {})

    def quarantine(self, folder: Path, inode: int | None, reason: str) -> None:
        """Move a damaged artifact aside, unless another process replaced it since its `inode` was read."""
        if inode is None or inode_of(folder) != inode:
            return
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        target = make_folder(self.root, QUARANTINE) / f"{folder.parent.name}-{folder.name}-{stamp}"
        with writable(self.root), suppress(FileNotFoundError):
            folder.rename(target)
            os.utime(target)  # garbage collection goes by its age in quarantine
            logger.warning("DAMAGED artifact %s: %s; moved to %s, to be recomputed", folder, reason, target)

    def quarantined(self) -> frozenset[str]:
        """What lies in quarantine: kind, folder and time of each, joined by hyphens."""
        place = self.root / QUARANTINE
        return frozenset(os.listdir(place)) if place.is_dir() else frozenset()

    def _check(self, stage: Stage, names: Collection[str] | None) -> Manifest:
        folder = self.path(stage)
        before = inode_of(folder)
        try:
            manifest = self.manifest(stage)
            for name, entry in manifest.files.items():
                if (names is None or name in names) and self._verified.get(folder / name) != entry:
                    entry.verify(folder / name)
                    self._verified[folder / name] = entry
        except Damaged as damage:
            self.quarantine(folder, before, str(damage))
            raise Damaged(f"{_name(stage)}: {damage}") from None
        return manifest

    def _found(self, stage: Stage) -> Artifact | None:
        with suppress(Missing, Damaged):
            return Artifact(self.path(stage), True, self._check(stage, None).seconds)
        return None

    def _make(self, stage: Stage, compute: Callable[[Path], None], more: Mapping[str, Any]) -> Artifact:
        make_folder(self.root, stage.kind)
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        scratch = make_folder(self.root, WORK, stage.digest, owner)
        try:
            with room(self.root, _name(stage)):
                started = time.monotonic()
                compute(scratch)
                seconds = time.monotonic() - started
                assert not {STAGE, MANIFEST} & set(os.listdir(scratch)), "these names are the store's"
                (scratch / STAGE).write_text(json.dumps(stage.record(), indent=1, sort_keys=True) + "\n")
                manifest = Manifest.write(scratch, stage.digest, provenance(seconds, more))
                made = self._publish(stage, scratch, manifest)
        except Exception as error:
            # A holder whose lease was taken may find its folders gone: the other one's result is as good.
            if (theirs := self._found(stage)) is None:
                raise
            logger.warning("%s failed here (%r), but another process finished it", _name(stage), error)
            made = theirs
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        _tidy(self.root / WORK / stage.digest)
        return made

    def _publish(self, stage: Stage, scratch: Path, manifest: Manifest) -> Artifact:
        """Rename into place; when somebody else was faster, theirs is verified and ours discarded."""
        final = below(self.root, stage.kind, stage.folder)
        try:
            scratch.rename(final)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            # What does not verify is in quarantine by then, and the place is free.
            return self._found(stage) or self._publish(stage, scratch, manifest)
        sync(final.parent)
        self._verified.update({final / name: entry for name, entry in manifest.files.items()})
        return Artifact(final, False, manifest.seconds)


def inode_of(path: Path) -> int | None:
    """The inode number, None when nothing is there."""
    try:
        return path.lstat().st_ino
    except OSError:
        return None


def _tidy(work: Path) -> None:
    """Remove a finished stage's checkpoints and what dead processes left; a living rival keeps its folder."""
    shutil.rmtree(work / CHECKPOINTS, ignore_errors=True)
    for left in work.glob("*"):
        host, _, pid = left.name.rpartition("-")[0].rpartition("-")
        if host == socket.gethostname() and pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    with suppress(OSError):
        work.rmdir()


def _name(stage: Stage) -> str:
    return f"{stage.kind} {stage.folder}"
