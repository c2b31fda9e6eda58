"""The stages of choice tasks, and of pairs whose rewards a head gives: labels are learned, given, selected, judged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.data import tables
from w2s_lightning.data.answers import write_answers, write_features, write_judged
from w2s_lightning.data.batches import evaluation_steps, plan
from w2s_lightning.data.choices import feature_rows, splits_of, token_rows
from w2s_lightning.data.module import FitRows
from w2s_lightning.data.pairs import reward_rows
from w2s_lightning.data.rewarded import write_wins
from w2s_lightning.data.rows import RowSource, TokenRows
from w2s_lightning.data.targets import aligned, read_sources, read_targets, with_targets
from w2s_lightning.errors import UserError
from w2s_lightning.execute.bench import Bench, keep, story_of, train, tuned
from w2s_lightning.inference.scoring import score
from w2s_lightning.models.open import Opened, open_bare, open_fit, shape_of
from w2s_lightning.modules.assemble import module_of
from w2s_lightning.modules.outputs import write_fitted, write_validation
from w2s_lightning.modules.validation import Validation
from w2s_lightning.selection import apply_rule
from w2s_lightning.stage import Stage
from w2s_lightning.stages import (
    BareModel,
    Evaluate,
    Fit,
    Label,
    Select,
    Targets,
)
from w2s_lightning.tasks.conversations import Form
from w2s_lightning.tasks.example import Example
from w2s_lightning.tasks.reward_set_task import RewardSetTask
from w2s_lightning.tasks.task import ChoiceTask


def compute(stage: Stage, folder: Path, bench: Bench) -> None:
    """Write a stage's outputs into `folder`; its parents must be in the store."""
    match stage:
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


def _fit(stage: Fit, folder: Path, bench: Bench) -> None:
    opened = _opened_for(stage, bench)
    data = _fit_rows(stage, stage.targets, stage.features, opened, bench)
    if stage.objective.options.get("margin") == "data":
        data = replace(data, targets=np.concatenate([data.targets, _margins(stage, data.rows.ids)], axis=1))
    order = plan(data.rows.lengths, stage.optimisation.rows_per_step, stage.optimisation.epochs, stage.seed)
    validation = _validation(stage, opened, len(order), bench)
    network = opened.probe if stage.tuning == "probe" else opened.network
    merge = tuned(stage, opened.network)
    module = module_of(stage, network, num_steps=len(order))
    fitted = train(stage, module, data, order, validation, bench)
    merge()
    keep(stage, opened.network.model, opened.tokenizer, folder, story_of(stage))
    counts = {"num_rows": len(data.targets), "num_steps": len(order), "truncated_share": _truncated(data.rows)}
    write_fitted(folder, fitted, counts)
    if validation is not None:
        write_validation(folder, validation)


def _label(stage: Label, folder: Path, bench: Bench) -> None:
    examples = splits_of(stage.task, stage.split_seed or 0).of(stage.split)
    opened = _opened_for(stage, bench)
    rows = _rows(stage.task, stage.features, examples, opened, bench)
    network = opened.network if stage.features is None else opened.probe
    network.to(bench.device).eval()
    read = network if stage.mode == "probs" else opened.classifier.features
    values = score(read, rows, tokens_per_batch=bench.trainer.tokens_per_batch, device=bench.device)
    write = write_answers if stage.mode == "probs" else write_features
    write(folder, examples, values)
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
    if isinstance(stage.task, RewardSetTask):
        assert isinstance(stage.answers, Label), "only models are judged on a benchmark"
        write_wins(folder, stage.task, stage.answers, bench.store)
        return
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


def _rows(
    task: ChoiceTask, features: Label | None, examples: Sequence[Example], opened: Opened, bench: Bench
) -> RowSource:
    if features is not None:
        return feature_rows(examples, features, bench.store)
    if task.kind == "preference":
        form: Form = task.form  # type: ignore[attr-defined]
        return reward_rows(examples, form, opened.tokenizer, opened.max_length)
    return token_rows(examples, opened.tokenizer, opened.max_length)


def _fit_rows(stage: Fit, targets: Targets, features: Label | None, opened: Opened, bench: Bench) -> FitRows:
    examples = splits_of(stage.task, stage.split_seed).of(targets.split)
    table = read_targets(targets, examples, stage.task, bench.store)
    rows = _rows(stage.task, features, with_targets(examples, table, stage.label), opened, bench)
    probs, weights = aligned(rows.ids, table, stage.labels, stage.label)
    return FitRows(rows, probs.astype(np.float32), weights.astype(np.float32))


def _margins(stage: Fit, ids: Sequence[str]) -> NDArray[np.float32]:
    """By how much the better answer of each pair is better, [num_rows, 1]; raise UserError where the data says not."""
    pairs = {pair.id: pair for pair in splits_of(stage.task, stage.split_seed).of(stage.targets.split)}
    margins = [pairs[id].margin for id in ids]
    if None in margins:
        raise UserError(
            f"margin=data: {margins.count(None)} of {len(ids)} pairs of {stage.task.name} have no margin "
            "(task.columns.margin names its column)"
        )
    return np.array(margins, dtype=np.float32)[:, None]


def _validation(stage: Fit, opened: Opened, num_steps: int, bench: Bench) -> Validation | None:
    if stage.evaluations == 0 or stage.validation_targets is None:
        return None
    data = _fit_rows(stage, stage.validation_targets, stage.validation_features, opened, bench)
    steps = evaluation_steps(num_steps, stage.evaluations)
    return Validation(data, steps=steps, tokens_per_batch=bench.trainer.tokens_per_batch)


def _truncated(rows: RowSource) -> float:
    return rows.num_truncated / len(rows.ids) if isinstance(rows, TokenRows) else 0.0
