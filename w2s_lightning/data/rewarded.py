"""Rows beside the rewards that a model gave them: a benchmark's wins."""

from pathlib import Path

import numpy as np

from w2s_lightning.data import tables
from w2s_lightning.metrics.rewardbench import overall, section_scores, subset_accuracy, wins
from w2s_lightning.stages import Label
from w2s_lightning.store import Store
from w2s_lightning.tasks.reward_set_task import RewardSetTask


def write_wins(folder: Path, task: RewardSetTask, answers: Label, store: Store) -> None:
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
