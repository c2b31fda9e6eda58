"""Every loss, pure: from what a network says of rows and their named targets to one loss per row, [B] in nats.

The first parameter names what the network has to say, and so how it is read (`models.networks.read_as`); the other
positional ones name the columns of a fit's targets that the loss is given, and nothing else is. Options come by keyword
and have no defaults here: YAML holds them, and `config.bind` holds it to the ranges that their annotations name. All
take `fraction`, the share of training done. B is the whole step: `logconf` takes a quantile over it.

The network says of a row: `logits` [B, K], a score for each class (of a pair its two rewards); `log_probs` [B, M], the
summed log-probabilities of its completions; `moments` [B, 6], log-ratios x beside wanted ones d, as sums over each
completion's tokens: x x, x d, d d; `divergences` [B, 1] from a teacher, summed over tokens; `token_logits` [B, T, V], a
score for every token of the vocabulary at every position.

Columns: `probs` [B, K], how likely each class is (or each of two completions the better one); `margins` [B]; `ids`
[B, T]; `tokens` [B, M] of the completions; `reference` [B, M], their log-probabilities before the fit.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from w2s_lightning.config.schema import Margin, Minority, NonNegative, OpenShare, Positive, Share, Threshold, WarmUp

Targets = Mapping[str, Tensor]

_NO_TOKEN = -100
_SURE = -1e-6  # log of the mass of the top tokens, where nothing is left for the others


# ---------------------------------------------------------------- classes, and pairs scored by a reward model


def xent(logits: Tensor, probs: Tensor, *, fraction: float) -> Tensor:
    """Cross-entropy to soft targets: -sum_k y_k log p_k."""
    return -(probs * F.log_softmax(logits, dim=-1)).sum(dim=-1)


def logconf(
    logits: Tensor,
    probs: Tensor,
    *,
    fraction: float,
    c_max: Share,
    warmup_share: Share,
    warmup: WarmUp,
    threshold: Threshold,
) -> Tensor:
    """Cross-entropy to (1 - c) y + c h, where h is the student's own hardened answer, detached.

    K = 2: h is class 0 where p_0 >= tau. tau is the median of p_0 over the step, so that half of the step gets either
    class (`batch_median`: Burns et al. 2023, arXiv 2312.09390, eq. 1 and appendix A.4), or the quantile that gives
    the classes their mean targets (`batch_mean`: openai/weak-to-strong `loss.py`), or 0.5 whatever the step
    (`fixed_half`: `log_confidence_loss2` of EleutherAI/w2s). K > 2: h is the argmax.
    """
    weight = _confidence_weight(fraction, c_max, warmup_share, warmup)
    if probs.shape[-1] > 2:
        hardened = F.one_hot(logits.argmax(dim=-1), probs.shape[-1]).to(probs.dtype)
    else:
        first = torch.softmax(logits.detach(), dim=-1)[:, 0]
        match threshold:
            case "batch_median":
                cut = torch.quantile(first, 0.5)
            case "batch_mean":
                cut = torch.quantile(first, probs[:, 1].mean().clamp(0, 1))
            case "fixed_half":
                cut = first.new_tensor(0.5)
        hardened = torch.stack([first >= cut, first < cut], dim=-1).to(probs.dtype)
    return xent(logits, (1 - weight) * probs + weight * hardened, fraction=fraction)


def entropy(
    logits: Tensor,
    probs: Tensor,
    *,
    fraction: float,
    c_max: Share,
    warmup_share: Share,
    warmup: WarmUp,
    minimise: bool,
) -> Tensor:
    """Cross-entropy to (1 - c) y + c p, with the student's own soft answer p in place of `logconf`'s h.

    As EleutherAI/w2s `loss.py` has it (`harden=False`), p is detached, and the gradient by the logits is exactly
    (1 - c) (p - y): that of `xent` with a smaller step, so nothing is learned from the student's own answer. With
    `minimise` p is not detached. The second term then is c times the entropy H = -sum_k p_k log p_k, which is
    minimised (Grandvalet & Bengio 2005), with the gradient (1 - c) (p_k - y_k) - c p_k (log p_k + H).
    """
    weight = _confidence_weight(fraction, c_max, warmup_share, warmup)
    own = torch.softmax(logits if minimise else logits.detach(), dim=-1)
    return xent(logits, (1 - weight) * probs + weight * own, fraction=fraction)


def product(logits: Tensor, probs: Tensor, *, fraction: float, alpha: NonNegative, beta: NonNegative) -> Tensor:
    """Cross-entropy to the target proportional to y^alpha p^beta, detached (openai/weak-to-strong `loss.py`)."""
    log_target = torch.xlogy(alpha, probs) + beta * F.log_softmax(logits.detach(), dim=-1)
    return xent(logits, torch.softmax(log_target, dim=-1), fraction=fraction)


def kd(logits: Tensor, probs: Tensor, *, fraction: float, temperature: Positive) -> Tensor:
    """T^2 KL(softmax(z_t / T) || softmax(z_s / T)), Hinton et al. 2015 (arXiv 1503.02531).

    The teacher's logits are known up to a constant from its probabilities: softmax(z_t / T) = softmax(log y / T).
    """
    teacher = torch.softmax(probs.log() / temperature, dim=-1)
    student = F.log_softmax(logits / temperature, dim=-1)
    return temperature**2 * (torch.xlogy(teacher, teacher) - teacher * student).sum(dim=-1)


def reverse_kl(logits: Tensor, probs: Tensor, *, fraction: float, floor: OpenShare) -> Tensor:
    """KL(p || y) = sum_k p_k (log p_k - log y_k), mode-seeking (arXiv 2505.24313, 2506.03109).

    It is infinite where a target is 0, so targets are mixed with the uniform distribution: (1 - floor) y + floor / K.
    """
    log_probs = F.log_softmax(logits, dim=-1)
    return (log_probs.exp() * (log_probs - _lifted(probs, floor).log())).sum(dim=-1)


def reverse_ce(logits: Tensor, probs: Tensor, *, fraction: float, floor: OpenShare) -> Tensor:
    """-sum_k p_k log y_k, `reverse_kl` without the student's entropy (arXiv 2505.24313); `floor` as there."""
    return -(torch.softmax(logits, dim=-1) * _lifted(probs, floor).log()).sum(dim=-1)


def bt(
    logits: Tensor,
    probs: Tensor,
    margins: Tensor | None = None,
    *,
    fraction: float,
    margin: Margin,
    centring: NonNegative,
) -> Tensor:
    """-log sigma(r_w - r_l - margin) + centring (r_w + r_l)^2 for rewards r = logits [B, 2], averaged over `probs`.

    `margin` is one number for all rows, or `data`: then each row's own stands in `margins`. Ouyang et al. 2022 (arXiv
    2203.02155), the margin of Llama 2 (2307.09288), the centring of Eisenstein et al. 2023 (2312.09244, 0.01 there).
    """
    wanted: Any = margins if margin == "data" else margin
    gap = logits[:, 0] - logits[:, 1]
    losses = -torch.stack([F.logsigmoid(gap - wanted), F.logsigmoid(-gap - wanted)], dim=-1)
    return (probs * losses).sum(dim=-1) + centring * logits.sum(dim=-1).square()


def soft_bt(logits: Tensor, probs: Tensor, *, fraction: float) -> Tensor:
    """Cross-entropy of sigma(r_a - r_b) to a soft preference: `xent` with K = 2."""
    return xent(logits, probs, fraction=fraction)


# ---------------------------------------------------------------- pairs by their log-probabilities


def dpo(log_probs: Tensor, reference: Tensor, probs: Tensor, *, fraction: float, beta: Positive) -> Tensor:
    """-log sigma(beta delta), delta the chosen minus the rejected summed log-ratio (Rafailov et al. 2023, 2305.18290).
    Equals log 2 where the policy is the reference."""
    return cdpo(log_probs, reference, probs, fraction=fraction, beta=beta, flipped=0.0)


def cdpo(
    log_probs: Tensor, reference: Tensor, probs: Tensor, *, fraction: float, beta: Positive, flipped: Minority
) -> Tensor:
    """-(1 - e) log sigma(beta delta) - e log sigma(-beta delta), e = `flipped` the share of labels that are wrong.

    Mitchell's note on conservative DPO (https://ericmitchell.ai/cdpo.pdf); e = 0 is `dpo`.
    """

    def loss(own: Tensor, before: Tensor) -> Tensor:
        scaled = beta * _gap(own - before)
        return -(1 - flipped) * F.logsigmoid(scaled) - flipped * F.logsigmoid(-scaled)

    return _preferred(probs, loss, log_probs, reference)


def ipo(
    log_probs: Tensor, reference: Tensor, tokens: Tensor, probs: Tensor, *, fraction: float, tau: Positive
) -> Tensor:
    """(h - 1 / (2 tau))^2, h the chosen minus the rejected log-ratio *per token* (Azar et al. 2023, arXiv 2310.12036).

    The paper's h is of whole texts; the mean over each completion's own tokens is the authors' later advice and what
    TRL does, since a summed h grows with length while the target does not.
    """

    def loss(own: Tensor, before: Tensor, count: Tensor) -> Tensor:
        return (_gap(own / count - before / count) - 1 / (2 * tau)).square()

    return _preferred(probs, loss, log_probs, reference, tokens)


def simpo(
    log_probs: Tensor, tokens: Tensor, probs: Tensor, *, fraction: float, beta: Positive, gamma: NonNegative
) -> Tensor:
    """-log sigma(beta (mean log p_w - mean log p_l) - gamma), without a reference (Meng et al. 2024, arXiv 2405.14734);
    `gamma` is the paper's target margin, not its ratio to beta."""
    return _preferred(probs, lambda own, count: -F.logsigmoid(beta * _gap(own / count) - gamma), log_probs, tokens)


def orpo(log_probs: Tensor, tokens: Tensor, probs: Tensor, *, fraction: float, weight: NonNegative) -> Tensor:
    """NLL(y_w) - weight log sigma(log odds_w - log odds_l), odds = p / (1 - p), p = exp(mean log p).

    Hong et al. 2024 (arXiv 2403.07691), without a reference. The NLL is per token of the row's chosen completion.
    """

    def loss(own: Tensor, count: Tensor) -> Tensor:
        # odds of a probability of one are infinite
        sure = (own / count).float().clamp_max(-torch.finfo(torch.float32).eps)
        return -own[:, 0] / count[:, 0] - weight * F.logsigmoid(_gap(sure - log1mexp(sure)))

    return _preferred(probs, loss, log_probs, tokens)


def wspo(moments: Tensor, tokens: Tensor, probs: Tensor, *, fraction: float, beta: Positive) -> Tensor:
    """Mean over tokens of (beta x - d)^2, x = log pi - log pi_ref and d = log pi_weak+ - log pi_weak.

    Of the preferred completion alone, with beta 0.1, as in its authors' trainer; d is what alignment changed in the
    weak model (Zhu et al. 2024, arXiv 2410.18640).
    """
    squares, products, wanted = moments.view(*tokens.shape, 3).unbind(dim=-1)
    losses = (beta**2 * squares - 2 * beta * products + wanted) / tokens
    return losses.gather(1, probs.argmax(dim=-1, keepdim=True))[:, 0]


# ---------------------------------------------------------------- texts


def sft(log_probs: Tensor, tokens: Tensor, *, fraction: float) -> Tensor:
    """-log p(completion | prompt) per token: supervised fine-tuning on rows of one completion."""
    return -(log_probs / tokens)[:, 0]


def kd_tokens(divergences: Tensor, tokens: Tensor, *, fraction: float) -> Tensor:
    """`divergence` from the teacher per token of its own solution: distillation at temperature 1 (arXiv 1503.02531)."""
    return (divergences / tokens)[:, 0]


def next_token(token_logits: Tensor, ids: Tensor, *, fraction: float) -> Tensor:
    """Mean over positions of -log p(next token); `ids` are the texts themselves, shifted here."""
    rows, length, _ = token_logits.shape
    shifted = F.pad(ids[:, 1:], (0, 1), value=_NO_TOKEN)  # the last position predicts nothing that is known
    losses = F.cross_entropy(token_logits.flatten(0, 1), shifted.flatten(), ignore_index=_NO_TOKEN, reduction="none")
    return losses.view(rows, length).sum(dim=-1) / (length - 1)


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """KL(teacher || student), [...], of log-probabilities [..., k] of the same k tokens, all others as one outcome: a
    lower bound of the full divergence, equal to it at k = vocabulary."""
    rest_t, rest_s = (log1mexp(known.logsumexp(dim=-1).clamp_max(_SURE)) for known in (teacher, student))
    listed = (teacher.exp() * (teacher - student)).sum(dim=-1)
    return listed + rest_t.exp() * (rest_t - rest_s)


# ---------------------------------------------------------------- what is shown of a step, and what is learned by it


def diagnostics(says: str, answers: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Scalars of a step for the training curve, where the network `says` something else than `logits`.

    Pairs, of summed log-ratios to the reference: `agreement`, the share whose preferred one is larger (a tie is none),
    the mean `margin` in its favour, and its `chosen_ratio` (whether preferred texts themselves become likelier). wspo:
    `drift` and `shift`, root mean square log-ratio per token of the student and its supervisor. Texts:
    `solution_tokens` of a row on average, and `worst`, the largest loss per token of a row.
    """
    match says:
        case "log_probs" if "probs" in targets:
            ratios = answers - targets["reference"]
            preferred = targets["probs"].argmax(dim=-1, keepdim=True)
            chosen = ratios.gather(1, preferred)
            margin = chosen - ratios.gather(1, 1 - preferred)
            agreement = (margin > 0).float().mean()
            return {"agreement": agreement, "margin": margin.mean(), "chosen_ratio": chosen.mean()}
        case "log_probs":
            tokens = targets["tokens"]
            return {"solution_tokens": tokens.mean(), "worst": -(answers / tokens).min()}
        case "moments":
            mean = answers.view(-1, 2, 3).sum(dim=(0, 1)) / targets["tokens"].sum()
            return {"drift": mean[0].sqrt(), "shift": mean[2].sqrt()}
        case "divergences":
            return {"worst": (answers / targets["tokens"]).max()}
    return {}


def implied_rewards(
    objective: str,
    options: Mapping[str, Any],
    *,
    log_probs: NDArray[np.float32],
    reference: NDArray[np.float32],
    tokens: NDArray[np.int64],
) -> NDArray[np.float32]:
    """What an objective of pairs trains to be larger for the better completion, [n, M], from summed log-probabilities.

    Of `dpo` and `cdpo` beta times the summed log-ratio, whose difference is the log-odds of the preference; of `ipo`
    the log-ratio per token; of `simpo` beta times the log-probability per token, of `orpo` its log-odds.
    """
    own, before = (np.divide(sums, np.maximum(tokens, 1), dtype=np.float32) for sums in (log_probs, reference))
    match objective.rpartition(".")[2]:
        case "simpo":
            return np.float32(options["beta"]) * own
        case "orpo":
            return own - np.log(-np.expm1(np.minimum(own, -np.finfo(np.float32).eps)))
        case "ipo":
            return own - before
        case _:
            return np.float32(options["beta"]) * (log_probs - reference)


def log1mexp(values: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0, exact at both ends (Maechler 2012, eq. 7)."""
    near_zero = values > -0.6931472
    left = torch.log1p(-torch.exp(torch.where(near_zero, -1.0, values)))  # `where` twice keeps gradients finite
    right = torch.log(-torch.expm1(torch.where(near_zero, values, -1.0)))
    return torch.where(near_zero, right, left)


def _preferred(probs: Tensor, loss: Callable[..., Tensor], *columns: Tensor) -> Tensor:
    """A loss of columns [B, 2], the chosen one first, averaged over which of the two is the chosen one."""
    turned = [column.flip(1) for column in columns]
    return probs[:, 0] * loss(*columns) + probs[:, 1] * loss(*turned)


def _gap(columns: Tensor) -> Tensor:
    return columns[:, 0] - columns[:, 1]


def _confidence_weight(fraction: float, c_max: float, warmup_share: float, warmup: WarmUp) -> float:
    """Weight of the student's own answer, `linear`: 0 to c_max over the first `warmup_share`; `openai_2023`: c_max *
    fraction until then, and a jump to c_max, as the code of 2023 does (openai/weak-to-strong PR 33)."""
    if warmup == "linear":
        return c_max if fraction >= warmup_share else c_max * fraction / warmup_share
    return c_max if fraction > warmup_share else c_max * fraction


def _lifted(probs: Tensor, floor: float) -> Tensor:
    return (1 - floor) * probs + floor / probs.shape[-1]
