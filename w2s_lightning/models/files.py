"""Where models are read from, every way in which reading them can fail for a user, and how they are saved.

Only safetensors are read and no code from a repository is ever run.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from transformers import CONFIG_MAPPING, PreTrainedModel, PreTrainedTokenizerBase
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


def save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, label: str, digest: str, about: str
) -> None:
    """Write safetensors, configuration, tokenizer and README.md into `folder`; `from_pretrained` loads it."""
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(CARD.format(label=label, digest=digest, about=about))
