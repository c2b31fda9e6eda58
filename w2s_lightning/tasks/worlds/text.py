"""What the text of embedded worlds is made of: words, each a single token, and windows of tokens packed end to end."""

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.config.schema import Items, record
from w2s_lightning.errors import UserError, did_you_mean
from w2s_lightning.tasks.example import SPLITS, Split

EMPTY = -1
"""In a table of token ids: no token here."""
SPECIAL = ("<pad>", "<unk>")
"""First entries of every vocabulary."""


def check_words(task: str, text: str, known: Collection[str]) -> None:
    """Raise UserError for a word that the world of the task does not have."""
    for word in text.split():
        if word not in known:
            raise UserError(f"task {task}: the world has no word {word!r}: {did_you_mean(word, known)}")


def packed(block: Callable[[int], NDArray[np.int16]], steps: int, rows_per_step: int, window: int) -> NDArray[np.int16]:
    """Token ids [steps, rows_per_step, window] of texts packed end to end; `block(n)` writes the n-th table of them."""
    needed, found = steps * rows_per_step * window, 0
    blocks = [np.empty(0, np.int16)]
    while found < needed:
        table = block(len(blocks))
        blocks.append(table[table != EMPTY])
        found += len(blocks[-1])
    return np.concatenate(blocks)[:needed].reshape(steps, rows_per_step, window)


@record
class PerSplit:
    """A number for each split."""

    supervise: Items
    transfer: Items
    validation: Items
    test: Items

    def by_split(self) -> dict[Split, int]:
        """The numbers by split."""
        return {split: getattr(self, split) for split in SPLITS}
