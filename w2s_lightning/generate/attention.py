"""Attention over keys that all rows share and keys of their own, for transformers' attention interface.

The keys and values of a prefix that all prompts begin with exist once: all rows' queries meet them in one product, as
if they were one long sequence, and the two softmaxes are joined by their log-sum-exp (Hydragen, arXiv 2402.05099).
Copying the prefix into every row's cache would cost its memory and its bandwidth once per row and token.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "w2s_shared_prefix"


class KeyValues(NamedTuple):
    """Keys and values of one layer, both [1, key heads, tokens, width]."""

    keys: Tensor
    values: Tensor


def shared_prefix_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    shared_prefix: Sequence[KeyValues] | None = None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention of `query` [B, heads, T, width] to the shared prefix, if there is one, and to `key`, `value`.

    `attention_mask` [B, 1, T, S] is added to the scores of the rows' own keys; the prefix is seen by all queries.
    """
    if shared_prefix is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **others)
    if others.get("softcap") is not None:
        raise ValueError("attention with capped scores knows no shared prefix")
    assert attention_mask is not None
    batch, heads, length, width = query.shape
    key_heads = key.shape[1]
    grouped = query.to(value.dtype).reshape(batch, key_heads, -1, width)  # heads of a group stand one after the other
    mask = _repeated(attention_mask, heads // key_heads)
    prefix = shared_prefix[cast(int, module.layer_idx)]
    joined = _joined(grouped, KeyValues(key.to(value.dtype), value), mask, prefix, scaling)
    return joined.reshape(batch, heads, length, width).transpose(1, 2), None


def _joined(query: Tensor, own: KeyValues, mask: Tensor, prefix: KeyValues, scaling: float | None) -> Tensor:
    """Attention of `query` [B, H, T, width] to `own` [B, H, S, width] and to the one `prefix` of all rows."""
    attend = fused if _FUSED is not None and query.device.type == "cpu" else plain
    batch, heads, length, width = query.shape
    output, weight = attend(query, own.keys, own.values, mask, scaling)
    together = query.transpose(0, 1).reshape(1, heads, batch * length, width)
    shared, shared_weight = attend(together, prefix.keys, prefix.values, None, scaling)
    shared = shared.reshape(heads, batch, length, width).transpose(0, 1)
    shared_weight = shared_weight.reshape(heads, batch, length).transpose(0, 1)
    return torch.lerp(shared, output, torch.sigmoid(weight - shared_weight)[..., None].to(output.dtype))


def _fused_kernel() -> Callable[..., tuple[Tensor, Tensor]] | None:
    """torch's fused attention for CPUs that also gives the log-sum-exp: a private operator, which may not be there."""
    some = torch.zeros(1, 1, 1, 8)
    try:
        kernel: Callable[..., tuple[Tensor, Tensor]] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        kernel(some, some, some, 0.0, False, attn_mask=None, scale=None)
    except (AttributeError, TypeError, RuntimeError):
        return None
    return kernel


_FUSED = _fused_kernel()


def fused(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None
) -> tuple[Tensor, Tensor]:
    """Outputs [B, H, T, width] and log-sum-exp of the scores [B, H, T], by the fused kernel."""
    assert _FUSED is not None
    mask = None if mask is None else mask.to(query.dtype)
    return _FUSED(query, key, value, 0.0, False, attn_mask=mask, scale=scaling)


def plain(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None
) -> tuple[Tensor, Tensor]:
    """As `fused`, written out in public operations, on any device."""
    scores = (query @ key.transpose(-1, -2)).float() * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if mask is not None:
        scores = scores + mask
    weight = scores.logsumexp(dim=-1)
    return (scores - weight[..., None]).exp().to(value.dtype) @ value, weight


def _repeated(mask: Tensor, times: int) -> Tensor:
    """[B, 1, T, S] -> [B, 1, times * T, S]: the same for every head of a group."""
    batch, _, length, size = mask.shape
    return mask.expand(batch, times, length, size).reshape(batch, 1, times * length, size)


AttentionInterface.register(NAME, shared_prefix_attention)
