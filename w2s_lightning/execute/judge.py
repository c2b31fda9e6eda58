"""Answers to `test` or to a benchmark beside gold: right or wrong, and figures of the whole. Opens no model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from w2s_lightning.data import tables
from w2s_lightning.data.choices import splits_of
from w2s_lightning.data.solutions import SOLUTIONS, problems_of, read_solutions
from w2s_lightning.data.targets import aligned, read_targets, with_targets
from w2s_lightning.execute.resources import Resources
from w2s_lightning.metrics import choice as metrics
from w2s_lightning.metrics.sections import overall, section_scores, subset_accuracy, wins
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
        _write_wins(folder, stage.task, stage.answers, store)
    elif stage.task.kind == "reasoning":
        problems = problems_of(stage.task, 0).test
        found = read_solutions(stage.answers, stage.task, 0, store)
        written = stage.answers.generation if isinstance(stage.answers, Label) else None
        if written is not None and written.num_samples > 1:
            _write_samples(folder, stage.task, problems, found)
            return
        ends = None
        if isinstance(stage.answers, Label):
            ends = tables.read(store.open(stage.answers) / SOLUTIONS).column("finish").to_pylist()
        _write_solutions(folder, stage.task, problems, found, ends)
    else:
        examples = splits_of(stage.task, 0).test
        table = read_targets(stage.answers, examples, stage.task, store)
        judged = with_targets(examples, table, stage.label)
        probs, _ = aligned([example.id for example in examples], table, "soft", stage.label)
        _write_choices(folder, judged, probs)


def _write_choices(folder: Path, examples: Sequence[Example], probs: NDArray[np.float64]) -> None:
    """predictions.parquet beside gold, and metrics.json."""
    gold = np.array([example.label for example in examples])
    predicted = probs.argmax(axis=1)
    columns = {
        "example_id": [example.id for example in examples],
        "group_id": [example.group for example in examples],
        "gold": gold,
        "prediction": predicted,
        "correct": predicted == gold,
        "probs": tables.vectors(probs),
        "difficulty": [example.difficulty for example in examples],
    }
    tables.write(folder / tables.PREDICTIONS, columns)
    scores = {
        "num_rows": len(gold),
        "accuracy": metrics.accuracy(probs, gold),
        "auroc": metrics.auroc(probs[:, 1], gold) if probs.shape[1] == 2 else None,
        "log_loss": float(metrics.log_loss(probs, gold).mean()),
        "brier": float(metrics.brier(probs, gold).mean()),
        "ece": metrics.calibration(probs, gold).ece,
    }
    tables.write_json(folder / tables.METRICS, scores)


def _write_wins(folder: Path, task: RewardSetTask, answers: Label, store: Store) -> None:
    """predictions.parquet (a row a pair; a tie is no win) and metrics.json, from the rewards in `answers`.

    Raises UserError for a reward that is no number, naming its row.
    """
    rows = task.rows()
    table = tables.read(store.open(answers) / tables.PREDICTIONS)
    order = tables.places([pair.id for pair in rows.pairs], table.column("example_id").to_pylist(), answers.label)
    rewards, probs = tables.matrix(table, "logits")[order], tables.matrix(table, "probs")[order]
    gold = np.array([pair.label for pair in rows.pairs])
    each = np.arange(len(gold))
    won = wins(rewards[each, gold], rewards[each, 1 - gold], rows.places)
    columns = {
        "example_id": [pair.id for pair in rows.pairs],
        "group_id": [pair.group for pair in rows.pairs],
        "subset": list(rows.subsets),
        "gold": gold,
        "prediction": np.where(won > 0, gold, 1 - gold),
        "correct": won > 0,
        "rewards": tables.vectors(rewards),
        "probs": tables.vectors(probs),
        "difficulty": [pair.difficulty for pair in rows.pairs],
    }
    tables.write(folder / tables.PREDICTIONS, columns)
    subsets = subset_accuracy(won, rows.subsets)
    sections = section_scores(subsets)
    scores = {"num_rows": len(won), "accuracy": float(won.mean()), "subsets": subsets, "sections": sections}
    total = {"overall": overall(sections) if sections else None, "left_out": list(rows.notices)}
    tables.write_json(folder / tables.METRICS, {**scores, **total})


def _write_solutions(
    folder: Path,
    task: Task,
    problems: Sequence[Example],
    solutions: Sequence[Solution],
    ends: Sequence[str] | None,
) -> None:
    """predictions.parquet (one row a problem, one solution each) and metrics.json; `ends` says how each text ended."""
    order = tables.places([one.id for one in problems], [one.id for one in solutions], "solutions to test")
    texts = [solutions[place].text for place in order]
    verdicts = task.key.grade([str(one.gold) for one in problems], texts)
    finish = None if ends is None else [ends[place] for place in order]
    columns: dict[str, object] = {
        "example_id": [one.id for one in problems],
        "group_id": [one.group for one in problems],
        "gold": [str(one.gold) for one in problems],
        "prediction": pa.array([verdict.answer for verdict in verdicts], pa.string()),
        "correct": [verdict.flexible for verdict in verdicts],
        "strict": [verdict.strict for verdict in verdicts],
        "trouble": pa.array([verdict.trouble for verdict in verdicts], pa.string()),
        "solution": texts,
        "finish": pa.array(finish or [None] * len(texts), pa.string()),
        "difficulty": [one.difficulty for one in problems],
    }
    tables.write(folder / tables.PREDICTIONS, columns)
    troubles = [verdict.trouble for verdict in verdicts]
    scores = {
        "num_rows": len(problems),
        "accuracy": float(np.mean([verdict.flexible for verdict in verdicts])),
        "strict_accuracy": float(np.mean([verdict.strict for verdict in verdicts])),
        "unparsed_share": troubles.count("unparsed") / len(problems),
        "timed_out_share": troubles.count("timed_out") / len(problems),
        "truncated_share": None if finish is None else finish.count("length") / len(problems),
    }
    tables.write_json(folder / tables.METRICS, scores)


def _write_samples(folder: Path, task: Task, problems: Sequence[Example], samples: Sequence[Solution]) -> None:
    """predictions.parquet (one row a sample, several a problem) and metrics.json.

    What was cut off has no answer and is wrong here, as in the votes that select solutions.
    """
    by_id = {one.id: one for one in problems}
    verdicts = task.key.grade([str(by_id[one.id].gold) for one in samples], [one.text for one in samples])
    right = [verdict.flexible and one.answer is not None for verdict, one in zip(verdicts, samples, strict=True)]
    columns: dict[str, object] = {
        "example_id": [one.id for one in samples],
        "group_id": [by_id[one.id].group for one in samples],
        "gold": [str(by_id[one.id].gold) for one in samples],
        "prediction": pa.array([one.answer for one in samples], pa.string()),
        "correct": right,
    }
    tables.write(folder / tables.PREDICTIONS, columns)
    tables.write_json(folder / tables.METRICS, {"num_rows": len(samples), "accuracy": float(np.mean(right))})
