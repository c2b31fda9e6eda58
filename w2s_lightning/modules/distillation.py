"""Distillation: a teacher's soft answers are the targets (arXiv 1503.02531)."""

from typing import final

import torch
from torch import Tensor

from w2s_lightning.modules.base import Base, Batch


@final
class Distillation(Base):
    """Follows the teacher's distribution; the temperature is the objective's (`kd`)."""

    def loss(self, batch: Batch) -> Tensor:
        return self.weighted(batch)

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`teacher_entropy` in nats (how much a soft target says beyond a hard one) and `distance`: total variation."""
        entropy = -torch.xlogy(batch.targets, batch.targets).sum(dim=-1).mean()
        distance = 0.5 * (batch.logits.softmax(dim=-1) - batch.targets).abs().sum(dim=-1).mean()
        return {"teacher_entropy": entropy, "distance": distance}
