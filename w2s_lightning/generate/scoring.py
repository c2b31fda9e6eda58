"""Networks over many rows without training them: scores, features, log-probabilities, in input order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from w2s_lightning.data.batches import split
from w2s_lightning.data.rows import Rows
from w2s_lightning.models.networks import CompletionLogProbs

Report = Callable[[int, int], None]  # done, of how many


def score(
    network: Callable[..., Tensor],
    rows: Rows,
    *,
    tokens_per_batch: int,
    device: torch.device,
    report: Report | None = None,
) -> NDArray[np.float32]:
    """`network(**inputs)` for all rows: [num_rows, M * outputs], for M texts a row. `network` must be in eval mode.

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


def evaluating(network: nn.Module, rows: Rows, *, tokens_per_batch: int, device: torch.device) -> NDArray[np.float32]:
    """`score` in the middle of training: eval mode for the pass, then train mode again."""
    network.eval()
    try:
        return score(network, rows, tokens_per_batch=tokens_per_batch, device=device)
    finally:
        network.train()


@dataclass(frozen=True)
class LogProbs:
    """Log-probabilities of completions in nats and their lengths in tokens, both [num_rows, M]."""

    sums: NDArray[np.float32]
    num_tokens: NDArray[np.int64]

    @property
    def means(self) -> NDArray[np.float32]:
        """Per token; 0 for an empty completion."""
        return np.divide(self.sums, np.maximum(self.num_tokens, 1), dtype=np.float32)


def completion_log_probs(
    network: nn.Module,
    rows: Rows,
    *,
    tokens_per_batch: int,
    device: torch.device,
    report: Report | None = None,
) -> LogProbs:
    """Log-probabilities of a row's M completions by `network`, a `CompletionLogProbs` in eval mode."""
    sums = score(network, rows, tokens_per_batch=tokens_per_batch, device=device, report=report)
    return LogProbs(sums, rows.completion_tokens)


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


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Class probabilities [n, K] of fp32 logits, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True).astype(np.float64)
    raised = np.exp(shifted)
    return raised / raised.sum(axis=1, keepdims=True)
