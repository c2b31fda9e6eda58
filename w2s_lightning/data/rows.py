"""Rows: what one step of a fit, or one pass of scoring, is made of. One class for every kind of task.

A row is an example as a network reads it: the token ids of one or several texts, of which all or only the completions'
tokens count; or, for a probe, frozen features in their place. Beside them stand named columns: for every token of a
completion (network inputs), and for every row (a fit's targets). What a column means is its reader's business:
nothing here knows of tasks, paradigms or losses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

Numbers = NDArray[np.int64]
Inputs = dict[str, Tensor]
Ragged = Sequence[NDArray[Any]]  # an array a text: one entry for each token of its completion


@dataclass(frozen=True)
class Rows:
    """M texts a row (1; one per option; chosen and rejected): text m of row n is `texts[n * M + m]`, its token ids.

    `starts` [num_rows * M] are the places of the completions' first tokens (None: texts have no completions).
    `num_truncated` rows lost a part. `features` [num_rows, M, width] stand in place of texts, and cost no tokens.
    `targets` and `weights` have an entry a row.
    """

    ids: tuple[str, ...]
    texts: Sequence[NDArray[np.int64]]
    texts_per_row: int
    pad_id: int
    num_truncated: int = 0
    starts: Numbers | None = None
    features: NDArray[np.float32] | None = None
    per_token: Mapping[str, Ragged] = field(default_factory=dict)
    targets: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    weights: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        count = len(self.ids)
        assert len(self.texts) == (0 if self.features is not None else count * self.texts_per_row)
        assert all(len(column) == count for column in self.targets.values())
        for column in self.per_token.values():
            assert [len(one) for one in column] == self.completion_tokens.reshape(-1).tolist()

    @cached_property
    def text_lengths(self) -> Numbers:
        """Tokens of every text, [num_rows, M]."""
        return np.array([len(text) for text in self.texts], dtype=np.int64).reshape(-1, self.texts_per_row)

    @cached_property
    def completion_tokens(self) -> Numbers:
        """Tokens of every completion, [num_rows, M]."""
        assert self.starts is not None
        return self.text_lengths - self.starts.reshape(self.text_lengths.shape)

    @property
    def lengths(self) -> Numbers:
        """Padded tokens that each row costs, [num_rows]."""
        if self.features is not None:
            return np.ones(len(self.ids), dtype=np.int64)
        return self.text_lengths.max(axis=1) * self.texts_per_row

    @property
    def truncated_share(self) -> float:
        """Rows that lost a part, over all."""
        return self.num_truncated / len(self.ids)

    def num_tokens(self, rows: Numbers) -> int:
        """Attended tokens in these rows."""
        return 0 if self.features is not None else int(self.text_lengths[rows].sum())

    def collate(self, rows: Numbers) -> Inputs:
        """A network's keyword arguments for these rows: `ids`, `mask`, and of completions `scored` and the columns
        per token (0 elsewhere), all [rows * M, longest, ...] and padded on the right; or a head's `input`, the features
        [rows * M, width].
        """
        if self.features is not None:
            return {"input": torch.from_numpy(self.features[rows]).flatten(0, 1)}
        places: list[int] = (rows[:, None] * self.texts_per_row + np.arange(self.texts_per_row)).reshape(-1).tolist()
        texts = [self.texts[place] for place in places]
        ids = np.full((len(texts), max(map(len, texts))), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for i, text in enumerate(texts):
            ids[i, : len(text)] = text
            mask[i, : len(text)] = 1
        inputs = {"ids": torch.from_numpy(ids), "mask": torch.from_numpy(mask)}
        if self.starts is None:
            return inputs
        scored = inputs["mask"] * (torch.arange(ids.shape[1]) >= torch.from_numpy(self.starts[places])[:, None])
        columns = {
            name: _laid([column[place] for place in places], scored.bool()) for name, column in self.per_token.items()
        }
        return {**inputs, "scored": scored, **columns}

    def one_text_each(self) -> "Rows":
        """The same texts as rows of their own, without targets: a short text is not padded to its rival."""
        ids = tuple(f"{id}/{number}" for id in self.ids for number in range(self.texts_per_row))
        return replace(self, ids=ids, texts_per_row=1, targets={}, weights=None)

    def trained_on(self, weights: NDArray[np.floating], **targets: NDArray[np.generic]) -> "Rows":
        """These rows as a fit's: with weights [num_rows] and further targets."""
        return replace(self, targets={**self.targets, **targets}, weights=weights.astype(np.float32))


def _laid(numbers: Ragged, scored: Tensor) -> Tensor:
    """Each text's numbers at its scored places, [N, T, ...], 0 elsewhere."""
    flat = torch.from_numpy(np.concatenate(numbers))
    out = flat.new_zeros(*scored.shape, *flat.shape[1:])
    out[scored] = flat
    return out


def encode(
    ids: Sequence[str], texts: Sequence[Sequence[str]], *, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Rows:
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
    return Rows(tuple(ids), arrays, per_row, pad_id, len({i // per_row for i in over}))


def encode_completions(
    ids: Sequence[str],
    prompts: Sequence[str],
    completions: Sequence[Sequence[str]],
    *,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    special_tokens: bool,
    end: bool,
) -> Rows:
    """Tokenise each prompt with its completions (M each, the same M); `end` adds the end-of-text token to them.

    Prompt and completion are tokenised together, as text, and the completion begins where the tokens part from those
    of the prompt alone: right for any kind of tokenizer. A text over `max_length` loses tokens of its prompt after the
    first one, then the end of its completion.
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
        _fitted([*text, *ending] or [pad_id], _num_shared(head, text), max_length)
        for head, text in zip(before, tokens, strict=True)
    ]
    texts = [np.array(text, dtype=np.int64) for text, _, _ in fitted]
    cut = {place // per_row for place, (_, _, cut) in enumerate(fitted) if cut}
    starts = np.array([start for _, start, _ in fitted], dtype=np.int64)
    return Rows(tuple(ids), texts, per_row, pad_id, len(cut), starts)


def _num_shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens are the same."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _fitted(text: list[int], start: int, max_length: int) -> tuple[list[int], int, bool]:
    """Text and start within `max_length`, and whether something was lost."""
    start = max(1, start)  # the very first token has nothing to be predicted from
    if len(text) <= max_length:
        return text, start, False
    lost = min(len(text) - max_length, start - 1)
    return (text[:1] + text[1 + lost :])[:max_length], start - lost, True
