"""Where and how stages are computed, and what every fit does the same: tune, train, save."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2s_lightning.data import tables
from w2s_lightning.data.batches import Rows
from w2s_lightning.data.choices import splits_of
from w2s_lightning.data.module import FitRows, StepData
from w2s_lightning.models.lora import adapt
from w2s_lightning.models.networks import Network
from w2s_lightning.models.save import save
from w2s_lightning.modules.base import Base
from w2s_lightning.modules.curve import Report
from w2s_lightning.modules.loop import Fitted
from w2s_lightning.modules.loop import fit as run_fit
from w2s_lightning.modules.validation import Validation
from w2s_lightning.schema import Trainer
from w2s_lightning.stage import Stage
from w2s_lightning.stages import Fit, Gold
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import trained_on


@dataclass(frozen=True)
class Bench:
    """Where and how a stage is computed; nothing of it is identity."""

    store: Store
    trainer: Trainer
    device: torch.device
    report: Report


def train(
    stage: Stage, module: Base, data: FitRows, order: Rows, validation: Validation | None, bench: Bench
) -> Fitted:
    """Run a fit over the steps in `order` [steps, rows]; it goes on from its last checkpoint."""
    return run_fit(
        module,
        StepData(data, plan=order, tokens_per_batch=bench.trainer.tokens_per_batch),
        label=stage.label,
        trainer=bench.trainer,
        checkpoints=bench.store.checkpoints(stage),
        validation=validation,
        report=bench.report,
    )


def tuned(stage: Fit, network: Network) -> Callable[[], None]:
    """Make ready what is trained of `network` (all of it, or adapters); returns what to do before saving."""
    if stage.tuning == "lora":
        assert stage.lora is not None
        return adapt(network, stage.lora)
    return _nothing


def _nothing() -> None:
    """Full weights need no merging."""


def keep(stage: Stage, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, story: str) -> None:
    """Save the model with a short card; beside a fit the prompts that must not judge it as a reward model."""
    save(model, tokenizer, folder / "model", label=stage.label, digest=stage.digest, story=story)
    if isinstance(stage, Fit) and stage.task.kind != "choice":
        groups = sorted(trained_on(splits_of(stage.task, stage.split_seed)))
        tables.write(folder / tables.PROMPTS, {"group_id": groups})


def story_of(stage: Fit) -> str:
    """What a fit's model card says."""
    objective = stage.objective.target.rsplit(".", 1)[-1]
    what = "solutions" if stage.readout.kind == "text" else "labels"
    source = f"gold {what}" if isinstance(stage.targets, Gold) else "a supervisor's answers"
    return (
        f"`{stage.name}` trained on {source} of the split `{stage.targets.split}` of the task `{stage.task.name}` "
        f"({stage.tuning} tuning, objective `{objective}`, seed {stage.seed})."
    )
