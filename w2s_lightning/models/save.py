"""Saving a network so that `AutoModel...from_pretrained` loads it: weights, tokenizer, a short model card."""

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2s_lightning.models.source import quiet

CARD = """---
license: unknown
tags: [w2s-lightning]
---
# {label}

Made by w2s_lightning, stage digest `{digest}`.

{story}

License: unknown. It follows from that of the initial weights and of the training data.
"""


def save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, label: str, digest: str, story: str
) -> None:
    """Write safetensors, configuration, tokenizer and README.md into `folder`."""
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(CARD.format(label=label, digest=digest, story=story))
