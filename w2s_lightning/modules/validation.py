"""Validation passes at fixed steps of a fit: against the student's own kind of targets, never hidden gold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from w2s_lightning.data.module import FitRows, Step
from w2s_lightning.inference.scoring import evaluating, softmax
from w2s_lightning.modules import ranks


class Validation(pl.Callback):
    """Scores the validation rows after each step in `steps`; keeps probabilities and two summary numbers.

    Of processes that share a fit the first one does it, and the others wait.
    """

    def __init__(self, data: FitRows, *, steps: tuple[int, ...], tokens_per_batch: int) -> None:
        self.rows: list[dict[str, float]] = []
        self.probs: list[torch.Tensor] = []
        self._data = data
        self._steps = steps
        self._tokens_per_batch = tokens_per_batch

    @property
    def ids(self) -> tuple[str, ...]:
        """Example ids of the rows of every element of `probs`."""
        return self._data.rows.ids

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Step, batch_idx: int
    ) -> None:
        step = batch.number + 1
        if step not in self._steps or ranks.rank() > 0:
            return
        network, budget = module.get_submodule("network"), self._tokens_per_batch
        logits = evaluating(network, self._data.rows, tokens_per_batch=budget, device=module.device)
        probs = softmax(logits.reshape(len(self._data.targets), -1))
        self.probs.append(torch.from_numpy(probs))
        self.rows.append({"step": step, **_summary(probs, self._data)})

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "probs": self.probs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.rows, self.probs = state["rows"], state["probs"]


def _summary(probs: np.ndarray, data: FitRows) -> dict[str, float]:
    """Weighted cross-entropy to the validation targets in nats, and agreement with their most probable class."""
    weights = data.weights / data.weights.sum()
    losses = -(data.targets * np.log(np.maximum(probs, np.finfo(np.float64).tiny))).sum(axis=1)
    agrees = probs.argmax(axis=1) == data.targets.argmax(axis=1)
    return {
        "validation_loss": float((weights * losses).sum()),
        "validation_agreement": float((weights * agrees).sum()),
    }
