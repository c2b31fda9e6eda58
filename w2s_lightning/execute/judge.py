"""Answers to `test` or to a benchmark beside gold: right or wrong, and figures of the whole. Opens no model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from w2s_lightning.data import tables
from w2s_lightning.data.model_texts import splits_of
from w2s_lightning.metrics import choice as metrics
from w2s_lightning.metrics.sections import overall, section_scores, subset_accuracy, wins
from w2s_lightning.models.device import Resources
from w2s_lightning.results import stored
from w2s_lightning.stages import Evaluate, Label
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import Example, Solution
from w2s_lightning.tasks.reward_sets import RewardSetTask
from w2s_lightning.tasks.task import Task


def compute(stage: Evaluate, folder: Path, resources: Resources) -> None:
    """Write predictions.parquet and metrics.json into `folder`; the answers must be in the store."""
    store = resources.store
    if isinstance(stage.task, RewardSetTask):
        assert isinstance(stage.answers, Label), "only models are judged on a benchmark"
        _wins(folder, stage.task, stage.answers, store)
    elif stage.task.kind == "reasoning":
        problems, written = splits_of(stage.task, 0).test, tables.read_solutions(stage.answers, stage.task, 0, store)
        drawn = stage.answers.generation if isinstance(stage.answers, Label) else None
        judge = _samples if drawn is not None and drawn.num_samples > 1 else _solutions
        judge(folder, stage.task, problems, written)
    else:
        examples = splits_of(stage.task, 0).test
        table = tables.read_targets(stage.answers, examples, stage.task, store)
        judged = tables.with_targets(examples, table, stage.label)
        probs, _ = tables.aligned([example.id for example in examples], table, "soft", stage.label)
        _choices(folder, judged, probs)


def _choices(folder: Path, examples: Sequence[Example], probs: NDArray[np.float64]) -> None:
    gold, predicted = np.array([example.label for example in examples]), probs.argmax(axis=1)
    scores = {
        "auroc": metrics.auroc(probs[:, 1], gold) if probs.shape[1] == 2 else None,
        "log_loss": float(metrics.log_loss(probs, gold).mean()),
        "brier": float(metrics.brier(probs, gold).mean()),
        "ece": metrics.calibration(probs, gold).ece,
    }
    _write(folder, examples, predicted, predicted == gold, {"probs": tables.vectors(probs)}, scores)


def _wins(folder: Path, task: RewardSetTask, answers: Label, store: Store) -> None:
    """A row a pair: a tie is no win. Raises UserError for a reward that is no number, naming its row."""
    rows = task.rows()
    table = tables.read(store.open(answers) / stored.PREDICTIONS)
    order = tables.places([pair.id for pair in rows.pairs], table.column("example_id").to_pylist(), answers.label)
    rewards, probs = stored.matrix(table, "logits")[order], stored.matrix(table, "probs")[order]
    gold = np.array([pair.label for pair in rows.pairs])
    each = np.arange(len(gold))
    won = wins(rewards[each, gold], rewards[each, 1 - gold], rows.places)
    subsets = subset_accuracy(won, rows.subsets)
    sections = section_scores(subsets)
    columns = {
        "subset": list(rows.subsets),
        "rewards": tables.vectors(rewards),
        "probs": tables.vectors(probs),
    }
    scores = {
        "subsets": subsets,
        "sections": sections,
        "overall": overall(sections) if sections else None,
        "left_out": list(rows.notices),
    }
    _write(folder, rows.pairs, np.where(won > 0, gold, 1 - gold), won > 0, columns, scores)


def _solutions(folder: Path, task: Task, problems: Sequence[Example], solutions: Sequence[Solution]) -> None:
    """One solution to each problem."""
    order = tables.places([one.id for one in problems], [one.id for one in solutions], "solutions to test")
    written = [solutions[place] for place in order]
    verdicts, finish = task.key.grade([str(one.gold) for one in problems], written), [one.finish for one in written]
    strict, troubles = [one.strict for one in verdicts], [one.trouble for one in verdicts]
    columns = {
        "strict": strict,
        "trouble": pa.array(troubles, pa.string()),
        "solution": [one.text for one in written],
        "finish": pa.array(finish, pa.string()),
    }
    scores = {
        "strict_accuracy": float(np.mean(strict)),
        "unparsed_share": troubles.count("unparsed") / len(problems),
        "timed_out_share": troubles.count("timed_out") / len(problems),
        "truncated_share": None if None in finish else finish.count("length") / len(problems),
    }
    answers = pa.array([one.answer for one in verdicts], pa.string())
    _write(folder, problems, answers, [one.flexible for one in verdicts], columns, scores)


def _samples(folder: Path, task: Task, problems: Sequence[Example], samples: Sequence[Solution]) -> None:
    """Several solutions to each problem, a row each, judged as a single one is."""
    by_id = {one.id: one for one in problems}
    asked = [by_id[one.id] for one in samples]
    verdicts = task.key.grade([str(one.gold) for one in asked], samples)
    answers = pa.array([one.answer for one in verdicts], pa.string())
    _write(folder, asked, answers, [one.flexible for one in verdicts], {}, {})


def _write(
    folder: Path,
    examples: Sequence[Example],
    predictions: Any,
    correct: Sequence[bool] | NDArray[np.bool_],
    columns: Mapping[str, object],
    scores: Mapping[str, object],
) -> None:
    """predictions.parquet, a row an answer beside gold, and metrics.json; with what only this kind of answer has."""
    shared = {
        "example_id": [one.id for one in examples],
        "group_id": [one.group for one in examples],
        "gold": [one.gold for one in examples],
        "prediction": predictions,
        "correct": correct,
        "difficulty": [one.difficulty for one in examples],
    }
    tables.write(folder / stored.PREDICTIONS, {**shared, **columns})
    total = {"num_rows": len(examples), "accuracy": float(np.mean(correct))}
    tables.write_json(folder / stored.METRICS, {**total, **scores})
