"""Preference objectives: pure functions from log-probabilities or rewards of pairs to one loss per row.

`bt` and `soft_bt` take the two rewards as logits [B, 2] and targets [B, 2], like every choice objective with K = 2. The
DPO family takes the log-probabilities of both completions under the policy and under a frozen reference (`Pairs`, whose
reference part `simpo` and `orpo` do not read), `wspo` what `modules/weak_shift.py` sums over their tokens. All return
losses [B] in nats, `wspo` one a completion. Options have no defaults here: YAML holds them. Out-of-range options raise
UserError. `fraction`, the share of training done, is taken by all and read by none.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from w2s_lightning.errors import UserError
from w2s_lightning.schema import Margin, Minority, NonNegative, Positive


class Pairs(NamedTuple):
    """Summed log-probabilities of chosen and rejected completions, and their tokens: all [B], fp32."""

    chosen: Tensor
    rejected: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor

    @property
    def chosen_mean(self) -> Tensor:
        """Log-probability per token of the chosen completions."""
        return self.chosen / self.chosen_tokens

    @property
    def rejected_mean(self) -> Tensor:
        """Log-probability per token of the rejected completions."""
        return self.rejected / self.rejected_tokens


def bt(logits: Tensor, targets: Tensor, *, fraction: float, margin: Margin, centring: NonNegative) -> Tensor:
    """-log sigma(r_w - r_l - margin) + centring (r_w + r_l)^2 for rewards r = logits, averaged over `targets`.

    A target of one means that row's better completion. `margin` is one number for all rows, or `data`: then each row's
    own stands in a third column of `targets` [B, 3]. Bradley-Terry as in Ouyang et al. 2022 (arXiv 2203.02155), the
    margin of Llama 2 (2307.09288), the centring of Eisenstein et al. 2023 (2312.09244, 0.01 there).
    """
    known = margin == "data" or (not isinstance(margin, str) and margin >= 0)
    _require(known, f"margin={margin} should be 0 (none) or more, or data (each pair's own)")
    _require(centring >= 0, f"centring={centring} should be 0 (none) or more")
    margins = targets[:, 2] if margin == "data" else margin
    gap = logits[:, 0] - logits[:, 1]
    losses = -torch.stack([F.logsigmoid(gap - margins), F.logsigmoid(-gap - margins)], dim=-1)
    return (targets[:, :2] * losses).sum(dim=-1) + centring * logits.sum(dim=-1).square()


def soft_bt(logits: Tensor, targets: Tensor, *, fraction: float) -> Tensor:
    """Cross-entropy of sigma(r_a - r_b) to a soft preference: the choice loss `xent` with K = 2."""
    return -(targets * F.log_softmax(logits, dim=-1)).sum(dim=-1)


def dpo(policy: Pairs, reference: Pairs, *, fraction: float, beta: Positive) -> Tensor:
    """-log sigma(beta delta), delta the chosen minus the rejected summed log-ratio (Rafailov et al. 2023, 2305.18290).

    Equals log 2 where the policy is the reference.
    """
    return cdpo(policy, reference, fraction=fraction, beta=beta, flipped=0.0)


def cdpo(policy: Pairs, reference: Pairs, *, fraction: float, beta: Positive, flipped: Minority) -> Tensor:
    """-(1 - e) log sigma(beta delta) - e log sigma(-beta delta), e = `flipped` the share of labels that are wrong.

    Mitchell's note on conservative DPO (https://ericmitchell.ai/cdpo.pdf); e = 0 is `dpo`.
    """
    _positive("beta", beta)
    _require(0 <= flipped < 0.5, f"flipped={flipped} should lie in 0 to 0.5: the share of pairs that are the wrong way")
    scaled = beta * _delta(policy, reference)
    return -(1 - flipped) * F.logsigmoid(scaled) - flipped * F.logsigmoid(-scaled)


def ipo(policy: Pairs, reference: Pairs, *, fraction: float, tau: Positive) -> Tensor:
    """(h - 1 / (2 tau))^2, h the chosen minus the rejected log-ratio *per token* (Azar et al. 2023, arXiv 2310.12036).

    The paper's h is of whole texts; the mean over each completion's own tokens is the authors' later advice and what
    TRL does, since a summed h grows with length while the target does not.
    """
    _positive("tau", tau)
    chosen = policy.chosen_mean - reference.chosen_mean
    rejected = policy.rejected_mean - reference.rejected_mean
    return (chosen - rejected - 1 / (2 * tau)).square()


def simpo(policy: Pairs, reference: Pairs, *, fraction: float, beta: Positive, gamma: NonNegative) -> Tensor:
    """-log sigma(beta (mean log p_w - mean log p_l) - gamma), without a reference (Meng et al. 2024, arXiv 2405.14734).

    `gamma` is the paper's target margin, not its ratio to beta.
    """
    _positive("beta", beta)
    _require(gamma >= 0, f"gamma={gamma} should be 0 (no margin) or more")
    return -F.logsigmoid(beta * (policy.chosen_mean - policy.rejected_mean) - gamma)


def orpo(policy: Pairs, reference: Pairs, *, fraction: float, weight: NonNegative) -> Tensor:
    """NLL(y_w) - weight log sigma(log odds_w - log odds_l), odds = p / (1 - p), p = exp(mean log p).

    Hong et al. 2024 (arXiv 2403.07691), without a reference. The NLL is per token of the row's chosen completion.
    """
    _require(weight >= 0, f"weight={weight} should be 0 (plain likelihood) or more")
    log_odds = _log_odds(policy.chosen_mean) - _log_odds(policy.rejected_mean)
    return -policy.chosen_mean - weight * F.logsigmoid(log_odds)


def wspo(moments: Tensor, tokens: Tensor, *, fraction: float, beta: Positive) -> Tensor:
    """Mean over tokens of (beta x - d)^2, x = log pi - log pi_ref and d = log pi_weak+ - log pi_weak.

    `moments` [..., 3] are a completion's sums of x x, x d and d d, `tokens` [...] its length: losses [...]. The change
    that alignment made in the weak model is the target (Zhu et al. 2024, arXiv 2410.18640).
    """
    _positive("beta", beta)
    squares, products, wanted = moments.unbind(dim=-1)
    return (beta**2 * squares - 2 * beta * products + wanted) / tokens


def _delta(policy: Pairs, reference: Pairs) -> Tensor:
    return (policy.chosen - reference.chosen) - (policy.rejected - reference.rejected)


def _log_odds(log_probs: Tensor) -> Tensor:
    """log p - log(1 - p) in fp32; a probability of one is taken to be just below."""
    log_probs = log_probs.float().clamp_max(-torch.finfo(torch.float32).eps)
    return log_probs - log1mexp(log_probs)


def log1mexp(values: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0, exact at both ends (Maechler 2012, eq. 7)."""
    near_zero = values > -0.6931472
    left = torch.log1p(-torch.exp(torch.where(near_zero, -1.0, values)))  # `where` twice keeps gradients finite
    right = torch.log(-torch.expm1(torch.where(near_zero, values, -1.0)))
    return torch.where(near_zero, right, left)


def _positive(name: str, value: float) -> None:
    _require(value > 0, f"{name}={value} should be above 0")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)
