"""Supervised: gold labels. Floors, ceilings and the `supervised` paradigm are trained here."""

from typing import final

from torch import Tensor

from w2s_lightning.errors import UserError
from w2s_lightning.modules.base import Base, Batch


@final
class Supervised(Base):
    """Takes one-hot gold targets and nothing softer, so that no floor or ceiling is trained on a model's opinion."""

    def loss(self, batch: Batch) -> Tensor:
        if not bool((_labels(batch).amax(dim=-1) == 1).all()):
            raise UserError("the supervised module trains on gold labels, these targets are soft: use another paradigm")
        return self.weighted(batch)

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`accuracy` on the step's gold labels."""
        hits = batch.logits.argmax(dim=-1) == _labels(batch).argmax(dim=-1)
        return {"accuracy": hits.float().mean()}


def _labels(batch: Batch) -> Tensor:
    """One-hot labels [B, K]; a pair's margin may stand beside them."""
    return batch.targets[:, : batch.logits.shape[-1]]
