"""Self-improvement: the model's own answers of the round before, weighted, are the targets."""

from typing import final

import torch
from torch import Tensor

from w2s_lightning.modules.base import Base, Batch


@final
class SelfImprovement(Base):
    """Learns from pseudo-labels; rows that the round before was unsure of weigh less or are not there at all."""

    def loss(self, batch: Batch) -> Tensor:
        return self.weighted(batch)

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`effective_rows` of the step (sum of weights squared over sum of squares) and pseudo-label `confidence`."""
        squares = batch.weights.square().sum().clamp_min(torch.finfo(torch.float32).tiny)
        confidence = (batch.targets.amax(dim=-1) * batch.weights).sum() / batch.total_weight
        return {"effective_rows": batch.weights.sum().square() / squares, "confidence": confidence}
