"""A tiny network and data to fit it on, for tests of the loop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.models import tiny_stages
from w2s_lightning.config.schema import Optimisation
from w2s_lightning.data.rows import Rows, StepData, plan
from w2s_lightning.fit.loop import Fitted, Validation, fit
from w2s_lightning.fit.paradigms import Base, FitPlan
from w2s_lightning.objectives import xent

TRAINER = replace(tiny_stages.TRAINER, tokens_per_batch=10_000)
OPTIMISATION = Optimisation(
    lr=0.01, epochs=2.0, rows_per_step=8, warmup_steps=2, schedule="cosine", weight_decay=0.0, clip_norm=1.0
)


class Bag(nn.Module):
    """Mean of the attended tokens' embeddings, dropout, a linear layer: ids, mask [N, T] -> logits [N, K]."""

    def __init__(self, num_classes: int = 2, dropout: float = 0.0, vocabulary: int = 50) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 8)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, num_classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states = self.dropout(self.embed(ids)) * mask[..., None]
        return self.head(states.sum(dim=1) / mask.sum(dim=1, keepdim=True))


def bag(num_classes: int = 2, dropout: float = 0.0, seed: int = 0) -> Bag:
    torch.manual_seed(seed)
    return Bag(num_classes, dropout)


def rows(num_rows: int = 40, num_classes: int = 2, seed: int = 0, soft: bool = True) -> Rows:
    """Random texts of 3 to 20 tokens with random targets and weights."""
    generator = np.random.default_rng(seed)
    texts = [generator.integers(1, 50, generator.integers(3, 21)) for _ in range(num_rows)]
    probs = generator.dirichlet(np.ones(num_classes), num_rows)
    if not soft:
        probs = np.eye(num_classes)[probs.argmax(axis=1)]
    weights = generator.uniform(0.5, 1.5, num_rows)
    ids = tuple(f"e{i}" for i in range(num_rows))
    return Rows(ids, texts, 1, 0).trained_on(weights, probs=probs.astype(np.float32))


def step_data(data: Rows, *, tokens_per_batch: int = 10_000, optimisation: Optimisation = OPTIMISATION) -> StepData:
    order = plan(data.lengths, optimisation.rows_per_step, optimisation.epochs, 0)
    return StepData(data, plan=order, tokens_per_batch=tokens_per_batch)


def module_of(
    kind: type[Base], network: nn.Module, num_steps: int, *, objective=xent, over_step: bool = False, seed: int = 0
) -> Base:
    fit_plan = FitPlan(OPTIMISATION, num_steps=num_steps, seed=seed, over_step=over_step)
    return kind(network, objective=objective, plan=fit_plan)


def run(
    module: Base, data: StepData, folder: Path, *, validation: Validation | None = None, **trainer: object
) -> Fitted:
    return fit(
        module,
        data,
        label="tiny",
        trainer=replace(TRAINER, **trainer),
        checkpoints=folder,
        validation=validation,
        report=lambda done, of: None,
    )
