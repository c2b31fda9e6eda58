"""Language modelling on a task's texts without their labels: what student and ceiling may start from.

Burns et al. 2023 (arXiv 2312.09390, section 5.2.2) fine-tune the strong model on all completions of the comparison
data, the better and the worse ones alike, before it sees a label; the ceiling too, the weak supervisor not.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from w2s_lightning.data.batches import plan
from w2s_lightning.data.choices import splits_of, token_rows
from w2s_lightning.data.completions import CompletionRows
from w2s_lightning.data.pairs import completion_rows
from w2s_lightning.execute.bench import Bench, keep, train, tuned
from w2s_lightning.inference.log_probs import CompletionLogProbs
from w2s_lightning.models.open import Opened, open_bare, shape_of
from w2s_lightning.modules.assemble import module_of
from w2s_lightning.modules.outputs import write_fitted
from w2s_lightning.modules.solutions import solution_rows
from w2s_lightning.stage import Stage
from w2s_lightning.stages import BareModel, Fit, Task
from w2s_lightning.tasks.example import Example


def compute(stage: Stage, folder: Path, bench: Bench) -> None:
    """Train on every text of the split; the mean loss per token, prompts included."""
    assert isinstance(stage, Fit)
    bare = BareModel(stage.weights, stage.readout, stage.numerics)
    opened = open_bare(bare, shape_of(stage.task), bench.store, dropout=stage.dropout)
    rows = _whole_texts(stage.task, splits_of(stage.task, stage.split_seed).of(stage.targets.split), opened)
    data = solution_rows(rows, np.ones(len(rows.ids), np.float32))
    order = plan(rows.lengths, stage.optimisation.rows_per_step, stage.optimisation.epochs, stage.seed)
    network = CompletionLogProbs(opened.network.model, bf16=opened.network.bf16)
    merge = tuned(stage, network)
    fitted = train(stage, module_of(stage, network, num_steps=len(order)), data, order, None, bench)
    merge()
    story = f"`{stage.name}` after language modelling on the texts of the task `{stage.task.name}`, without labels."
    keep(stage, network.model, opened.tokenizer, folder, story)
    shares = {"truncated_share": rows.rows.num_truncated / len(rows.ids)}
    write_fitted(folder, fitted, {"num_rows": len(rows.ids), "num_steps": len(order), **shares})


def _whole_texts(task: Task, examples: Sequence[Example], opened: Opened) -> CompletionRows:
    """Each text of the examples as a row of its own, learned from its second token on.

    Pairs are written as an implicit reward reads them, with an end-of-text token; texts of a choice task go on (with a
    verdict), so they have none.
    """
    if task.kind == "preference":
        rows = completion_rows(examples, task.form, opened.tokenizer, opened.max_length).rows
    else:
        rows = token_rows(examples, opened.tokenizer, opened.max_length)
    ids = tuple(f"{id}/{number}" for id in rows.ids for number in range(rows.texts_per_row))
    return CompletionRows(replace(rows, ids=ids, texts_per_row=1), np.ones(len(ids), dtype=np.int64))
