"""What this machine can run at a time: slots, the threads of each, and which GPU each has."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from w2s_lightning.errors import UserError
from w2s_lightning.schema import Trainer

SLOT_BYTES = 1.5e9  # of memory that a slot is expected to need, where slots are chosen for the user
_GPUS = Path("/proc/driver/nvidia/gpus")


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
    cores, gpus = num_cores(), gpus_for(trainer)
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


def gpus_for(trainer: Trainer) -> list[str]:
    """The GPUs that jobs may use, found without torch."""
    if trainer.accelerator not in ("auto", "gpu", "cuda"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip() not in ("", "-1")]
    return [str(number) for number in range(len(list(_GPUS.iterdir())))] if _GPUS.is_dir() else []


def seats_of(trainer: Trainer, machine: Machine) -> int:
    """How many slots one job takes; raise UserError for more than there are."""
    if trainer.num_nodes > 1:
        raise UserError("the pool runs on one machine: trainer.num_nodes > 1 needs hydra/launcher=slurm")
    devices = str(trainer.devices)
    if devices in ("auto", "-1"):
        return len(machine.seats) if machine.seats[0] is not None else 1
    count = int(devices) if devices.isdigit() else len(devices.strip("[], ").split(","))
    if count > len(machine.seats):
        raise UserError(f"trainer.devices={devices} needs {count} slots, the pool has {len(machine.seats)}")
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
