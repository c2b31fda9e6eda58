"""A causal model's passes for generation: a shared prefix once, prompts, then one token for every row, whose keys and
values lie in fixed buffers of slots and columns that are written in place.

A row holds one slot; all rows write the same column at a step, so columns are time and rows of any age stand side by
side. A row that ends gives its slot to the last one (one row is copied, nothing else moves), and columns that no row
needs any more fall out of the window on the left.

The keys and values of a prefix that all prompts begin with exist once: all rows' queries meet them in one product, as
if they were one long sequence, and the two softmaxes are joined by their log-sum-exp (Hydragen, arXiv 2402.05099).
Copying the prefix into every row's cache would cost its memory and its bandwidth once per row and token.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AttentionInterface, Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "w2s_shared_prefix"


# ---------------------------------------------------------------- rows that come and go


@dataclass
class Window:
    """The part of the buffers in use: slots 0 to `rows` - 1 and columns `start` to `end` - 1."""

    rows: int
    start: int
    end: int


class SlotLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer: [slots, key heads, columns, width]."""

    def __init__(self, like: DynamicLayer, window: Window, num_slots: int, num_columns: int) -> None:
        super().__init__()
        _, heads, _, width = like.values.shape
        self.window = window
        self.keys = like.values.new_zeros(num_slots, heads, num_columns, like.keys.shape[-1])
        self.values = like.values.new_zeros(num_slots, heads, num_columns, width)
        self.dtype, self.device, self.is_initialized = self.values.dtype, self.values.device, True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write the new column(s) of all rows; return their keys and values in the window and these columns."""
        rows, start, end = self.window.rows, self.window.start, self.window.end
        stop = end + key_states.shape[-2]
        self.keys[:rows, :, end:stop] = key_states
        self.values[:rows, :, end:stop] = value_states
        return self.keys[:rows, :, start:stop], self.values[:rows, :, start:stop]

    def get_seq_length(self) -> int:
        return self.window.end - self.window.start

    def enter(self, prefilled: DynamicLayer, rows: Tensor, first: int, columns: slice) -> None:
        """Copy `rows` of another cache into the slots from `first` on."""
        self.keys[first : first + len(rows), :, columns] = prefilled.keys[rows].to(self.keys.dtype)
        self.values[first : first + len(rows), :, columns] = prefilled.values[rows]

    def move(self, sources: Tensor, targets: Tensor, columns: slice) -> None:
        """Copy slots within the window."""
        self.keys[targets, :, columns] = self.keys[sources, :, columns]
        self.values[targets, :, columns] = self.values[sources, :, columns]

    def shift(self, start: int) -> None:
        """Put the window's columns so that they begin at `start`, further left."""
        window, stop = self.window, start + self.window.end - self.window.start
        for buffer in (self.keys, self.values):
            buffer[: window.rows, :, start:stop] = buffer[: window.rows, :, window.start : window.end].clone()


@dataclass
class Slots:
    """All layers, the mask and the bookkeeping; `longest` is the longest prompt that will ever enter, in columns."""

    num_slots: int
    num_columns: int
    longest: int
    device: torch.device
    layers: list[SlotLayer] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.window = Window(0, self.longest, self.longest)
        self.bias = torch.full((self.num_slots, self.num_columns), -torch.inf, device=self.device)

    @property
    def free(self) -> int:
        """Slots without a row."""
        return self.num_slots - self.window.rows

    def enter(self, prefilled: Cache, rows: Sequence[int], lengths: Sequence[int]) -> None:
        """Give each of `rows` of a prefilled cache (right-aligned prompts of `lengths`) the next free slot."""
        if not self.layers:
            self.layers = [SlotLayer(like, self.window, self.num_slots, self.num_columns) for like in prefilled.layers]
        first, end = self.window.rows, self.window.end
        columns, chosen = slice(end - prefilled.get_seq_length(), end), torch.tensor(rows, device=self.device)
        for layer, source in zip(self.layers, prefilled.layers, strict=True):
            layer.enter(source, chosen, first, columns)
        for slot, row in enumerate(rows, start=first):
            self.bias[slot] = -torch.inf
            self.bias[slot, end - lengths[row] : end] = 0
            self.starts.append(end - lengths[row])
        self.window.rows += len(rows)
        self.window.start = min(self.starts)

    def open_column(self) -> Tensor:
        """Make the next column writable; the additive mask [rows, 1, 1, window + 1] of a step that writes it."""
        if self.window.end == self.num_columns:
            self._shift()
        self.bias[: self.window.rows, self.window.end] = 0
        return self.bias[: self.window.rows, None, None, self.window.start : self.window.end + 1]

    def leave(self, ended: Sequence[int]) -> list[tuple[int, int]]:
        """Free these slots; the moves (from, to) of rows that take the place of one that left."""
        left, gone = self.window.rows - len(ended), set(ended)
        sources = [slot for slot in range(left, self.window.rows) if slot not in gone]
        moves = list(zip(sources, sorted(slot for slot in gone if slot < left), strict=True))
        if moves:
            here, there = torch.tensor(moves, device=self.device).T
            self.bias[there] = self.bias[here]
            for layer in self.layers:
                layer.move(here, there, slice(self.window.start, self.window.end))
        for source, target in moves:
            self.starts[target] = self.starts[source]
        del self.starts[left:]
        self.window.rows = left
        self.window.start = min(self.starts, default=self.window.end)
        return moves

    def _shift(self) -> None:
        """Move the window to the left, so that its end leaves room for the longest prompt before it."""
        width = self.window.end - self.window.start
        start = max(0, self.longest - width)
        for layer in self.layers:
            layer.shift(start)
        moved = self.bias[:, self.window.start : self.window.end].clone()
        self.bias.fill_(-torch.inf)
        self.bias[:, start : start + width] = moved
        self.starts = [column - self.window.start + start for column in self.starts]
        self.window.start, self.window.end = start, start + width


# ---------------------------------------------------------------- a prefix that all rows share


class KeyValues(NamedTuple):
    """Keys and values of one layer, both [1, key heads, tokens, width]."""

    keys: Tensor
    values: Tensor


Prefix = list[KeyValues]


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
    (batch, heads, length, width), key_heads = query.shape, key.shape[1]
    prefix = shared_prefix[cast(int, module.layer_idx)]
    # Heads that share a key head stand one after the other: as if they were one of so many times the length.
    grouped = query.to(value.dtype).reshape(batch, key_heads, -1, width)
    mask = attention_mask.expand(-1, heads // key_heads, -1, -1).reshape(batch, 1, grouped.shape[2], -1)
    own, weight = _attend(grouped, key.to(value.dtype), value, mask, scaling)
    together = grouped.transpose(0, 1).reshape(1, key_heads, -1, width)
    shared, shared_weight = _attend(together, prefix.keys, prefix.values, None, scaling)
    shared = shared.reshape(key_heads, batch, -1, width).transpose(0, 1)
    shared_weight = shared_weight.reshape(key_heads, batch, -1).transpose(0, 1)
    joined = torch.lerp(shared, own, torch.sigmoid(weight - shared_weight)[..., None].to(own.dtype))
    return joined.reshape(batch, heads, length, width).transpose(1, 2), None


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


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None
) -> tuple[Tensor, Tensor]:
    """Outputs [B, H, T, width] and log-sum-exp of the scores [B, H, T], to which `mask` is added."""
    if _FUSED is not None and query.device.type == "cpu":
        added = None if mask is None else mask.to(query.dtype)
        return _FUSED(query, key, value, 0.0, False, attn_mask=added, scale=scaling)
    scores = (query @ key.transpose(-1, -2)).float() * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if mask is not None:
        scores = scores + mask
    weight = scores.logsumexp(dim=-1)
    return (scores - weight[..., None]).exp().to(value.dtype) @ value, weight


AttentionInterface.register(NAME, shared_prefix_attention)


# ---------------------------------------------------------------- the passes


class Runner:
    """Runs `model`, which `engine.refuse_unsuitable` has let through; all methods want `running()` around them."""

    def __init__(self, model: PreTrainedModel, *, bf16: bool) -> None:
        self.model = model.eval()
        self.device = model.device
        self._bf16 = bf16

    @contextmanager
    def running(self) -> Iterator[None]:
        """Our attention, without gradients, in the wanted precision; nothing of it stays afterwards."""
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation(NAME)
        try:
            with torch.no_grad(), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16):
                yield
        finally:
            self.model.set_attn_implementation(before)

    def prefix(self, tokens: Sequence[int]) -> Prefix | None:
        """Keys and values of tokens that all prompts begin with; None for none."""
        if not len(tokens):
            return None
        cache = DynamicCache()
        ids = torch.tensor([list(tokens)], device=self.device)
        self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return [KeyValues(layer.keys.to(layer.values.dtype), layer.values) for layer in cache.layers]

    def prompts(self, texts: Sequence[NDArray[np.int64]], prefix: Prefix | None) -> tuple[Tensor, Cache]:
        """Logits [B, V] after each text (all after the prefix) and the cache, in which they are right-aligned."""
        longest, cache = max(map(len, texts)), DynamicCache()
        ids = np.zeros((len(texts), longest), dtype=np.int64)
        for row, text in enumerate(texts):
            ids[row, longest - len(text) :] = text
        pads = torch.tensor([longest - len(text) for text in texts], device=self.device)
        positions = (torch.arange(longest, device=self.device) - pads[:, None]).clamp_min(0)
        columns = torch.arange(longest, device=self.device)
        # a padded position sees itself, so that nothing is NaN
        seen = (columns <= columns[:, None]) & (columns >= pads[:, None, None]) | (columns == columns[:, None])
        mask = torch.zeros(seen.shape, device=self.device).masked_fill_(~seen, -torch.inf)[:, None]
        return self._forward(torch.from_numpy(ids), positions, mask, cache, prefix), cache

    def step(self, tokens: Sequence[int], positions: Sequence[int], slots: Slots, prefix: Prefix | None) -> Tensor:
        """Logits [B, V] after one more token of every row; `positions` are counted from the prefix's end."""
        mask = slots.open_column()
        ids, places = torch.tensor(tokens)[:, None], torch.tensor(positions, device=self.device)[:, None]
        logits = self._forward(ids, places, mask, Cache(layers=slots.layers), prefix)
        slots.window.end += 1
        return logits

    def _forward(self, ids: Tensor, positions: Tensor, mask: Tensor, cache: Cache, prefix: Prefix | None) -> Tensor:
        length = prefix[0].keys.shape[2] if prefix else 0
        shared = {"shared_prefix": prefix} if prefix else {}
        output = self.model(
            input_ids=ids.to(self.device),
            position_ids=positions + length,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **shared,
        )
        return output.logits[:, -1].float()
