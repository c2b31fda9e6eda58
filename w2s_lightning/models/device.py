"""This machine while a stage is computed: threads, device, deterministic algorithms; and a device for each process."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils import deterministic

from w2s_lightning.checks import chosen_gpus, num_processes
from w2s_lightning.config.schema import Trainer
from w2s_lightning.errors import UserError
from w2s_lightning.store import Store

Report = Callable[[int, int], None]  # done, of how many


@dataclass(frozen=True)
class Resources:
    """Where and how a stage is computed; nothing of it is identity."""

    store: Store
    trainer: Trainer
    device: torch.device
    report: Report

    @property
    def tokens_per_batch(self) -> int:
        """Padded tokens that a network is given at a time, in training and scoring."""
        return self.trainer.tokens_per_batch or tokens_per_batch(self.device)

    @property
    def pace(self) -> dict[str, Any]:
        """How rows are scored here, as the functions of `generate.scoring` take it."""
        return {"tokens_per_batch": self.tokens_per_batch, "device": self.device}


def tokens_per_batch(device: torch.device) -> int:
    """The token budget where the settings name none: a CPU is busy with few tokens, and what is made of more of them
    leaves its caches and is memory that the system maps anew for every operator."""
    return 2048 if device.type == "cpu" else 16_384


@contextmanager
def machine(trainer: Trainer) -> Iterator[torch.device]:
    """The device to run on, with the wanted threads and, on a CPU, deterministic algorithms; put back afterwards."""
    chosen, threads = device(trainer), torch.get_num_threads()
    before = torch.are_deterministic_algorithms_enabled()
    fill = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if trainer.threads > 0:
        torch.set_num_threads(trainer.threads)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    torch.use_deterministic_algorithms(chosen.type == "cpu")
    # Filling costs time, and nothing here reads such memory.
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield chosen
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(before)
        deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        if chosen.type == "cuda":
            torch.cuda.empty_cache()  # the processes of the next fit may want it


def device(trainer: Trainer) -> torch.device:
    """The one device that this process computes on; of several, the first. UserError where there is none such."""
    if trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", (chosen_gpus(trainer) or (0,))[0])
    if trainer.accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    if trainer.accelerator not in ("auto", "cpu"):
        raise UserError(
            f"trainer.accelerator={trainer.accelerator}: torch finds no such device here: take trainer=cpu, or a build "
            "of torch for this machine's GPUs"
        )
    return torch.device("cpu")


def one_each(trainer: Trainer) -> list[Trainer]:
    """The settings of each process that shares a fit: one device.

    Raises UserError where there are not as many.
    """
    count, kind = num_processes(trainer), device(trainer).type
    trainer = replace(trainer, threads=_threads(trainer, count))
    if kind == "cuda":
        gpus, there = chosen_gpus(trainer) or tuple(range(count)), torch.cuda.device_count()
        if max(gpus) >= there:
            raise UserError(f"trainer.devices={trainer.devices}: there are {there} GPUs here, numbered from 0")
        return [replace(trainer, accelerator="gpu", devices=f"{gpu},") for gpu in gpus]
    if trainer.accelerator not in ("auto", "cpu"):
        raise UserError(
            f"trainer.accelerator={trainer.accelerator} trainer.devices={trainer.devices}: several processes need "
            "NVIDIA GPUs that torch can use, or trainer.accelerator=cpu"
        )
    return [replace(trainer, accelerator="cpu", devices=1)] * count


def provenance(trainer: Trainer, processes: int) -> dict[str, Any]:
    """What bit-equality depends on besides versions: recorded in the manifest, never hashed."""
    own = device(trainer)
    return {
        "device": own.type,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": _threads(trainer, processes),
        "processes": processes,
        "tokens_per_batch": trainer.tokens_per_batch or tokens_per_batch(own),
    }


def _threads(trainer: Trainer, processes: int) -> int:
    """Threads of each process: where neither the settings nor the environment say, they divide torch's own choice."""
    if trainer.threads > 0 or "OMP_NUM_THREADS" in os.environ:
        return trainer.threads or torch.get_num_threads()
    return max(1, torch.get_num_threads() // processes)
