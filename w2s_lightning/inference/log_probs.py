"""Log-probabilities of given completions after given prompts: for references stored once, and for implicit rewards."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from w2s_lightning.data.batches import split
from w2s_lightning.data.completions import CompletionRows
from w2s_lightning.inference.scoring import Report, score
from w2s_lightning.models.networks import Network


@final
class CompletionLogProbs(Network):
    """A causal model's summed log-probability of every completion: ids, mask, scored [N, T] -> [N, 1] in fp32.

    Rows are padded on the right. Logits are computed from the first scored column on only: the vocabulary is large.
    """

    def forward(self, ids: Tensor, mask: Tensor, scored: Tensor) -> Tensor:  # type: ignore[override]
        return per_token(self, ids, mask, scored).sum(dim=-1, keepdim=True)


def per_token(network: Network, ids: Tensor, mask: Tensor, scored: Tensor) -> Tensor:
    """Log-probabilities [N, T'] of the last T' columns' tokens by a causal model, 0 where `scored` is 0."""
    columns = scored[:, 1:].any(dim=0).nonzero()
    first = 1 + int(columns[0]) if len(columns) else max(1, ids.shape[1] - 1)
    with network.autocast(ids.device):
        output = network.model(
            input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=ids.shape[1] - first + 1
        )
    logits, wanted = output.logits[:, :-1].float(), ids[:, first:]
    losses = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
    return -losses.view(wanted.shape) * scored[:, first:]


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
    rows: CompletionRows,
    *,
    tokens_per_batch: int,
    device: torch.device,
    report: Report | None = None,
) -> LogProbs:
    """Log-probabilities of all rows' completions by `network` (a `CompletionLogProbs` in eval mode), in input order."""
    sums = score(network, rows, tokens_per_batch=tokens_per_batch, device=device, report=report)
    return LogProbs(sums, rows.completion_tokens)


def each_token(
    network: Network, rows: CompletionRows, *, tokens_per_batch: int, device: torch.device
) -> list[NDArray[np.float32]]:
    """Log-probabilities of every completion's tokens by `network` (in eval mode): an array a text, in input order."""
    per_row = rows.rows.texts_per_row
    found: dict[int, NDArray[np.float32]] = {}
    with torch.no_grad():
        for batch in split(rows.lengths, tokens_per_batch):
            inputs = {name: tensor.to(device) for name, tensor in rows.collate(batch).items()}
            values = per_token(network, **inputs)
            there = inputs["scored"][:, -values.shape[1] :].bool()
            parts = torch.split(values[there].cpu(), there.sum(dim=1).tolist())
            texts = (batch[:, None] * per_row + np.arange(per_row)).reshape(-1)
            found |= {text: part.numpy() for text, part in zip(texts.tolist(), parts, strict=True)}
    return [found[text] for text in range(len(rows.ids) * per_row)]
