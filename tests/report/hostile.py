"""Texts that a model or a data set could hold to run code in a page, and a sweep that is full of them."""

import json
from pathlib import Path

from tests.report.making import Made

CORPUS: tuple[str, ...] = tuple(json.loads(Path(__file__).with_suffix(".json").read_text()))


def hostile(root: Path) -> Made:
    """A sweep whose every text is from the corpus: names, axes, reasons, logs, notices, claims, questions, answers."""
    verdicts = [
        {"claim": text, "text": text, "verdict": "above", "value": 0.1, "low": 0.0, "high": 0.2, "per_seed": [0.1]}
        for text in CORPUS
    ]
    names = [text.replace("\u0000", "").replace("/", "\u2215") for text in CORPUS]
    made = Made(
        root,
        name="<i>name</i>",
        kind="preference",
        weak=(names[0], names[6]),
        strong=(names[16], "small"),
        paradigms=("weak_to_strong", "<u>paradigm</u>"),
        axes=({"objective": CORPUS[1]}, {"objective": CORPUS[36]}),
        seeds=(0, 1),
        num_examples=4 * len(CORPUS),
        class_names=(CORPUS[0], CORPUS[3]),
        texts=lambda i: [f"{CORPUS[i % len(CORPUS)]} A", f"{CORPUS[i % len(CORPUS)]} B"],
        solutions=lambda i: f"{CORPUS[i % len(CORPUS)]}\n{CORPUS[(i + 1) % len(CORPUS)]}",
        states={0: "failed", 1: "running"},
        reasons={0: " ".join(CORPUS)},
        logs={0: "\n".join(CORPUS).replace("\u0000", "")},
        notices=CORPUS,
        subsets=CORPUS,
        verdicts=verdicts,
    )
    made.write()
    return made
