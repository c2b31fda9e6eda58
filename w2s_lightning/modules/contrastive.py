"""Contrastive training on pairs: dpo and its family, against stored log-probabilities of the reference.

The network is a `CompletionLogProbs` on rows of two texts, so a step's logits are the policy's summed log-probabilities
of chosen and rejected, [B, 2]. What the reference said of them was computed once, before, and comes as targets: the
reference model is never in memory beside the student.
"""

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2s_lightning.data.completions import CompletionRows
from w2s_lightning.data.module import FitRows
from w2s_lightning.modules.base import Base, Batch
from w2s_lightning.preferences import Pairs


def pair_rows(rows: CompletionRows, reference: NDArray[np.float32], weights: NDArray[np.float32]) -> FitRows:
    """Pairs (chosen first) as rows of a fit; `reference` [num_rows, 2] are the reference's summed log-probabilities.

    Targets [num_rows, 4]: the reference's two, then the tokens of both completions.
    """
    assert rows.rows.texts_per_row == 2
    assert reference.shape == (len(rows.ids), 2)
    tokens = np.maximum(rows.completion_tokens, 1)
    return FitRows(rows, np.concatenate([reference, tokens], axis=1).astype(np.float32), weights)


@final
class Contrastive(Base):
    """Hands an objective of `preferences` the pairs of policy and reference."""

    def loss(self, batch: Batch) -> Tensor:
        losses = self.objective(_policy(batch), _reference(batch), fraction=batch.fraction)
        return (losses * batch.weights).sum() / batch.total_weight

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """Over the step's pairs, of summed log-ratios to the reference (implicit rewards without beta).

        `preferred`: share of pairs whose chosen ratio is larger (a tie is none); `margin`: chosen minus rejected;
        `chosen_ratio`: whether the chosen texts themselves become likelier.
        """
        ratios = batch.logits - batch.targets[:, :2]
        margin = ratios[:, 0] - ratios[:, 1]
        return {
            "preferred": (margin > 0).float().mean(),
            "margin": margin.mean(),
            "chosen_ratio": ratios[:, 0].mean(),
        }


def _policy(batch: Batch) -> Pairs:
    return Pairs(batch.logits[:, 0], batch.logits[:, 1], batch.targets[:, 2], batch.targets[:, 3])


def _reference(batch: Batch) -> Pairs:
    return Pairs(*torch.unbind(batch.targets, dim=-1))
