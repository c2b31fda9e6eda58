"""Solutions to `test` beside gold: right or wrong, strictly and flexibly read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from w2s_lightning.data import tables
from w2s_lightning.data.tables import places
from w2s_lightning.tasks.example import Example, Solution
from w2s_lightning.tasks.task import ReasoningTask


def write_judged_solutions(
    folder: Path,
    task: ReasoningTask,
    problems: Sequence[Example],
    solutions: Sequence[Solution],
    ends: Sequence[str] | None,
) -> None:
    """predictions.parquet (one row a problem, one solution each) and metrics.json; `ends` says how each text ended."""
    order = places([one.id for one in problems], [one.id for one in solutions], "solutions to test")
    texts = [solutions[place].text for place in order]
    verdicts = task.grade([str(one.gold) for one in problems], texts)
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


def write_judged_samples(
    folder: Path, task: ReasoningTask, problems: Sequence[Example], samples: Sequence[Solution]
) -> None:
    """predictions.parquet (one row a sample, several a problem) and metrics.json.

    What was cut off has no answer and is wrong here, as in the votes that select solutions.
    """
    by_id = {one.id: one for one in problems}
    verdicts = task.grade([str(by_id[one.id].gold) for one in samples], [one.text for one in samples])
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
