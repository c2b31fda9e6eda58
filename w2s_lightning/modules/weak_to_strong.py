"""Weak to strong: the strong model on a weaker supervisor's answers (arXiv 2312.09390)."""

from typing import final

from torch import Tensor

from w2s_lightning.modules.base import Base, Batch


@final
class WeakToStrong(Base):
    """Hands the objective the share of training done, along which auxiliary losses warm up."""

    def loss(self, batch: Batch) -> Tensor:
        return self.weighted(batch)

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`agreement` with the supervisor's answers and the student's mean `confidence`: imitation or not?"""
        probs = batch.logits.softmax(dim=-1)
        agrees = probs.argmax(dim=-1) == batch.targets.argmax(dim=-1)
        return {"agreement": agrees.float().mean(), "confidence": probs.amax(dim=-1).mean()}
