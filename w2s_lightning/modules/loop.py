"""Runs one fit in Lightning: Trainer, callbacks, resume, and quiet."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments import SLURMEnvironment  # type: ignore[attr-defined]

from w2s_lightning.data.module import StepData
from w2s_lightning.models.device import device
from w2s_lightning.modules import ranks
from w2s_lightning.modules.base import Base
from w2s_lightning.modules.checkpoints import Checkpoints, newest
from w2s_lightning.modules.curve import Curve, Report, all_finite, diverged
from w2s_lightning.modules.validation import Validation
from w2s_lightning.schema import Trainer

_HARMLESS = (
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*Found .* module\\(s\\) in eval mode at the start of training.*",  # set right in on_train_start
    ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
    ".*The `srun` command is available on your system but is not used.*",
)


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves besides its weights: rows of history.jsonl, tokens trained on, validation probabilities."""

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
    validation: Validation | None,
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
    if not all_finite([p for p in module.parameters() if p.requires_grad]):
        raise diverged(label, f"a weight is no number after step {num_steps}")
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
        devices=[own.index] if own.type == "cuda" else 1,  # several devices: a process each (`modules.launch`)
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
