"""The tables that stages leave behind, as Parquet keyed by example id. Joining is by id, never by position."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from w2s_lightning.errors import UserError

FEATURES = "features.parquet"
HISTORY = "history.jsonl"
LOG_PROBS = "log_probs.parquet"
METRICS = "metrics.json"
PREDICTIONS = "predictions.parquet"
PROMPTS = "prompts.parquet"
TARGETS = "targets.parquet"
VALIDATION = "validation.parquet"


def vectors(rows: NDArray[np.generic]) -> pa.Array:
    """An array [n, K] as a column of lists."""
    flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
    return pa.ListArray.from_arrays(np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32), flat)


def matrix(table: pa.Table, column: str) -> NDArray[np.generic]:
    """A column of equally long lists as an array [n, K]."""
    chunk = table.column(column).combine_chunks()
    return np.asarray(chunk.flatten()).reshape(len(chunk), -1)


def write(path: Path, columns: dict[str, object]) -> None:
    """Write columns of equal length."""
    pq.write_table(pa.table(columns), path)


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write one JSON object."""
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects, one a line."""
    path.write_text("".join(json.dumps(record, allow_nan=False) + "\n" for record in records))


def read(path: Path) -> pa.Table:
    """The table at `path`."""
    return pq.read_table(path)


def places(wanted: Sequence[str], there: Sequence[str], what: str) -> NDArray[np.int64]:
    """Where each wanted id stands in `there`; raise UserError when one is missing or stands twice."""
    index = {name: place for place, name in enumerate(there)}
    if len(index) != len(there):
        raise UserError(f"{what}: an example id stands twice")
    missing = [name for name in wanted if name not in index]
    if missing:
        raise UserError(f"{what}: {len(missing)} of {len(wanted)} example ids are missing ({missing[0]}, ...)")
    return np.array([index[name] for name in wanted], dtype=np.int64)
