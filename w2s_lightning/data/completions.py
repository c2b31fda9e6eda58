"""Prompts with one or several completions as rows, of which only the completions' tokens are scored or trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from w2s_lightning.data.batches import Rows
from w2s_lightning.data.rows import Inputs, TokenRows


@dataclass(frozen=True)
class CompletionRows:
    """M texts a row (a pair: chosen, then rejected), each a prompt and its completion.

    `starts[row * M + m]` is the place of the completion's first token in text m. `rows.num_truncated` rows lost the
    start of a prompt, or the end of a completion that alone is too long.
    """

    rows: TokenRows
    starts: Rows

    @property
    def ids(self) -> tuple[str, ...]:
        return self.rows.ids

    @property
    def lengths(self) -> Rows:
        return self.rows.lengths

    @cached_property
    def completion_tokens(self) -> Rows:
        """Tokens of every completion, [num_rows, M]."""
        return self.rows.text_lengths - self.starts.reshape(self.rows.text_lengths.shape)

    def num_tokens(self, rows: Rows) -> int:
        return self.rows.num_tokens(rows)

    def collate(self, rows: Rows) -> Inputs:
        """`ids`, `mask` and `scored` (1 at completion tokens), all [rows * M, longest]."""
        inputs = self.rows.collate(rows)
        per_row = self.rows.texts_per_row
        starts = torch.from_numpy(self.starts.reshape(-1, per_row)[rows].reshape(-1))
        after = torch.arange(inputs["ids"].shape[1]) >= starts[:, None]
        return {**inputs, "scored": inputs["mask"] * after}


def encode_completions(
    ids: Sequence[str],
    prompts: Sequence[str],
    completions: Sequence[Sequence[str]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    special_tokens: bool,
    end: bool,
) -> CompletionRows:
    """Tokenise each prompt with its completions (M each, the same M); `end` adds the end-of-text token to them.

    Prompt and completion are tokenised together, as text, and the completion begins where the tokens part from those
    of the prompt alone: right for any kind of tokenizer.
    """
    per_row = len(completions[0])
    assert all(len(row) == per_row for row in completions)
    heads = [prompt for prompt in prompts for _ in range(per_row)]
    whole = [head + text for head, text in zip(heads, (text for row in completions for text in row), strict=True)]
    plain = {"add_special_tokens": special_tokens, "return_attention_mask": False, "return_token_type_ids": False}
    before = tokenizer(heads, verbose=False, **plain)["input_ids"]
    tokens = tokenizer(whole, verbose=False, **plain)["input_ids"]
    pad_id, eos_id = int(tokenizer.pad_token_id), tokenizer.eos_token_id
    ending = [int(eos_id)] if end and eos_id is not None else []
    fitted = [
        _fitted([*text, *ending] or [pad_id], _shared(head, text), max_length)
        for head, text in zip(before, tokens, strict=True)
    ]
    texts = [np.array(text, dtype=np.int64) for text, _, _ in fitted]
    cut = {place // per_row for place, (_, _, cut) in enumerate(fitted) if cut}
    rows = TokenRows(tuple(ids), texts, per_row, pad_id, len(cut))
    return CompletionRows(rows, np.array([start for _, start, _ in fitted], dtype=np.int64))


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens are the same."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _fitted(text: list[int], start: int, max_length: int) -> tuple[list[int], int, bool]:
    """Text and start within `max_length`: the prompt loses tokens after its first, then the completion its end."""
    start = max(1, start)  # the very first token has nothing to be predicted from
    if len(text) <= max_length:
        return text, start, False
    lost = min(len(text) - max_length, start - 1)
    return (text[:1] + text[1 + lost :])[:max_length], start - lost, True
