"""Runs one fit in Lightning: Trainer, training curve, validation passes, checkpoints, resume, and quiet. No clock times
in what it leaves, so that equal fits leave equal files.

A checkpoint survives a kill at any moment: it is written beside its final name, its sha256 is put beside it, and only
then it is renamed. One that is torn, half-written or altered is passed over for the one before.
"""

import logging
import math
import os
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import SLURMEnvironment  # type: ignore[attr-defined]
from scipy.special import softmax

from w2s_lightning.atomic import replacing
from w2s_lightning.config.schema import Trainer
from w2s_lightning.content import file_sha256
from w2s_lightning.data import ranks
from w2s_lightning.data.rows import FitStep, Rows, StepData
from w2s_lightning.errors import UserError, handling
from w2s_lightning.fit.paradigms import Base
from w2s_lightning.generate.scoring import score
from w2s_lightning.models.device import Report, device

POINTS = 100  # of the training curve, at most
KEPT = 2  # checkpoints

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
    saver = Checkpoints(checkpoints, trainer, num_steps)
    callbacks = [curve, *([validation] if validation else []), saver]
    with _quiet(), handling(signal.SIGINT, saver.interrupt):
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
    own = device(trainer)
    # The store resumes, not Slurm.
    slurm: list[Any] = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
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
        network = module.get_submodule("network")
        network.eval()
        logits = score(network, self.data, tokens_per_batch=self._tokens_per_batch, device=module.device)
        network.train()
        probs = softmax(logits.astype(np.float64), axis=1)
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


# ---------------------------------------------------------------- checkpoints


class Checkpoints(pl.Callback):
    """Saves every so many seconds or steps (0: not by these), and once more on Ctrl-C or SIGTERM.

    Of processes that share a fit the first one does it for all: they hold the same.
    Ctrl-C is noticed after the step under way, where the state is whole; a second one stops at once.
    """

    def __init__(self, folder: Path, settings: Trainer, num_steps: int) -> None:
        self._folder, self._settings, self._num_steps = folder, settings, num_steps
        self._saved_at = time.monotonic()
        self.interrupted = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: FitStep, batch_idx: int
    ) -> None:
        if ranks.rank() > 0:
            return
        step = batch.number + 1
        stopping = self.interrupted or trainer.received_sigterm
        by_steps = self._settings.checkpoint_steps > 0 and step % self._settings.checkpoint_steps == 0
        due = by_steps or time.monotonic() - self._saved_at >= self._settings.checkpoint_seconds > 0
        if stopping or (due and step < self._num_steps):
            save(trainer, self._folder, step)
            self._saved_at = time.monotonic()
        if self.interrupted:
            raise KeyboardInterrupt

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """What a first Ctrl-C does: it waits for the end of the step."""
        self.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def save(trainer: pl.Trainer, folder: Path, step: int) -> None:
    """Write the trainer's state as the checkpoint of `step` and drop all but the newest `KEPT`."""
    final = folder / f"step-{step:08d}.ckpt"
    with replacing(final) as scratch:
        trainer.save_checkpoint(scratch, weights_only=False)
        with scratch.open("rb") as stream:
            os.fsync(stream.fileno())
        _seal(final).write_text(file_sha256(scratch))
    for old in _newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)
        _seal(old).unlink(missing_ok=True)


def newest(folder: Path) -> Path | None:
    """The newest checkpoint whose sha256 is right, or None."""
    for path in _newest_first(folder):
        if _seal(path).is_file() and _seal(path).read_bytes() == file_sha256(path).encode():
            return path
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.ckpt"), reverse=True)


def _seal(path: Path) -> Path:
    return path.with_suffix(".sha256")
