"""What this machine can run at a time: slots, the threads of each, and which GPU each has."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from w2s_lightning.devices import ALL, num_processes, visible_gpus
from w2s_lightning.errors import UserError
from w2s_lightning.schema import Trainer

SLOT_BYTES = 1.5e9  # of memory that a slot is expected to need, where slots are chosen for the user


@dataclass(frozen=True)
class Machine:
    """`seats` holds one entry a slot: the GPU that it owns, or None."""

    seats: tuple[str | None, ...]
    threads: int

    def environment(self, seats: Sequence[int]) -> dict[str, str]:
        """What a job in these seats sees of the machine."""
        own = [gpu for gpu in (self.seats[seat] for seat in seats) if gpu is not None]
        visible = {"CUDA_VISIBLE_DEVICES": ",".join(dict.fromkeys(own))} if own else {}
        return {"OMP_NUM_THREADS": str(self.threads), **visible}


def machine_for(settings: Mapping[str, Any], trainer: Trainer) -> Machine:
    """Slots and threads as `hydra.launcher` asks for them, or as many as fit; raise UserError for more."""
    cores, gpus = num_cores(), visible_gpus(trainer)
    threads = _number(settings, "threads") or trainer.threads or max(1, cores // len(gpus) if gpus else 1)
    slots = _number(settings, "slots") or (len(gpus) if gpus else _fitting(cores, threads))
    if slots * threads > cores:
        raise UserError(
            f"{slots} slots x {threads} threads are more than the {cores} cores here, which makes all of them slower: "
            f"lower hydra.launcher.slots or hydra.launcher.threads (trainer.threads)"
        )
    return Machine(tuple(gpus[slot % len(gpus)] if gpus else None for slot in range(slots)), threads)


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seats_of(trainer: Trainer, machine: Machine) -> int:
    """How many slots one job takes, one a device; raise UserError for more than there are (`auto`: all)."""
    count = num_processes(trainer)
    if str(trainer.devices) in ALL:
        return min(count, len(machine.seats))
    if count > len(machine.seats):
        raise UserError(f"trainer.devices={trainer.devices} needs {count} slots, the pool has {len(machine.seats)}")
    return count


def _number(settings: Mapping[str, Any], name: str) -> int | None:
    value = settings.get(name)
    if value in (None, "auto"):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"hydra.launcher.{name}={value}: expected auto or a number from 1 on")
    return value


def _fitting(cores: int, threads: int) -> int:
    by_memory = int(psutil.virtual_memory().available / SLOT_BYTES)
    return max(1, min(cores // threads, by_memory))
