"""What every fit has in common: manual optimisation of fixed steps, AdamW, schedule, clipping, determinism.

A child decides one thing, `loss(batch)`. Randomness (dropout) is seeded anew at every step from the fit's seed, the
step and the micro-batch, so a resumed fit needs no generator state. No hyper-parameters are saved here: the stage's
record is the only description of a fit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from w2s_lightning.data.module import Micro, Step
from w2s_lightning.modules import ranks
from w2s_lightning.modules.backward import by_rows, over_step
from w2s_lightning.modules.schedule import learning_rate
from w2s_lightning.schema import Optimisation

Objective = Callable[..., Tensor]


@dataclass(frozen=True)
class FitPlan:
    """What a module must know of its fit; `over_step` says that the objective reads the step's other rows."""

    optimisation: Optimisation
    num_steps: int
    seed: int
    over_step: bool


class Batch(NamedTuple):
    """Rows of one step with the network's answers: logits [B, K], targets [B, K], weights [B].

    `total_weight` is that of the whole step, also where these are the rows of one micro-batch; `fraction` is the share
    of training done before this step.
    """

    logits: Tensor
    targets: Tensor
    weights: Tensor
    total_weight: Tensor
    fraction: float


class Base(pl.LightningModule, ABC):
    """Trains `network` with `objective(logits, targets, fraction=...) -> losses [B]` over a fixed number of steps."""

    def __init__(self, network: nn.Module, *, objective: Objective, plan: FitPlan) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.plan = plan
        self.automatic_optimization = False
        self.strict_loading = False  # a checkpoint holds trained parameters only

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """These rows' share of the step's loss, a scalar: shares add up over micro-batches."""

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """Further scalars of a step for the training curve."""
        return {}

    def forward(self, **inputs: Tensor) -> Tensor:
        return self.network(**inputs)

    def training_step(self, step: Step, batch_idx: int) -> dict[str, Any]:
        """One optimiser step; returns loss, learning rate, attended tokens and diagnostics."""
        assert step.number == self.global_step, "the loader and the optimiser disagree about the step"
        optimizer = cast(LightningOptimizer, self.optimizers())
        rate = learning_rate(step.number, self.plan.num_steps, self.plan.optimisation)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss, logits = self._backward(step)
        trained = optimizer.param_groups[0]["params"]
        ranks.sum_gradients(trained)
        nn.utils.clip_grad_norm_(trained, self.plan.optimisation.clip_norm)
        optimizer.step()
        batch = self._batch(step, logits, torch.arange(len(logits), device=logits.device))
        return {"loss": loss, "lr": rate, **self.diagnostics(batch)}

    def _backward(self, step: Step) -> tuple[Tensor, Tensor]:
        """This process's part of the gradients of the step's loss; returns the loss and the step's logits."""
        in_parts = len(step.micros) > 1 or ranks.size() > 1
        way = over_step if self.plan.over_step and in_parts else by_rows
        return way(step, partial(self._forward, step), partial(self._loss, step), self.manual_backward)

    def _forward(self, step: Step, micro: Micro, number: int) -> Tensor:
        """Logits of a micro-batch: [n, K], or [n, T, V] of a language model."""
        of_all = number * ranks.size() + ranks.rank()  # no two processes drop the same units
        reseed(step_seed(self.plan.seed, step.number, of_all), self.device)
        outputs = self.network(**micro.inputs)
        return outputs.view(len(micro.positions), -1) if outputs.ndim == 2 else outputs

    def _loss(self, step: Step, logits: Tensor, rows: Tensor) -> Tensor:
        return self.loss(self._batch(step, logits, rows))

    def _batch(self, step: Step, logits: Tensor, rows: Tensor) -> Batch:
        total_weight = step.weights.sum().clamp_min(torch.finfo(torch.float32).tiny)
        fraction = step.number / self.plan.num_steps
        return Batch(logits, step.targets[rows], step.weights[rows], total_weight, fraction)

    def weighted(self, batch: Batch) -> Tensor:
        """The objective's losses [B] by weight, over the whole step's weight."""
        losses = self.objective(batch.logits, batch.targets, fraction=batch.fraction)
        return (losses * batch.weights).sum() / batch.total_weight

    def configure_optimizers(self) -> torch.optim.Optimizer:
        settings = self.plan.optimisation
        trained = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.AdamW(trained, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)

    def on_train_start(self) -> None:
        self.train()  # from_pretrained hands out eval mode
        ranks.start_alike((p for p in self.parameters() if p.requires_grad), self.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        trained = {name for name, p in self.named_parameters() if p.requires_grad}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k in trained}


def step_seed(seed: int, step: int, micro: int) -> int:
    """Seed of torch's generator for one micro-batch of one step."""
    return ((seed * 1_000_003 + step) * 1_009 + micro) % (1 << 63)


def reseed(seed: int, device: torch.device) -> None:
    """Seed the generators that a forward pass on `device` draws from.

    `torch.manual_seed` without a GPU keeps a formatted stack trace per call for later: slow, and it piles up.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.manual_seed(seed)
