"""What runs inside a process that a sweep has started: one unit, with its output in a log of its own.

The pool's processes run `work`, with torch in memory already. A cluster's nodes run `run_program`, which is `train.py`
in a process of its own; Slurm and Ray carry it there and its record back.
"""

import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import parent_process
from pathlib import Path
from types import FrameType

from rich.console import Console

from w2s_lightning import job
from w2s_lightning.errors import take_any_text
from w2s_lightning.job import Record
from w2s_lightning.sweep.units import failure

LOG_WIDTH = 140
ORPHANED = 3
_WHY: Mapping[int, str] = {
    signal.SIGTERM: "the cluster stopped it (SIGTERM)",
    signal.SIGUSR2: "it was stopped since its time is nearly up (timeout_min)",
}


def work(request: job.Request, environment: Mapping[str, str], log: Path) -> Record:
    """Run the request in a process of the pool; the record of what became of it."""
    # Else a terminal's Ctrl-C and the pool's SIGTERM would be two, and the second forbids a last checkpoint.
    os.setpgid(0, 0)
    sweep = parent_process()

    def end_with_the_sweep() -> None:  # a killed one leaves nobody behind who goes on training
        if sweep is not None:
            sweep.join()
            os._exit(ORPHANED)

    threading.Thread(target=end_with_the_sweep, daemon=True).start()
    os.environ.update(environment)
    write_to(log)
    record = job.attempt(lambda: job.run(request, console=Console(width=LOG_WIDTH)))
    sys.stdout.flush()
    sys.stderr.flush()
    return record


def write_to(log: Path) -> None:
    """Send everything that this process and its children print to the end of a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    take_any_text()


@dataclass(frozen=True)
class Program:
    """`python PATH WORDS` in `folder`, logged to `log`, for a `kind` of stage; paths mean the same on every node."""

    kind: str
    path: Path
    words: tuple[str, ...]
    folder: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def run_program(program: Program) -> Record:
    """Run it in this process, which is not good for anything else afterwards."""
    started = time.monotonic()
    os.environ.update(program.environment, COLUMNS=str(LOG_WIDTH))
    os.chdir(program.folder)
    write_to(program.log)
    before = program.log.stat().st_size
    caught: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        signal.raise_signal(signal.SIGINT)

    for number in _WHY:  # to make room, or before the time is up: they do what Ctrl-C does
        signal.signal(number, stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [str(program.path), *program.words]
    code = 0
    try:
        runpy.run_path(str(program.path), run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    seconds = round(time.monotonic() - started, 3)
    if code == 0:
        return {**failure("", "", seconds), "status": "done", "peak_memory_bytes": job.peak_memory()}
    if caught:
        return failure(f"{_WHY[caught[0]]}: its checkpoint is kept", "Stopped", seconds)
    said = program.log.read_bytes()[before:].decode(errors="replace").splitlines()
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    return failure(errors[-1] if errors else "it failed without saying why", "Failed", seconds)
