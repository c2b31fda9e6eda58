"""Tiny reward models with a head, and tiny language models, saved once a session."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.models.tiny import make_folder
from tests.rewardbench.rows import TALK
from w2s_lightning.models.load import quiet


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`models("llama")` is a language model, `models("llama", labels=1)` a reward model with a random head."""
    root, made = tmp_path_factory.mktemp("rewards"), dict[tuple[str, int, int], Path]()

    def of(family: str, *, labels: int = 0, seed: int = 0) -> Path:
        key = (family, labels, seed)
        if key not in made:
            base = make_folder(root / f"{family}-{labels}-{seed}", family, texts=TALK, seed=seed)
            made[key] = with_head(base, labels) if labels else base
        return made[key]

    return of


def with_head(folder: Path, labels: int) -> Path:
    """The same folder as `AutoModelForSequenceClassification` saves it, with a head that is not small."""
    torch.manual_seed(labels)
    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=labels)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.shape[0] == labels:
                    parameter.normal_()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model.config.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        model.save_pretrained(folder)
    return folder
