"""From logits to tokens: uniform numbers from counters, temperature, top-p, inverse CDF.

The draw at (seed, example, sample, position) is the same wherever it is made. A sequence's key is a hash of seed,
example id and sample number; its uniforms are the SplitMix64 stream (Steele et al. 2014, the finaliser of Vigna's
`splitmix64.c`) that starts at the key, so that position t is computed without t - 1.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2s_lightning.identity import digest

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def stream(seed: int, example_id: str, number: int) -> int:
    """The 64-bit key of one sequence's draws."""
    return int(digest([seed, example_id, number])[:16], 16)


def uniforms(streams: Sequence[int], positions: Sequence[int]) -> NDArray[np.float64]:
    """Doubles in [0, 1) with 53 random bits, one for each stream at its position (both [n])."""
    with np.errstate(over="ignore"):
        bits = np.array(streams, np.uint64) + (np.array(positions, np.uint64) + np.uint64(1)) * _GOLDEN
        bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
        bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    bits ^= bits >> np.uint64(31)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


_FIRST_LOOK = 128  # most probable tokens that are sorted before the whole vocabulary is


def pick(logits: Tensor, uniforms: Tensor, *, temperature: float, top_p: float) -> Tensor:
    """Tokens [B] drawn from logits [B, V] at uniforms [B] in [0, 1) by the inverse CDF, in vocabulary order.

    Probabilities are fp32, their running sum is fp64. A row's token does not depend on the other rows.
    """
    probs = nucleus(torch.softmax(logits.float() / temperature, dim=-1), top_p)
    cdf = _doubles(probs).cumsum(dim=-1)
    total = cdf[:, -1:]
    wanted = torch.minimum(uniforms.to(cdf)[:, None] * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(cdf, wanted, right=True)[:, 0].to(logits.device)


def nucleus(probs: Tensor, top_p: float) -> Tensor:
    """`probs` [B, V] with 0 for all tokens less probable than the smallest set that holds `top_p` (arXiv 1904.09751).

    Tokens as probable as the last of the set stay too. Only values are compared, so no sorting order matters.
    """
    if top_p >= 1:
        return probs
    size, width = probs.shape[-1], min(probs.shape[-1], _FIRST_LOOK)
    while True:
        largest = probs.topk(width, dim=-1).values
        reached = _doubles(largest).cumsum(dim=-1).to(probs.device)
        if width == size or bool((reached[:, -1] >= top_p).all()):
            break
        width = min(size, 8 * width)
    last = (reached < top_p).sum(dim=-1, keepdim=True).clamp_max(width - 1)
    return torch.where(probs >= largest.gather(-1, last), probs, 0.0)


def _doubles(values: Tensor) -> Tensor:
    return (values.cpu() if values.device.type == "mps" else values).double()  # Apple's GPUs have no fp64
