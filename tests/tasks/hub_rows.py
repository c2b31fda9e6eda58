"""Rows of published data sets in their own columns, and folders in the hub's layout that hold them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def sciq(split: str, n: int) -> dict[str, Any]:
    wrong = {f"distractor{k}": f"wrong {n} {k}" for k in (1, 2, 3)}
    return {"question": f"{split} question {n}?", **wrong, "correct_answer": f"right {n}", "support": "because"}


def openbookqa(split: str, n: int) -> dict[str, Any]:
    choices = {"text": [f"{n} {letter}" for letter in "wxyz"], "label": list("ABCD")}
    return {"id": f"{split}{n}", "question_stem": f"{split} {n}", "choices": choices, "answerKey": "ABCD"[n * 7 % 4]}


def cosmos_qa(split: str, n: int) -> dict[str, Any]:
    answers = {f"answer{k}": f"answer {n} {k}" if k < 3 else "None of the above choices ." for k in range(4)}
    return {"id": f"{split}{n}", "context": f"{split} {n // 2} .", "question": f"why {n} ?", **answers, "label": n % 4}


def boolq(split: str, n: int) -> dict[str, Any]:
    return {"question": f"is it {n}", "answer": n % 3 > 0, "passage": f"{split} passage {n // 2}"}


def imdb(split: str, n: int) -> dict[str, Any]:
    return {"text": f"{split} film {n % 70}", "label": n % 2}


def amazon_polarity(split: str, n: int) -> dict[str, Any]:
    return {"title": f"{split} {n % 9}", "content": f"thing {n}", "label": n * 5 % 2}


def anthropic_hh(split: str, n: int) -> dict[str, Any]:
    asked = f"\n\nHuman: {split} {n // 2}?\n\nAssistant: well\n\nHuman: so\n\nAssistant: "
    return {"chosen": f"{asked}good {n}", "rejected": f"{asked}bad {n}"}


def shp(split: str, n: int) -> dict[str, Any]:
    first = n % 2
    texts = {"human_ref_A": f"good {n}" if first else f"bad {n}", "human_ref_B": f"bad {n}" if first else f"good {n}"}
    votes = {"score_A": 9 if first else 3, "score_B": 3 if first else 9, "score_ratio": 3.0, "labels": first}
    place = {"post_id": f"{split}{n // 2}", "domain": "askbaking_train", "history": f"{split} {n // 2}?"}
    return {**place, **texts, **votes}


def ultrafeedback_binarized(split: str, n: int) -> dict[str, Any]:
    prompt = f"{split} {n // 2}?"
    answered = {
        side: [{"role": "user", "content": prompt}, {"role": "assistant", "content": f"{side} {n}"}]
        for side in ("chosen", "rejected")
    }
    return {"prompt": prompt, **answered, "score_chosen": 5.0 + n % 4, "score_rejected": 5.0}


def gsm8k(split: str, n: int) -> dict[str, Any]:
    answer = f"It is {n}+2=<<{n}+2={n + 2}>>{n + 2}.\n#### {n + 2}"
    return {"question": f"{split}: what is {n} + 2?", "answer": answer}


def math(split: str, n: int) -> dict[str, Any]:
    solution = rf"Half of it is $\boxed{{\dfrac{{{n}}}{{2}}}}$."
    return {"problem": f"{split} {n}: halve {n}.", "level": f"Level {n % 5 + 1}", "type": "x", "solution": solution}


HUB = {
    "sciq": (sciq, "train", "test"),
    "openbookqa": (openbookqa, "train", "test"),
    "cosmos_qa": (cosmos_qa, "train", "validation"),
    "boolq": (boolq, "train", "validation"),
    "imdb": (imdb, "train", "test"),
    "amazon_polarity": (amazon_polarity, "train", "test"),
    "anthropic_hh": (anthropic_hh, "train", "test"),
    "shp": (shp, "train", "test"),
    "ultrafeedback_binarized": (ultrafeedback_binarized, "train_prefs", "test_prefs"),
    "gsm8k": (gsm8k, "train", "test"),
    "math": (math, "train", "test"),
}
CONFIGS = {"gsm8k": ("main",), "openbookqa": ("main",), "math": ("algebra", "geometry")}


def repository(place: Path, name: str, counts: tuple[int, int] = (160, 40), more: Sequence[Any] = ()) -> Path:
    """A folder in the hub's layout: Parquet files a split, and the card that names them; `more` rows to train on."""
    row, *splits = HUB[name]
    card = "---\nconfigs:\n"
    for config in CONFIGS.get(name, ("default",)):
        card += f"- config_name: {config}\n  data_files:\n"
        for split, count in zip(splits, counts, strict=True):
            (place / config).mkdir(parents=True, exist_ok=True)
            made = [row(f"{config} {split}", n) for n in range(count)]
            made += more if (config, split) == (CONFIGS.get(name, ("default",))[0], splits[0]) else ()
            pq.write_table(pa.Table.from_pylist(made), place / config / f"{split}-0.parquet")
            card += f"  - split: {split}\n    path: {config}/{split}-*\n"
    (place / "README.md").write_text(f"{card}---\n")
    return place
