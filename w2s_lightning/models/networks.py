"""Networks as the Lightning modules see them: token ids and mask in, fp32 logits out.

Pooling goes by the attention mask, never by the padding id, so logits do not depend on padding or batch size.
Precision `bf16` means autocast over fp32 weights, with the head in fp32.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


class Network(nn.Module, ABC):
    """A transformers model with a read-out: ids, mask [N, T] -> logits [N, num_outputs] in fp32."""

    def __init__(self, model: PreTrainedModel, *, bf16: bool) -> None:
        super().__init__()
        self.model = model
        self.bf16 = bf16

    @abstractmethod
    def forward(self, ids: Tensor, mask: Tensor) -> Tensor: ...

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """bf16 autocast for a forward pass, or nothing."""
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.bf16)


class Classifier(Network):
    """A network with a linear head that can be trained alone on frozen features (a probe)."""

    @abstractmethod
    def features(self, ids: Tensor, mask: Tensor) -> Tensor:
        """What the head reads, [N, width] in fp32."""

    @property
    @abstractmethod
    def head(self) -> nn.Linear: ...


class DecoderHead(Classifier):
    """`score` head of a causal model on the hidden state of the last attended token."""

    def features(self, ids: Tensor, mask: Tensor) -> Tensor:
        with self.autocast(ids.device):
            output = self.model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
        return last_attended(output.last_hidden_state, mask).float()

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.features(ids, mask))

    @property
    def head(self) -> nn.Linear:
        return self.model.score


class EncoderHead(Classifier):
    """The model's own classification head; its last linear layer is what a probe trains."""

    def features(self, ids: Tensor, mask: Tensor) -> Tensor:
        caught: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
        try:
            self(ids, mask)
        finally:
            hook.remove()
        return caught[0].float()

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        with self.autocast(ids.device):
            return self.model(input_ids=ids, attention_mask=mask).logits.float()

    @property
    def head(self) -> nn.Linear:
        return [module for module in self.model.modules() if isinstance(module, nn.Linear)][-1]


class WordLogits(Network):
    """A causal model's next-token logits of the verdict words at the last attended token.

    With `as_score` the one output is logit(second word) - logit(first word), for texts scored one by one.
    """

    def __init__(self, model: PreTrainedModel, *, bf16: bool, word_ids: Sequence[int], as_score: bool) -> None:
        super().__init__(model, bf16=bf16)
        assert not as_score or len(word_ids) == 2
        self.word_ids = list(word_ids)
        self.as_score = as_score

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        last = mask.sum(dim=1) - 1
        positions, place = torch.unique(last, return_inverse=True)
        with self.autocast(ids.device):  # logits of the few wanted positions only: the vocabulary is large
            output = self.model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=positions)
        rows = torch.arange(len(ids), device=ids.device)
        logits = output.logits[rows, place][:, self.word_ids].float()
        return logits[:, 1:] - logits[:, :1] if self.as_score else logits


class LanguageModel(Network):
    """A causal model on packed windows: ids [B, T] -> logits [B, T, V]."""

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        with self.autocast(ids.device):
            return self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()


class Probe(nn.Module):
    """A classifier's head alone, on frozen features [N, width]; shares the head's weights with the classifier."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return self.head(features)


def last_attended(hidden: Tensor, mask: Tensor) -> Tensor:
    """States [N, T, width] at each row's last attended position, [N, width]; rows are padded on the right."""
    rows = torch.arange(len(hidden), device=hidden.device)
    return hidden[rows, mask.sum(dim=1) - 1]
