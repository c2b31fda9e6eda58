"""What a row of a step is: token ids of one or several texts, or frozen features of them.

Both kinds answer the same three questions (how long, how many tokens, collate these rows), so that one data module
serves full fits, probes and scoring.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from w2s_lightning.data.batches import Rows

Inputs = dict[str, Tensor]


class RowSource(Protocol):
    """Rows that a network can be run on."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Example ids."""

    @property
    def lengths(self) -> Rows:
        """Padded tokens that each row costs, [num_rows]."""

    def num_tokens(self, rows: Rows) -> int:
        """Attended tokens in these rows."""

    def collate(self, rows: Rows) -> Inputs:
        """Keyword arguments of the network for these rows."""


@dataclass(frozen=True)
class TokenRows:
    """Encoded texts of examples: M texts a row (1, or one per option), right-padded when collated.

    `texts[row * M + m]` are the token ids of text m. `num_truncated` rows lost the start of a text.
    """

    ids: tuple[str, ...]
    texts: Sequence[NDArray[np.int64]]
    texts_per_row: int
    pad_id: int
    num_truncated: int

    @cached_property
    def text_lengths(self) -> Rows:
        """Tokens of every text, [num_rows, M]."""
        return np.array([len(text) for text in self.texts], dtype=np.int64).reshape(-1, self.texts_per_row)

    @property
    def lengths(self) -> Rows:
        return self.text_lengths.max(axis=1) * self.texts_per_row

    def num_tokens(self, rows: Rows) -> int:
        return int(self.text_lengths[rows].sum())

    def collate(self, rows: Rows) -> Inputs:
        """`ids` and `mask`, both [rows * M, longest]."""
        texts = [self._text(row, m) for row in rows for m in range(self.texts_per_row)]
        ids = np.full((len(texts), max(map(len, texts))), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for i, text in enumerate(texts):
            ids[i, : len(text)] = text
            mask[i, : len(text)] = 1
        return {"ids": torch.from_numpy(ids), "mask": torch.from_numpy(mask)}

    def _text(self, row: int, m: int) -> NDArray[np.int64]:
        return self.texts[row * self.texts_per_row + m]


@dataclass(frozen=True)
class FeatureRows:
    """Frozen features [num_rows, M, width] of M texts a row; costs no tokens."""

    ids: tuple[str, ...]
    features: NDArray[np.float32]

    @property
    def lengths(self) -> Rows:
        return np.ones(len(self.ids), dtype=np.int64)

    def num_tokens(self, rows: Rows) -> int:
        return 0

    def collate(self, rows: Rows) -> Inputs:
        """`features` [rows * M, width]."""
        return {"features": torch.from_numpy(self.features[rows]).flatten(0, 1)}


@dataclass(frozen=True)
class WindowRows:
    """Packed windows of a world's text, [num_rows, window], for pretraining."""

    windows: NDArray[np.int64]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(str(i) for i in range(len(self.windows)))

    @property
    def lengths(self) -> Rows:
        return np.full(len(self.windows), self.windows.shape[1], dtype=np.int64)

    def num_tokens(self, rows: Rows) -> int:
        return len(rows) * self.windows.shape[1]

    def collate(self, rows: Rows) -> Inputs:
        """`ids` [rows, window]."""
        return {"ids": torch.from_numpy(self.windows[rows])}


def encode(
    ids: Sequence[str],
    texts: Sequence[tuple[str, ...]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> TokenRows:
    """Tokenise `texts` (M per example); a text over `max_length` tokens loses its start, and is counted.

    The tokenizer truncates on the left (see `models.tokenizer`), so that special tokens stay and the end, where the
    verdict is read, survives. A text without any token becomes one padding token that is attended.
    """
    per_row = len(texts[0])
    assert all(len(row) == per_row for row in texts)
    flat = [text for row in texts for text in row]
    plain = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
    tokens = tokenizer(flat, **plain)["input_ids"]
    over = [i for i, text in enumerate(tokens) if len(text) > max_length]
    if over:
        short = tokenizer([flat[i] for i in over], truncation=True, max_length=max_length, **plain)["input_ids"]
        tokens = list(tokens)
        for i, text in zip(over, short, strict=True):
            tokens[i] = text
    pad_id = int(tokenizer.pad_token_id)
    arrays = [np.array(text or [pad_id], dtype=np.int64) for text in tokens]
    return TokenRows(tuple(ids), arrays, per_row, pad_id, len({i // per_row for i in over}))
