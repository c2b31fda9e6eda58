"""What a cluster's node runs for a launch: `train.py` inside a process of its own, its output in a file on the shared
path. Slurm and Ray carry `run_program` there and its record back.
"""

import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from w2s_lightning.sweep.attempt import Record, failure, last_error, peak_memory
from w2s_lightning.sweep.child import LOG_WIDTH, write_to

_WHY: Mapping[int, str] = {
    signal.SIGTERM: "the cluster stopped it (SIGTERM)",
    signal.SIGUSR2: "it was stopped since its time is nearly up (timeout_min)",
}


@dataclass(frozen=True)
class Errand:
    """One launch: `python PROGRAM WORDS` in `folder`, logged to `log`; paths mean the same on every node."""

    kind: str
    program: Path
    words: tuple[str, ...]
    folder: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def run_program(errand: Errand) -> Record:
    """Run it in this process, which is not good for anything else afterwards."""
    started = time.monotonic()
    os.environ.update(errand.environment, COLUMNS=str(LOG_WIDTH))
    os.chdir(errand.folder)
    write_to(errand.log)
    before = errand.log.stat().st_size
    caught = _stopping_cleanly()
    sys.argv = [str(errand.program), *errand.words]
    code = _exit_code(errand.program)
    sys.stdout.flush()
    sys.stderr.flush()
    seconds = round(time.monotonic() - started, 3)
    if code == 0:
        return {**failure("", "", seconds), "status": "done", "peak_memory_bytes": peak_memory()}
    if caught:
        return failure(f"{_WHY[caught[0]]}: its checkpoint is kept", "Stopped", seconds)
    said = errand.log.read_bytes()[before:].decode(errors="replace")
    return failure(last_error(said, "it failed without saying why"), "Failed", seconds)


def _exit_code(program: Path) -> int:
    try:
        runpy.run_path(str(program), run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _stopping_cleanly() -> list[int]:
    """Let a cluster's signals (to make room, or before the time is up) do what Ctrl-C does; the list tells of them."""
    caught: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        signal.raise_signal(signal.SIGINT)

    for number in _WHY:
        signal.signal(number, stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return caught
