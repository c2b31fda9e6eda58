"""Networks over many rows without training them: scores, features, log-probabilities, in input order."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from w2s_lightning.data.rows import Rows, split
from w2s_lightning.models.device import Report
from w2s_lightning.models.networks import CompletionLogProbs


def score(
    network: Callable[..., Tensor],
    rows: Rows,
    *,
    tokens_per_batch: int,
    device: torch.device,
    report: Report | None = None,
) -> NDArray[np.float32]:
    """`network(**inputs)` for all rows: [num_rows, M * outputs], for M texts a row. `network` must be in eval mode.

    A `CompletionLogProbs` gives the summed log-probability of each of a row's M completions, in nats.
    Each text is scored as a row of its own, in length-sorted batches under a token budget, so that a short answer is
    not padded to its rival. Nothing depends on padding: pooling and sums go by the masks. `report` hears of texts.
    """
    texts = rows if rows.features is not None or rows.texts_per_row == 1 else rows.one_text_each()
    parts: list[NDArray[np.float32]] = []
    batches = split(texts.lengths, tokens_per_batch)
    with torch.no_grad():
        for batch in batches:
            inputs = {name: tensor.to(device) for name, tensor in texts.collate(batch).items()}
            outputs: Tensor = network(**inputs)
            parts.append(outputs.float().reshape(len(batch), -1).cpu().numpy())
            if report is not None:
                report(sum(map(len, parts)), len(texts.ids))
    order = np.argsort(np.concatenate(batches))
    return np.concatenate(parts)[order].reshape(len(rows.ids), -1)


def token_log_probs(
    network: CompletionLogProbs, rows: Rows, *, tokens_per_batch: int, device: torch.device
) -> list[NDArray[np.float32]]:
    """Log-probabilities of every completion's tokens by `network` (in eval mode): an array a text, in input order."""
    found: dict[int, NDArray[np.float32]] = {}
    with torch.no_grad():
        for batch in split(rows.lengths, tokens_per_batch):
            inputs = {name: tensor.to(device) for name, tensor in rows.collate(batch).items()}
            values = network.per_token(**inputs)
            there = inputs["scored"][:, -values.shape[1] :].bool()
            parts = torch.split(values[there].cpu(), there.sum(dim=1).tolist())
            texts = (batch[:, None] * rows.texts_per_row + np.arange(rows.texts_per_row)).reshape(-1)
            found |= {text: part.numpy() for text, part in zip(texts.tolist(), parts, strict=True)}
    return [found[text] for text in range(len(rows.texts))]
