"""What a fit leaves besides its weights: training curve, counts, validation probabilities."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from w2s_lightning.data import tables
from w2s_lightning.modules.loop import Fitted
from w2s_lightning.modules.validation import Validation


def write_fitted(folder: Path, fitted: Fitted, counts: Mapping[str, Any]) -> None:
    """history.jsonl, and metrics.json with `counts`; no clock times, so that equal fits leave equal files."""
    tables.write_lines(folder / tables.HISTORY, fitted.history)
    record = {**counts, "num_tokens": fitted.num_tokens, "final_loss": fitted.final_loss}
    tables.write_json(folder / tables.METRICS, record)


def write_validation(folder: Path, validation: Validation) -> None:
    """validation.parquet: step, example id and probabilities of every validation pass."""
    steps, ids = [int(row["step"]) for row in validation.rows], validation.ids
    columns = {
        "step": np.repeat(steps, len(ids)),
        "example_id": list(ids) * len(steps),
        "probs": tables.vectors(torch.cat(validation.probs).numpy()),
    }
    tables.write(folder / tables.VALIDATION, columns)
