"""Gradients of one step, in one or several micro-batches, equal to those of the whole step at once.

A loss whose rows are independent is summed over micro-batches. A loss over the whole step (a batch quantile, a
self-target) first needs all logits: they are computed without a graph, the loss and its gradient with respect to them
are taken once, and each micro-batch is run again to carry its slice back (GradCache, arXiv 2101.06983). The random
state is the same in both passes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from w2s_lightning.data.module import Micro, Step

Forward = Callable[[Micro, int], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
Backward = Callable[..., None]


def by_rows(step: Step, forward: Forward, loss: Loss, backward: Backward) -> tuple[Tensor, Tensor]:
    """Micro-batches one after the other; `loss(logits, positions)` gives their share of the step's loss.

    Returns the step's loss and its logits [B, ...], both detached.
    """
    losses, parts = [], []
    for number, micro in enumerate(step.micros):
        logits = forward(micro, number)
        share = loss(logits, micro.positions)
        backward(share)
        losses.append(share.detach())
        parts.append(logits.detach())
    return torch.stack(losses).sum(), _assembled(step, parts)


def over_step(step: Step, forward: Forward, loss: Loss, backward: Backward) -> tuple[Tensor, Tensor]:
    """All logits first, one loss over them, then each micro-batch again with its slice of the gradient."""
    with torch.no_grad():
        parts = [forward(micro, number) for number, micro in enumerate(step.micros)]
    logits = _assembled(step, parts).requires_grad_()
    total = loss(logits, torch.arange(len(logits), device=logits.device))
    (gradient,) = torch.autograd.grad(total, logits)
    for number, micro in enumerate(step.micros):
        backward(forward(micro, number), gradient=gradient[micro.positions])
    return total.detach(), logits.detach()


def _assembled(step: Step, parts: list[Tensor]) -> Tensor:
    if len(parts) == 1:
        return parts[0]
    order = torch.argsort(torch.cat([micro.positions for micro in step.micros]))
    return torch.cat(parts)[order]
