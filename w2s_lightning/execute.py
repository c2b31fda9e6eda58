"""Stage -> artifact: parents -> data -> network -> Lightning -> files in the folder that the store hands out.

One function a kind of stage. Nothing here decides anything: what a stage is stands in its record, how fast it runs in
the trainer's settings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2s_lightning.data import tables
from w2s_lightning.data.answers import write_answers, write_features, write_judged
from w2s_lightning.data.batches import Rows, evaluation_steps, plan
from w2s_lightning.data.choices import feature_rows, splits_of, token_rows
from w2s_lightning.data.module import FitRows, StepData
from w2s_lightning.data.rows import RowSource, TokenRows, WindowRows
from w2s_lightning.data.targets import aligned, read_sources, read_targets, with_targets
from w2s_lightning.inference.scoring import score
from w2s_lightning.models.device import machine, provenance
from w2s_lightning.models.ladder import untrained
from w2s_lightning.models.lora import adapt
from w2s_lightning.models.open import Opened, open_bare, open_fit, shape_of
from w2s_lightning.models.save import save
from w2s_lightning.models.tokenizer import word_level
from w2s_lightning.modules.assemble import module_of
from w2s_lightning.modules.base import Base, FitPlan
from w2s_lightning.modules.curve import Report
from w2s_lightning.modules.language_model import LanguageModelling
from w2s_lightning.modules.loop import Fitted
from w2s_lightning.modules.loop import fit as train
from w2s_lightning.modules.outputs import write_fitted, write_validation
from w2s_lightning.modules.validation import Validation
from w2s_lightning.objectives import next_token
from w2s_lightning.schema import Optimisation, Trainer
from w2s_lightning.selection import apply_rule
from w2s_lightning.stages import BareModel, Evaluate, Fit, Gold, Label, Pretrain, Select, Stage, Targets
from w2s_lightning.store import Artifact, Store
from w2s_lightning.tasks.examples import Choice

CLIP_NORM = 1.0  # of pretraining; a fit's own is in its settings


class Progress(Protocol):
    """Who watches a job's stages (see `terminal.StageLines`)."""

    def start(self, stage: Stage) -> None: ...
    def step(self, stage: Stage, done: int, of: int) -> None: ...
    def finish(self, stage: Stage, seconds: float, *, cached: bool) -> None: ...


@dataclass(frozen=True)
class Bench:
    """Where and how a stage is computed; nothing of it is identity."""

    store: Store
    trainer: Trainer
    device: torch.device
    report: Report


def run(stages: Sequence[Stage], store: Store, trainer: Trainer, progress: Progress) -> list[Artifact]:
    """Obtain stages in the given order (parents first); one artifact each."""
    made = []
    for stage in stages:
        progress.start(stage)
        own = threaded(stage, trainer)
        work = partial(compute, stage, store=store, trainer=own, report=partial(progress.step, stage))
        artifact = store.obtain(stage, work, provenance(own))
        progress.finish(stage, artifact.seconds, cached=artifact.cached)
        made.append(artifact)
    return made


def threaded(stage: Stage, trainer: Trainer) -> Trainer:
    """Where threads are left open, the ladder's models take one: they are too small to share, and so the same bits come
    out on machines with any number of cores."""
    small = any(isinstance(one, Pretrain) for one in (stage, *stage.ancestors()))
    return replace(trainer, threads=1) if small and trainer.threads == 0 else trainer


def compute(stage: Stage, folder: Path, *, store: Store, trainer: Trainer, report: Report) -> None:
    """Write the stage's outputs into `folder`; its parents must be in the store."""
    with machine(trainer) as device:
        bench = Bench(store, trainer, device, report)
        match stage:
            case Pretrain():
                _pretrain(stage, folder, bench)
            case Fit():
                _fit(stage, folder, bench)
            case Label():
                _label(stage, folder, bench)
            case Select():
                _select(stage, folder, bench)
            case Evaluate():
                _evaluate(stage, folder, bench)
            case _:
                raise AssertionError(stage)


# ---------------------------------------------------------------- one function a kind


def _pretrain(stage: Pretrain, folder: Path, bench: Bench) -> None:
    settings = stage.settings
    tokenizer = word_level(stage.world.vocabulary())
    network = untrained(stage, tokenizer)
    fitted = Fitted((), 0, None)
    if settings.steps > 0:
        windows = stage.world.windows(settings.steps, settings.rows_per_step, settings.window, settings.seed)
        rows = windows.reshape(-1, settings.window).astype(np.int64)
        data = FitRows(WindowRows(rows), targets=rows, weights=np.ones(len(rows), np.float32))
        order = np.arange(len(rows)).reshape(settings.steps, -1)
        module = LanguageModelling(network, objective=next_token, plan=_pretrain_plan(stage))
        fitted = _train(stage, module, data, order, None, bench)
    story = f"A Llama-architecture model pretrained from scratch on the embedded world `{stage.world.name}`."
    _save(stage, network.model, tokenizer, folder, story)
    write_fitted(folder, fitted, {"num_steps": settings.steps, "num_params": network.model.num_parameters()})


def _pretrain_plan(stage: Pretrain) -> FitPlan:
    settings = stage.settings
    optimisation = Optimisation(
        lr=settings.lr,
        epochs=1.0,
        rows_per_step=settings.rows_per_step,
        warmup_steps=settings.warmup_steps,
        schedule="linear",
        weight_decay=settings.weight_decay,
        clip_norm=CLIP_NORM,
    )
    return FitPlan(optimisation, num_steps=settings.steps, seed=settings.seed, over_step=False)


def _fit(stage: Fit, folder: Path, bench: Bench) -> None:
    opened = _opened_for(stage, bench)
    data = _fit_rows(stage, stage.targets, stage.features, opened, bench)
    order = plan(data.rows.lengths, stage.optimisation.rows_per_step, stage.optimisation.epochs, stage.seed)
    validation = _validation(stage, opened, len(order), bench)
    network, merge = _tuned(stage, opened)
    module = module_of(stage, network, num_steps=len(order))
    fitted = _train(stage, module, data, order, validation, bench)
    merge()
    _save(stage, opened.network.model, opened.tokenizer, folder, _story(stage))
    counts = {"num_rows": len(data.targets), "num_steps": len(order), "truncated_share": _truncated(data.rows)}
    write_fitted(folder, fitted, counts)
    if validation is not None:
        write_validation(folder, validation)


def _label(stage: Label, folder: Path, bench: Bench) -> None:
    examples = splits_of(stage.task, stage.split_seed or 0).of(stage.split)
    opened = _opened_for(stage, bench)
    rows = _rows(stage.features, examples, opened, bench)
    network = opened.network if stage.features is None else opened.probe
    network.to(bench.device).eval()
    read = network if stage.mode == "probs" else opened.classifier.features
    values = score(read, rows, tokens_per_batch=bench.trainer.tokens_per_batch, device=bench.device)
    keep = write_answers if stage.mode == "probs" else write_features
    keep(folder, examples, values)
    tokens = rows.num_tokens(np.arange(len(examples)))
    counts = {"num_rows": len(examples), "num_tokens": tokens, "truncated_share": _truncated(rows)}
    tables.write_json(folder / tables.METRICS, counts)


def _select(stage: Select, folder: Path, bench: Bench) -> None:
    sources = read_sources(stage, bench.store)
    made = apply_rule(stage.rule, stage.options, stage.seed, sources)
    probs = tables.vectors(np.asarray(made.probs, np.float64))
    columns = {"example_id": made.ids, "probs": probs, "weight": np.asarray(made.weights, np.float64)}
    tables.write(folder / tables.TARGETS, columns)
    before, kept = len(sources[0].ids), len(made.ids)
    tables.write_json(folder / tables.METRICS, {"num_rows": before, "kept": kept, "kept_share": kept / before})


def _evaluate(stage: Evaluate, folder: Path, bench: Bench) -> None:
    examples = splits_of(stage.task, 0).test
    table = read_targets(stage.answers, examples, stage.task, bench.store)
    answered = with_targets(examples, table, stage.label)
    probs, _ = aligned([example.id for example in examples], table, "soft", stage.label)
    write_judged(folder, answered, probs)


# ---------------------------------------------------------------- parts


def _opened_for(stage: Fit | Label, bench: Bench) -> Opened:
    """The network that a fit starts from, or that a label reads."""
    shape = shape_of(stage.task)
    if isinstance(stage, Fit):
        bare = BareModel(stage.weights, stage.readout, stage.numerics)
        seed = 0 if stage.tuning == "probe" else stage.seed  # a probe's features were drawn with the bare model's 0
        return open_bare(bare, shape, bench.store, dropout=stage.dropout, seed=seed)
    if isinstance(stage.source, Fit):
        return open_fit(stage.source, shape, bench.store)
    return open_bare(stage.source, shape, bench.store)


def _rows(features: Label | None, examples: Sequence[Choice], opened: Opened, bench: Bench) -> RowSource:
    if features is not None:
        return feature_rows(examples, features, bench.store)
    return token_rows(examples, opened.tokenizer, opened.max_length)


def _fit_rows(stage: Fit, targets: Targets, features: Label | None, opened: Opened, bench: Bench) -> FitRows:
    examples = splits_of(stage.task, stage.split_seed).of(targets.split)
    table = read_targets(targets, examples, stage.task, bench.store)
    rows = _rows(features, with_targets(examples, table, stage.label), opened, bench)
    probs, weights = aligned(rows.ids, table, stage.labels, stage.label)
    return FitRows(rows, probs.astype(np.float32), weights.astype(np.float32))


def _validation(stage: Fit, opened: Opened, num_steps: int, bench: Bench) -> Validation | None:
    if stage.evaluations == 0:
        return None
    data = _fit_rows(stage, stage.validation_targets, stage.validation_features, opened, bench)
    steps = evaluation_steps(num_steps, stage.evaluations)
    return Validation(data, steps=steps, tokens_per_batch=bench.trainer.tokens_per_batch)


def _tuned(stage: Fit, opened: Opened) -> tuple[nn.Module, Callable[[], None]]:
    """What is trained, and what to do with it before saving."""
    match stage.tuning:
        case "full":
            return opened.network, _nothing
        case "lora":
            assert stage.lora is not None
            return opened.network, adapt(opened.network, stage.lora)
        case "probe":
            return opened.probe, _nothing


def _nothing() -> None:
    """Full weights need no merging."""


def _train(
    stage: Stage, module: Base, data: FitRows, order: Rows, validation: Validation | None, bench: Bench
) -> Fitted:
    return train(
        module,
        StepData(data, plan=order, tokens_per_batch=bench.trainer.tokens_per_batch),
        label=stage.label,
        trainer=bench.trainer,
        checkpoints=bench.store.checkpoints(stage),
        validation=validation,
        report=bench.report,
    )


def _save(stage: Stage, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, story: str) -> None:
    save(model, tokenizer, folder / "model", label=stage.label, digest=stage.digest, story=story)


def _story(stage: Fit) -> str:
    objective = stage.objective.target.rsplit(".", 1)[-1]
    source = "gold labels" if isinstance(stage.targets, Gold) else "a supervisor's answers"
    return (
        f"`{stage.name}` trained on {source} of the split `{stage.targets.split}` of the task `{stage.task.name}` "
        f"({stage.tuning} tuning, objective `{objective}`, seed {stage.seed})."
    )


def _truncated(rows: RowSource) -> float:
    return rows.num_truncated / len(rows.ids) if isinstance(rows, TokenRows) else 0.0
