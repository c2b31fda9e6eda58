"""Logits and features of many rows: in length-sorted batches under a token budget, returned in input order."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2s_lightning.data.batches import split
from w2s_lightning.data.completions import CompletionRows
from w2s_lightning.data.rows import RowSource, TokenRows

Report = Callable[[int, int], None]  # done, of how many


def score(
    network: Callable[..., Tensor],
    rows: RowSource,
    *,
    tokens_per_batch: int,
    device: torch.device,
    report: Report | None = None,
) -> NDArray[np.float32]:
    """`network(**inputs)` for all rows: [num_rows, M * outputs], for M texts a row. `network` must be in eval mode.

    Each text is scored as a row of its own, sorted by length over all of them, so that a short answer is not padded to
    its rival. Nothing depends on padding: pooling and sums go by the attention mask. `report` hears of texts.
    """
    num_rows, rows = len(rows.ids), _single(rows)
    parts: list[NDArray[np.float32]] = []
    batches = split(rows.lengths, tokens_per_batch)
    with torch.no_grad():
        for batch in batches:
            inputs = {name: tensor.to(device) for name, tensor in rows.collate(batch).items()}
            outputs: Tensor = network(**inputs)
            parts.append(outputs.float().reshape(len(batch), -1).cpu().numpy())
            if report is not None:
                report(sum(map(len, parts)), len(rows.ids))
    order = np.argsort(np.concatenate(batches))
    return np.concatenate(parts)[order].reshape(num_rows, -1)


def _single(rows: RowSource) -> RowSource:
    """The same texts, one a row."""
    if isinstance(rows, CompletionRows):
        return CompletionRows(_single(rows.rows), rows.starts)  # type: ignore[arg-type]
    if isinstance(rows, TokenRows) and rows.texts_per_row > 1:
        ids = tuple(f"{id}/{number}" for id in rows.ids for number in range(rows.texts_per_row))
        return replace(rows, ids=ids, texts_per_row=1)
    return rows


def evaluating(
    network: nn.Module, rows: RowSource, *, tokens_per_batch: int, device: torch.device
) -> NDArray[np.float32]:
    """`score` in the middle of training: eval mode for the pass, then train mode again."""
    network.eval()
    try:
        return score(network, rows, tokens_per_batch=tokens_per_batch, device=device)
    finally:
        network.train()


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Class probabilities [n, K] of fp32 logits, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True).astype(np.float64)
    raised = np.exp(shifted)
    return raised / raised.sum(axis=1, keepdims=True)
