"""Supervised fine-tuning on worked solutions: only the solution's tokens are learned, not the question's.

The network is a `CompletionLogProbs` on rows of one text: a step's logits are summed log-probabilities [B, 1]. A row's
weight counts once per token, so a step's loss is the mean over all its solution tokens, however it is split into
micro-batches; long solutions count for more, as in the usual language-model loss.
"""

from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from w2s_lightning.data.completions import CompletionRows
from w2s_lightning.data.module import FitRows
from w2s_lightning.modules.base import Base, Batch


def solution_rows(rows: CompletionRows, weights: NDArray[np.float32]) -> FitRows:
    """Solutions as rows of a fit; targets [num_rows, 1] are their tokens, the weights those times `weights`."""
    assert rows.rows.texts_per_row == 1
    tokens = np.maximum(rows.completion_tokens, 1).astype(np.float32)
    return FitRows(rows, tokens, weights * tokens[:, 0])


@final
class Solutions(Base):
    """Learns solutions; the objective is `sft`."""

    def loss(self, batch: Batch) -> Tensor:
        return self.weighted(batch)

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`solution_tokens` of a row on average, and `worst`: the largest loss per token of a row."""
        return {"solution_tokens": batch.targets.mean(), "worst": -(batch.logits / batch.targets).min()}
