"""Solutions to `test` beside gold: right or wrong, strictly and flexibly read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from w2s_lightning.data import tables
from w2s_lightning.data.tables import places
from w2s_lightning.tasks.problems import Problem, ReasoningTask, Solution


def write_judged_solutions(
    folder: Path,
    task: ReasoningTask,
    problems: Sequence[Problem],
    solutions: Sequence[Solution],
    ends: Sequence[str] | None,
) -> None:
    """predictions.parquet (one row a problem, one solution each) and metrics.json; `ends` says how each text ended."""
    order = places([one.id for one in problems], [one.id for one in solutions], "solutions to test")
    texts = [solutions[place].text for place in order]
    verdicts = task.grade([one.answer for one in problems], texts)
    finish = None if ends is None else [ends[place] for place in order]
    columns: dict[str, object] = {
        "example_id": [one.id for one in problems],
        "group_id": [one.group for one in problems],
        "gold": [one.answer for one in problems],
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
