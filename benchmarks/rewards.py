"""Speed of reward models: pairs a second, ours against one row at a time in a transformers pipeline, in one run.

    python -m benchmarks.rewards                                             # 2 layers of width 64 on arithmetic_pairs
    python -m benchmarks.rewards --model DIR --data llmbar.jsonl --pairs 60  # a real model on real rows

DIR is a reward model or a language model, which gets a random head for both ways; DATA holds RewardBench rows
(docs/rewardbench.md shows how they are made). Both ways write, tokenise and score the same texts on the
CPU with the same number of threads. Ours runs once before and once after the baseline. Beside wall time stands CPU
time, which a busy machine disturbs less. In fp32 the scores must be equal.

What batches save is what a call costs besides its arithmetic: much for small models and short rows, nothing where a
single row already keeps a CPU busy.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForSequenceClassification,
    pipeline,
)

from w2s_lightning.config.schema import Numerics
from w2s_lightning.data.model_texts import reward_rows, written
from w2s_lightning.execute.pretrain import word_level
from w2s_lightning.generate.scoring import score
from w2s_lightning.models.device import tokens_per_batch
from w2s_lightning.models.load import Source, load_tokenizer, quiet
from w2s_lightning.rewardbench.reward_models import config_of, form_for, is_classifier, open_classifier
from w2s_lightning.tasks.example import Example
from w2s_lightning.tasks.export import task_from_yaml
from w2s_lightning.tasks.format import Format
from w2s_lightning.tasks.reward_sets import located, read_reward_set
from w2s_lightning.tasks.worlds.arithmetic_pairs import ArithmeticPairs

MAX_LENGTH = 2048
EQUAL = 1e-3  # of scores of a few units, in fp32
CPU = torch.device("cpu")
TASK = Path(__file__).resolve().parents[1] / "conf" / "task" / "arithmetic_pairs.yaml"


@dataclass(frozen=True)
class Timed:
    """Scores [n, 2], and what they took in seconds."""

    scores: NDArray[np.float32]
    wall: float
    cpu: float

    def line(self, name: str) -> str:
        pairs = len(self.scores)
        rates = f"{pairs / self.wall:7.2f} pairs/s, {pairs / self.cpu:7.2f} per CPU second"
        return f"{name:16} {pairs:5} pairs {self.wall:7.1f} s: {rates}"


def timed(work: Callable[[], NDArray[np.float32]]) -> Timed:
    """The work's scores with its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    scores = work()
    return Timed(scores, time.perf_counter() - wall, time.process_time() - cpu)


def headed(model: str, folder: Path) -> Source:
    """A reward model as it is; a language model with a random head, saved into `folder`."""
    if is_classifier(config_of(Source(model))):
        return Source(model)
    torch.manual_seed(0)
    with quiet():
        made = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(model)
        made.config.pad_token_id = tokenizer.pad_token_id
        made.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return Source(str(folder))


def small(task: ArithmeticPairs, folder: Path) -> Source:
    """A model of the ladder's size `small` with random weights: speed does not depend on them."""
    tokenizer = word_level(task.world.vocabulary())
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=MAX_LENGTH,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    with quiet():
        LlamaForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return Source(str(folder))


def ours(source: Source, form: Format, precision: str, budget: int) -> Callable[[Sequence[Example]], Timed]:
    """Our way, with the model opened beforehand."""
    numerics = Numerics(precision=precision, attention="sdpa", max_length=MAX_LENGTH)  # type: ignore[arg-type]
    opened = open_classifier(source, numerics)

    def work(pairs: Sequence[Example]) -> NDArray[np.float32]:
        rows = reward_rows(pairs, form, opened.tokenizer, opened.max_length)
        return score(opened.network, rows, tokens_per_batch=budget, device=CPU)

    return lambda pairs: timed(lambda: work(pairs))


def baseline(source: Source, form: Format, pairs: Sequence[Example]) -> Timed:
    """A pipeline, one text a call."""
    tokenizer = load_tokenizer(source)
    with quiet():
        classify = pipeline(
            "text-classification",
            source.path,
            tokenizer=tokenizer,
            device=-1,
            function_to_apply="none",
            dtype=torch.float32,
        )
    options = {"add_special_tokens": not form.is_chat, "truncation": True, "max_length": MAX_LENGTH}

    def work() -> NDArray[np.float32]:
        texts = [prompt + end for prompt, ends in written(pairs, form, tokenizer) for end in ends]
        return np.array([classify(text, **options)[0]["score"] for text in texts], dtype=np.float32).reshape(-1, 2)

    return timed(work)


def compare(
    source: Source, form: Format, pairs: Sequence[Example], some: Sequence[Example], budget: int, bf16: bool
) -> float:
    """Print both ways, the baseline on `some` of the pairs, and their ratio; the largest difference of their scores."""
    mine = ours(source, form, "fp32", budget)
    mine(pairs[:2])  # what is only done once
    first = mine(pairs)
    theirs = baseline(source, form, some)
    second = mine(pairs)
    both = Timed(first.scores, (first.wall + second.wall) / 2, (first.cpu + second.cpu) / 2)
    print(theirs.line("pipeline"), both.line("ours"), sep="\n")
    _ratio("ratio", both, theirs)
    if bf16:
        half = ours(source, form, "bf16", budget)(pairs)
        print(half.line("ours, bf16"))
        _ratio("ratio, bf16", half, theirs)
    return float(np.abs(mine(some).scores - theirs.scores).max())


def _ratio(name: str, mine: Timed, theirs: Timed) -> None:
    count, other = len(mine.scores), len(theirs.scores)
    wall, cpu = count / mine.wall / (other / theirs.wall), count / mine.cpu / (other / theirs.cpu)
    print(f"{name:16} {wall:.2f} by wall time, {cpu:.2f} by CPU time", flush=True)


def main() -> int:
    """Print the comparison; exit 1 when the scores are not equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder (default: a small random one)")
    parser.add_argument("--data", help="RewardBench rows, with --model")
    parser.add_argument("--pairs", type=int, default=300, help="at most so many, evenly spaced over the data")
    parser.add_argument("--baseline", type=int, help="pairs of the baseline (default: all)")
    parser.add_argument("--tokens-per-batch", type=int, default=tokens_per_batch(CPU))
    parser.add_argument("--bf16", action="store_true", help="time bf16 autocast too")
    options = parser.parse_args()
    if (options.model is None) != (options.data is None):
        parser.error("give --model and --data, or neither")
    with tempfile.TemporaryDirectory() as folder:
        source, form, every = _subject(options, Path(folder))
        pairs = _spaced(every, options.pairs)
        some = _spaced(pairs, options.baseline or len(pairs))
        lengths = reward_rows(pairs, form, load_tokenizer(source), MAX_LENGTH).text_lengths
        print(
            f"{len(pairs)} pairs, texts of {lengths.min()} to {lengths.max()} tokens, {torch.get_num_threads()} threads"
        )
        gap = compare(source, form, pairs, some, options.tokens_per_batch, options.bf16)
    print(f"largest difference of two scores: {gap:.1e}")
    return int(gap > EQUAL)


def _subject(options: argparse.Namespace, folder: Path) -> tuple[Source, Format, Sequence[Example]]:
    """A model, and the rows that it is timed on as it reads them."""
    if options.model is None:
        task: ArithmeticPairs = task_from_yaml(TASK, [])
        return small(task, folder), task.format, task.splits(0).test  # type: ignore[return-value]
    source = headed(options.model, folder)
    form = form_for(source, "auto")
    return source, form, read_reward_set(located(options.data), form).pairs


def _spaced(pairs: Sequence[Example], most: int) -> list[Example]:
    taken = min(most, len(pairs))
    return [pairs[place * len(pairs) // taken] for place in range(taken)]


if __name__ == "__main__":
    sys.exit(main())
