"""Training speed as ratios within one run: `python -m benchmarks.training` (`make bench`).

Useful (attended) tokens a second of our fit against (1) a bare PyTorch loop on the very same steps, which shows what
Lightning, the curve and the resumable loader cost, and (2) Hugging Face's Trainer with its default padding, which shows
what length-bucketed steps gain. Lengths are those of real worked solutions. Cores here are shared and noisy, so the
contestants take turns and the medians of the paired ratios count.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import (
    DataCollatorWithPadding,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    TrainingArguments,
)
from transformers import Trainer as HuggingFaceTrainer

from w2s_lightning.config.schema import Optimisation, Trainer
from w2s_lightning.data.rows import Rows, StepData, plan
from w2s_lightning.execute.pretrain import word_level
from w2s_lightning.fit.loop import fit
from w2s_lightning.fit.paradigms import FitPlan, Supervised
from w2s_lightning.models.networks import DecoderHead
from w2s_lightning.objectives import xent

GSM8K = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k" / "train.jsonl"
VOCABULARY = 2000
ROWS = 32
SETTINGS = Optimisation(
    lr=1e-4, epochs=1.0, rows_per_step=ROWS, warmup_steps=10, schedule="cosine", weight_decay=0.0, clip_norm=1.0
)
MACHINE = Trainer(
    accelerator="cpu",
    devices=1,
    num_nodes=1,
    strategy="auto",
    threads=0,
    tokens_per_batch=1 << 20,
    checkpoint_seconds=60,
    checkpoint_steps=0,
)


def lengths(num_rows: int) -> list[int]:
    """Words in question and solution of GSM8K training rows, or a log-normal stand-in where the file is absent."""
    if GSM8K.is_file():
        rows = [json.loads(line) for line in GSM8K.read_text().splitlines()[:num_rows]]
        return [len(f"{row['question']} {row['answer']}".split()) for row in rows]
    return [int(n) for n in np.random.default_rng(0).lognormal(4.5, 0.45, num_rows).clip(8, 400)]


def data(num_rows: int) -> Rows:
    """Random token ids of real lengths with random binary labels."""
    generator = np.random.default_rng(0)
    texts = [generator.integers(4, VOCABULARY, n) for n in lengths(num_rows)]
    targets = np.eye(2, dtype=np.float32)[generator.integers(2, size=len(texts))]
    ids = tuple(str(number) for number in range(len(texts)))
    return Rows(ids, texts, 1, 0).trained_on(np.ones(len(texts)), probs=targets)


def network(width: int, layers: int) -> DecoderHead:
    """A fresh small Llama classifier."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        pad_token_id=0,
        num_labels=2,
    )
    return DecoderHead(LlamaForSequenceClassification(config), bf16=False)


def ours(rows: Rows, model: DecoderHead) -> float:
    """Seconds of our fit."""
    order = plan(rows.lengths, ROWS, SETTINGS.epochs, 0)
    module = Supervised(model, objective=xent, plan=FitPlan(SETTINGS, num_steps=len(order), seed=0, over_step=False))
    steps = StepData(rows, plan=order, tokens_per_batch=MACHINE.tokens_per_batch)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        fit(
            module,
            steps,
            label="benchmark",
            trainer=MACHINE,
            checkpoints=Path(folder),
            validation=None,
            report=lambda done, of: None,
        )
        return time.perf_counter() - start


def bare(rows: Rows, model: DecoderHead) -> float:
    """Seconds of a plain loop over the same steps with the same optimiser and clipping."""
    order = plan(rows.lengths, ROWS, SETTINGS.epochs, 0)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=SETTINGS.lr, weight_decay=0.0, fused=True)
    start = time.perf_counter()
    for chosen in order:
        inputs = rows.collate(chosen)
        loss = torch.nn.functional.cross_entropy(model(**inputs), torch.from_numpy(rows.targets["probs"][chosen]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS.clip_norm)
        optimizer.step()
    return time.perf_counter() - start


def hugging_face(rows: Rows, model: DecoderHead) -> float:
    """Seconds of transformers' Trainer: random batches padded to their longest row."""
    labels = rows.targets["probs"].argmax(axis=1)
    records = [{"input_ids": t.tolist(), "labels": int(y)} for t, y in zip(rows.texts, labels, strict=True)]
    tokenizer: PreTrainedTokenizerFast = word_level(["<pad>", "<unk>", "<bos>", "<eos>"])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=ROWS,
            num_train_epochs=1,
            learning_rate=SETTINGS.lr,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer = HuggingFaceTrainer(
            model.model, arguments, data_collator=DataCollatorWithPadding(tokenizer), train_dataset=records
        )
        start = time.perf_counter()
        trainer.train()
        return time.perf_counter() - start


def main() -> None:
    """Take turns, print tokens a second and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    given = parser.parse_args()
    rows = data(given.rows)
    tokens = rows.num_tokens(np.arange(len(rows.ids)))
    contestants: dict[str, Callable[[Rows, DecoderHead], float]] = {
        "ours": ours,
        "bare PyTorch loop": bare,
        "Hugging Face Trainer": hugging_face,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():  # a warm-up each, not counted
        run(data(4 * ROWS), network(given.width, given.layers))
    for _ in range(given.rounds):
        for name, run in contestants.items():
            seconds[name].append(run(rows, network(given.width, given.layers)))
    for name, times in seconds.items():
        print(f"{name:22} {tokens / statistics.median(times):10.0f} useful tokens/s")
    for name in list(contestants)[1:]:
        ratios = [other / own for own, other in zip(seconds["ours"], seconds[name], strict=True)]
        print(f"ours / {name}: {statistics.median(ratios):.2f} (rounds: {' '.join(f'{r:.2f}' for r in ratios)})")


if __name__ == "__main__":
    main()
