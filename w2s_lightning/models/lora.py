"""Low-rank adapters (arXiv 2106.09685) through PEFT, merged into the weights before saving."""

import warnings
from collections.abc import Callable

from w2s_lightning.config.schema import Lora
from w2s_lightning.errors import UserError
from w2s_lightning.models.networks import Classifier, Network

_HARMLESS = (
    "fan_in_fan_out is set to False",  # GPT-2 stores its linear layers transposed; PEFT adjusts and says so
    "`is_gradient_checkpointing` is deprecated",  # PEFT 0.21 reads it, transformers 5 renamed it
)


def adapt(network: Network, lora: Lora) -> Callable[[], None]:
    """Freeze the network, inject adapters in place (the head stays trainable) and return what merges them."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError("LoRA needs PEFT: pip install 'w2s-lightning[lora]', or use fit.tuning=full") from error
    names = [name.strip() for name in lora.targets.split(",")]
    config = LoraConfig(
        task_type="SEQ_CLS" if isinstance(network, Classifier) else "CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=names if names != ["all-linear"] else "all-linear",
    )
    with warnings.catch_warnings():
        for message in _HARMLESS:
            warnings.filterwarnings("ignore", message=message)
        try:
            adapted = get_peft_model(network.model, config)
        except ValueError as error:
            raise UserError(f"fit.lora.targets={lora.targets!r} does not fit this model: {error}") from error

    def merge() -> None:
        network.model = adapted.merge_and_unload()

    return merge
