"""This machine while a stage is computed: threads, device, deterministic algorithms."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import deterministic

from w2s_lightning.schema import Trainer


@contextmanager
def machine(trainer: Trainer) -> Iterator[torch.device]:
    """The device to run on, with the wanted threads and, on a CPU, deterministic algorithms; put back afterwards."""
    chosen, threads = device(trainer.accelerator), torch.get_num_threads()
    before = torch.are_deterministic_algorithms_enabled()
    fill = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if trainer.threads > 0:
        torch.set_num_threads(trainer.threads)
    torch.use_deterministic_algorithms(chosen.type == "cpu")
    # Filling costs time, and nothing here reads such memory.
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield chosen
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(before)
        deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def device(accelerator: str) -> torch.device:
    """Where labels are computed: as Lightning would choose for a fit."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def provenance(trainer: Trainer) -> dict[str, Any]:
    """What bit-equality depends on besides versions: recorded in the manifest, never hashed."""
    return {"device": device(trainer.accelerator).type, "threads": trainer.threads or torch.get_num_threads()}
