"""The stages of implicit reward models: completions' log-probabilities are stored, learned and read as rewards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from w2s_lightning.data import tables
from w2s_lightning.data.answers import write_answers
from w2s_lightning.data.batches import plan
from w2s_lightning.data.choices import splits_of
from w2s_lightning.data.completions import CompletionRows
from w2s_lightning.data.pairs import completion_rows
from w2s_lightning.data.targets import aligned, read_targets, with_targets
from w2s_lightning.errors import UserError
from w2s_lightning.execute.bench import Bench, keep, story_of, train, tuned
from w2s_lightning.inference.log_probs import CompletionLogProbs, LogProbs, completion_log_probs, each_token
from w2s_lightning.models.networks import Network
from w2s_lightning.models.open import Opened, open_bare, open_fit, shape_of
from w2s_lightning.modules.assemble import module_of
from w2s_lightning.modules.implicit import preference_rows, rewards
from w2s_lightning.modules.outputs import write_fitted
from w2s_lightning.modules.token_distillation import refuse_other_vocabulary
from w2s_lightning.modules.weak_shift import Ragged, ShiftMoments, shift_rows
from w2s_lightning.recipes.vocabularies import WSPO
from w2s_lightning.stage import Stage
from w2s_lightning.stages import BareModel, Fit, Label, Shift
from w2s_lightning.store import Store

PLACES = ("first", "second")  # a pair's completions in the order of its options
SHIFT = "shift.parquet"


def compute(stage: Stage, folder: Path, bench: Bench) -> None:
    """Write a stage's outputs into `folder`; its parents must be in the store."""
    match stage:
        case Label():
            _label(stage, folder, bench)
        case Fit():
            _fit(stage, folder, bench)
        case Shift():
            _shift(stage, folder, bench)
        case _:
            raise AssertionError(stage)


def _label(stage: Label, folder: Path, bench: Bench) -> None:
    """Log-probabilities of both completions (mode `log_probs`), or rewards made from them (mode `probs`).

    A fit's rewards are those that its objective trains, against the reference in `stage.features`; an untuned model has
    none to differ from, and its own log-probabilities stand for rewards (reference-free).
    """
    task: Any = stage.task
    examples = splits_of(task, stage.split_seed or 0).of(stage.split)
    source = stage.source
    shape = shape_of(source.task) if isinstance(source, Fit) else shape_of(stage.task)
    opened = open_fit(source, shape, bench.store) if isinstance(source, Fit) else open_bare(source, shape, bench.store)
    rows = completion_rows(examples, task.form, opened.tokenizer, opened.max_length)
    network = _scoring(opened).to(bench.device).eval()
    found = completion_log_probs(network, rows, tokens_per_batch=bench.trainer.tokens_per_batch, device=bench.device)
    if stage.mode == "log_probs":
        columns = {"example_id": list(rows.ids), "log_probs": tables.vectors(found.sums)}
        tables.write(folder / tables.LOG_PROBS, {**columns, "tokens": tables.vectors(found.num_tokens)})
    else:
        reference = None if stage.features is None else _stored(stage.features, rows.ids, bench.store)
        trained = source.objective if isinstance(source, Fit) else None
        write_answers(folder, examples, rewards(trained, found, reference))
    counts = {"num_rows": len(rows.ids), "num_tokens": int(rows.rows.text_lengths.sum())}
    tables.write_json(folder / tables.METRICS, {**counts, "truncated_share": _truncated(rows)})


def _fit(stage: Fit, folder: Path, bench: Bench) -> None:
    """Train a policy on preferences, hard or soft."""
    assert stage.features is not None, "an implicit reward needs its reference"
    bare = BareModel(stage.weights, stage.readout, stage.numerics)
    opened = open_bare(bare, shape_of(stage.task), bench.store, dropout=stage.dropout)
    examples = splits_of(stage.task, stage.split_seed).of(stage.targets.split)
    table = read_targets(stage.targets, examples, stage.task, bench.store)
    chosen = with_targets(examples, table, stage.label)
    rows = completion_rows(chosen, stage.task.form, opened.tokenizer, opened.max_length)
    probs, weights = (part.astype(np.float32) for part in aligned(rows.ids, table, stage.labels, stage.label))
    network: Network = _scoring(opened)
    if isinstance(stage.targets, Shift):
        refuse_other_vocabulary(stage.targets.source, opened.tokenizer, bench.store, WSPO)
        reference = _each_token(opened, rows, bench)
        data = shift_rows(rows, reference, _shift_of(stage.targets, rows, bench.store), probs, weights)
        network = ShiftMoments(opened.network.model, bf16=opened.network.bf16)
    else:
        data = preference_rows(rows, probs, _stored(stage.features, rows.ids, bench.store), weights)
    order = plan(rows.lengths, stage.optimisation.rows_per_step, stage.optimisation.epochs, stage.seed)
    merge = tuned(stage, network)
    fitted = train(stage, module_of(stage, network, num_steps=len(order)), data, order, None, bench)
    merge()
    keep(stage, network.model, opened.tokenizer, folder, story_of(stage))
    counts = {"num_rows": len(weights), "num_steps": len(order), "truncated_share": _truncated(rows)}
    write_fitted(folder, fitted, counts)


def _shift(stage: Shift, folder: Path, bench: Bench) -> None:
    """What preference training changed in the supervisor, token by token: two models, one after the other."""
    task: Any = stage.task
    assert stage.source.features is not None, "an implicit reward needs its reference"
    base = stage.source.features.source
    assert isinstance(base, BareModel)
    examples = splits_of(task, stage.labels.split_seed or 0).of(stage.split)

    def read(opened: Opened) -> tuple[CompletionRows, Ragged]:
        rows = completion_rows(examples, task.form, opened.tokenizer, opened.max_length)
        return rows, _each_token(opened, rows, bench)

    rows, after = read(open_fit(stage.source, shape_of(task), bench.store))
    _, before = read(open_bare(base, shape_of(task), bench.store))
    shifts = [one - own for one, own in zip(after, before, strict=True)]
    columns = {name: pa.array(shifts[place::2]) for place, name in enumerate(PLACES)}
    tables.write(folder / SHIFT, {"example_id": list(rows.ids), **columns})
    counts = {"num_rows": len(rows.ids), "num_tokens": int(rows.rows.text_lengths.sum())}
    tables.write_json(folder / tables.METRICS, {**counts, "truncated_share": _truncated(rows)})


def _shift_of(stage: Shift, rows: CompletionRows, store: Store) -> Ragged:
    """A supervisor's shift for every completion of `rows`; raise UserError where it read other tokens."""
    table = tables.read(store.open(stage) / SHIFT)
    order = tables.places(rows.ids, table.column("example_id").to_pylist(), stage.label)
    columns = [table.column(name).to_pylist() for name in PLACES]
    found = [np.array(column[place], dtype=np.float32) for place in order.tolist() for column in columns]
    if [len(one) for one in found] != rows.completion_tokens.reshape(-1).tolist():
        raise UserError(
            f"{stage.label}: the supervisor's completions were cut where the student's are not: both sides need the "
            "same room, so lower fit.max_length"
        )
    return found


def _each_token(opened: Opened, rows: CompletionRows, bench: Bench) -> Ragged:
    network = _scoring(opened).to(bench.device).eval()
    return each_token(network, rows, tokens_per_batch=bench.trainer.tokens_per_batch, device=bench.device)


def _stored(stage: Label, ids: Sequence[str], store: Store) -> LogProbs:
    """A reference's log-probabilities from its label stage, in the order of `ids`."""
    table = tables.read(store.open(stage) / tables.LOG_PROBS)
    order = tables.places(ids, table.column("example_id").to_pylist(), stage.label)
    sums, tokens = (tables.matrix(table, name)[order] for name in ("log_probs", "tokens"))
    return LogProbs(sums.astype(np.float32), tokens.astype(np.int64))


def _scoring(opened: Opened) -> CompletionLogProbs:
    return CompletionLogProbs(opened.network.model, bf16=opened.network.bf16)


def _truncated(rows: CompletionRows) -> float:
    return rows.rows.num_truncated / len(rows.ids)
