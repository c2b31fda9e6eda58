"""Pretraining of the embedded ladder: next-token prediction on a world's text."""

from typing import final

from torch import Tensor

from w2s_lightning.modules.base import Base, Batch


@final
class LanguageModelling(Base):
    """Logits [B, T, V] against the windows' own token ids [B, T]."""

    def loss(self, batch: Batch) -> Tensor:
        return self.weighted(batch)
