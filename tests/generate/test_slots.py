"""The cache of rows that come and go, and attention over a shared prefix."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.generate.drawing import next_logits
from w2s_lightning.generate.cache import KeyValues, Runner, Slots, shared_prefix_attention

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", ["gpt2", "grouped"])
@pytest.mark.parametrize("shared", [0, 5])
def test_rows_that_come_and_go_keep_the_logits_of_a_plain_pass(family, shared, tiny):
    """Random entries, steps and departures in a cache so small that its columns are moved again and again."""
    runner, random = Runner(tiny(family).model, bf16=False), np.random.default_rng(0)
    size = tiny(family).model.config.vocab_size
    first = random.integers(0, size, shared).tolist()
    slots, rows, shifts = Slots(num_slots=4, num_columns=17, longest=6, device=CPU), [], 0
    with runner.running():
        prefix = runner.prefix(first)
        for _ in range(60):
            new = [random.integers(0, size, random.integers(1, 7)) for _ in range(random.integers(0, slots.free + 1))]
            if new:
                logits, cache = runner.prompts(new, prefix)
                slots.enter(cache, range(len(new)), [len(text) for text in new])
                guesses = logits.argmax(-1).tolist()
                rows += [(len(text), [*text.tolist(), guess]) for text, guess in zip(new, guesses, strict=True)]
            if not rows:
                continue
            before = slots.window.end
            logits = runner.step([t[-1] for _, t in rows], [len(t) - 1 for _, t in rows], slots, prefix)
            shifts += slots.window.end <= before
            for (_, tokens), found in zip(rows, logits, strict=True):
                plainly = next_logits(tiny(family), [*first, *tokens])[-1]
                torch.testing.assert_close(found, plainly, atol=1e-4, rtol=1e-4)
                tokens.append(int(found.argmax()))
            ended = [i for i, (start, t) in enumerate(rows) if len(t) - start >= 9 or random.random() < 0.2]
            for source, target in slots.leave(ended):
                rows[target] = rows[source]
            del rows[slots.window.rows :]
    assert shifts > 3


@pytest.mark.parametrize("length", [1, 7])
@pytest.mark.parametrize("key_heads", [1, 2, 6])
@pytest.mark.parametrize("attend", ["fused", "plain"])
def test_attention_over_a_shared_prefix_is_attention_over_copies_of_it(length, key_heads, attend, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    batch, heads, shared, own, width = 3, 6, 11, 9, 8

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    query, key, value = (normal(batch, n, t, width) for n, t in ((heads, length), (key_heads, own), (key_heads, own)))
    prefix = KeyValues(normal(1, key_heads, shared, width), normal(1, key_heads, shared, width))
    seen = torch.rand(batch, 1, length, own, generator=generator) > 0.4
    seen[..., 0] = True
    mask = torch.zeros(seen.shape).masked_fill(~seen, -torch.inf)
    if attend == "plain":  # another device, or a torch without the private operator
        monkeypatch.setattr("w2s_lightning.generate.cache._FUSED", None)
    layer = torch.nn.Module()
    layer.layer_idx = 0
    found, _ = shared_prefix_attention(layer, query, key, value, mask, shared_prefix=[prefix], scaling=0.3)
    keys, values = (
        torch.cat([first.expand(batch, -1, -1, -1), second], dim=2).repeat_interleave(heads // key_heads, dim=1)
        for first, second in zip(prefix, (key, value), strict=True)
    )
    full = F.pad(mask, (shared, 0))
    wanted = F.scaled_dot_product_attention(query, keys, values, attn_mask=full, scale=0.3).transpose(1, 2)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
