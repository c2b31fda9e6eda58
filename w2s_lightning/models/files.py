"""Where models and tokenizers are read from, every way in which that can fail for a user, and how they are saved.

Only safetensors are read and no code from a repository is ever run.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from transformers import CONFIG_MAPPING, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as hf_logging

from w2s_lightning.content import model_config
from w2s_lightning.errors import UserError

CARD = """---
license: unknown
tags: [w2s-lightning]
---
# {label}

Made by w2s_lightning, stage digest `{digest}`.

{about}

License: unknown. It follows from that of the initial weights and of the training data.
"""


@dataclass(frozen=True)
class Source:
    """A model in Hugging Face layout: a local folder (`revision` None) or a hub repository at a commit."""

    path: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.path if self.revision is None else f"{self.path}@{self.revision[:12]}"


def check_folder(folder: Path) -> None:
    """Raise UserError for a folder that cannot be read safely: no configuration, no safetensors, remote code."""
    settings = model_config(folder)
    if settings.get("model_type") not in CONFIG_MAPPING:
        wants = "wants to run its own code" if "auto_map" in settings else "is of a kind that transformers lacks"
        raise UserError(f"{folder} {wants} (model_type {settings.get('model_type')!r}): use a built-in architecture")


@contextmanager
def reading(source: Source) -> Iterator[None]:
    """Turn what transformers raises for a bad or unreachable model into one UserError."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"{source}: {str(error).strip().splitlines()[0]} (or use fit.attention=sdpa)") from error
    except (OSError, ValueError, KeyError) as error:
        if "attn_implementation" in str(error):
            raise UserError(f"{source} lacks this attention implementation: use fit.attention=eager") from error
        reason = str(error).strip().splitlines()[0]
        if source.revision is None:
            raise UserError(f"cannot read the model folder {source}: {reason}") from error
        raise UserError(
            f"cannot load {source} from the hub: {reason}\n"
            "Without a network use a folder that holds it: model@weak=local weak.path=DIR (or strong)"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and its report of freshly initialised heads, which are intended."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.ERROR)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


def load_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    """The source's tokenizer: pads on the right, truncates on the left (the verdict is read at the end).

    One without a padding token pads with another token: harmless, since nothing looks at padded positions.
    """
    with reading(source), quiet():
        tokenizer = AutoTokenizer.from_pretrained(source.path, revision=source.revision, trust_remote_code=False)
    tokenizer.padding_side = "right"
    tokenizer.truncation_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def word_ids(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> list[int]:
    """Token id of each verdict word; raise UserError for a word that is not one known token.

    All words are tried with a leading space (as they stand after a text) and then as they are.
    """
    for prefix in (" ", ""):
        pieces = [tokenizer(prefix + word, add_special_tokens=False)["input_ids"] for word in words]
        ids = [piece[0] for piece in pieces if len(piece) == 1 and piece[0] != tokenizer.unk_token_id]
        if len(ids) == len(words) and len(set(ids)) == len(ids):
            return ids
    split = [word for word, piece in zip(words, pieces, strict=True) if len(piece) != 1] or list(words)
    few = f"{', '.join(split[:3])}{', ...' if len(split) > 3 else ''}"
    raise UserError(
        f"{len(split)} of {len(words)} verdict words are not one token of their own in this model's tokenizer ({few}): "
        "give others (task.words), or none (task.words=[] with head_init=zeros of the models)"
    )


def save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, label: str, digest: str, about: str
) -> None:
    """Write safetensors, configuration, tokenizer and README.md into `folder`; `from_pretrained` loads it."""
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(CARD.format(label=label, digest=digest, about=about))
