"""The processes that share one fit. Alone in a process, every function here gives back what it was given.

Each holds the whole model and takes its share of every step's rows. What they exchange is summed, never averaged: a
module's loss is a share of the whole step's loss already. Lightning knows nothing of it: in each process it runs an
ordinary fit on one device.
"""

import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

SMALL = 1 << 18  # numbers
PATIENCE = timedelta(hours=6)  # that one may wait for another, which may be validating; the dead are noticed at once


class PartDone(Exception):
    """A process beyond the first has done its part of the fit: what follows is done once."""


def join(meeting: Path, number: int, of: int) -> None:
    """Meet the others through a file that nobody has used before; gloo on CPUs, NCCL on GPUs."""
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all are here; a host name need not resolve
    dist.init_process_group(init_method=meeting.absolute().as_uri(), rank=number, world_size=of, timeout=PATIENCE)
    dist.barrier()  # or one with little to do is gone before the last has found it


def rank() -> int:
    """This process's number; 0 is the one that writes and reports."""
    return dist.get_rank() if _several() else 0


def size() -> int:
    """How many processes share the fit."""
    return dist.get_world_size() if _several() else 1


def summed(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place, with the same bits in each of them."""
    if _several():
        dist.all_reduce(tensor)
    return tensor


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Make every process's gradients those of the whole step: the small ones in one message, which is faster."""
    if not _several():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    small = [gradient for gradient in gradients if gradient.numel() < SMALL]
    large = [gradient for gradient in gradients if gradient.numel() >= SMALL]
    together = torch.cat([gradient.flatten() for gradient in small]) if small else torch.zeros(0)
    for work in [dist.all_reduce(message, async_op=True) for message in (*large, together) if message.numel()]:
        work.wait()
    for gradient, part in zip(small, together.split([gradient.numel() for gradient in small]), strict=True):
        gradient.copy_(part.view_as(gradient))


def start_alike(parameters: Iterable[Tensor], step: int) -> None:
    """Begin with the first process's values; all must have found the same checkpoint, so the same `step`."""
    if not _several():
        return
    steps: list[int] = [0] * size()
    dist.all_gather_object(steps, step)
    assert len(set(steps)) == 1, f"the processes of this fit start at different steps: {steps}"
    for parameter in parameters:
        dist.broadcast(parameter.detach(), src=0)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()
