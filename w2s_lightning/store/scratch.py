"""Folders in which outputs grow before they are published, one for each attempt of each process."""

import os
import secrets
import shutil
import socket
from contextlib import suppress
from pathlib import Path

import psutil

from w2s_lightning.store.root import WORK, make_folder

CHECKPOINTS = "ckpt"


def new_scratch(root: Path, digest: str) -> Path:
    """An empty folder of this process's own."""
    return make_folder(root, WORK, digest, f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}")


def tidy(root: Path, digest: str) -> None:
    """Remove a finished stage's checkpoints and what dead processes left; a living rival keeps its folder."""
    work = root / WORK / digest
    shutil.rmtree(work / CHECKPOINTS, ignore_errors=True)
    for left in work.glob("*"):
        if _is_dead(left.name):
            shutil.rmtree(left, ignore_errors=True)
    with suppress(OSError):
        work.rmdir()


def _is_dead(name: str) -> bool:
    owner, _, _ = name.rpartition("-")
    host, _, pid = owner.rpartition("-")
    return host == socket.gethostname() and pid.isdigit() and not psutil.pid_exists(int(pid))
