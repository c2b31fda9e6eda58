"""Targets made from targets, by a rule of `selection`: no network, no gold but where a rule says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from w2s_lightning.data import tables
from w2s_lightning.data.model_texts import splits_of
from w2s_lightning.models.device import Resources
from w2s_lightning.results import stored
from w2s_lightning.selection import SelectedPairs, TargetTable, apply_rule
from w2s_lightning.stages import Select


def compute(stage: Select, folder: Path, resources: Resources) -> None:
    """Write the selected targets, and how many are left, into `folder`; its sources must be in the store."""
    task, seed, store = stage.task, stage.split_seed, resources.store
    sources: list[Any]
    if task.kind == "reasoning":
        sources = [tables.read_solutions(source, task, seed, store) for source in stage.sources]
        before = {"num_questions": len({one.id for one in sources[0]})}
    else:
        examples = splits_of(task, seed).of(stage.split)
        sources = [tables.read_targets(source, examples, task, store) for source in stage.sources]
        before = {"num_rows": len(sources[0].ids)}
    columns: dict[str, object]
    skipped: Any = {}
    match apply_rule(stage.rule, stage.options, stage.seed, sources):
        case TargetTable(ids=ids, probs=probs, weights=weights):
            name = stored.TARGETS
            columns = {
                "probs": tables.vectors(np.asarray(probs, np.float64)),
                "weight": np.asarray(weights, np.float64),
            }
        case SelectedPairs(pairs=pairs, skipped=skipped):
            name, ids = stored.PAIRS, tuple(pair.id for pair in pairs)
            columns = {
                "chosen": [pair.chosen.text for pair in pairs],
                "rejected": [pair.rejected.text for pair in pairs],
                "chosen_answer": pa.array([pair.chosen.answer for pair in pairs], pa.string()),
                "rejected_answer": pa.array([pair.rejected.answer for pair in pairs], pa.string()),
                "confidence": [pair.confidence for pair in pairs],
                "weak_is_chosen": [pair.weak_is_chosen for pair in pairs],
            }
        case solutions:
            name, ids = stored.SOLUTIONS, tuple(one.id for one in solutions)
            answers = pa.array([one.answer for one in solutions], pa.string())
            columns = {"text": [one.text for one in solutions], "answer": answers}
    tables.write(folder / name, {"example_id": ids, **columns})
    kept = len(set(ids))  # of questions: one may have several solutions
    counts = {**before, "kept": kept, "kept_share": kept / next(iter(before.values()))}
    of_texts = {"num_rows": len(ids), "skipped": dict(skipped)} if task.kind == "reasoning" else {}
    tables.write_json(folder / stored.METRICS, {**counts, **of_texts})
