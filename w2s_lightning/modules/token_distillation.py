"""Token-level distillation: at every position of the teacher's own solution, what else it thought likely.

The teacher's k most probable tokens are kept with their log-probabilities; all others count as one further outcome. The
loss is KL(teacher || student) over these k + 1 outcomes, which bounds the full divergence from below and equals it at
k = vocabulary (Hinton et al. 2015, arXiv 1503.02531, at temperature 1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from w2s_lightning.data.batches import Rows
from w2s_lightning.data.module import FitRows
from w2s_lightning.data.rows import Inputs, TokenRows
from w2s_lightning.errors import UserError
from w2s_lightning.models.networks import Network
from w2s_lightning.models.source import Source
from w2s_lightning.models.tokenizer import load_tokenizer
from w2s_lightning.modules.base import Base, Batch
from w2s_lightning.preferences import log1mexp
from w2s_lightning.recipes.vocabularies import ByToken, different
from w2s_lightning.stages import BareModel, Fit
from w2s_lightning.store import Store

_SURE = -1e-6  # log of the mass of the top tokens, where nothing is left for the others


@final
class TopTokens(Network):
    """A causal model's divergence from the teacher on each row: [N, 1] in nats, summed over the solution's tokens.

    ids, mask [N, T]; `top_ids`, `top_log_probs` [N, S, k] for the S last positions that predict a solution token,
    `starts` [N] the place of each row's first one, `lengths` [N] how many there are.
    """

    def forward(  # type: ignore[override]
        self, ids: Tensor, mask: Tensor, top_ids: Tensor, top_log_probs: Tensor, starts: Tensor, lengths: Tensor
    ) -> Tensor:
        with self.autocast(ids.device):
            logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        steps = torch.arange(top_ids.shape[1], device=ids.device)
        there = steps < lengths[:, None]
        places = (starts[:, None] - 1 + steps).clamp_max(ids.shape[1] - 1)
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        predicted = logits[rows, places].float().log_softmax(dim=-1)
        losses = divergence(top_log_probs, predicted.gather(-1, top_ids))
        return torch.where(there, losses, 0.0).sum(dim=-1, keepdim=True)


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """KL over k tokens and the rest, [...], of log-probabilities [..., k] of the same tokens."""
    rest_t, rest_s = _rest(teacher), _rest(student)
    listed = (teacher.exp() * (teacher - student)).sum(dim=-1)
    return listed + rest_t.exp() * (rest_t - rest_s)


def _rest(log_probs: Tensor) -> Tensor:
    """log(1 - sum p)."""
    return log1mexp(log_probs.logsumexp(dim=-1).clamp_max(_SURE))


def kd_tokens(divergences: Tensor, num_tokens: Tensor, *, fraction: float) -> Tensor:
    """Divergence per solution token, [B], of sums and token counts, both [B, 1]."""
    return (divergences / num_tokens)[:, 0]


@final
class TokenDistillation(Base):
    """Follows the teacher token by token; a row's weight counts once per token."""

    def loss(self, batch: Batch) -> Tensor:
        return self.weighted(batch)

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """`worst`: the largest divergence per token of a row."""
        return {"worst": (batch.logits / batch.targets).max()}


@dataclass(frozen=True)
class TeacherRows:
    """Rows of one text each with the teacher's top tokens [tokens of the solution, k] and where the solution starts.

    `num_left_out` solutions are longer than the student's context.
    """

    rows: TokenRows
    starts: Rows
    top_ids: list[np.ndarray]
    top_log_probs: list[np.ndarray]
    num_left_out: int

    @property
    def ids(self) -> tuple[str, ...]:
        return self.rows.ids

    @property
    def lengths(self) -> Rows:
        return self.rows.lengths

    def num_tokens(self, rows: Rows) -> int:
        return self.rows.num_tokens(rows)

    def collate(self, rows: Rows) -> Inputs:
        """Inputs of `TopTokens`."""
        lengths = np.array([len(self.top_ids[row]) for row in rows])
        shape = (len(rows), int(lengths.max()), self.top_ids[0].shape[1])
        ids, log_probs = np.zeros(shape, np.int64), np.full(shape, np.log(0.5 / shape[2]), np.float32)
        for place, row in enumerate(rows):
            ids[place, : lengths[place]] = self.top_ids[row]
            log_probs[place, : lengths[place]] = self.top_log_probs[row]
        return {
            **self.rows.collate(rows),
            "top_ids": torch.from_numpy(ids),
            "top_log_probs": torch.from_numpy(log_probs),
            "starts": torch.from_numpy(self.starts[rows]),
            "lengths": torch.from_numpy(lengths),
        }


def teacher_rows(
    table: pa.Table,
    prompts: Mapping[str, str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    special_tokens: bool,
    max_length: int,
) -> FitRows:
    """A teacher's stored solutions, those that it brought to an end and that fit, as rows of a fit."""
    found = [row for row in table.to_pylist() if row["finish"] in ("eos", "stop") and row["tokens"]]
    texts = [prompts[row["example_id"]] for row in found]
    heads = tokenizer(texts, add_special_tokens=special_tokens)["input_ids"] if texts else []
    fitting = [(row, head) for row, head in zip(found, heads, strict=True) if len(head + row["tokens"]) <= max_length]
    if not fitting:
        raise UserError("the teacher finished no solution that fits the student's context: raise fit.max_length")
    rows = TokenRows(
        tuple(row["example_id"] for row, _ in fitting),
        [np.array([*head, *row["tokens"]], dtype=np.int64) for row, head in fitting],
        1,
        int(tokenizer.pad_token_id),
        0,
    )
    data = TeacherRows(
        rows,
        np.array([len(head) for _, head in fitting], dtype=np.int64),
        [np.array(row["top_ids"], dtype=np.int64) for row, _ in fitting],
        [np.array(row["top_log_probs"], dtype=np.float32) for row, _ in fitting],
        num_left_out=len(found) - len(fitting),
    )
    tokens = np.array([len(row["tokens"]) for row, _ in fitting], dtype=np.float32)
    return FitRows(data, tokens[:, None], tokens)


def refuse_other_vocabulary(
    teacher: Fit | BareModel, tokenizer: PreTrainedTokenizerBase, store: Store, why: ByToken
) -> None:
    """Raise UserError where teacher and student do not share their tokens."""
    if not isinstance(teacher, Fit):
        return
    other = load_tokenizer(Source(str(store.open(teacher) / "model")))
    if other.get_vocab() != tokenizer.get_vocab():
        raise different(teacher.name, len(other), f"the student {len(tokenizer)}", why)
