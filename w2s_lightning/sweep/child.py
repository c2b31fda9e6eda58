"""What runs inside a process of the pool: one stage or one scoring, with its own log, threads and GPUs."""

import importlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from rich.console import Console

from w2s_lightning import job
from w2s_lightning.sweep.attempt import Record, attempt, show

LOG_WIDTH = 140
ORPHANED = 3

Environment = Mapping[str, str]


def work(request: job.Request, environment: Environment, threads: int, log: Path) -> Record:
    """Run the request with its output going to `log`; the record of what became of it."""
    _end_with_parent()
    os.environ.update(environment)
    write_to(log)
    runtime = replace(request.runtime, trainer=replace(request.runtime.trainer, threads=threads))
    own = replace(request, runtime=runtime)
    record = attempt(lambda: job.run(own, compute, Console(width=LOG_WIDTH)))
    show(record)
    sys.stdout.flush()
    sys.stderr.flush()
    return record


def compute(*arguments: Any) -> Sequence[Any]:
    """Compute missing stages; torch is in memory already, the parent of this process has preloaded it."""
    found: Sequence[Any] = importlib.import_module("w2s_lightning.execute").run(*arguments)
    return found


def write_to(log: Path) -> None:
    """Send everything that this process and its children print to the end of a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def _end_with_parent() -> None:
    """A killed sweep leaves nobody behind who goes on training."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for, args=(parent,), daemon=True).start()


def _wait_for(parent: Any) -> None:
    parent.join()
    os._exit(ORPHANED)
