"""The training curve: means over a few steps, as rows of history.jsonl. No clock times, so that runs compare equal."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from w2s_lightning.data.module import Step
from w2s_lightning.errors import UserError

POINTS = 100

Report = Callable[[int, int], None]


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
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Step, batch_idx: int
    ) -> None:
        scalars = {name: float(value) for name, value in outputs.items()}
        step = batch.number + 1
        if not math.isfinite(scalars["loss"]):
            raise diverged(self._label, f"the loss is {scalars['loss']} at step {step} of {self._num_steps}")
        self.num_tokens += batch.num_tokens
        self._pending.append(scalars)
        if step % self._every == 0 or step == self._num_steps:
            self.rows.append(self._row(step))
            self._pending = []
            self._report(step, self._num_steps)

    def _row(self, step: int) -> dict[str, float]:
        last = self._pending[-1]
        means = {name: sum(row[name] for row in self._pending) / len(self._pending) for name in last}
        fixed = {"step": step, "fraction": step / self._num_steps, "lr": last["lr"], "tokens": self.num_tokens}
        return {**fixed, **{name: value for name, value in means.items() if name not in fixed}}

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "pending": self._pending, "num_tokens": self.num_tokens}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.rows, self._pending, self.num_tokens = state["rows"], state["pending"], state["num_tokens"]


def diverged(label: str, what: str) -> UserError:
    """What to say of a fit that blew up."""
    return UserError(
        f"{label}: {what}. The last checkpoint before it is kept. Lower the learning rate (fit.lr_scale=0.3), "
        "or look at the data"
    )


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether no weight is NaN or infinite."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors)
