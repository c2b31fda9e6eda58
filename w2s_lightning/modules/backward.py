"""Gradients of one step, in one or several micro-batches, equal to those of the whole step at once.

A loss whose rows are independent is summed over micro-batches. A loss over the whole step (a batch quantile, a
self-target) first needs all logits: they are computed without a graph, the loss and its gradient with respect to them
are taken once, and each micro-batch is run again to carry its slice back (GradCache, arXiv 2101.06983). The random
state is the same in both passes. Where several processes share a step, each runs its own micro-batches, and loss and
logits are the step's in all of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from w2s_lightning.data.module import Micro, Step
from w2s_lightning.modules.ranks import summed

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
    return summed(torch.stack(losses).sum()), _assembled(step, parts)


def over_step(step: Step, forward: Forward, loss: Loss, backward: Backward) -> tuple[Tensor, Tensor]:
    """All logits first, one loss over them, then each micro-batch again with its slice of the gradient."""
    once = len(step.micros) == 1  # a share of one micro-batch keeps its graph
    with torch.set_grad_enabled(once):
        parts = [forward(micro, number) for number, micro in enumerate(step.micros)]
    logits = _assembled(step, [part.detach() for part in parts]).requires_grad_()
    total = loss(logits, torch.arange(len(logits), device=logits.device))
    (gradient,) = torch.autograd.grad(total, logits)
    for number, micro in enumerate(step.micros):
        again = parts[0] if once else forward(micro, number)
        backward(again, gradient=gradient[micro.positions])
    return total.detach(), logits.detach()


def _assembled(step: Step, parts: list[Tensor]) -> Tensor:
    """Logits of all rows of the step, [B, ...], from the micro-batches of all processes."""
    num_rows = len(step.targets)
    if len(parts[0]) == num_rows:
        return parts[0]
    whole = parts[0].new_zeros(num_rows, *parts[0].shape[1:])
    whole[torch.cat([micro.positions for micro in step.micros])] = torch.cat(parts)
    return summed(whole)
