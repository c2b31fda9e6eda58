"""Runs one fit in Lightning: Trainer, training curve, validation passes, resume, and quiet. No clock times in what it
leaves, so that equal fits leave equal files."""

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import SLURMEnvironment  # type: ignore[attr-defined]

from w2s_lightning.config.schema import Trainer
from w2s_lightning.data import ranks
from w2s_lightning.data.module import FitStep, StepData
from w2s_lightning.data.rows import Rows
from w2s_lightning.errors import UserError
from w2s_lightning.fit.checkpoints import Checkpoints, newest
from w2s_lightning.fit.paradigms import Base
from w2s_lightning.generate.scoring import evaluating, softmax
from w2s_lightning.models.device import device

POINTS = 100  # of the training curve, at most

Report = Callable[[int, int], None]

_HARMLESS = (
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*Found .* module\\(s\\) in eval mode at the start of training.*",  # set right in on_train_start
    ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
    ".*The `srun` command is available on your system but is not used.*",
)


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves besides its weights: rows of history.jsonl, tokens trained on, the last loss of the curve."""

    history: tuple[dict[str, Any], ...]
    num_tokens: int
    final_loss: float | None


def fit(
    module: Base,
    data: StepData,
    *,
    label: str,
    trainer: Trainer,
    checkpoints: Path,
    validation: "Validation | None",
    report: Report,
) -> Fitted:
    """Train to the end, from the newest whole checkpoint if there is one.

    Raises UserError when the loss or a weight is no number, and KeyboardInterrupt on Ctrl-C after saving. Of processes
    that share a fit only the first one returns from here: what follows is done once.
    """
    num_steps = module.plan.num_steps
    curve = Curve(label=label, num_steps=num_steps, report=report)
    saver = Checkpoints(
        checkpoints,
        every_seconds=trainer.checkpoint_seconds,
        every_steps=trainer.checkpoint_steps,
        num_steps=num_steps,
    )
    callbacks = [curve, *([validation] if validation else []), saver]
    with _quiet(), saver.catching_ctrl_c():
        lightning = _lightning(trainer, num_steps, callbacks)
        try:
            lightning.fit(module, datamodule=data, ckpt_path=newest(checkpoints), weights_only=True)
        except SystemExit as stop:
            if saver.interrupted:  # Lightning turns Ctrl-C into an exit
                raise KeyboardInterrupt from stop
            raise
    if not all(bool(p.isfinite().all()) for p in module.parameters() if p.requires_grad):
        raise _diverged(label, f"a weight is no number after step {num_steps}")
    if ranks.rank() > 0:
        raise ranks.PartDone
    rows = curve.rows + (validation.rows if validation else [])
    history = tuple(sorted(rows, key=lambda row: row["step"]))
    return Fitted(history, curve.num_tokens, curve.rows[-1]["loss"] if curve.rows else None)


def _lightning(trainer: Trainer, num_steps: int, callbacks: list[pl.Callback]) -> pl.Trainer:
    slurm: list[Any] = (
        [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
    )  # the store resumes, not Slurm
    own = device(trainer)
    return pl.Trainer(
        accelerator=trainer.accelerator,
        devices=[own.index] if own.type == "cuda" else 1,  # several devices: a process each (`fit.launch`)
        max_steps=num_steps,
        max_epochs=-1,
        callbacks=callbacks,
        plugins=slurm,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for message in _HARMLESS:
            warnings.filterwarnings("ignore", message=message)
        try:
            yield
        finally:
            logger.setLevel(level)


def _diverged(label: str, what: str) -> UserError:
    return UserError(
        f"{label}: {what}. The last checkpoint before it is kept. Lower the learning rate (fit.lr_scale=0.3), "
        "or look at the data"
    )


class Curve(pl.Callback):
    """Collects loss and diagnostics of every step, stops a fit whose loss is no number, reports progress."""

    def __init__(self, *, label: str, num_steps: int, report: Report) -> None:
        self.rows: list[dict[str, float]] = []
        self.num_tokens = 0
        self._pending: list[dict[str, float]] = []
        self._label = label
        self._num_steps = num_steps
        self._every = math.ceil(num_steps / POINTS)
        self._report = report

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: FitStep, batch_idx: int
    ) -> None:
        scalars = {name: float(value) for name, value in outputs.items()}
        step = batch.number + 1
        if not math.isfinite(scalars["loss"]):
            raise _diverged(self._label, f"the loss is {scalars['loss']} at step {step} of {self._num_steps}")
        self.num_tokens += batch.num_tokens
        self._pending.append(scalars)
        if step % self._every == 0 or step == self._num_steps:
            self.rows.append(self._row(step))
            self._pending = []
            self._report(step, self._num_steps)

    def _row(self, step: int) -> dict[str, float]:
        """Means over the steps since the last row."""
        last = self._pending[-1]
        means = {name: sum(row[name] for row in self._pending) / len(self._pending) for name in last}
        fixed = {"step": step, "fraction": step / self._num_steps, "lr": last["lr"], "tokens": self.num_tokens}
        return {**fixed, **{name: value for name, value in means.items() if name not in fixed}}

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "pending": self._pending, "num_tokens": self.num_tokens}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.rows, self._pending, self.num_tokens = state["rows"], state["pending"], state["num_tokens"]


class Validation(pl.Callback):
    """Scores rows after each step in `steps`, against the student's own kind of targets and never hidden gold.

    Keeps probabilities and two summary numbers. Of processes that share a fit the first one does it, the others wait.
    """

    def __init__(self, data: Rows, *, steps: tuple[int, ...], tokens_per_batch: int) -> None:
        self.data = data
        self.rows: list[dict[str, float]] = []
        self.probs: list[torch.Tensor] = []
        self._steps = steps
        self._tokens_per_batch = tokens_per_batch

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: FitStep, batch_idx: int
    ) -> None:
        step = batch.number + 1
        if step not in self._steps or ranks.rank() > 0:
            return
        network, budget = module.get_submodule("network"), self._tokens_per_batch
        logits = evaluating(network, self.data, tokens_per_batch=budget, device=module.device)
        probs = softmax(logits.reshape(len(self.data.ids), -1))
        self.probs.append(torch.from_numpy(probs))
        self.rows.append({"step": step, **self._summary(probs)})

    def _summary(self, probs: np.ndarray) -> dict[str, float]:
        """Weighted cross-entropy to the validation targets in nats, and agreement with their most probable class."""
        targets, weights = self.data.targets["probs"], self.data.weights
        assert weights is not None
        weights = weights / weights.sum()
        losses = -(targets * np.log(np.maximum(probs, np.finfo(np.float64).tiny))).sum(axis=1)
        agrees = probs.argmax(axis=1) == targets.argmax(axis=1)
        return {
            "validation_loss": float((weights * losses).sum()),
            "validation_agreement": float((weights * agrees).sum()),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "probs": self.probs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.rows, self.probs = state["rows"], state["probs"]
