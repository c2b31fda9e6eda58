"""Rows, and the steps of a whole fit over them: which rows each trains on, fixed before the first step.

A row is an example as a network reads it: the token ids of one or several texts, of which all or only the completions'
tokens count; or, for a probe, frozen features in their place. Beside them stand named columns: for every token of a
completion (network inputs), and for every row (a fit's targets). What a column means is its reader's business:
nothing here knows of tasks, paradigms or losses.

A step is `rows_per_step` rows whatever the hardware, drawn at random: rows of like length never meet on purpose, since
length goes with difficulty, or even with the label, and batch statistics are taken over a step. The plan depends on row
lengths, epochs and seed alone; a token budget only splits a step, whose rows stand by length, into micro-batches of
little padding (`split`), it never changes the plan.

One 'epoch' of the loader is the entire fit. Lightning's own resume inside an epoch fed wrong batches with shuffling or
samplers; here the loader only remembers how many steps it has handed out, and `StepLoader.state_dict` puts that into
the checkpoint. Processes that share a fit have the same plan, and each collates its own rows of a step.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2s_lightning.data import ranks

EACH = 1 / 32  # what a micro-batch costs besides its tokens, as a share of a full one

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


# ---------------------------------------------------------------- the plan


def num_steps(num_rows: int, rows_per_step: int, epochs: float) -> int:
    """Steps of a fit: ceil(epochs * num_rows / rows_per_step), at least one."""
    return max(1, math.ceil(epochs * num_rows / rows_per_step - 1e-9))


def plan(lengths: Numbers, rows_per_step: int, epochs: float, seed: int) -> Numbers:
    """Row numbers of every step, [steps, rows_per_step].

    One permutation of all rows per epoch, concatenated: every row is seen equally often up to the last, cut
    permutation, which also fills the last step. Inside a step rows stand by length; `lengths` [num_rows] in tokens.
    """
    assert len(lengths) > 0
    assert rows_per_step > 0
    steps = num_steps(len(lengths), rows_per_step, epochs)
    generator = np.random.default_rng([seed % (1 << 63), len(lengths), rows_per_step])
    wanted = steps * rows_per_step
    permutations = [generator.permutation(len(lengths)) for _ in range(math.ceil(wanted / len(lengths)))]
    drawn = np.concatenate(permutations)[:wanted].astype(np.int64).reshape(steps, rows_per_step)
    by_length = np.argsort(lengths[drawn], axis=1, kind="stable")
    return np.take_along_axis(drawn, by_length, axis=1)


def split(lengths: Numbers, tokens_per_batch: int) -> list[Numbers]:
    """Positions 0..n-1 in micro-batches whose padded size (rows x longest) stays under the token budget.

    They stand by length, and are cut where this costs least: padded tokens, and `EACH` of a budget for every further
    micro-batch. A row longer than the budget stands alone.
    """
    order = np.argsort(lengths, kind="stable")
    each, count = EACH * tokens_per_batch, len(lengths)
    if count * lengths.max() <= min(tokens_per_batch, lengths.sum() + each):
        return [order]  # no cut saves what it costs
    costs, begins = np.zeros(count + 1), np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):  # the best way to cut the first `end` rows
        longest = int(lengths[order[end - 1]])
        starts = np.arange(max(0, end - max(1, tokens_per_batch // longest)), end)
        ways = costs[starts] + (end - starts) * longest + each
        begins[end], costs[end] = starts[ways.argmin()], ways.min()
    batches = []
    end = count
    while end > 0:
        batches.append(order[begins[end] : end])
        end = begins[end]
    return batches[::-1]


def evaluation_steps(num_steps: int, evaluations: int) -> tuple[int, ...]:
    """Numbers of finished steps after which to validate, evenly spread and ending with the last."""
    return tuple(sorted({max(1, round(num_steps * (i + 1) / evaluations)) for i in range(evaluations)}))


# ---------------------------------------------------------------- handed to Lightning


class Micro(NamedTuple):
    """A part of a step that fits in memory: network inputs and their positions [n] within the step."""

    inputs: Inputs
    positions: Tensor


class FitStep(NamedTuple):
    """One optimiser step (`number` from 0) of B rows: this process's micro-batches, named targets [B, ...] and weights
    [B] of all rows, and the attended tokens of all rows."""

    number: int
    micros: tuple[Micro, ...]
    targets: dict[str, Tensor]
    weights: Tensor
    num_tokens: int


class StepLoader:
    """Iterates over the steps of a plan; `state_dict` holds how many were handed out, and under which token budget: a
    fit that goes on keeps it, or its sums would round otherwise than those of an uninterrupted one."""

    def __init__(self, rows: Rows, *, plan: Numbers, tokens_per_batch: int) -> None:
        assert rows.weights is not None, "rows to score, not to train on"
        self.rows, self.plan, self.tokens_per_batch = rows, plan, tokens_per_batch
        self.position = 0
        self._lengths, self._weights = rows.lengths, rows.weights

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[FitStep]:
        while self.position < len(self.plan):
            self.position += 1
            yield self.step(self.position - 1)

    def step(self, index: int) -> FitStep:
        """Step `index` of the plan, on the CPU. Rows stand by length, so processes take turns at them."""
        chosen = self.plan[index]
        own = np.arange(ranks.rank(), len(chosen), ranks.size())
        micros = tuple(
            Micro(self.rows.collate(chosen[positions]), torch.from_numpy(positions))
            for positions in (own[part] for part in split(self._lengths[chosen[own]], self.tokens_per_batch))
        )
        targets = {name: torch.from_numpy(column[chosen]) for name, column in self.rows.targets.items()}
        weights = torch.from_numpy(self._weights[chosen])
        return FitStep(index, micros, targets, weights, self.rows.num_tokens(chosen))

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position, "tokens_per_batch": self.tokens_per_batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position, self.tokens_per_batch = state["position"], state["tokens_per_batch"]


class StepData(pl.LightningDataModule):
    """Hands Lightning the steps of one fit: `plan` [steps, rows a step] into `rows`."""

    def __init__(self, rows: Rows, *, plan: Numbers, tokens_per_batch: int) -> None:
        super().__init__()
        self.loader = StepLoader(rows, plan=plan, tokens_per_batch=tokens_per_batch)

    def train_dataloader(self) -> StepLoader:
        return self.loader
