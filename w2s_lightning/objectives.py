"""Choice objectives: pure functions from logits and target probabilities to one loss per row.

Every function takes `logits` [B, K] (fp32), `targets` [B, K] (probabilities, rows sum to 1), the keyword `fraction`
(share of training done, 0 to 1) and its own options by keyword, and returns losses [B] in nats. B is the whole step:
`logconf` takes a quantile over it. Options have no defaults here: YAML holds them. Out-of-range options raise
UserError. `next_token` is that of language modelling, `sft` that of worked solutions.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from w2s_lightning.errors import UserError
from w2s_lightning.schema import NonNegative, OpenShare, Positive, Share, Threshold, WarmUp

_NO_TOKEN = -100


def xent(logits: Tensor, targets: Tensor, *, fraction: float) -> Tensor:
    """Cross-entropy to soft targets: -sum_k y_k log p_k."""
    return -(targets * F.log_softmax(logits, dim=-1)).sum(dim=-1)


def logconf(
    logits: Tensor,
    targets: Tensor,
    *,
    fraction: float,
    c_max: Share,
    warmup_share: Share,
    warmup: WarmUp,
    threshold: Threshold,
) -> Tensor:
    """Cross-entropy to (1 - c) y + c h, where h is the student's own hardened answer, detached.

    K = 2: h is class 0 where p_0 >= tau, with tau the quantile of p_0 over the step that makes the share of predicted
    classes equal the mean target (`batch_mean`), or 0.5 (`half`). K > 2: h is the argmax. Burns et al. 2023
    (arXiv 2312.09390, eq. 1 and appendix A.4) and openai/weak-to-strong `loss.py`.
    """
    weight = _confidence_weight(fraction, c_max, warmup_share, warmup)
    hardened = _hardened(logits.detach(), targets, threshold)
    return xent(logits, (1 - weight) * targets + weight * hardened, fraction=fraction)


def entropy(
    logits: Tensor, targets: Tensor, *, fraction: float, c_max: Share, warmup_share: Share, warmup: WarmUp
) -> Tensor:
    """Cross-entropy to (1 - c) y + c p, with the student's own soft answer p in place of `logconf`'s h.

    p is detached, as in EleutherAI/w2s `loss.py` (`harden=False`), which reports no gain from it.
    """
    weight = _confidence_weight(fraction, c_max, warmup_share, warmup)
    own = torch.softmax(logits.detach(), dim=-1)
    return xent(logits, (1 - weight) * targets + weight * own, fraction=fraction)


def product(logits: Tensor, targets: Tensor, *, fraction: float, alpha: NonNegative, beta: NonNegative) -> Tensor:
    """Cross-entropy to the target proportional to y^alpha p^beta, detached (openai/weak-to-strong `loss.py`)."""
    _require(alpha >= 0 and beta >= 0, f"product needs alpha >= 0 and beta >= 0, got {alpha} and {beta}")
    log_target = torch.xlogy(alpha, targets) + beta * F.log_softmax(logits.detach(), dim=-1)
    return xent(logits, torch.softmax(log_target, dim=-1), fraction=fraction)


def kd(logits: Tensor, targets: Tensor, *, fraction: float, temperature: Positive) -> Tensor:
    """T^2 KL(softmax(z_t / T) || softmax(z_s / T)), Hinton et al. 2015 (arXiv 1503.02531).

    The teacher's logits are known up to a constant from its probabilities: softmax(z_t / T) = softmax(log y / T).
    """
    _require(temperature > 0, f"kd needs temperature > 0, got {temperature}")
    teacher = torch.softmax(targets.log() / temperature, dim=-1)
    student = F.log_softmax(logits / temperature, dim=-1)
    return temperature**2 * (torch.xlogy(teacher, teacher) - teacher * student).sum(dim=-1)


def reverse_kl(logits: Tensor, targets: Tensor, *, fraction: float, floor: OpenShare) -> Tensor:
    """KL(p || y) = sum_k p_k (log p_k - log y_k), mode-seeking (arXiv 2505.24313, 2506.03109).

    It is infinite where a target is 0, so targets are mixed with the uniform distribution: (1 - floor) y + floor / K.
    """
    log_probs = F.log_softmax(logits, dim=-1)
    return (log_probs.exp() * (log_probs - _lifted(targets, floor).log())).sum(dim=-1)


def reverse_ce(logits: Tensor, targets: Tensor, *, fraction: float, floor: OpenShare) -> Tensor:
    """-sum_k p_k log y_k, `reverse_kl` without the student's entropy (arXiv 2505.24313); `floor` as there."""
    return -(torch.softmax(logits, dim=-1) * _lifted(targets, floor).log()).sum(dim=-1)


def next_token(logits: Tensor, targets: Tensor, *, fraction: float) -> Tensor:
    """Language modelling: mean over positions of -log p(next token), per row [B].

    `logits` [B, T, V]; `targets` [B, T] are the token ids themselves, shifted here.
    """
    rows, length, _ = logits.shape
    shifted = F.pad(targets[:, 1:], (0, 1), value=_NO_TOKEN)  # the last position predicts nothing that is known
    losses = F.cross_entropy(logits.flatten(0, 1), shifted.flatten(), ignore_index=_NO_TOKEN, reduction="none")
    return losses.view(rows, length).sum(dim=-1) / (length - 1)


def _confidence_weight(fraction: float, c_max: float, warmup_share: float, warmup: WarmUp) -> float:
    """Weight c of the student's own answer.

    `linear`: 0 to c_max over the first `warmup_share`. `openai_2023`: c_max * fraction until `warmup_share`, then
    a jump to c_max, as the code of 2023 does (openai/weak-to-strong PR 33).
    """
    _require(0 <= c_max <= 1, f"c_max must lie in 0 to 1, got {c_max}")
    _require(0 <= warmup_share <= 1, f"warmup_share must lie in 0 to 1, got {warmup_share}")
    if warmup == "linear":
        return c_max if fraction >= warmup_share else c_max * fraction / warmup_share
    if warmup == "openai_2023":
        return c_max if fraction > warmup_share else c_max * fraction
    raise UserError(f"unknown warmup {warmup!r}: use linear or openai_2023")


def _hardened(logits: Tensor, targets: Tensor, threshold: Threshold) -> Tensor:
    _require(threshold in ("batch_mean", "half"), f"unknown threshold {threshold!r}: use batch_mean or half")
    if targets.shape[-1] > 2:
        return F.one_hot(logits.argmax(dim=-1), targets.shape[-1]).to(targets.dtype)
    first = torch.softmax(logits, dim=-1)[:, 0]
    cut = torch.quantile(first, targets[:, 1].mean().clamp(0, 1)) if threshold == "batch_mean" else 0.5
    return torch.stack([first >= cut, first < cut], dim=-1).to(targets.dtype)


def _lifted(targets: Tensor, floor: float) -> Tensor:
    _require(0 < floor < 1, f"floor must lie between 0 and 1, got {floor}")
    return (1 - floor) * targets + floor / targets.shape[-1]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def sft(log_probs: Tensor, num_tokens: Tensor, *, fraction: float) -> Tensor:
    """-log p(solution | question) per token, [B], of summed log-probabilities and token counts, both [B, 1]."""
    return -(log_probs / num_tokens)[:, 0]
