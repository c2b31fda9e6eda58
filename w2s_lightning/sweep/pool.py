"""The pool: units as processes of this machine, without barriers, the head of the longest chain first.

Every unit gets a fresh process, forked in 25 ms from a server that has torch, transformers and Lightning in memory. A
process that is killed takes its own unit with it and nothing else. The parent owns the slots (and with them the GPUs)
and submits only into free ones: a unit that wants several devices takes as many, and shares its fits itself.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import Any

import psutil
from pebble import ProcessExpired, concurrent

from w2s_lightning.checks import chosen_gpus, num_processes, visible_gpus
from w2s_lightning.config.schema import Trainer
from w2s_lightning.config.typed import ALL
from w2s_lightning.errors import UserError, handling
from w2s_lightning.job import Record, Request
from w2s_lightning.sweep import process
from w2s_lightning.sweep.units import Unit, UnitStates, failure

PRELOADED = ["w2s_lightning.sweep.warm"]
SLOT_BYTES = 1.5e9  # of memory that a slot is expected to need, where slots are chosen for the user
PATIENCE = 60.0  # seconds that a stopped process may take to save a checkpoint


# ---------------------------------------------------------------- what this machine can run at a time


@dataclass(frozen=True)
class Machine:
    """`seats` holds one entry a slot, the GPU that it owns or None; a job takes `width` of them, one a device."""

    seats: tuple[str | None, ...]
    threads: int
    width: int

    def environment(self, seats: Sequence[int]) -> dict[str, str]:
        """What a job in these seats sees of the machine."""
        own = [gpu for gpu in (self.seats[seat] for seat in seats) if gpu is not None]
        visible = {"CUDA_VISIBLE_DEVICES": ",".join(dict.fromkeys(own))} if own else {}
        return {"OMP_NUM_THREADS": str(self.threads), **visible}


def machine_for(settings: Mapping[str, Any], trainer: Trainer) -> Machine:
    """Slots and threads as `hydra.launcher` asks for them, or as many as fit.

    Raises UserError for more than there is; devices `auto` are as many as there are slots.
    """
    asked: dict[str, int | None] = {}
    for name in ("threads", "slots"):
        value = settings.get(name)
        if value not in (None, "auto") and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise UserError(f"hydra.launcher.{name}={value}: expected auto or a number from 1 on")
        asked[name] = None if value == "auto" else value
    cores, gpus = num_cores(), visible_gpus(trainer)
    if gpus and (chosen := chosen_gpus(trainer)) is not None:
        gpus = [gpus[number] for number in chosen if number < len(gpus)]
    threads = asked["threads"] or trainer.threads or max(1, cores // len(gpus) if gpus else 1)
    by_memory = int(psutil.virtual_memory().available / SLOT_BYTES)
    slots = asked["slots"] or len(gpus) or max(1, min(cores // threads, by_memory))
    if slots * threads > cores:
        raise UserError(
            f"{slots} slots x {threads} threads are more than the {cores} cores here, which makes all of them slower: "
            f"lower hydra.launcher.slots or hydra.launcher.threads (trainer.threads)"
        )
    width = num_processes(trainer)
    if width > slots and str(trainer.devices) not in ALL:
        raise UserError(f"trainer.devices={trainer.devices} needs {width} slots, the pool has {slots}")
    return Machine(tuple(gpus[n % len(gpus)] if gpus else None for n in range(slots)), threads, min(width, slots))


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---------------------------------------------------------------- the pool


def start_server() -> None:
    """Start the fork server, which takes seconds to load what it preloads, and return at once."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    with handling(signal.SIGINT, signal.SIG_IGN):  # inherited: a terminal's Ctrl-C is for the sweep alone
        forkserver.ensure_running()


class Pool:
    """Runs the units in the seats of a machine; `request_of` gives what a unit's process is sent."""

    def __init__(self, machine: Machine, request_of: Callable[[Unit], Request], time_limit: float | None) -> None:
        self._machine, self._request_of, self._limit = machine, request_of, time_limit
        self._free = list(range(len(machine.seats)))
        self._running: dict[Future[Record], tuple[Unit, list[int]]] = {}
        # Pebble 5.2 reads `context`, its signature says `mp_context`; with neither it forks this threaded process.
        context = multiprocessing.get_context("forkserver")
        how = {"context": context, "mp_context": context}
        self._launch = concurrent.process(daemon=False, timeout=time_limit, **how)(process.work)

    def run(self, states: UnitStates) -> None:
        """Work until nothing is left that can start; on Ctrl-C stop all processes first."""
        start_server()
        try:
            while self._fill(states) or self._running:
                done, _ = wait(self._running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in done:
                    unit, seats = self._running.pop(future)
                    self._free += seats
                    states.end(unit, self._record_of(future))
        finally:
            self._stop()

    def _fill(self, states: UnitStates) -> bool:
        """Start units in free seats; whether any unit changed its state."""
        changed, width = False, self._machine.width
        for unit in states.ready():
            if len(self._free) < width:
                return changed
            changed = True
            if states.start(unit):
                seats, self._free = self._free[:width], self._free[width:]
                environment = self._machine.environment(seats)
                future = self._launch(self._request_of(unit), environment, states.log(unit))
                self._running[future] = (unit, seats)
        return changed

    def _record_of(self, future: "Future[Record]") -> Record:
        try:
            return future.result()
        except ProcessExpired as error:
            code = error.exitcode
            if code is None or code >= 0:
                return failure(f"its process ended with exit code {code}", "Killed")
            hint = ", perhaps by the system for want of memory" if code == -signal.SIGKILL else ""
            return failure(f"its process was killed ({signal.Signals(-code).name}{hint})", "Killed")
        except TimeoutError:
            seconds = self._limit or 0.0
            return failure(f"stopped after {seconds:g} s (hydra.launcher.time_limit)", "TimeLimit", seconds)
        except Exception as error:
            return failure(f"{type(error).__name__}: {error}", type(error).__name__)

    def _stop(self) -> None:
        """End what is still running: nothing unless the sweep was stopped."""
        left = multiprocessing.active_children() if self._running else []
        for one in left:  # not future.cancel(), after which Pebble's own thread fails on the future's state
            one.terminate()
        until = time.monotonic() + PATIENCE
        for one in left:
            one.join(max(0.0, until - time.monotonic()))
            one.kill()
        self._running.clear()
