"""Networks as fits and scoring see them: a transformers model with a read-out, which says something of every text.

`logits` come from a head or from verdict words; `log_probs`, `moments` and `divergences` are those of a completion's
tokens under a causal model; `token_logits` are the model's own. Pooling and sums go by the masks (and by the padding id
only where a published reward model was trained so), and nothing depends on padding or batch size. Rows are padded on
the right. Precision `bf16` means autocast over fp32 weights, with all that comes after the model in fp32.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation

from w2s_lightning.config.schema import Lora
from w2s_lightning.errors import UserError
from w2s_lightning.objectives import divergence


class Network(nn.Module, ABC):
    """A transformers model with a read-out: ids, mask [N, T] -> logits [N, num_outputs] in fp32."""

    def __init__(self, model: PreTrainedModel, *, bf16: bool) -> None:
        super().__init__()
        self.model = model
        self.bf16 = bf16
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, NewGELUActivation):  # composed in Python; torch's kernel is the same function
                    setattr(module, name, nn.GELU(approximate="tanh"))
        causal = [module.is_causal for module in model.modules() if hasattr(module, "is_causal")]
        self._is_causal = bool(causal) and all(causal)

    @abstractmethod
    def forward(self, ids: Tensor, mask: Tensor) -> Tensor: ...

    def attended(self, mask: Tensor) -> Tensor | None:
        """The mask that the model needs. Where every attention is causal it needs none, and takes its faster kernels:
        padding comes after a text's end, where no read-out looks."""
        return None if self._is_causal else mask

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
    """`score` head of a causal model on the hidden state of the last attended token.

    With `padding` (an id) it is the last one whose id is another, as transformers and TRL pool their classifiers: where
    texts end in the padding token, which often is the end-of-text one, that is the token before.
    """

    padding: int | None = None

    def features(self, ids: Tensor, mask: Tensor) -> Tensor:
        with self.autocast(ids.device):
            output = self.model.base_model(input_ids=ids, attention_mask=self.attended(mask), use_cache=False)
        last = mask.sum(dim=1) - 1  # rows are padded on the right
        if self.padding is not None:
            places = torch.arange(ids.shape[1], device=ids.device)
            last = (places * (mask * (ids != self.padding))).argmax(dim=1)  # 0 where there is no other, as there
        rows = torch.arange(len(ids), device=ids.device)
        return output.last_hidden_state[rows, last].float()

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
            output = self.model(
                input_ids=ids, attention_mask=self.attended(mask), use_cache=False, logits_to_keep=positions
            )
        rows = torch.arange(len(ids), device=ids.device)
        logits = output.logits[rows, place][:, self.word_ids].float()
        return logits[:, 1:] - logits[:, :1] if self.as_score else logits


class LanguageModel(Network):
    """A causal model on texts of one length, without padding: ids [B, T] -> logits [B, T, V]."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        with self.autocast(ids.device):
            return self.model(input_ids=ids, use_cache=False).logits.float()


class CompletionLogProbs(Network):
    """A causal model's summed log-probability of every completion: ids, mask, scored [N, T] -> [N, 1]."""

    def forward(self, ids: Tensor, mask: Tensor, scored: Tensor) -> Tensor:  # type: ignore[override]
        return self.per_token(ids, mask, scored).sum(dim=-1, keepdim=True)

    def per_token(self, ids: Tensor, mask: Tensor, scored: Tensor) -> Tensor:
        """Log-probabilities [N, T'] of the last T' columns' tokens, 0 where `scored` is 0.

        Logits are computed from the first scored column on only: the vocabulary is large.
        """
        columns = scored[:, 1:].any(dim=0).nonzero()
        first = 1 + int(columns[0]) if len(columns) else max(1, ids.shape[1] - 1)
        kept = ids.shape[1] - first + 1
        with self.autocast(ids.device):
            output = self.model(input_ids=ids, attention_mask=self.attended(mask), use_cache=False, logits_to_keep=kept)
        logits, wanted = output.logits[:, :-1].float(), ids[:, first:]
        losses = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
        return -losses.view(wanted.shape) * scored[:, first:]


class ShiftMoments(CompletionLogProbs):
    """Log-ratios x to a reference beside wanted ones d, as sums over each completion's tokens: x x, x d, d d, [N, 3].

    `reference` and `shift` [N, T] hold the reference's log-probability and d of every scored token.
    """

    def forward(  # type: ignore[override]
        self, ids: Tensor, mask: Tensor, scored: Tensor, reference: Tensor, shift: Tensor
    ) -> Tensor:
        policy = self.per_token(ids, mask, scored)
        width = policy.shape[1]
        ratios, wanted = policy - reference[:, -width:], shift[:, -width:]
        return torch.stack([ratios.square(), ratios * wanted, wanted.square()], dim=-1).sum(dim=1)


class TopTokens(Network):
    """A causal model's `divergence` from a teacher, summed over each completion's tokens: [N, 1] in nats.

    `top_ids`, `top_log_probs` [N, T, k] hold the teacher's k most probable tokens in place of every scored one.
    """

    def forward(  # type: ignore[override]
        self, ids: Tensor, mask: Tensor, scored: Tensor, top_ids: Tensor, top_log_probs: Tensor
    ) -> Tensor:
        with self.autocast(ids.device):
            logits = self.model(input_ids=ids, attention_mask=self.attended(mask), use_cache=False).logits
        lengths, starts = scored.sum(dim=1, keepdim=True), scored.argmax(dim=1, keepdim=True)
        steps = torch.arange(int(lengths.max()), device=ids.device)
        places = (starts + steps).clamp_max(ids.shape[1] - 1)  # of the scored tokens, the vocabulary at no others
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        predicted = logits[rows, places - 1].float().log_softmax(dim=-1)
        losses = divergence(top_log_probs[rows, places], predicted.gather(-1, top_ids[rows, places]))
        return torch.where(steps < lengths, losses, 0.0).sum(dim=-1, keepdim=True)


def read_as(network: Network, says: str) -> Network:
    """The same weights, read as an objective wants them (the first parameter of its signature)."""
    others: dict[str, type[Network]] = {
        "log_probs": CompletionLogProbs,
        "moments": ShiftMoments,
        "divergences": TopTokens,
    }
    return others[says](network.model, bf16=network.bf16) if says in others else network


_HARMLESS = (
    "fan_in_fan_out is set to False",  # GPT-2 stores its linear layers transposed; PEFT adjusts and says so
    "`is_gradient_checkpointing` is deprecated",  # PEFT 0.21 reads it, transformers 5 renamed it
)


def adapt(network: Network, lora: Lora) -> Callable[[], None]:
    """Freeze the network, inject low-rank adapters (arXiv 2106.09685) in place and return what merges them.

    The head stays trainable; merged before saving, the weights load without PEFT.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError("LoRA needs PEFT: pip install 'w2s-lightning[lora]', or use fit.tuning=full") from error
    names = [name.strip() for name in lora.targets.split(",")]
    config = LoraConfig(
        task_type="SEQ_CLS" if isinstance(network, Classifier) else "CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=names if names != ["all-linear"] else "all-linear",
    )
    with warnings.catch_warnings():
        for message in _HARMLESS:
            warnings.filterwarnings("ignore", message=message)
        try:
            adapted = get_peft_model(network.model, config)
        except ValueError as error:
            raise UserError(f"fit.lora.targets={lora.targets!r} does not fit this model: {error}") from error

    def merge() -> None:
        network.model = adapted.merge_and_unload()

    return merge
