"""Which fit stands behind a row, by walking the identities that the store holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from w2s_lightning.report.examples import Texts
from w2s_lightning.report.records import Job
from w2s_lightning.results.stored import StoreReader


@dataclass(frozen=True)
class Passes:
    """A fit's validation passes: at which share of training and epoch, right answers by gold, agreement with its own
    targets."""

    shares: tuple[float, ...]
    epochs: tuple[float, ...]
    gold: tuple[float, ...]
    agreement: tuple[float | None, ...]


def fit_of(shelf: StoreReader, job: Job, name: str) -> str | None:
    """The digest of the fit whose answers a row is about, None for a bare model or a file."""
    row = job.named(name)
    evaluate = shelf.stage(row["evaluate"]) if row else None
    label = _parent(shelf, evaluate, "answers")
    source = (label or {}).get("source")
    digest = source.get("stage") if isinstance(source, dict) else None
    found = shelf.stage(digest) if digest else None
    return str(digest) if found and found.get("kind") == "fit" else None


def _parent(shelf: StoreReader, stage: Mapping[str, Any] | None, field: str) -> Mapping[str, Any] | None:
    value = (stage or {}).get(field)
    return shelf.stage(value["stage"]) if isinstance(value, dict) and "stage" in value else None


def passes_of(shelf: StoreReader, digest: str, texts: Texts | None) -> Passes | None:
    """A fit's validation passes joined with gold; None where either is missing."""
    found, stage = shelf.validation(digest), shelf.stage(digest)
    if found is None or stage is None or texts is None:
        return None
    gold = [texts.validation_gold.get(one) for one in found.ids]
    if any(label is None for label in gold):
        return None
    history = shelf.history(digest)
    last = max((row["step"] for row in history), default=found.steps[-1])
    epochs = float((stage.get("optimisation") or {}).get("epochs") or 1.0)
    agreement = {row["step"]: row["validation_agreement"] for row in history if "validation_agreement" in row}
    right = (found.probs.argmax(axis=2) == np.array(gold)).mean(axis=1)
    return Passes(
        shares=tuple(step / last for step in found.steps),
        epochs=tuple(epochs * step / last for step in found.steps),
        gold=tuple(right.tolist()),
        agreement=tuple(agreement.get(step) for step in found.steps),
    )


def curve_of(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`{"loss": [[share of training, ...], [value, ...]], ...}` of whatever a history holds, to four digits."""
    last = max((row["step"] for row in history), default=1)
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in history:
        for name, value in row.items():
            if name not in ("step", "fraction", "tokens", "lr") and isinstance(value, int | float):
                x, y = found.setdefault(name, ([], []))
                x.append(round(row["step"] / last, 4))
                y.append(float(f"{value:.4g}"))
    return {name: [x, y] for name, (x, y) in found.items()}
