"""Weak-to-strong preference optimisation: the student changes, token by token, as its supervisor did.

The supervisor's log-ratio to what it was before its own preference training, stored as a `Shift` stage, is the target
of the student's log-ratio to itself before training (Zhu et al. 2024, arXiv 2410.18640). All four models read the same
tokens, so both sides must share their vocabulary. No two of them are in memory together.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2s_lightning.data.batches import Rows
from w2s_lightning.data.completions import CompletionRows
from w2s_lightning.data.module import FitRows
from w2s_lightning.data.rows import Inputs
from w2s_lightning.inference.log_probs import per_token
from w2s_lightning.models.networks import Network
from w2s_lightning.modules.base import Base, Batch

Ragged = list[NDArray[np.float32]]  # one array a text, a number for each token of its completion


@final
class ShiftMoments(Network):
    """A policy's log-ratios x beside wanted ones d, as sums over each completion's tokens: x x, x d, d d, [N, 3].

    ids, mask, scored [N, T]; `reference` and `shift` [N, T] hold the reference's log-probability and d of every scored
    token, 0 elsewhere.
    """

    def forward(  # type: ignore[override]
        self, ids: Tensor, mask: Tensor, scored: Tensor, reference: Tensor, shift: Tensor
    ) -> Tensor:
        policy = per_token(self, ids, mask, scored)
        width = policy.shape[1]
        ratios, wanted = policy - reference[:, -width:], shift[:, -width:]
        return torch.stack([ratios.square(), ratios * wanted, wanted.square()], dim=-1).sum(dim=1)


@dataclass(frozen=True)
class ShiftRows:
    """Completions with two numbers for each of their tokens: the reference's log-probability and the wanted shift."""

    completions: CompletionRows
    reference: Ragged
    shift: Ragged

    @property
    def ids(self) -> tuple[str, ...]:
        return self.completions.ids

    @property
    def lengths(self) -> Rows:
        return self.completions.lengths

    def num_tokens(self, rows: Rows) -> int:
        return self.completions.num_tokens(rows)

    def collate(self, rows: Rows) -> Inputs:
        """Inputs of `ShiftMoments`."""
        inputs = self.completions.collate(rows)
        per_row = self.completions.rows.texts_per_row
        texts = (rows[:, None] * per_row + np.arange(per_row)).reshape(-1)
        reference, shift = (_laid(numbers, texts, inputs["scored"]) for numbers in (self.reference, self.shift))
        return {**inputs, "reference": reference, "shift": shift}


def _laid(numbers: Ragged, texts: Rows, scored: Tensor) -> Tensor:
    """Each text's numbers at its scored places, [N, T], 0 elsewhere."""
    out = torch.zeros(scored.shape, dtype=torch.float32)
    out[scored.bool()] = torch.from_numpy(np.concatenate([numbers[text] for text in texts.tolist()]))
    return out


def shift_rows(
    rows: CompletionRows, reference: Ragged, shift: Ragged, probs: NDArray[np.float32], weights: NDArray[np.float32]
) -> FitRows:
    """Pairs as rows of a fit; `probs` [num_rows, 2] says how much each completion is preferred.

    Targets [num_rows, 4]: the two preferences, then the tokens of both completions.
    """
    tokens = rows.completion_tokens
    assert [len(one) for one in reference] == [len(one) for one in shift] == tokens.reshape(-1).tolist()
    targets = np.concatenate([probs, np.maximum(tokens, 1)], axis=1)
    return FitRows(ShiftRows(rows, reference, shift), targets.astype(np.float32), weights)


@final
class WeakShift(Base):
    """Follows the supervisor's shift on both completions, each weighted by how much the supervisor prefers it."""

    def loss(self, batch: Batch) -> Tensor:
        preferred, tokens = batch.targets[:, :2], batch.targets[:, 2:]
        losses = self.objective(batch.logits.view(-1, 2, 3), tokens, fraction=batch.fraction)
        return ((preferred * losses).sum(dim=-1) * batch.weights).sum() / batch.total_weight

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`drift`: root mean square log-ratio of the student per token; `shift`: of its supervisor."""
        moments = batch.logits.view(-1, 2, 3).sum(dim=(0, 1)) / batch.targets[:, 2:].sum()
        return {"drift": moments[0].sqrt(), "shift": moments[2].sqrt()}
