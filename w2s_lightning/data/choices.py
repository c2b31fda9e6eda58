"""Examples of a choice task as rows for a network: encoded texts, or stored features joined by id."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from w2s_lightning.data.rows import Rows, encode
from w2s_lightning.data.tables import FEATURES, matrix, places, read
from w2s_lightning.stages import Label
from w2s_lightning.store import Store
from w2s_lightning.tasks.example import Example, Splits


@lru_cache(maxsize=4)
def splits_of(task: Any, seed: int) -> Splits:
    """The examples of a task of any kind, remembered for the next stage of the same job."""
    return task.splits(seed)


def token_rows(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Rows:
    """The examples' texts, encoded."""
    ids, texts = [example.id for example in examples], [example.texts for example in examples]
    return encode(ids, texts, tokenizer=tokenizer, max_length=max_length)


def feature_rows(examples: Sequence[Example], features: Label, store: Store) -> Rows:
    """The examples' frozen features from a label stage of mode `features`."""
    table = read(store.open(features) / FEATURES)
    ids = tuple(example.id for example in examples)
    order = places(ids, table.column("example_id").to_pylist(), features.label)
    flat = matrix(table, "features").astype(np.float32)[order]
    per_row = len(examples[0].texts)
    return Rows(ids, (), per_row, pad_id=0, features=flat.reshape(len(ids), per_row, -1))
