"""Checkpoints that survive a kill at any moment, and finding the newest that is whole.

A checkpoint is written beside its final name, its sha256 is put beside it, and only then it is renamed. One that is
torn, half-written or altered is passed over for the one before.
"""

import os
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from w2s_lightning.atomic import replacing
from w2s_lightning.content import file_sha256
from w2s_lightning.data import ranks
from w2s_lightning.data.module import FitStep
from w2s_lightning.errors import handling

KEPT = 2


class Checkpoints(pl.Callback):
    """Saves every `every_seconds` or `every_steps` (0: not by steps), and once more on Ctrl-C or SIGTERM.

    Of processes that share a fit the first one does it for all: they hold the same.
    Ctrl-C is noticed after the step under way, where the state is whole; a second one stops at once.
    """

    def __init__(self, folder: Path, *, every_seconds: float, every_steps: int, num_steps: int) -> None:
        self._folder = folder
        self._every_seconds = every_seconds
        self._every_steps = every_steps
        self._num_steps = num_steps
        self._saved_at = time.monotonic()
        self.interrupted = False

    def catching_ctrl_c(self) -> AbstractContextManager[None]:
        """While inside, the first Ctrl-C waits for the end of the step; the handler is put back afterwards."""
        return handling(signal.SIGINT, self._note)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: FitStep, batch_idx: int
    ) -> None:
        if ranks.rank() > 0:
            return
        step = batch.number + 1
        stopping = self.interrupted or trainer.received_sigterm
        if stopping or (step < self._num_steps and self._due(step)):
            save(trainer, self._folder, step)
            self._saved_at = time.monotonic()
        if self.interrupted:
            raise KeyboardInterrupt

    def _due(self, step: int) -> bool:
        by_steps = self._every_steps > 0 and step % self._every_steps == 0
        return by_steps or time.monotonic() - self._saved_at >= self._every_seconds > 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def save(trainer: pl.Trainer, folder: Path, step: int) -> Path:
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
    return final


def newest(folder: Path) -> Path | None:
    """The newest checkpoint whose sha256 is right, or None."""
    for path in _newest_first(folder):
        if _seal(path).is_file() and _seal(path).read_text() == file_sha256(path):
            return path
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.ckpt"), reverse=True)


def _seal(path: Path) -> Path:
    return path.with_suffix(".sha256")
