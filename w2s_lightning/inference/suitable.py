"""Which models the shared cache can serve: told by their configuration, and proved by trying."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from w2s_lightning.errors import UserError
from w2s_lightning.inference.runner import Runner
from w2s_lightning.inference.slots import Slots

_TOLERANCE = 1e-3  # of fp32 logits, relative to the largest


def refuse_unsuitable(model: PreTrainedModel, max_length: int) -> None:
    """Raise UserError for a model that generation cannot serve up to `max_length` tokens."""
    config = model.config
    kinds, window = set(getattr(config, "layer_types", None) or []), getattr(config, "sliding_window", None)
    slides = "sliding_attention" in kinds if kinds else window is not None  # older families tell it by the window
    if slides and (window is None or window < max_length):
        raise UserError(
            f"{config.model_type} attends in a sliding window of {window} tokens, and generation serves it only up to "
            f"that length: set fit.max_length={window}, take another model, or give its solutions as a file"
        )
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope in ("dynamic", "longrope") or not model._supports_attention_backend:
        raise _unfit(model, "its positions or its attention do not let rows of different length share a cache")
    _try(model)


def _try(model: PreTrainedModel) -> None:
    """Compare prefix, prompts and step on a few tokens with one plain pass."""
    tokens = np.arange(1, 9) * 7919 % model.config.get_text_config().vocab_size
    try:
        with torch.no_grad():
            plain = model.eval()(input_ids=torch.from_numpy(tokens)[None].to(model.device), use_cache=False).logits
        found = _shared(Runner(model, bf16=False), tokens)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _unfit(model, str(error)) from error
    near = _TOLERANCE * max(1.0, float(plain.abs().max()))
    if not torch.allclose(found, plain[0, 6:8].float(), atol=near):
        raise _unfit(model, "its logits with a shared cache differ from those without")


def _shared(runner: Runner, tokens: NDArray[np.int64]) -> Tensor:
    """Logits at positions 6 and 7: a prefix of three tokens, a prompt beside a shorter one, and one step."""
    with runner.running():
        prefix = runner.prefix(tokens[:3].tolist())
        first, cache = runner.prompts([tokens[3:7], tokens[5:7]], prefix)
        slots = Slots(num_slots=2, num_columns=6, longest=4, device=runner.device)
        slots.enter(cache, rows=[1, 0], lengths=[4, 2])
        second = runner.step([int(tokens[0]), int(tokens[7])], [2, 4], slots, prefix)
    return torch.stack([first[0], second[1]])


def _unfit(model: PreTrainedModel, why: str) -> UserError:
    return UserError(
        f"cannot generate with {model.config.model_type}: {why}. Take a model of another architecture, or give its "
        "solutions as a file"
    )
