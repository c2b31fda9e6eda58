"""Implicit reward models: a policy learns preferences through its log-probabilities against a stored reference.

The reward of an answer is log pi(y | x) - log pi_ref(y | x), summed over its tokens (Rafailov et al. 2023, arXiv
2305.18290). Preferences may be soft: a target of 0.8 is eight tenths of the loss with the first answer chosen and two
tenths of the loss with the second.
"""

from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from w2s_lightning.data.completions import CompletionRows
from w2s_lightning.data.module import FitRows
from w2s_lightning.inference.log_probs import LogProbs
from w2s_lightning.modules.base import Base, Batch
from w2s_lightning.preferences import Pairs
from w2s_lightning.schema import Objective


def preference_rows(
    rows: CompletionRows, probs: NDArray[np.float32], reference: LogProbs, weights: NDArray[np.float32]
) -> FitRows:
    """Pairs in the order of their options as rows of a fit; `probs` [num_rows, 2] is how much each is preferred.

    Targets [num_rows, 6]: the two preferences, the reference's two sums, the tokens of both completions.
    """
    tokens = np.maximum(rows.completion_tokens, 1)
    assert probs.shape == reference.sums.shape == tokens.shape == (len(rows.ids), 2)
    return FitRows(rows, np.concatenate([probs, reference.sums, tokens], axis=1).astype(np.float32), weights)


@final
class Implicit(Base):
    """Hands an objective of the DPO family both ways round, weighted by how much each answer is preferred."""

    def loss(self, batch: Batch) -> Tensor:
        first, second = (
            self.objective(_policy(batch, way), _reference(batch, way), fraction=batch.fraction) for way in (0, 1)
        )
        losses = batch.targets[:, 0] * first + batch.targets[:, 1] * second
        return (losses * batch.weights).sum() / batch.total_weight

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`agreement` of the implicit rewards with the targets, and their mean `margin` in favour of the preferred."""
        rewards = batch.logits - batch.targets[:, 2:4]
        preferred = batch.targets[:, :2].argmax(dim=-1, keepdim=True)
        margin = rewards.gather(1, preferred) - rewards.gather(1, 1 - preferred)
        return {"agreement": (margin > 0).float().mean(), "margin": margin.mean()}


def rewards(objective: Objective | None, policy: LogProbs, reference: LogProbs | None) -> NDArray[np.float32]:
    """What an objective trains to be larger for the better answer, [num_rows, M].

    Of `dpo` and `cdpo` it is beta times the summed log-ratio, whose difference is the log-odds of the preference; of
    `ipo` the log-ratio per token. `simpo` and `orpo` have no reference: beta times the log-probability per token, and
    its log-odds.
    Without an objective (an untuned model) the summed log-probability.
    """
    if objective is None or reference is None:
        return policy.sums
    match objective.target.rpartition(".")[2]:
        case "simpo":
            return np.float32(objective.options["beta"]) * policy.means
        case "orpo":
            return policy.means - np.log(-np.expm1(np.minimum(policy.means, -np.finfo(np.float32).eps)))
        case "ipo":
            return policy.means - reference.means
        case _:
            return np.float32(objective.options["beta"]) * (policy.sums - reference.sums)


def _policy(batch: Batch, chosen: int) -> Pairs:
    return _pairs(batch.logits, batch.targets[:, 4:6], chosen)


def _reference(batch: Batch, chosen: int) -> Pairs:
    return _pairs(batch.targets[:, 2:4], batch.targets[:, 4:6], chosen)


def _pairs(sums: Tensor, tokens: Tensor, chosen: int) -> Pairs:
    """Log-probabilities and tokens [B, 2] with one of the options as the chosen one."""
    other = 1 - chosen
    return Pairs(sums[:, chosen], sums[:, other], tokens[:, chosen], tokens[:, other])
