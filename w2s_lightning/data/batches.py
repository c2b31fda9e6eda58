"""The batch plan of a whole fit: which rows each step trains on, fixed before the first step.

A step is `rows_per_step` rows whatever the hardware. The plan depends on row lengths, epochs and seed alone; a token
budget only splits a step into micro-batches (`split`), it never changes the plan. Rows of like length meet in a step,
but only within shuffled windows of `WINDOW` steps, since length tracks difficulty and batch statistics are taken over
a step. No torch here.
"""

import math

import numpy as np
from numpy.typing import NDArray

WINDOW = 50

Numbers = NDArray[np.int64]


def num_steps(num_rows: int, rows_per_step: int, epochs: float) -> int:
    """Steps of a fit: ceil(epochs * num_rows / rows_per_step), at least one."""
    return max(1, math.ceil(epochs * num_rows / rows_per_step - 1e-9))


def plan(lengths: Numbers, rows_per_step: int, epochs: float, seed: int) -> Numbers:
    """Row numbers of every step, [steps, rows_per_step].

    One permutation of all rows per epoch, concatenated (so every row is seen equally often up to the last, cut
    permutation, which also fills the last step); then length bucketing inside windows of `WINDOW` steps, whose steps
    are shuffled. `lengths` [num_rows] in tokens.
    """
    assert len(lengths) > 0
    assert rows_per_step > 0
    steps = num_steps(len(lengths), rows_per_step, epochs)
    generator = np.random.default_rng([seed % (1 << 63), len(lengths), rows_per_step])
    wanted = steps * rows_per_step
    permutations = [generator.permutation(len(lengths)) for _ in range(math.ceil(wanted / len(lengths)))]
    order = np.concatenate(permutations)[:wanted].astype(np.int64)
    windows = [
        _bucketed(order[start : start + WINDOW * rows_per_step], lengths, rows_per_step, generator)
        for start in range(0, len(order), WINDOW * rows_per_step)
    ]
    return np.concatenate(windows)


def _bucketed(rows: Numbers, lengths: Numbers, rows_per_step: int, generator: np.random.Generator) -> Numbers:
    """One window: rows sorted by length with random ties, cut into steps, the steps shuffled."""
    by_length = np.lexsort((generator.random(len(rows)), lengths[rows]))
    steps = rows[by_length].reshape(-1, rows_per_step)
    return steps[generator.permutation(len(steps))]


def split(lengths: Numbers, tokens_per_batch: int) -> list[Numbers]:
    """Positions 0..n-1 in micro-batches whose padded size (rows x longest) stays under the token budget.

    Sorted by length, so that little is padding; a row longer than the budget stands alone.
    """
    if len(lengths) * lengths.max() <= tokens_per_batch:
        return [np.arange(len(lengths))]
    batches: list[Numbers] = []
    current: list[int] = []
    for position in np.argsort(lengths, kind="stable"):
        if current and (len(current) + 1) * lengths[position] > tokens_per_batch:
            batches.append(np.array(current, dtype=np.int64))
            current = []
        current.append(int(position))
    batches.append(np.array(current, dtype=np.int64))
    return batches


def evaluation_steps(num_steps: int, evaluations: int) -> tuple[int, ...]:
    """Numbers of finished steps after which to validate, evenly spread and ending with the last."""
    return tuple(sorted({max(1, round(num_steps * (i + 1) / evaluations)) for i in range(evaluations)}))
