"""Rows on their way: prompts enter free slots, every row advances by one token a step, ended rows leave at once.

The draw at (seed, example, sample, position) is the same wherever it is made. A sequence's key is a hash of seed,
example id and sample number; its uniforms are the SplitMix64 stream (Steele et al. 2014, the finaliser of Vigna's
`splitmix64.c`) that starts at the key, so that position t is computed without t - 1. Stop strings are looked for in
decoded text, so they may span tokens in any way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from w2s_lightning.generate.cache import Prefix, Runner, Slots
from w2s_lightning.generate.samples import Finish, Generation, Sample
from w2s_lightning.identity import digest

# ---------------------------------------------------------------- from logits to tokens

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def stream(seed: int, example_id: str, number: int) -> int:
    """The 64-bit key of one sequence's draws."""
    return int(digest([seed, example_id, number])[:16], 16)


def uniforms(streams: Sequence[int], positions: Sequence[int]) -> NDArray[np.float64]:
    """Doubles in [0, 1) with 53 random bits, one for each stream at its position (both [n])."""
    with np.errstate(over="ignore"):
        bits = np.array(streams, np.uint64) + (np.array(positions, np.uint64) + np.uint64(1)) * _GOLDEN
        bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
        bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    bits ^= bits >> np.uint64(31)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


_FIRST_LOOK = 128  # most probable tokens that are sorted before the whole vocabulary is


def pick(logits: Tensor, uniforms: Tensor, *, temperature: float, top_p: float) -> Tensor:
    """Tokens [B] drawn from logits [B, V] at uniforms [B] in [0, 1) by the inverse CDF, in vocabulary order.

    Probabilities are fp32, their running sum is fp64. A row's token does not depend on the other rows.
    """
    probs = nucleus(torch.softmax(logits.float() / temperature, dim=-1), top_p)
    cdf = _doubles(probs).cumsum(dim=-1)
    total = cdf[:, -1:]
    wanted = torch.minimum(uniforms.to(cdf)[:, None] * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(cdf, wanted, right=True)[:, 0].to(logits.device)


def nucleus(probs: Tensor, top_p: float) -> Tensor:
    """`probs` [B, V] with 0 for all tokens less probable than the smallest set that holds `top_p` (arXiv 1904.09751).

    Tokens as probable as the last of the set stay too. Only values are compared, so no sorting order matters.
    """
    if top_p >= 1:
        return probs
    size, width = probs.shape[-1], min(probs.shape[-1], _FIRST_LOOK)
    while True:
        largest = probs.topk(width, dim=-1).values
        reached = _doubles(largest).cumsum(dim=-1).to(probs.device)
        if width == size or bool((reached[:, -1] >= top_p).all()):
            break
        width = min(size, 8 * width)
    last = (reached < top_p).sum(dim=-1, keepdim=True).clamp_max(width - 1)
    return torch.where(probs >= largest.gather(-1, last), probs, 0.0)


def _doubles(values: Tensor) -> Tensor:
    return (values.cpu() if values.device.type == "mps" else values).double()  # Apple's GPUs have no fp64


# ---------------------------------------------------------------- where a text ends

_HALF_CHARACTER = 4  # a UTF-8 character may begin up to three byte tokens before the tail that is decoded


class Stops:
    """The stop strings of a tokenizer's texts."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        longest = max((len(text.encode()) for text in stop), default=0)
        self._tail = longest + _HALF_CHARACTER  # a token is at least one byte

    def text(self, tokens: Sequence[int]) -> str:
        """The tokens decoded, without special ones."""
        return self._decoded([list(tokens)])[0]

    def reached(self, rows: Sequence[Sequence[int]]) -> list[bool]:
        """Whether each row's newest tokens complete a stop string, judged by as many last tokens as can matter."""
        if not self._stop or not rows:
            return [False] * len(rows)
        tails = self._decoded([list(row[-self._tail :]) for row in rows])
        return [any(stop in tail for stop in self._stop) for tail in tails]

    def cut(self, tokens: Sequence[int]) -> tuple[str, int] | None:
        """The text before the first stop string and how many tokens lie wholly before it; None without one."""
        text = self.text(tokens)
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if not found:
            return None
        kept = len(tokens)
        while kept and len(self.text(tokens[:kept])) > min(found):
            kept -= 1
        return text[: min(found)], kept

    def _decoded(self, rows: list[list[int]]) -> list[str]:
        return self._tokenizer.decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)


# ---------------------------------------------------------------- all rows

_STEPS = 16  # between two looks at what has ended: bf16 casts the weights anew at each
_REFILL = 4  # prompts enter when a quarter of the slots is free: a few at a time would be slow


@dataclass(frozen=True)
class PromptJob:
    """A prompt whose samples are wanted: tokens after the shared prefix, one random stream a sample."""

    id: str
    tokens: NDArray[np.int64]
    prompt_tokens: int
    limit: int
    streams: dict[int, int]


@dataclass
class Draft:
    """One sample being drawn."""

    job: PromptJob
    number: int
    tokens: list[int] = field(default_factory=list)
    top_ids: list[list[int]] = field(default_factory=list)
    top_log_probs: list[list[float]] = field(default_factory=list)
    finish: Finish | None = None


class Decoding:
    """All samples of jobs of like length, at most `num_slots` rows at a time; the longest prompts go first."""

    def __init__(
        self,
        runner: Runner,
        jobs: Sequence[PromptJob],
        settings: Generation,
        *,
        stops: Stops,
        ends: frozenset[int],
        prefix: Prefix | None,
        tokens_per_batch: int,
    ) -> None:
        self._runner, self._settings, self._stops, self._ends, self._prefix = runner, settings, stops, ends, prefix
        self._tokens_per_batch = tokens_per_batch
        self._waiting = sorted(jobs, key=lambda job: len(job.tokens))
        self._rows: list[Draft] = []
        self._slots = _slots(jobs, tokens_per_batch, runner.device)

    @property
    def busy(self) -> bool:
        """Whether samples are left to draw."""
        return bool(self._waiting or self._rows)

    def advance(self) -> list[Sample]:
        """Some steps; the samples that ended in them."""
        ended: list[Sample] = []
        with self._runner.running():
            for _ in range(_STEPS):
                if self.busy:
                    ended += self._enter() if self._wants_more() else self._step()
        return ended

    def _wants_more(self) -> bool:
        if not self._waiting or self._slots.free < len(self._waiting[-1].streams):
            return False
        return not self._rows or self._slots.free * _REFILL >= self._slots.num_slots

    def _enter(self) -> list[Sample]:
        """Prefill as many prompts as there is room for, each once, and draw the first token of all their samples."""
        jobs = self._next()
        logits, cache = self._runner.prompts([job.tokens for job in jobs], self._prefix)
        new = [(place, Draft(job, number)) for place, job in enumerate(jobs) for number in job.streams]
        places = [place for place, _ in new]
        self._slots.enter(cache, places, [len(job.tokens) for job in jobs])
        rows = [row for _, row in new]
        self._rows += rows
        self._draw(logits[torch.tensor(places, device=logits.device)], rows)
        return self._leave()

    def _next(self) -> list[PromptJob]:
        jobs: list[PromptJob] = []
        free, longest = self._slots.free, len(self._waiting[-1].tokens)
        while self._waiting and len(self._waiting[-1].streams) <= free:
            if jobs and (len(jobs) + 1) * longest > self._tokens_per_batch:
                break
            free -= len(self._waiting[-1].streams)
            jobs.append(self._waiting.pop())
        return jobs

    def _step(self) -> list[Sample]:
        """One more token for every row."""
        newest = [row.tokens[-1] for row in self._rows]
        positions = [len(row.job.tokens) + len(row.tokens) - 1 for row in self._rows]
        self._draw(self._runner.step(newest, positions, self._slots, self._prefix), self._rows)
        return self._leave()

    def _draw(self, logits: Tensor, rows: Sequence[Draft]) -> None:
        """Append one token to each row, with what is stored of its distribution, and notice which rows end."""
        if self._settings.temperature == 0:
            tokens = logits.argmax(dim=-1)  # of equals the first
        else:
            streams, positions = [row.job.streams[row.number] for row in rows], [len(row.tokens) for row in rows]
            drawn = torch.from_numpy(uniforms(streams, positions))
            tokens = pick(logits, drawn, temperature=self._settings.temperature, top_p=self._settings.top_p)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            row.tokens.append(token)
        if self._settings.top_log_probs:
            top = torch.log_softmax(logits, dim=-1).topk(self._settings.top_log_probs, dim=-1)
            for row, ids, values in zip(rows, top.indices.tolist(), top.values.tolist(), strict=True):
                row.top_ids.append(ids)
                row.top_log_probs.append(values)
        reached = self._stops.reached([row.tokens for row in rows])
        for row, stop in zip(rows, reached, strict=True):
            if row.tokens[-1] in self._ends:
                row.finish = "eos"
            elif stop:
                row.finish = "stop"
            elif len(row.tokens) >= row.job.limit:
                row.finish = "length"

    def _leave(self) -> list[Sample]:
        ended = [place for place, row in enumerate(self._rows) if row.finish]
        samples = [_sample(self._rows[place], self._stops) for place in ended]
        for source, target in self._slots.leave(ended) if ended else ():
            self._rows[target] = self._rows[source]
        del self._rows[self._slots.window.rows :]
        return samples


def _slots(jobs: Sequence[PromptJob], tokens_per_batch: int, device: torch.device) -> Slots:
    """Slots for as many rows as the budget holds when all are as long as can be, and at least for one prompt's."""
    longest = max(len(job.tokens) for job in jobs)
    width = longest + max(job.limit for job in jobs)
    wanted, most = sum(len(job.streams) for job in jobs), max(len(job.streams) for job in jobs)
    num_slots = min(wanted, max(most, tokens_per_batch // width))
    spare = width // 4 if wanted > num_slots else 0  # how seldom the window is moved back to the left
    return Slots(num_slots=num_slots, num_columns=width + spare + 1, longest=longest, device=device)


def _sample(row: Draft, stops: Stops) -> Sample:
    """What a finished row hands out: everything before the first stop string."""
    assert row.finish is not None
    cut = stops.cut(row.tokens)
    text, kept = cut or (stops.text(row.tokens), len(row.tokens))
    return Sample(
        id=row.job.id,
        number=row.number,
        text=text,
        tokens=row.tokens[:kept],
        finish="stop" if cut else row.finish,
        prompt_tokens=row.job.prompt_tokens,
        num_drawn=len(row.tokens),
        top_ids=row.top_ids[:kept] if row.top_ids else None,
        top_log_probs=row.top_log_probs[:kept] if row.top_log_probs else None,
    )
