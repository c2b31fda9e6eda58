"""Targets made from targets, by a rule of `selection`: no network, no gold but where a rule says so."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from w2s_lightning.data import tables
from w2s_lightning.data.model_texts import splits_of
from w2s_lightning.models.device import Resources
from w2s_lightning.results import stored
from w2s_lightning.selection import Pair, SelectedPairs, Solutions, TargetTable, apply_rule
from w2s_lightning.stages import Select


def compute(stage: Select, folder: Path, resources: Resources) -> None:
    """Write the selected targets, and how many are left, into `folder`; its sources must be in the store."""
    task, seed, store = stage.task, stage.split_seed, resources.store
    if task.kind == "reasoning":
        written = [tables.read_solutions(source, task, seed, store) for source in stage.sources]
        made = apply_rule(stage.rule, stage.options, stage.seed, written)
        assert not isinstance(made, TargetTable)
        _write_solutions(folder, made, len({one.id for one in written[0]}))
        return
    examples = splits_of(task, seed).of(stage.split)
    sources = [tables.read_targets(source, examples, task, store) for source in stage.sources]
    table = apply_rule(stage.rule, stage.options, stage.seed, sources)
    assert isinstance(table, TargetTable)
    probs = tables.vectors(np.asarray(table.probs, np.float64))
    columns = {"example_id": table.ids, "probs": probs, "weight": np.asarray(table.weights, np.float64)}
    tables.write(folder / stored.TARGETS, columns)
    before, kept = len(sources[0].ids), len(table.ids)
    tables.write_json(folder / stored.METRICS, {"num_rows": before, "kept": kept, "kept_share": kept / before})


def _write_solutions(folder: Path, made: Solutions | SelectedPairs, num_questions: int) -> None:
    """solutions.parquet or pairs.parquet, and how many of the questions are left."""
    if isinstance(made, SelectedPairs):
        kept, rows = {pair.id for pair in made.pairs}, len(made.pairs)
        skipped: Mapping[str, int] = made.skipped
        tables.write(folder / stored.PAIRS, _pair_columns(made.pairs))
    else:
        kept, rows, skipped = {one.id for one in made}, len(made), {}
        columns = {
            "example_id": [one.id for one in made],
            "text": [one.text for one in made],
            "answer": pa.array([one.answer for one in made], pa.string()),
        }
        tables.write(folder / stored.SOLUTIONS, columns)
    counts = {"num_questions": num_questions, "kept": len(kept), "kept_share": len(kept) / num_questions}
    tables.write_json(folder / stored.METRICS, {**counts, "num_rows": rows, "skipped": dict(skipped)})


def _pair_columns(pairs: Sequence[Pair]) -> dict[str, object]:
    return {
        "example_id": [pair.id for pair in pairs],
        "chosen": [pair.chosen.text for pair in pairs],
        "rejected": [pair.rejected.text for pair in pairs],
        "chosen_answer": pa.array([pair.chosen.answer for pair in pairs], pa.string()),
        "rejected_answer": pa.array([pair.rejected.answer for pair in pairs], pa.string()),
        "confidence": [pair.confidence for pair in pairs],
        "weak_is_chosen": [pair.weak_is_chosen for pair in pairs],
    }
