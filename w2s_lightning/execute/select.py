"""Targets made from targets, by a rule of `selection`: no network, no gold but where a rule says so."""

from pathlib import Path

import numpy as np

from w2s_lightning.data import tables
from w2s_lightning.data.solutions import read_solutions, write_selected
from w2s_lightning.data.targets import read_sources
from w2s_lightning.execute.resources import Resources
from w2s_lightning.selection import TargetTable, apply_rule
from w2s_lightning.stages import Select


def compute(stage: Select, folder: Path, resources: Resources) -> None:
    """Write the selected targets, and how many are left, into `folder`; its sources must be in the store."""
    if stage.task.kind == "reasoning":
        written = [read_solutions(source, stage.task, stage.split_seed, resources.store) for source in stage.sources]
        made = apply_rule(stage.rule, stage.options, stage.seed, written)
        assert not isinstance(made, TargetTable)
        write_selected(folder, made, len({one.id for one in written[0]}))
        return
    sources = read_sources(stage, resources.store)
    table = apply_rule(stage.rule, stage.options, stage.seed, sources)
    assert isinstance(table, TargetTable)
    probs = tables.vectors(np.asarray(table.probs, np.float64))
    columns = {"example_id": table.ids, "probs": probs, "weight": np.asarray(table.weights, np.float64)}
    tables.write(folder / tables.TARGETS, columns)
    before, kept = len(sources[0].ids), len(table.ids)
    tables.write_json(folder / tables.METRICS, {"num_rows": before, "kept": kept, "kept_share": kept / before})
