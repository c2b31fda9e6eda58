"""What every stage that runs a network begins with: a machine, an opened model, examples as that model reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2s_lightning.config.schema import Trainer
from w2s_lightning.data import tables
from w2s_lightning.data.model_texts import (
    QuestionWriter,
    completion_rows,
    feature_rows,
    questions_of,
    reward_rows,
    splits_of,
    token_rows,
)
from w2s_lightning.data.rows import Ragged, Rows
from w2s_lightning.fit.loop import Report
from w2s_lightning.generate.scoring import token_log_probs
from w2s_lightning.identity import Stage
from w2s_lightning.models.files import save
from w2s_lightning.models.load import Opened
from w2s_lightning.models.networks import CompletionLogProbs
from w2s_lightning.results.stored import read_pairs
from w2s_lightning.stages import Fit, Label
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import Example, trained_on


@dataclass(frozen=True)
class Resources:
    """Where and how a stage is computed; nothing of it is identity."""

    store: Store
    trainer: Trainer
    device: torch.device
    report: Report

    @property
    def pace(self) -> dict[str, Any]:
        """How rows are scored here, as the functions of `generate.scoring` take it."""
        return {"tokens_per_batch": self.trainer.tokens_per_batch, "device": self.device}


def log_prob_network(model: Opened, resources: Resources) -> CompletionLogProbs:
    """The opened model, ready to score completions."""
    network = CompletionLogProbs(model.network.model, bf16=model.network.bf16)
    network.to(resources.device).eval()
    return network


def rows_of(
    task: Any, examples: Sequence[Example], model: Opened, *, features: Label | None, implicit: bool, store: Store
) -> Rows:
    """Examples as the model reads them: completions where its rewards are `implicit`, else whole texts, or features."""
    if implicit:
        return completion_rows(examples, task.format, model.tokenizer, model.max_length)
    if features is not None:
        return feature_rows(examples, features, store)
    if task.kind == "preference":
        return reward_rows(examples, task.format, model.tokenizer, model.max_length)
    return token_rows(examples, model.tokenizer, model.max_length)


def rows_of_pairs(stage: Label, model: Opened, store: Store) -> Rows:
    """Pairs of solutions after their questions, the chosen one first."""
    assert stage.pairs is not None
    questions = questions_of(stage.task, stage.pairs.split_seed, stage.split)
    written = [(pair.id, (pair.chosen, pair.rejected)) for pair in read_pairs(store, stage.pairs)]
    return QuestionWriter(stage.task.format, model.tokenizer).rows(written, questions, model.max_length)


def stored_log_probs(stage: Label, ids: Sequence[str], store: Store) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Log-probabilities of completions and their tokens, both [num_rows, M], from their label stage."""
    table = tables.read(store.open(stage) / tables.LOG_PROBS)
    there = table.column("example_id").to_pylist()
    # Several pairs may be of one question: these keep the order in which they were selected.
    order = np.arange(len(ids)) if there == list(ids) else tables.places(ids, there, stage.label)
    sums, tokens = (tables.matrix(table, name)[order] for name in ("log_probs", "tokens"))
    return sums.astype(np.float32), tokens.astype(np.int64)


def every_token(model: Opened, rows: Rows, resources: Resources) -> Ragged:
    """The model's log-probability of every token of the rows' completions."""
    return token_log_probs(log_prob_network(model, resources), rows, **resources.pace)


def keep(stage: Stage, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, about: str) -> None:
    """Save the model with a short card; beside a fit the prompts that must not judge it as a reward model."""
    save(model, tokenizer, folder / "model", label=stage.label, digest=stage.digest, about=about)
    if isinstance(stage, Fit) and stage.task.kind != "choice":
        groups = sorted(trained_on(splits_of(stage.task, stage.split_seed)))
        tables.write(folder / tables.PROMPTS, {"group_id": groups})
