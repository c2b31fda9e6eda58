"""Rewards of pairs: scores of a reward model, and implicit rewards from log-probabilities of completions.

Every text is scored as a row of its own, sorted by length over all pairs, so that a short answer is not padded to its
rival. Nothing depends on padding: pooling and sums go by the attention mask.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from w2s_lightning.data.completions import CompletionRows
from w2s_lightning.data.rows import TokenRows
from w2s_lightning.inference.log_probs import LogProbs
from w2s_lightning.inference.scoring import Report, score

Normalisation = Literal["sum", "mean"]


def text_scores(
    network: nn.Module, rows: TokenRows, *, tokens_per_batch: int, device: torch.device, report: Report | None = None
) -> NDArray[np.float32]:
    """One score for each of a row's M texts, [num_rows, M] in fp32; `network` (in eval mode) gives [N, 1]."""
    found = score(network, _single(rows), tokens_per_batch=tokens_per_batch, device=device, report=report)
    return found.reshape(-1, rows.texts_per_row)


def completion_log_probs(
    network: nn.Module,
    rows: CompletionRows,
    *,
    tokens_per_batch: int,
    device: torch.device,
    report: Report | None = None,
) -> LogProbs:
    """Log-probabilities of a row's M completions, [num_rows, M]; `network` is a `CompletionLogProbs` in eval mode."""
    single = CompletionRows(_single(rows.rows), rows.starts)
    sums = score(network, single, tokens_per_batch=tokens_per_batch, device=device, report=report)
    return LogProbs(sums.reshape(-1, rows.rows.texts_per_row), rows.completion_tokens)


def implicit_rewards(policy: LogProbs, reference: LogProbs | None, normalisation: Normalisation) -> NDArray[np.float32]:
    """Implicit rewards [num_rows, M] (Rafailov et al. 2023, arXiv 2305.18290), without the factor beta.

    With a reference: summed log-probabilities minus the reference's. Without: the policy's own, summed or per token.
    """
    if reference is not None:
        assert normalisation == "sum", "log-ratios are summed"
        return policy.sums - reference.sums
    return policy.sums if normalisation == "sum" else policy.means


def _single(rows: TokenRows) -> TokenRows:
    """The same texts, one a row."""
    ids = tuple(f"{id}/{number}" for id in rows.ids for number in range(rows.texts_per_row))
    return replace(rows, ids=ids, texts_per_row=1)
