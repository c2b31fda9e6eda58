"""A causal model's forward passes for generation: shared prefix once, prompts, one token for every row."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from w2s_lightning.inference.attention import NAME, KeyValues
from w2s_lightning.inference.slots import Slots

Prefix = list[KeyValues]


class Runner:
    """Runs `model`, which `suitable.refuse_unsuitable` has let through; all methods want `running()` around them."""

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
        cache = _empty_cache()
        ids = torch.tensor([list(tokens)], device=self.device)
        self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return [KeyValues(layer.keys.to(layer.values.dtype), layer.values) for layer in cache.layers]

    def prompts(self, texts: Sequence[NDArray[np.int64]], prefix: Prefix | None) -> tuple[Tensor, Cache]:
        """Logits [B, V] after each text (all after the prefix) and the cache, in which they are right-aligned."""
        longest, cache = max(map(len, texts)), _empty_cache()
        ids = np.zeros((len(texts), longest), dtype=np.int64)
        for row, text in enumerate(texts):
            ids[row, longest - len(text) :] = text
        pads = torch.tensor([longest - len(text) for text in texts], device=self.device)
        positions = (torch.arange(longest, device=self.device) - pads[:, None]).clamp_min(0)
        logits = self._forward(torch.from_numpy(ids), positions, _causal(pads, longest), cache, prefix)
        return logits, cache

    def step(self, tokens: Sequence[int], positions: Sequence[int], slots: Slots, prefix: Prefix | None) -> Tensor:
        """Logits [B, V] after one more token of every row; `positions` are counted from the prefix's end."""
        mask = slots.open_column()
        ids, places = torch.tensor(tokens)[:, None], torch.tensor(positions, device=self.device)[:, None]
        logits = self._forward(ids, places, mask, slots.cache, prefix)
        slots.close_column()
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


def _empty_cache() -> Cache:
    return Cache(layer_class_to_replicate=DynamicLayer)


def _causal(pads: Tensor, length: int) -> Tensor:
    """Additive mask [B, 1, T, T] of right-aligned rows; a padded position sees itself, so that nothing is NaN."""
    columns = torch.arange(length, device=pads.device)
    seen = (columns <= columns[:, None]) & (columns >= pads[:, None, None]) | (columns == columns[:, None])
    return torch.zeros(seen.shape, device=pads.device).masked_fill_(~seen, -torch.inf)[:, None]
