"""The Lightning modules: what every fit has in common, and the four paradigms.

A step is a fixed number of rows whatever the hardware: manual optimisation with AdamW, schedule and clipping.
Randomness (dropout) is seeded anew at every step from the fit's seed, the step and the micro-batch, so a resumed fit
needs no generator state. A module reads its objective's signature and hands it the named targets that stand there and
no others. No hyper-parameters are saved here: the stage's record is the only description of a fit.
"""

import importlib
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast, final

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from w2s_lightning import objectives
from w2s_lightning.config.schema import Objective as ObjectiveSettings
from w2s_lightning.config.schema import Optimisation
from w2s_lightning.data import ranks
from w2s_lightning.data.rows import FitStep, Micro, Rows
from w2s_lightning.errors import UserError
from w2s_lightning.stages import Fit

Objective = Callable[..., Tensor]


@dataclass(frozen=True)
class FitPlan:
    """What a module must know of its fit; `over_step` says that the objective reads the step's other rows."""

    optimisation: Optimisation
    num_steps: int
    seed: int
    over_step: bool


class Batch(NamedTuple):
    """Rows of one step: what the network says of them [B, ...], their named targets [B, ...] and weights [B].

    `total_weight` is that of the whole step, also where these are the rows of one micro-batch; `fraction` is the share
    of training done before this step.
    """

    answers: Tensor
    targets: dict[str, Tensor]
    weights: Tensor
    total_weight: Tensor
    fraction: float


class Base(pl.LightningModule, ABC):
    """Trains `network` with `objective(answers, *columns, fraction=...) -> losses [B]` over a fixed number of steps."""

    def __init__(self, network: nn.Module, *, objective: Objective, plan: FitPlan) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.plan = plan
        self.says, *self.columns = reads(objective)
        self.automatic_optimization = False
        self.strict_loading = False  # a checkpoint holds trained parameters only

    @abstractmethod
    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """Further scalars of a step for the training curve, where the network gives logits of `probs`."""

    def loss(self, batch: Batch) -> Tensor:
        """These rows' share of the step's loss, a scalar: losses by weight over the whole step's weight."""
        columns = [batch.targets.get(name) for name in self.columns]
        losses = self.objective(batch.answers, *columns, fraction=batch.fraction)
        return (losses * batch.weights).sum() / batch.total_weight

    def forward(self, **inputs: Tensor) -> Tensor:
        return self.network(**inputs)

    def training_step(self, step: FitStep, batch_idx: int) -> dict[str, Any]:
        """One optimiser step; returns loss, learning rate and diagnostics."""
        assert step.number == self.global_step, "the loader and the optimiser disagree about the step"
        optimizer = cast(LightningOptimizer, self.optimizers())
        rate = learning_rate(step.number, self.plan.num_steps, self.plan.optimisation)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss, answers = self.gradients(step)
        trained = optimizer.param_groups[0]["params"]
        ranks.sum_gradients(trained)
        nn.utils.clip_grad_norm_(trained, self.plan.optimisation.clip_norm)
        optimizer.step()
        if self.says == "logits":
            shown = self.diagnostics(self._batch(step, answers))
        else:
            shown = objectives.diagnostics(self.says, answers, step.targets)
        return {"loss": loss, "lr": rate, **shown}

    # ------------------------------------------------------------ gradients of a step, equal however it is split

    def gradients(self, step: FitStep) -> tuple[Tensor, Tensor]:
        """This process's part of the gradients of the step's loss; returns the step's loss and answers, detached."""
        in_parts = len(step.micros) > 1 or ranks.size() > 1
        return self._over_step(step) if self.plan.over_step and in_parts else self._by_rows(step)

    def _by_rows(self, step: FitStep) -> tuple[Tensor, Tensor]:
        """A loss whose rows are independent is summed over micro-batches."""
        losses, parts = [], []
        for number, micro in enumerate(step.micros):
            answers = self._answers(step, micro, number)
            share = self.loss(self._batch(step, answers, micro.positions))
            self.manual_backward(share)
            losses.append(share.detach())
            parts.append(answers.detach())
        return ranks.summed(torch.stack(losses).sum()), _assembled(step, parts)

    def _over_step(self, step: FitStep) -> tuple[Tensor, Tensor]:
        """A loss over the whole step (a batch quantile) first needs the answers of all its rows.

        They are computed without a graph, the loss and its gradient with respect to them are taken once, and each
        micro-batch is run again, with the same random state, to carry its slice back (GradCache, arXiv 2101.06983).
        Where several processes share a step, each runs its own, and loss and answers are the step's in all of them.
        """
        once = len(step.micros) == 1  # a share of one micro-batch keeps its graph
        with torch.set_grad_enabled(once):
            parts = [self._answers(step, micro, number) for number, micro in enumerate(step.micros)]
        answers = _assembled(step, [part.detach() for part in parts]).requires_grad_()
        total = self.loss(self._batch(step, answers))
        (gradient,) = torch.autograd.grad(total, answers)
        for number, micro in enumerate(step.micros):
            again = parts[0] if once else self._answers(step, micro, number)
            self.manual_backward(again, gradient=gradient[micro.positions])
        return total.detach(), answers.detach()

    def _answers(self, step: FitStep, micro: Micro, number: int) -> Tensor:
        """What the network says of a micro-batch: [n, K] whatever texts a row has, or [n, T, V] of a language model."""
        of_all = number * ranks.size() + ranks.rank()  # no two processes drop the same units
        reseed(step_seed(self.plan.seed, step.number, of_all), self.device)
        outputs = self.network(**micro.inputs)
        return outputs.view(len(micro.positions), -1) if outputs.ndim == 2 else outputs

    def _batch(self, step: FitStep, answers: Tensor, rows: Tensor | None = None) -> Batch:
        """The answers to these rows of a step, or to all of them, with what belongs to them."""
        total_weight = step.weights.sum().clamp_min(torch.finfo(torch.float32).tiny)
        fraction = step.number / self.plan.num_steps
        if rows is None:
            return Batch(answers, step.targets, step.weights, total_weight, fraction)
        targets = {name: column[rows] for name, column in step.targets.items()}
        return Batch(answers, targets, step.weights[rows], total_weight, fraction)

    # ------------------------------------------------------------ Lightning's hooks

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


# ---------------------------------------------------------------- the paradigms


@final
class Supervised(Base):
    """Gold labels: floors, ceilings and `paradigm=supervised`; so that none is trained on a model's opinion, it takes
    nothing softer."""

    def loss(self, batch: Batch) -> Tensor:
        if "probs" in batch.targets and not bool((batch.targets["probs"].amax(dim=-1) == 1).all()):
            raise UserError("the supervised module trains on gold labels, these targets are soft: use another paradigm")
        return super().loss(batch)

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`accuracy` on the step's gold labels."""
        hits = batch.answers.argmax(dim=-1) == batch.targets["probs"].argmax(dim=-1)
        return {"accuracy": hits.float().mean()}


@final
class Distillation(Base):
    """A teacher's soft answers (arXiv 1503.02531); the temperature is the objective's (`kd`)."""

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`teacher_entropy` in nats (how much a soft target says beyond a hard one) and `distance`: total variation."""
        probs = batch.targets["probs"]
        entropy = -torch.xlogy(probs, probs).sum(dim=-1).mean()
        distance = 0.5 * (batch.answers.softmax(dim=-1) - probs).abs().sum(dim=-1).mean()
        return {"teacher_entropy": entropy, "distance": distance}


@final
class SelfImprovement(Base):
    """The model's own answers of the round before; rows that it was unsure of weigh less or are not there at all."""

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`effective_rows` of the step (sum of weights squared over sum of squares) and pseudo-label `confidence`."""
        squares = batch.weights.square().sum().clamp_min(torch.finfo(torch.float32).tiny)
        confidence = (batch.targets["probs"].amax(dim=-1) * batch.weights).sum() / batch.total_weight
        return {"effective_rows": batch.weights.sum().square() / squares, "confidence": confidence}


@final
class WeakToStrong(Base):
    """A weaker supervisor's answers (arXiv 2312.09390); auxiliary losses warm up along the share of training done."""

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`agreement` with the supervisor's answers and the student's mean `confidence`: imitation or not?"""
        probs = batch.answers.softmax(dim=-1)
        agrees = probs.argmax(dim=-1) == batch.targets["probs"].argmax(dim=-1)
        return {"agreement": agrees.float().mean(), "confidence": probs.amax(dim=-1).mean()}


# ---------------------------------------------------------------- from a stage's record


def module_of(stage: Fit, network: nn.Module, rows: Rows, *, num_steps: int) -> Base:
    """The stage's module around `network`; raise UserError where a dotted path, an option or a column is wrong."""
    made = _found(stage.module, "paradigm.module._target_")
    if not (inspect.isclass(made) and issubclass(made, Base)):
        raise UserError(f"paradigm.module._target_={stage.module} is no child of w2s_lightning.fit.paradigms.Base")
    plan = FitPlan(stage.optimisation, num_steps, stage.seed, over_step=stage.objective.self_target)
    objective = objective_of(stage.objective)
    needed = {p.name for p in _positional(objective)[1:] if p.default is p.empty}
    if missing := sorted(needed - rows.targets.keys()):
        raise UserError(
            f"{stage.objective.target} reads {' and '.join(missing)}, and the rows of this fit have "
            f"{', '.join(rows.targets)}: take another objective"
        )
    return made(network, objective=objective, plan=plan)


def objective_of(settings: ObjectiveSettings) -> Objective:
    """The loss function with its options bound; the configuration has held them to its signature (`config.bind`)."""
    return partial(_found(settings.target, "objective._target_"), **settings.options)


def reads(objective: Objective) -> tuple[str, ...]:
    """What a loss function is given: what the network says, then columns of targets, as its signature names them."""
    return tuple(parameter.name for parameter in _positional(objective))


def _positional(function: Objective) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [parameter for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


def _found(path: str, key: str) -> Any:
    """What a dotted path names; raise UserError when there is no such thing."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{key}={path} cannot be imported: {error}") from error


# ---------------------------------------------------------------- pure parts of a step


def learning_rate(step: int, num_steps: int, settings: Optimisation) -> float:
    """Rate of step `step` (0-based): linear warm-up, then cosine or linear decay towards 0, or constant.

    A pure function, so that a resumed fit needs no scheduler state.
    """
    warmup = min(settings.warmup_steps, num_steps)
    if step < warmup:
        return settings.lr * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, num_steps - warmup)
    match settings.schedule:
        case "cosine":
            return settings.lr * 0.5 * (1 + math.cos(math.pi * done))
        case "linear":
            return settings.lr * (1 - done)
        case "constant":
            return settings.lr


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


def _assembled(step: FitStep, parts: list[Tensor]) -> Tensor:
    """Answers to all rows of the step, [B, ...], from the micro-batches of all processes."""
    num_rows = len(step.weights)
    if len(parts[0]) == num_rows:
        return parts[0]
    whole = parts[0].new_zeros(num_rows, *parts[0].shape[1:])
    whole[torch.cat([micro.positions for micro in step.micros])] = torch.cat(parts)
    return ranks.summed(whole)
