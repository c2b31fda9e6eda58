"""Prompts, settings and shortcuts for tests of generation."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2s_lightning.generate.engine import LocalEngine
from w2s_lightning.generate.samples import Generation, Prompt, Sample

SHOTS = "is tea warm ? the tea is warm and the day is long . answer is snow black ? "
ENDINGS = ("do cats", "in the yard . answer dogs bark", "a fish swims in the", "yes", "no tea snow", "sea", "warm day")
PROMPTS = tuple(Prompt(f"e{i}", SHOTS + ending) for i, ending in enumerate(ENDINGS))
MAX_LENGTH = 64


@dataclass(frozen=True)
class Tiny:
    """A tiny model, where it lies, and its tokenizer."""

    path: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def settings(**changed: object) -> Generation:
    """Greedy, ten tokens, nothing stored, but for what is changed."""
    plain = {
        "max_new_tokens": 10,
        "num_samples": 1,
        "temperature": 0.0,
        "top_p": 1.0,
        "stop": (),
        "special_tokens": True,
        "top_log_probs": 0,
    }
    return Generation(**{**plain, **changed})


SAMPLED = settings(num_samples=3, temperature=1.0)


def engine(
    tiny: Tiny, *, tokens_per_batch: int = 1000, max_length: int = MAX_LENGTH, bf16: bool = False
) -> LocalEngine:
    return LocalEngine(tiny.model, tiny.tokenizer, max_length=max_length, tokens_per_batch=tokens_per_batch, bf16=bf16)


def draw(
    tiny: Tiny,
    wanted: Generation,
    prompts: Sequence[Prompt] = PROMPTS,
    *,
    seed: int = 0,
    skip: Collection[tuple[str, int]] = (),
    **options: object,
) -> dict[tuple[str, int], Sample]:
    """All samples by id and number; asserts that none comes twice."""
    samples = list(engine(tiny, **options).generate(prompts, wanted, seed=seed, skip=skip))
    found = {(sample.id, sample.number): sample for sample in samples}
    assert len(found) == len(samples)
    return found


def tokens_of(tiny: Tiny, text: str) -> list[int]:
    return tiny.tokenizer(text)["input_ids"]


def next_logits(tiny: Tiny, tokens: Sequence[int]) -> torch.Tensor:
    """Logits [T, V] of a plain pass."""
    with torch.no_grad():
        return tiny.model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0]
