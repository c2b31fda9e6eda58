"""What a stage costs, on paper: FLOPs, seconds on this machine, bytes on disk. Estimates, and said to be.

Training takes 6 FLOPs a parameter and token, a forward pass 2 (arXiv 2001.08361), plus attention's
12 x layers x width x length a token in training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path


from w2s_lightning.stages import Evaluate, Fit, FolderWeights, Label, Pretrain, Select, Stage, Weights

SMALL_MODEL_RATE = 1.5e10  # FLOP/s a core reaches on models of the ladder's size (measured in benchmarks/)
STEP_SECONDS = 0.004  # what a training step costs besides its FLOPs
STAGE_SECONDS = 0.3  # loading, writing and hashing
PARAM_BYTES = 4


@dataclass(frozen=True)
class Cost:
    """FLOPs, seconds and bytes of one stage; seconds are at this machine's rate for small models."""

    flops: float
    seconds: float
    bytes: float


def parameters(weights: Weights, stated: Mapping[str, int]) -> int:
    """Parameters of a model: counted for the ladder, from file sizes for folders, as stated in YAML for the hub."""
    match weights:
        case Pretrain(layers=layers, width=width):
            vocabulary = len(weights.world.vocabulary())
            return int(vocabulary * width + layers * (16 * width * width + 2 * width) + width)
        case FolderWeights(folder=folder):
            return sum(file.stat().st_size for file in Path(folder.path).glob("*.safetensors")) // PARAM_BYTES
        case _:
            return stated.get(weights.path, 0)


def cost(stage: Stage, stated: Mapping[str, int]) -> Cost:
    """The estimate of one stage; `stated` gives the parameters of hub models by path."""
    match stage:
        case Pretrain():
            tokens = stage.settings.steps * stage.settings.rows_per_step * stage.settings.window
            size = parameters(stage, stated)
            return _priced(6 * size * tokens, stage.settings.steps, PARAM_BYTES * size)
        case Fit():
            return _fit_cost(stage, stated)
        case Label():
            return _label_cost(stage, stated)
        case Select() | Evaluate():
            return Cost(0.0, STAGE_SECONDS / 3, 1e5)
    raise AssertionError(stage.kind)


def _fit_cost(stage: Fit, stated: Mapping[str, int]) -> Cost:
    rows = stage.task.sizes()[stage.targets.split]
    size = parameters(stage.weights, stated)
    steps = ceil(rows * stage.optimisation.epochs / stage.optimisation.rows_per_step)
    if stage.tuning == "probe":
        return _priced(0.0, steps, PARAM_BYTES * size)
    tokens = steps * stage.optimisation.rows_per_step * stage.task.typical_tokens
    validation = stage.evaluations * stage.task.sizes()["validation"] * stage.task.typical_tokens
    factor = 4 if stage.tuning == "lora" else 6
    return _priced(factor * size * tokens + 2 * size * validation, steps, PARAM_BYTES * size)


def _label_cost(stage: Label, stated: Mapping[str, int]) -> Cost:
    rows = stage.task.sizes()[stage.split]
    weights = stage.source.weights
    if stage.features is not None:
        return Cost(0.0, STAGE_SECONDS, 100.0 * rows)
    flops = 2 * parameters(weights, stated) * rows * stage.task.typical_tokens
    return _priced(flops, 0, 100.0 * rows)


def _priced(flops: float, steps: int, size: float) -> Cost:
    return Cost(float(flops), flops / SMALL_MODEL_RATE + steps * STEP_SECONDS + STAGE_SECONDS, float(size))


def total(costs: list[Cost]) -> Cost:
    """The sum of several stages' costs."""
    return Cost(sum(c.flops for c in costs), sum(c.seconds for c in costs), sum(c.bytes for c in costs))
