"""The one LightningDataModule: a fit's steps in order, resumable in the middle.

One 'epoch' of the loader is the entire fit. Lightning's own resume inside an epoch fed wrong batches with shuffling or
samplers; here the plan is fixed beforehand, the loader only remembers how many steps it has handed out, and
`StepLoader.state_dict` puts that into the checkpoint. Processes that share a fit have the same plan, and each collates
its own rows of a step.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from w2s_lightning.data import ranks
from w2s_lightning.data.batches import Numbers, split
from w2s_lightning.data.rows import Inputs, Rows


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

    def to(self, device: torch.device) -> "FitStep":
        """The same step with its tensors on `device`."""
        if self.weights.device == device:
            return self
        micros = tuple(Micro(_moved(micro.inputs, device), micro.positions.to(device)) for micro in self.micros)
        return self._replace(micros=micros, targets=_moved(self.targets, device), weights=self.weights.to(device))


def _moved(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


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

    def transfer_batch_to_device(self, batch: FitStep, device: torch.device, dataloader_idx: int) -> FitStep:
        return batch.to(device)
