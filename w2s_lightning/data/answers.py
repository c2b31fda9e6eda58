"""What label and evaluate stages leave: a network's answers by example id, alone and beside gold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.data import tables
from w2s_lightning.inference.scoring import softmax
from w2s_lightning.metrics import choice as metrics
from w2s_lightning.tasks.example import Example


def write_answers(folder: Path, examples: Sequence[Example], logits: NDArray[np.float32]) -> None:
    """predictions.parquet: fp32 logits [n, K] and their float64 probabilities."""
    columns = {
        "example_id": [example.id for example in examples],
        "group_id": [example.group for example in examples],
        "logits": tables.vectors(logits),
        "probs": tables.vectors(softmax(logits)),
    }
    tables.write(folder / tables.PREDICTIONS, columns)


def write_features(folder: Path, examples: Sequence[Example], features: NDArray[np.float32]) -> None:
    """features.parquet: what the head reads, [n, M * width] for M texts an example."""
    ids = [example.id for example in examples]
    tables.write(folder / tables.FEATURES, {"example_id": ids, "features": tables.vectors(features)})


def write_judged(folder: Path, examples: Sequence[Example], probs: NDArray[np.float64]) -> None:
    """predictions.parquet beside gold, and metrics.json."""
    gold = np.array([example.label for example in examples])
    predicted = probs.argmax(axis=1)
    columns = {
        "example_id": [example.id for example in examples],
        "group_id": [example.group for example in examples],
        "gold": gold,
        "prediction": predicted,
        "correct": predicted == gold,
        "probs": tables.vectors(probs),
        "difficulty": [example.difficulty for example in examples],
    }
    tables.write(folder / tables.PREDICTIONS, columns)
    scores = {
        "num_rows": len(gold),
        "accuracy": metrics.accuracy(probs, gold),
        "auroc": metrics.auroc(probs[:, 1], gold) if probs.shape[1] == 2 else None,
        "log_loss": float(metrics.log_loss(probs, gold).mean()),
        "brier": float(metrics.brier(probs, gold).mean()),
        "ece": metrics.calibration(probs, gold).ece,
    }
    tables.write_json(folder / tables.METRICS, scores)
