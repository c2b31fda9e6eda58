"""The local engine: one transformers model on this machine, and which models it can serve: told by their
configuration, and proved by trying."""

from collections.abc import Collection, Iterator, Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2s_lightning.data.model_texts import CHARACTERS
from w2s_lightning.errors import UserError
from w2s_lightning.generate.cache import Runner, Slots
from w2s_lightning.generate.decoding import Decoding, PromptJob, Stops, stream
from w2s_lightning.generate.samples import Generation, Journal, Prompt, Sample

_WORTH_SHARING = 16  # tokens; below, the joined attention costs more than it saves


@final
class LocalEngine:
    """Draws samples from a causal `model` (fp32 weights; `bf16` runs it under autocast).

    `max_length` bounds prompt and text together; `tokens_per_batch` bounds rows times the longest that they can grow
    to, shared prefix aside, and so the cache. Raises UserError for a model that cannot be served.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        tokens_per_batch: int,
        bf16: bool,
    ) -> None:
        refuse_unsuitable(model, max_length)
        self._runner = Runner(model, bf16=bf16)
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._tokens_per_batch = tokens_per_batch
        self._ends = _end_ids(model, tokenizer)

    def generate(
        self, prompts: Sequence[Prompt], settings: Generation, *, seed: int, skip: Collection[tuple[str, int]] = ()
    ) -> Iterator[Sample]:
        """Samples 0 to num_samples - 1 of every prompt as they finish, in no particular order.

        `skip` holds (id, number) of samples that are there already. A sample depends on its prompt, its number,
        settings and seed alone (up to rounding in the network), never on what else is drawn or skipped. Prompts that
        leave no room for a token come first, with `finish="too_long"`.
        """
        if not prompts:
            return
        texts = self._encoded(prompts, settings)
        fitting = [text for text in texts if len(text) < self._max_length]
        shared = _shared_tokens(fitting)
        jobs: list[PromptJob] = []
        for prompt, text in zip(prompts, texts, strict=True):
            numbers = [n for n in range(settings.num_samples) if (prompt.id, n) not in skip]
            if len(text) >= self._max_length:
                yield from (Sample(prompt.id, n, "", [], "too_long", len(text), 0) for n in numbers)
            elif numbers:
                limit = min(settings.max_new_tokens, self._max_length - len(text))
                streams = {n: stream(seed, prompt.id, n) for n in numbers}
                jobs.append(PromptJob(prompt.id, text[shared:], len(text), limit, streams))
        if jobs:
            with self._runner.running():
                prefix = self._runner.prefix(fitting[0][:shared].tolist())
            for group in _alike(jobs):
                decoding = Decoding(
                    self._runner,
                    group,
                    settings,
                    stops=Stops(self._tokenizer, settings.stop),
                    ends=self._ends,
                    prefix=prefix,
                    tokens_per_batch=self._tokens_per_batch,
                )
                while decoding.busy:  # the model is left as it was whenever a sample is handed out
                    yield from decoding.advance()

    def _encoded(self, prompts: Sequence[Prompt], settings: Generation) -> list[np.ndarray]:
        assert len({prompt.id for prompt in prompts}) == len(prompts), "an example has two prompts"
        size = self._runner.model.config.get_text_config().vocab_size
        if settings.top_log_probs > size:
            raise UserError(f"top_log_probs={settings.top_log_probs} is more than the vocabulary holds ({size})")
        plain = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
        plain["add_special_tokens"] = settings.special_tokens
        room = CHARACTERS * self._max_length
        texts = [prompt.text for prompt in prompts]
        found = list(self._tokenizer([text[:room] for text in texts], **plain)["input_ids"])
        for place, text in enumerate(texts):
            if len(text) > room and len(found[place]) < self._max_length:  # few tokens of many characters: all count
                found[place] = self._tokenizer(text, **plain)["input_ids"]
        if not all(found):
            empty = next(prompt.id for prompt, tokens in zip(prompts, found, strict=True) if not tokens)
            raise UserError(f"the prompt of example {empty} has no token: a text needs something to go on from")
        return [np.array(tokens, dtype=np.int64) for tokens in found]


def resumed(
    engine: LocalEngine, prompts: Sequence[Prompt], settings: Generation, *, seed: int, journal: Journal
) -> Iterator[Sample]:
    """All samples: first those in the journal, then the missing ones, each written down before it is handed out."""
    wanted = {(prompt.id, number) for prompt in prompts for number in range(settings.num_samples)}
    stored = {(sample.id, sample.number): sample for sample in (Sample(**record) for record in journal.read())}
    there = {key: sample for key, sample in stored.items() if key in wanted}
    yield from there.values()
    for sample in engine.generate(prompts, settings, seed=seed, skip=there.keys()):
        journal.append(vars(sample))
        yield sample


def _shared_tokens(texts: Sequence[np.ndarray]) -> int:
    """How many first tokens all texts have in common, leaving each at least one of its own; 0 where it is too few."""
    if not texts:
        return 0
    length = min(len(text) for text in texts) - 1
    for text in texts[1:]:
        differs = np.flatnonzero(texts[0][:length] != text[:length])
        length = int(differs[0]) if len(differs) else length
    return length if length >= _WORTH_SHARING else 0


def _alike(jobs: Sequence[PromptJob]) -> Iterator[list[PromptJob]]:
    """Jobs in groups whose longest row is at most twice the shortest, so that one long prompt narrows no other."""
    group: list[PromptJob] = []
    for job in sorted(jobs, key=lambda job: len(job.tokens) + job.limit):
        if group and len(job.tokens) + job.limit > 2 * (len(group[0].tokens) + group[0].limit):
            yield group
            group = []
        group.append(job)
    yield group


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens that end a text: the model's own, and the tokenizer's, which is what fits teach to end with."""
    own = model.generation_config.eos_token_id if model.generation_config else None
    listed = [own] if isinstance(own, int) else list(own or [])
    return frozenset([*listed, *([] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)])])


_TOLERANCE = 1e-3  # of fp32 logits, relative to the largest


def refuse_unsuitable(model: PreTrainedModel, max_length: int) -> None:
    """Raise UserError for a model that generation cannot serve up to `max_length` tokens.

    Prefix, prompts and step are compared with one plain pass on a few tokens.
    """
    config = model.config
    kinds, window = set(getattr(config, "layer_types", None) or []), getattr(config, "sliding_window", None)
    slides = "sliding_attention" in kinds if kinds else window is not None  # older families tell it by the window
    if slides and (window is None or window < max_length):
        raise UserError(
            f"{config.model_type} attends in a sliding window of {window} tokens, and generation serves it only up to "
            f"that length: set fit.max_length={window}, take another model, or give its solutions as a file"
        )
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope in ("dynamic", "longrope") or not model._supports_attention_backend:
        raise _unfit(model, "its positions or its attention do not let rows of different length share a cache")
    tokens = np.arange(1, 9) * 7919 % config.get_text_config().vocab_size
    try:
        with torch.no_grad():
            plain = model.eval()(input_ids=torch.from_numpy(tokens)[None].to(model.device), use_cache=False).logits
        found = _shared(Runner(model, bf16=False), tokens)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _unfit(model, str(error)) from error
    near = _TOLERANCE * max(1.0, float(plain.abs().max()))
    if not torch.allclose(found, plain[0, 6:8].float(), atol=near):
        raise _unfit(model, "its logits with a shared cache differ from those without")


def _shared(runner: Runner, tokens: NDArray[np.int64]) -> Tensor:
    """Logits at positions 6 and 7: a prefix of three tokens, a prompt beside a shorter one, and one step."""
    with runner.running():
        prefix = runner.prefix(tokens[:3].tolist())
        first, cache = runner.prompts([tokens[3:7], tokens[5:7]], prefix)
        slots = Slots(num_slots=2, num_columns=6, longest=4, device=runner.device)
        slots.enter(cache, rows=[1, 0], lengths=[4, 2])
        second = runner.step([int(tokens[0]), int(tokens[7])], [2, 4], slots, prefix)
    return torch.stack([first[0], second[1]])


def _unfit(model: PreTrainedModel, why: str) -> UserError:
    return UserError(
        f"cannot generate with {model.config.model_type}: {why}. Take a model of another architecture, or give its "
        "solutions as a file"
    )
