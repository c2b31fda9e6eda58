"""What a model answers to the examples of one split: class probabilities, rewards, features, log-probabilities, or
solutions that it writes. Stored by example id, for fits to learn from and for evaluations to judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import softmax

from w2s_lightning.data import tables
from w2s_lightning.data.model_texts import QuestionWriter, completion_rows, questions_of, rows_of, splits_of
from w2s_lightning.data.rows import Ragged, Rows
from w2s_lightning.errors import UserError
from w2s_lightning.generate.engine import LocalEngine, resumed
from w2s_lightning.generate.samples import Generation, Journal, Prompt, Sample
from w2s_lightning.generate.scoring import score, token_log_probs
from w2s_lightning.models.device import Resources
from w2s_lightning.models.load import Opened, open_model
from w2s_lightning.models.networks import CompletionLogProbs
from w2s_lightning.objectives import implied_rewards
from w2s_lightning.results import stored
from w2s_lightning.stages import BareModel, Fit, Label
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import FINISHED, Example
from w2s_lightning.tasks.task import Task

MAX_TOO_LONG = 0.05  # share of prompts that may be longer than the context
SHIFT = "shift.parquet"
TOKENS_WRITTEN = 16_384  # rows times the longest, on any device: a step of writing reads one token a row
PLACES = ("first", "second")  # a pair's completions in the order of its options


def compute(stage: Label, folder: Path, resources: Resources) -> None:
    """Write the stage's answers and counts into `folder`; its parents must be in the store."""
    match stage.mode:
        case "solutions":
            _solutions(stage, folder, resources)
        case "shift":
            _shift(stage, folder, resources)
        case _:
            _label(stage, folder, resources)


def _label(stage: Label, folder: Path, resources: Resources) -> None:
    examples = splits_of(stage.task, stage.split_seed or 0).of(stage.split)
    model = open_model(stage.source, stage.task, resources.store)
    implicit = stage.source.readout.kind == "implicit"
    if stage.pairs is not None:
        rows = rows_of_pairs(stage, model, resources.store)
    elif stage.features is not None:
        rows = tables.feature_rows(examples, stage.features, resources.store)
    else:
        rows = rows_of(stage.task, examples, model, implicit=implicit)
    match stage.mode:
        case "log_probs":
            columns = {"log_probs": tables.vectors(_log_probs(model, rows, resources))}
            columns["tokens"] = tables.vectors(rows.completion_tokens)
            tables.write(folder / tables.LOG_PROBS, {"example_id": list(rows.ids), **columns})
        case "features":
            model.network.to(resources.device).eval()
            found = tables.vectors(score(model.classifier.features, rows, **resources.pace))
            tables.write(folder / tables.FEATURES, {"example_id": list(rows.ids), "features": found})
        case _ if implicit:
            _write_answers(folder, examples, _rewards(stage, rows, _log_probs(model, rows, resources), resources))
        case _:
            network = model.network if stage.features is None else model.classifier.head
            _write_answers(folder, examples, score(network.to(resources.device).eval(), rows, **resources.pace))
    _write_counts(folder, rows)


def rows_of_pairs(stage: Label, model: Opened, store: Store) -> Rows:
    """Pairs of solutions after their questions, the chosen one first."""
    assert stage.pairs is not None
    questions = questions_of(stage.task, stage.pairs.split_seed, stage.split)
    written = [(pair.id, (pair.chosen, pair.rejected)) for pair in stored.read_pairs(store, stage.pairs)]
    return QuestionWriter(stage.task.format, model.tokenizer).rows(written, questions, model.max_length)


def _log_probs(model: Opened, rows: Rows, resources: Resources) -> NDArray[np.float32]:
    return score(_completion_network(model, resources), rows, **resources.pace)


def every_token(model: Opened, rows: Rows, resources: Resources) -> Ragged:
    """The model's log-probability of every token of the rows' completions."""
    return token_log_probs(_completion_network(model, resources), rows, **resources.pace)


def _completion_network(model: Opened, resources: Resources) -> CompletionLogProbs:
    return CompletionLogProbs(model.network.model, bf16=model.network.bf16).to(resources.device).eval()


def _rewards(stage: Label, rows: Rows, own: NDArray[np.float32], resources: Resources) -> NDArray[np.float32]:
    """A fit's rewards are those that its objective trains, against `stage.reference`; an untuned model
    has none to differ from, and its own log-probabilities stand for rewards (reference-free)."""
    if stage.reference is None or not isinstance(stage.source, Fit):
        return own
    reference = tables.stored_log_probs(stage.reference, rows.ids, resources.store)
    objective = stage.source.objective
    return implied_rewards(
        objective.target, objective.options, log_probs=own, reference=reference, tokens=rows.completion_tokens
    )


def _shift(stage: Label, folder: Path, resources: Resources) -> None:
    """What preference training changed in the supervisor, token by token: two models, one after the other."""
    task: Any = stage.task
    assert isinstance(stage.source, Fit), "an untuned model has not been changed"
    reference = stage.source.targets["reference"]
    assert isinstance(reference, Label)
    examples = splits_of(task, stage.split_seed or 0).of(stage.split)

    def read(source: Fit | BareModel) -> tuple[Rows, Ragged]:
        model = open_model(source, task, resources.store)
        rows = completion_rows(examples, task.format, model.tokenizer, model.max_length)
        return rows, every_token(model, rows, resources)

    rows, after = read(stage.source)
    _, before = read(reference.source)
    shifts = [one - own for one, own in zip(after, before, strict=True)]
    columns = {name: pa.array(shifts[place::2]) for place, name in enumerate(PLACES)}
    tables.write(folder / SHIFT, {"example_id": list(rows.ids), **columns})
    _write_counts(folder, rows)


def _solutions(stage: Label, folder: Path, resources: Resources) -> None:
    assert stage.generation is not None
    assert stage.seed is not None
    model = open_model(stage.source, stage.task, resources.store)
    model.network.to(resources.device).eval()
    writer = QuestionWriter(stage.task.format, model.tokenizer)
    shown = tables.demonstrations(stage.shown, stage.task, resources.store)
    problems = splits_of(stage.task, stage.split_seed or 0).of(stage.split)
    prompts = [Prompt(problem.id, writer.prompt(problem.question, shown)) for problem in problems]
    engine = LocalEngine(
        model.network.model,
        model.tokenizer,
        max_length=model.max_length,
        tokens_per_batch=resources.trainer.tokens_per_batch or TOKENS_WRITTEN,
        bf16=model.network.bf16,
    )
    drawing = Generation(**vars(stage.generation), stop=stage.task.format.stop, special_tokens=writer.special_tokens)
    wanted = len(prompts) * stage.generation.num_samples
    journal = Journal(resources.store.checkpoints(stage) / "samples.jsonl")
    drawn = resumed(engine, prompts, drawing, seed=stage.seed, journal=journal)
    samples: list[Sample] = []
    too_long = 0
    for sample in drawn:
        samples.append(sample)
        too_long += sample.finish == "too_long"
        if too_long > MAX_TOO_LONG * wanted:  # they come first, so this stops before anything is computed
            raise UserError(
                f"more than {MAX_TOO_LONG:.0%} of the prompts are longer than the model's context (example "
                f"{sample.id}: {sample.prompt_tokens} tokens or more): use fewer demonstrations, a larger "
                "fit.max_length or another model"
            )
        resources.report(len(samples), wanted)
    _write_samples(folder, samples, stage.task)
    cut = sum(sample.finish == "length" for sample in samples)
    counts = {
        "num_rows": wanted,
        "num_tokens": sum(len(sample.tokens) for sample in samples),
        "num_drawn": sum(sample.num_drawn for sample in samples),  # what was cut off counts too
        "truncated_share": cut / max(1, len(samples) - too_long),
        "too_long": too_long,
    }
    tables.write_json(folder / stored.METRICS, counts)


# ---------------------------------------------------------------- what is left in the store


def _write_answers(folder: Path, examples: Sequence[Example], logits: NDArray[np.float32]) -> None:
    """predictions.parquet: fp32 logits [n, K] and their float64 probabilities; UserError where these are no numbers."""
    probs = softmax(logits.astype(np.float64), axis=1)
    lost = np.flatnonzero(~np.isfinite(probs).all(axis=1))
    if len(lost):
        raise UserError(
            f"the model's answers to {len(lost)} of {len(examples)} examples are no numbers (the first: "
            f"{examples[lost[0]].id}): its weights are too large for fp32, or not those of a trained model"
        )
    columns = {
        "example_id": [example.id for example in examples],
        "group_id": [example.group for example in examples],
        "logits": tables.vectors(logits),
        "probs": tables.vectors(probs),
    }
    tables.write(folder / stored.PREDICTIONS, columns)


def _write_samples(folder: Path, samples: Sequence[Sample], task: Task) -> None:
    """solutions.parquet: one row a sample, sorted by problem and number; token columns where top tokens were drawn."""
    ordered = sorted(samples, key=lambda sample: (sample.id, sample.number))
    answers = [task.key.parse(sample.text) if sample.finish in FINISHED else None for sample in ordered]
    columns: dict[str, object] = {
        "example_id": [sample.id for sample in ordered],
        "number": [sample.number for sample in ordered],
        "text": [sample.text for sample in ordered],
        "answer": pa.array(answers, pa.string()),
        "finish": [sample.finish for sample in ordered],
        "num_drawn": [sample.num_drawn for sample in ordered],
    }
    if any(sample.top_ids is not None for sample in ordered):
        columns["tokens"] = [sample.tokens for sample in ordered]
        columns["top_ids"] = [sample.top_ids or [] for sample in ordered]
        columns["top_log_probs"] = [sample.top_log_probs or [] for sample in ordered]
    tables.write(folder / stored.SOLUTIONS, columns)


def _write_counts(folder: Path, rows: Rows) -> None:
    counts = {"num_rows": len(rows.ids), "num_tokens": rows.num_tokens(np.arange(len(rows.ids)))}
    tables.write_json(folder / stored.METRICS, {**counts, "truncated_share": rows.truncated_share})
