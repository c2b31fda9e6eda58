"""The stages of reasoning tasks: solutions are written, selected, learned, paired and judged."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.data import tables
from w2s_lightning.data.batches import plan
from w2s_lightning.data.completions import CompletionRows
from w2s_lightning.data.judged import write_judged_samples, write_judged_solutions
from w2s_lightning.data.module import FitRows
from w2s_lightning.data.solutions import (
    Writing,
    demonstrations,
    problems_of,
    questions_of,
    read_finished,
    read_pairs,
    read_solutions,
    write_samples,
    write_selected,
)
from w2s_lightning.errors import UserError
from w2s_lightning.execute.bench import Bench, keep, story_of, train, tuned
from w2s_lightning.inference.engine import LocalEngine
from w2s_lightning.inference.journal import Journal, resumed
from w2s_lightning.inference.log_probs import CompletionLogProbs, completion_log_probs
from w2s_lightning.inference.samples import Generation, Sample, Tally, refusing_long
from w2s_lightning.models.networks import Network
from w2s_lightning.models.open import Opened, open_bare, open_fit, shape_of
from w2s_lightning.modules.assemble import module_of
from w2s_lightning.modules.contrastive import pair_rows
from w2s_lightning.modules.outputs import write_fitted
from w2s_lightning.modules.solutions import solution_rows
from w2s_lightning.modules.token_distillation import TeacherRows, TopTokens, refuse_other_vocabulary, teacher_rows
from w2s_lightning.recipes.vocabularies import TOKEN_LEVEL
from w2s_lightning.solutions import apply_rule
from w2s_lightning.stage import Stage
from w2s_lightning.stages import BareModel, Evaluate, Fit, Reference, Select, Solve

MAX_TOO_LONG = 0.05  # share of prompts that may be longer than the context


def compute(stage: Stage, folder: Path, bench: Bench) -> None:
    """Write a stage's outputs into `folder`; its parents must be in the store."""
    match stage:
        case Solve():
            _solve(stage, folder, bench)
        case Select():
            _select(stage, folder, bench)
        case Reference():
            _reference(stage, folder, bench)
        case Fit():
            _fit(stage, folder, bench)
        case Evaluate():
            _evaluate(stage, folder, bench)
        case _:
            raise AssertionError(stage)


def _solve(stage: Solve, folder: Path, bench: Bench) -> None:
    opened = _opened(stage.source, stage, bench)
    opened.network.to(bench.device).eval()
    writing, settings = Writing(stage.task, opened.tokenizer), stage.generation
    problems = problems_of(stage.task, stage.split_seed or 0).of(stage.split)
    prompts = writing.prompts(problems, demonstrations(stage.shown, stage.task, bench.store))
    engine = LocalEngine(
        opened.network.model,
        opened.tokenizer,
        max_length=opened.max_length,
        tokens_per_batch=bench.trainer.tokens_per_batch,
        bf16=opened.network.bf16,
    )
    drawing = Generation(
        max_new_tokens=settings.max_new_tokens,
        num_samples=settings.num_samples,
        temperature=settings.temperature,
        top_p=settings.top_p,
        stop=stage.task.stop,
        special_tokens=writing.special_tokens,
        log_probs=False,
        top_log_probs=settings.top_log_probs,
    )
    wanted = len(prompts) * settings.num_samples
    journal = Journal(bench.store.checkpoints(stage) / "samples.jsonl")
    drawn = resumed(engine, prompts, drawing, seed=stage.seed, journal=journal)
    samples = list(_reported(refusing_long(drawn, num_samples=wanted, max_share=MAX_TOO_LONG), wanted, bench))
    write_samples(folder, samples, stage.task)
    tally = Tally.of(samples)
    counts = {"num_rows": wanted, "num_tokens": tally.num_tokens, "num_drawn": tally.num_drawn}
    shares = {"truncated_share": tally.truncated_share, "too_long": tally.num_too_long}
    tables.write_json(folder / tables.METRICS, {**counts, **shares})


def _reported(samples: Iterator[Sample], wanted: int, bench: Bench) -> Iterator[Sample]:
    for number, sample in enumerate(samples, start=1):
        bench.report(number, wanted)
        yield sample


def _select(stage: Select, folder: Path, bench: Bench) -> None:
    sources = [read_solutions(source, stage.task, stage.split_seed, bench.store) for source in stage.sources]
    made = apply_rule(stage.rule, stage.options, stage.seed, sources)
    write_selected(folder, made, len({one.id for one in sources[0]}))


def _reference(stage: Reference, folder: Path, bench: Bench) -> None:
    opened = _opened(stage.source, stage, bench)
    network = _scoring(opened).to(bench.device).eval()
    rows = _pair_rows(stage, opened, bench)
    found = completion_log_probs(network, rows, tokens_per_batch=bench.trainer.tokens_per_batch, device=bench.device)
    columns = {"example_id": list(rows.ids), "log_probs": tables.vectors(found.sums)}
    tables.write(folder / tables.LOG_PROBS, columns)
    tables.write_json(folder / tables.METRICS, {"num_rows": len(rows.ids), "num_tokens": int(rows.lengths.sum())})


def _fit(stage: Fit, folder: Path, bench: Bench) -> None:
    opened = _opened(BareModel(stage.weights, stage.readout, stage.numerics), stage, bench)
    network, data, truncated = _learned(stage, opened, bench)
    order = plan(data.rows.lengths, stage.optimisation.rows_per_step, stage.optimisation.epochs, stage.seed)
    merge = tuned(stage, network)
    fitted = train(stage, module_of(stage, network, num_steps=len(order)), data, order, None, bench)
    merge()
    keep(stage, network.model, opened.tokenizer, folder, story_of(stage))
    counts = {"num_rows": len(data.weights), "num_steps": len(order), "truncated_share": truncated / len(data.weights)}
    write_fitted(folder, fitted, counts)


def _evaluate(stage: Evaluate, folder: Path, bench: Bench) -> None:
    problems = problems_of(stage.task, 0).test
    solutions = read_solutions(stage.answers, stage.task, 0, bench.store)
    if isinstance(stage.answers, Solve) and stage.answers.generation.num_samples > 1:
        write_judged_samples(folder, stage.task, problems, solutions)
        return
    ends = None
    if isinstance(stage.answers, Solve):
        ends = tables.read(bench.store.open(stage.answers) / "solutions.parquet").column("finish").to_pylist()
    write_judged_solutions(folder, stage.task, problems, solutions, ends)


# ---------------------------------------------------------------- parts


def _opened(source: Fit | BareModel, stage: Stage, bench: Bench) -> Opened:
    """The network that a stage starts from or reads."""
    if isinstance(source, Fit):
        return open_fit(source, shape_of(source.task), bench.store)
    task = stage.task if isinstance(stage, Fit | Solve | Reference) else None
    assert task is not None
    dropout = stage.dropout if isinstance(stage, Fit) else 0.0
    return open_bare(source, shape_of(task), bench.store, dropout=dropout)


def _scoring(opened: Opened) -> CompletionLogProbs:
    return CompletionLogProbs(opened.network.model, bf16=opened.network.bf16)


def _learned(stage: Fit, opened: Opened, bench: Bench) -> tuple[Network, FitRows, int]:
    """What is trained, on which rows, and how many of these were cut."""
    if isinstance(stage.targets, Reference):
        rows = _pair_rows(stage.targets, opened, bench)
        data = pair_rows(rows, _stored_log_probs(stage.targets, rows.ids, bench), _ones(rows))
        return _scoring(opened), data, rows.rows.num_truncated
    if isinstance(stage.targets, Solve) and stage.targets.generation.top_log_probs:
        return _distilled(stage, stage.targets, opened, bench)
    writing = Writing(stage.task, opened.tokenizer)
    found = read_finished(stage.targets, stage.task, stage.split_seed, bench.store)
    if not found:
        raise UserError(
            f"{stage.label}: no solution is left to train on, since none was brought to an end: give more room "
            "(generation.max_new_tokens), or train longer whoever wrote them (+fit.floor.epochs=...)"
        )
    questions = questions_of(stage.task, stage.split_seed, stage.targets.split)
    rows = writing.rows([(one.id, (one.text,)) for one in found], questions, opened.max_length)
    return _scoring(opened), solution_rows(rows, _ones(rows)), rows.rows.num_truncated


def _distilled(stage: Fit, targets: Solve, opened: Opened, bench: Bench) -> tuple[Network, FitRows, int]:
    refuse_other_vocabulary(targets.source, opened.tokenizer, bench.store, TOKEN_LEVEL)
    writing = Writing(stage.task, opened.tokenizer)
    problems = problems_of(stage.task, stage.split_seed).of(targets.split)
    table = tables.read(bench.store.open(targets) / "solutions.parquet")
    prompts = {prompt.id: prompt.text for prompt in writing.prompts(problems, ())}
    data = teacher_rows(
        table, prompts, opened.tokenizer, special_tokens=writing.special_tokens, max_length=opened.max_length
    )
    assert isinstance(data.rows, TeacherRows)
    return TopTokens(opened.network.model, bf16=opened.network.bf16), data, data.rows.num_left_out


def _pair_rows(stage: Reference, opened: Opened, bench: Bench) -> CompletionRows:
    pairs = read_pairs(stage.pairs, bench.store)
    task = stage.pairs.task
    questions = questions_of(task, stage.pairs.split_seed, stage.split)
    written = [(pair.id, (pair.chosen.text, pair.rejected.text)) for pair in pairs]
    return Writing(task, opened.tokenizer).rows(written, questions, opened.max_length)


def _stored_log_probs(stage: Reference, ids: Sequence[str], bench: Bench) -> NDArray[np.float32]:
    """The reference's log-probabilities [num_pairs, 2]; a question may stand in several pairs, so rows keep order."""
    table = tables.read(bench.store.open(stage) / tables.LOG_PROBS)
    assert table.column("example_id").to_pylist() == list(ids), "the reference saw other pairs"
    return tables.matrix(table, "log_probs").astype(np.float32)


def _ones(rows: CompletionRows) -> NDArray[np.float32]:
    return np.ones(len(rows.ids), np.float32)
