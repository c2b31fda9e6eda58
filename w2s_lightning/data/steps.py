"""The steps of a whole fit: which rows each trains on, fixed before the first step, and the one LightningDataModule.

A step is `rows_per_step` rows whatever the hardware. The plan depends on row lengths, epochs and seed alone; a token
budget only splits a step into micro-batches (`split`), it never changes the plan. Rows of like length meet in a step,
but only within shuffled windows of `WINDOW` steps, since length tracks difficulty and batch statistics are taken over
a step.

One 'epoch' of the loader is the entire fit. Lightning's own resume inside an epoch fed wrong batches with shuffling or
samplers; here the loader only remembers how many steps it has handed out, and `StepLoader.state_dict` puts that into
the checkpoint. Processes that share a fit have the same plan, and each collates its own rows of a step.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from w2s_lightning.data import ranks
from w2s_lightning.data.rows import Inputs, Numbers, Rows

WINDOW = 50


def num_steps(num_rows: int, rows_per_step: int, epochs: float) -> int:
    """Steps of a fit: ceil(epochs * num_rows / rows_per_step), at least one."""
    return max(1, math.ceil(epochs * num_rows / rows_per_step - 1e-9))


def plan(lengths: Numbers, rows_per_step: int, epochs: float, seed: int) -> Numbers:
    """Row numbers of every step, [steps, rows_per_step].

    One permutation of all rows per epoch, concatenated (so every row is seen equally often up to the last, cut
    permutation, which also fills the last step); then length bucketing inside windows of `WINDOW` steps, whose steps
    are shuffled. `lengths` [num_rows] in tokens.
    """
    assert len(lengths) > 0
    assert rows_per_step > 0
    steps = num_steps(len(lengths), rows_per_step, epochs)
    generator = np.random.default_rng([seed % (1 << 63), len(lengths), rows_per_step])
    wanted = steps * rows_per_step
    permutations = [generator.permutation(len(lengths)) for _ in range(math.ceil(wanted / len(lengths)))]
    order = np.concatenate(permutations)[:wanted].astype(np.int64)
    windows = [
        _bucketed(order[start : start + WINDOW * rows_per_step], lengths, rows_per_step, generator)
        for start in range(0, len(order), WINDOW * rows_per_step)
    ]
    return np.concatenate(windows)


def _bucketed(rows: Numbers, lengths: Numbers, rows_per_step: int, generator: np.random.Generator) -> Numbers:
    """One window: rows sorted by length with random ties, cut into steps, the steps shuffled."""
    by_length = np.lexsort((generator.random(len(rows)), lengths[rows]))
    steps = rows[by_length].reshape(-1, rows_per_step)
    return steps[generator.permutation(len(steps))]


def split(lengths: Numbers, tokens_per_batch: int) -> list[Numbers]:
    """Positions 0..n-1 in micro-batches whose padded size (rows x longest) stays under the token budget.

    Sorted by length, so that little is padding; a row longer than the budget stands alone.
    """
    if len(lengths) * lengths.max() <= tokens_per_batch:
        return [np.arange(len(lengths))]
    batches: list[Numbers] = []
    current: list[int] = []
    for position in np.argsort(lengths, kind="stable"):
        if current and (len(current) + 1) * lengths[position] > tokens_per_batch:
            batches.append(np.array(current, dtype=np.int64))
            current = []
        current.append(int(position))
    batches.append(np.array(current, dtype=np.int64))
    return batches


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
    """Iterates over the steps of a plan; `state_dict` holds how many were handed out."""

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
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = state["position"]


class StepData(pl.LightningDataModule):
    """Hands Lightning the steps of one fit: `plan` [steps, rows a step] into `rows`."""

    def __init__(self, rows: Rows, *, plan: Numbers, tokens_per_batch: int) -> None:
        super().__init__()
        self.loader = StepLoader(rows, plan=plan, tokens_per_batch=tokens_per_batch)

    def train_dataloader(self) -> StepLoader:
        return self.loader
