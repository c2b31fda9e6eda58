"""Speed of generation: ours against Hugging Face `generate` on the same few-shot prompts, in one run, as a ratio.

    python -m benchmarks.generation --model DIR --prompts 64
    python -m benchmarks.generation --model DIR --prompts 64 --baseline 16   # the baseline on some of them: quicker

Both get the same GSM8K prompts with eight demonstrations and the same stop strings; the baseline takes them in fixed
batches of 8 rows (for n samples a question: n rows a question). Only useful tokens count: those before a stop string.
Ours runs once before and once after the baseline. Beside wall time stands CPU time, which a busy machine disturbs less.
Greedy texts must be identical in fp32; where they part, an fp64 pass must show that the two tokens are as good as tied.
"""

import argparse
import copy
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from w2s_lightning.generate.decoding import Stops
from w2s_lightning.generate.engine import LocalEngine
from w2s_lightning.generate.samples import Generation, Prompt
from w2s_lightning.models.load import quiet

GSM8K = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k"
BATCH = 8
SHOTS = 8
MAX_LENGTH = 2048
TIE = 1e-3  # of fp64 logits: what two fp32 passes in different order can differ by, with room
GREEDY = Generation(
    max_new_tokens=256,
    num_samples=1,
    temperature=0.0,
    top_p=1.0,
    stop=("Question", "Answer"),
    special_tokens=True,
    top_log_probs=0,
)

Texts = dict[tuple[str, int], list[int]]


@dataclass
class Timed:
    """Useful tokens of every sample, and what they took."""

    texts: Texts
    wall: float
    cpu: float

    @property
    def num_tokens(self) -> int:
        return sum(map(len, self.texts.values()))

    def line(self, name: str) -> str:
        rates = f"{self.num_tokens / self.wall:8.1f} tokens/s, {self.num_tokens / self.cpu:8.1f} per CPU second"
        return f"{name:12} {len(self.texts):5} samples {self.num_tokens:7} useful tokens {self.wall:7.1f} s: {rates}"


def timed(work: Callable[[], Texts]) -> Timed:
    """The work's texts with its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    texts = work()
    return Timed(texts, time.perf_counter() - wall, time.process_time() - cpu)


def few_shot_prompts(count: int) -> list[Prompt]:
    """GSM8K test questions after the first eight training questions with their solutions."""
    shots = "".join(f"Question: {row['question']}\nAnswer: {_plain(row)}\n\n" for row in _rows("train.jsonl", SHOTS))
    rows = _rows("test.jsonl", count)
    return [Prompt(str(i), f"{shots}Question: {row['question']}\nAnswer:") for i, row in enumerate(rows)]


def _rows(name: str, count: int) -> list[dict[str, str]]:
    return [json.loads(line) for line in (GSM8K / name).read_text().splitlines()[:count]]


def _plain(row: dict[str, str]) -> str:
    return re.sub("<<.*?>>", "", row["answer"])


def ours(engine: LocalEngine, prompts: Sequence[Prompt], settings: Generation) -> Texts:
    """Our engine's tokens."""
    return {(s.id, s.number): s.tokens for s in engine.generate(prompts, settings, seed=0)}


def baseline(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], settings: Generation
) -> Texts:
    """Hugging Face `generate` in fixed batches of 8 rows, cut by the same rule."""
    stops, texts = Stops(tokenizer, settings.stop), Texts()
    rows = [(prompt, number) for prompt in prompts for number in range(settings.num_samples)]
    draw = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0} if settings.temperature else {}
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        inputs = tokenizer([prompt.text for prompt, _ in batch], return_tensors="pt", padding=True)
        made = model.generate(
            **inputs,
            do_sample=settings.temperature > 0,
            max_new_tokens=settings.max_new_tokens,
            stop_strings=list(settings.stop),
            tokenizer=tokenizer,
            **draw,
        )
        for (prompt, number), tokens in zip(batch, made[:, inputs.input_ids.shape[1] :].tolist(), strict=True):
            texts[prompt.id, number] = _useful(tokens, stops, model.generation_config.eos_token_id)
    return texts


def _useful(tokens: list[int], stops: Stops, end: int) -> list[int]:
    if end in tokens:
        tokens = tokens[: tokens.index(end) + 1]
    cut = stops.cut(tokens)
    return tokens[: cut[1]] if cut else tokens


def differences(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], found: Texts, wanted: Texts
) -> list[tuple[str, float]]:
    """Where greedy texts part: the prompt's id and the fp64 logit gap of both tokens (infinite: one text just ends)."""
    texts = {prompt.id: prompt.text for prompt in prompts}
    parted = [(key, found[key], wanted[key]) for key in wanted if found[key] != wanted[key]]
    exact = copy.deepcopy(model).double() if parted else model
    gaps = []
    for (id, _), one, other in parted:
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
        if same is None:
            gaps.append((id, float("inf")))
            continue
        ids = torch.tensor([[*tokenizer(texts[id])["input_ids"], *one[:same]]])
        with torch.no_grad():
            logits = exact(input_ids=ids, logits_to_keep=1).logits[0, -1]
        gaps.append((id, abs(float(logits[one[same]] - logits[other[same]]))))
    return gaps


@dataclass(frozen=True)
class Bench:
    """Both ways to generate from one model."""

    engine: LocalEngine
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    settings: Generation


def opened(folder: str, tokens_per_batch: int, settings: Generation) -> Bench:
    """The model of a folder in fp32; the baseline pads on the left."""
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    engine = LocalEngine(model, tokenizer, max_length=MAX_LENGTH, tokens_per_batch=tokens_per_batch, bf16=False)
    return Bench(engine, model, tokenizer, settings)


def compare(bench: Bench, prompts: list[Prompt], some: list[Prompt], settings: Generation) -> tuple[Timed, Timed]:
    """Time ours, the baseline on `some`, ours again; print the ratios."""
    first = timed(lambda: ours(bench.engine, prompts, settings))
    theirs = timed(lambda: baseline(bench.model, bench.tokenizer, some, settings))
    second = timed(lambda: ours(bench.engine, prompts, settings))
    assert first.texts == second.texts
    mine = Timed(first.texts, (first.wall + second.wall) / 2, (first.cpu + second.cpu) / 2)
    print(theirs.line("generate"), mine.line("ours"), sep="\n")
    wall = mine.num_tokens / mine.wall / (theirs.num_tokens / theirs.wall)
    cpu = mine.num_tokens / mine.cpu / (theirs.num_tokens / theirs.cpu)
    print(f"ratio        {wall:.2f} by wall time, {cpu:.2f} by CPU time", flush=True)
    return mine, theirs


def greedy(bench: Bench, prompts: list[Prompt], some: list[Prompt]) -> bool:
    """Compare greedy texts; whether they are the same but for near-ties."""
    print(f"greedy, {len(prompts)} prompts ({len(some)} for the baseline), {torch.get_num_threads()} threads")
    mine, theirs = compare(bench, prompts, some, bench.settings)
    gaps = differences(bench.model, bench.tokenizer, some, mine.texts, theirs.texts)
    print(f"greedy texts that differ: {len(gaps)} of {len(some)}", *(f"{id}: fp64 gap {gap:.1e}" for id, gap in gaps))
    return all(gap < TIE for _, gap in gaps)


def sampled(bench: Bench, prompts: list[Prompt], some: list[Prompt], samples: int) -> None:
    """Compare n samples a question at temperature 1."""
    print(f"{samples} samples a question, {len(prompts)} questions ({len(some)} for the baseline)")
    compare(bench, prompts, some, replace(bench.settings, num_samples=samples, temperature=1.0))


def main() -> int:
    """Print both comparisons; exit 1 when greedy texts differ by more than a near-tie."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a model folder")
    parser.add_argument("--prompts", type=int, default=64, help="greedy prompts (0: none)")
    parser.add_argument("--sampled", type=int, help="questions with n samples (default: as many as prompts, 0: none)")
    parser.add_argument("--samples", type=int, default=10, help="n")
    parser.add_argument("--baseline", type=int, help="prompts of the baseline (default: all)")
    parser.add_argument("--max-new-tokens", type=int, default=GREEDY.max_new_tokens)
    parser.add_argument("--tokens-per-batch", type=int, default=16_384)
    options = parser.parse_args()
    bench = opened(options.model, options.tokens_per_batch, replace(GREEDY, max_new_tokens=options.max_new_tokens))
    questions = options.prompts if options.sampled is None else options.sampled
    prompts = few_shot_prompts(max(options.prompts, questions))
    same = True
    if options.prompts:
        same = greedy(bench, prompts[: options.prompts], prompts[: options.prompts][: options.baseline])
    if questions:
        sampled(bench, prompts[:questions], prompts[:questions][: options.baseline], options.samples)
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
