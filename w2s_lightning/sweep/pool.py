"""The pool: units as processes of this machine, without barriers, the head of the longest chain first.

Every unit gets a fresh process, forked in 25 ms from a server that has torch, transformers and Lightning in memory. A
process that is killed takes its own unit with it and nothing else. The parent owns the slots (and with them the GPUs)
and submits only into free ones. A unit that wants several devices gets a `python train.py` process of its own, since
Lightning starts its ranks from the command line.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, TimeoutError, wait
from dataclasses import dataclass, field, replace
from multiprocessing import forkserver
from pathlib import Path

from pebble import ProcessExpired, concurrent

from w2s_lightning.job import Request
from w2s_lightning.schema import Trainer
from w2s_lightning.sweep import child
from w2s_lightning.sweep.attempt import Record, failure, last_error
from w2s_lightning.sweep.board import Board
from w2s_lightning.sweep.machine import Machine, seats_of
from w2s_lightning.sweep.units import Unit

PRELOADED = ["w2s_lightning.sweep.warm"]
LOG = "log.txt"
PATIENCE = 10.0  # seconds that a stopped process may take to end


def start_server() -> None:
    """Start the fork server, which takes seconds to load what it preloads, and return at once."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


@dataclass
class Pool:
    """Runs a board's units in the seats of a machine.

    `request_of` gives what a unit's process is sent, `words_of` the command line of one that is started by itself.
    """

    machine: Machine
    trainer: Trainer
    folder: Path
    request_of: Callable[[Unit], Request]
    words_of: Callable[[Unit], Sequence[str]]
    time_limit: float | None
    _free: list[int] = field(init=False)
    _running: dict[Future[Record], tuple[Unit, list[int]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._free = list(range(len(self.machine.seats)))
        self._width = seats_of(self.trainer, self.machine)
        self._context = multiprocessing.get_context("forkserver")
        self._own = _OwnProcesses(self.time_limit) if self._width > 1 else None

    def run(self, board: Board, started: Callable[[Unit], None], ended: Callable[[Unit, Record], None]) -> None:
        """Work until nothing is left that can start; on Ctrl-C stop all processes first."""
        if self._own is None:
            start_server()
        try:
            while self._fill(board, started) or self._running:
                done, _ = wait(self._running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in done:
                    unit, seats = self._running.pop(future)
                    self._free += seats
                    record = _record_of(future, self.time_limit)
                    board.end(unit, record, str(self.log(unit)))
                    ended(unit, record)
        finally:
            self._stop()

    def log(self, unit: Unit) -> Path:
        """Where a unit's output goes."""
        return self.folder / unit.folder / LOG

    def _fill(self, board: Board, started: Callable[[Unit], None]) -> bool:
        """Start units in free seats; whether any unit changed its state."""
        changed = False
        for unit in board.ready():
            if len(self._free) < self._width:
                return changed
            changed = True
            if board.start(unit):
                seats, self._free = self._free[: self._width], self._free[self._width :]
                self._running[self._submit(unit, seats)] = (unit, seats)
                started(unit)
        return changed

    def _submit(self, unit: Unit, seats: list[int]) -> "Future[Record]":
        environment = self.machine.environment(seats)
        if self._own is not None:
            return self._own.submit(self.words_of(unit), environment, self.log(unit))
        # Pebble 5.2 reads `context`, its signature says `mp_context`; with neither it forks this threaded process.
        how = {"context": self._context, "mp_context": self._context}
        launch = concurrent.process(daemon=False, timeout=self.time_limit, **how)(child.work)
        future: Future[Record] = launch(self.request_of(unit), environment, self.machine.threads, self.log(unit))
        return future

    def _stop(self) -> None:
        """End what is still running: nothing unless the sweep was stopped."""
        if self._own is not None:
            self._own.stop()
        left = multiprocessing.active_children() if self._running else []
        for process in left:  # not future.cancel(), after which Pebble's own thread fails on the future's state
            process.terminate()
        until = time.monotonic() + PATIENCE
        for process in left:
            process.join(max(0.0, until - time.monotonic()))
            process.kill()
        self._running.clear()


def only(request: Request, stages: tuple[str, ...] | None) -> Request:
    """The request for some stages of a job."""
    run = replace(request.runtime.run, only=stages)
    return replace(request, runtime=replace(request.runtime, run=run))


def only_words(unit: Unit) -> list[str]:
    """The override that asks for a unit's stages."""
    return [f"run.only=[{','.join(unit.only)}]"] if unit.only else []


def _record_of(future: "Future[Record]", time_limit: float | None) -> Record:
    try:
        return future.result()
    except ProcessExpired as error:
        return failure(_killed(error.exitcode), "Killed")
    except TimeoutError:
        return failure(f"stopped after {time_limit:g} s (hydra.launcher.time_limit)", "TimeLimit", time_limit or 0.0)
    except Exception as error:
        return failure(f"{type(error).__name__}: {error}", type(error).__name__)


def _killed(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"its process ended with exit code {exitcode}"
    name = signal.Signals(-exitcode).name
    hint = ", perhaps by the system for want of memory" if name == "SIGKILL" else ""
    return f"its process was killed ({name}{hint})"


class _OwnProcesses:
    """`python train.py` processes, each watched by a thread."""

    def __init__(self, time_limit: float | None) -> None:
        self._threads = ThreadPoolExecutor()
        self._alive: list[subprocess.Popen[bytes]] = []
        self._time_limit = time_limit

    def submit(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> "Future[Record]":
        """Start `python train.py WORDS`; the future ends with it."""
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, sys.argv[0], *words]
        with log.open("ab") as stream:
            before = stream.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env={**os.environ, **environment},
                process_group=0,  # else a terminal's Ctrl-C and ours are two, and the second forbids a last checkpoint
            )
        self._alive.append(process)
        return self._threads.submit(self._watch, process, log, before)

    def stop(self) -> None:
        """Ask every process to stop as Ctrl-C would."""
        for process in self._alive:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        self._threads.shutdown(wait=True)

    def _watch(self, process: "subprocess.Popen[bytes]", log: Path, before: int) -> Record:
        started = time.monotonic()
        try:
            code = process.wait(self._time_limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise TimeoutError from None
        seconds = round(time.monotonic() - started, 3)
        if code == 0:
            return {**failure("", "", seconds), "status": "done"}
        said = last_error(log.read_bytes()[before:].decode(errors="replace"), f"it failed: see {log}")
        return failure(_killed(code) if code < 0 else said, "Failed", seconds)
