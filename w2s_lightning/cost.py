"""What a stage costs, on paper: FLOPs, seconds, bytes on disk. Estimates, and said to be.

A token's forward pass takes 2 FLOPs a weight that it is multiplied with, and 4 x layers x width x length for
attention (arXiv 2001.08361, which counts the causal half). A backward pass takes twice that, or once when only adapters
are trained. A test holds the sums within 10 % of torch's FlopCounterMode on the ladder, for every kind of task.

What is not known beforehand is taken as typical: the length of what a model writes (and how rows of unequal length are
padded), and that filters keep everything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from pathlib import Path
from typing import Any

from w2s_lightning.config.by_size import folder_parameters
from w2s_lightning.config.schema import HubModel, LadderModel, LocalModel, Model
from w2s_lightning.errors import UserError
from w2s_lightning.identity import Stage
from w2s_lightning.stages import Evaluate, Fit, FolderWeights, HubWeights, Label, Pretrain, ReadOut, Select, Weights

PARAM_BYTES = 4
NUMBER_BYTES = 4.0
TRAINING = {"full": 3, "lora": 2, "probe": 0}  # forward passes that a step costs
ROW_BYTES = 60.0  # of a stored prediction
TEXT_BYTES = 300.0  # of a stored solution
COMPLETION = 0.6  # of a pair's tokens, the part that implicit rewards are read from: the rest is its prompt
ROWS_AT_ONCE = 64  # solutions that are written side by side

Stated = Mapping[str, int]


@dataclass(frozen=True)
class Rate:
    """How fast something computes; `step` and `stage` seconds come on top of what the FLOPs take, and so does what is
    read and written, in bytes a second: files are hashed both ways. There are `count` devices of this kind.

    `start` seconds pass once, until all is imported, and `launch` seconds more for each process of a sweep; both are in
    an accelerator's `stage`. A device has `memory` bytes. A model as narrow as `narrow` spends as long on what is done
    element by element (activations, norms, the softmax over words) as on multiplying matrices; accelerators hide it."""

    name: str
    flops: float
    step: float
    stage: float
    reads: float
    writes: float
    count: int = 1
    start: float = 0.0
    launch: float = 0.0
    memory: float = inf
    narrow: float = 0.0

    @property
    def together(self) -> "Rate":
        """All devices on one stage at a time: they share its FLOPs, not its start and its files."""
        return replace(self, flops=self.flops * self.count)

    def on(self, shape: "Shape") -> "Rate":
        """At what rate a model of this shape computes."""
        return replace(self, flops=self.flops / (1 + self.narrow / shape.width)) if shape.width else self

    def cost(self, flops: float, steps: int, size: float, weights: float = 0) -> "Cost":
        """What a stage costs that loads so many weights and writes `size` bytes."""
        files = PARAM_BYTES * weights / self.reads + size / self.writes
        around = self.stage + files
        return Cost(float(flops), flops / self.flops + steps * self.step + around, float(size), around)


HERE = Rate("this machine, one core", 6.5e10, 0.004, 0.15, reads=6.5e8, writes=2.5e8, start=4.0, launch=0.3, narrow=30)
"""Measured on the ladder, one core of an Intel Xeon or an AMD EPYC: pretrainings and fits come within 20 %; reading
and writing on 0.4 GB of safetensors, the sync at the end included. 22 launches of
`sweeps=smoke` took 11 s on two cores, the first imports 3 to 5 s."""

UTILISATION = 0.35  # of an accelerator's peak that fine-tuning reaches
PEAK = {
    "b200": 2250e12,
    "h200": 989e12,
    "h100": 989e12,
    "a100": 312e12,
    "l40s": 362e12,
    "rtx4090": 165e12,
    "a10": 125e12,
    "t4": 65e12,
}
"""Dense 16-bit FLOP/s by their makers' data sheets."""
MEMORY = {"b200": 192, "h200": 141, "h100": 80, "a100": 80, "l40s": 48, "rtx4090": 24, "a10": 24, "t4": 16}  # in GB
FULL_TUNING = 16  # bytes a parameter: weights, gradients and both of AdamW's moments, in 32 bits


def rate_of(accelerator: str | None) -> Rate:
    """This machine, or accelerators by name and number: `h100`, `h100x64`. Raises UserError for an unknown name."""
    if accelerator is None:
        return HERE
    lowered = accelerator.lower()
    name, _, count = (lowered, "", "1") if lowered in PEAK else lowered.rpartition("x")
    if name not in PEAK or not count.isdigit() or int(count) < 1:
        raise UserError(f"run.accelerator={accelerator}: expected one of {', '.join(PEAK)}, or several: h100x64")
    peak = PEAK[name] * UTILISATION
    memory = MEMORY[name] * 1e9
    return Rate(f"{count} x {name}", peak, 0.01, 20.0, reads=1e9, writes=5e8, count=int(count), memory=memory)


@dataclass(frozen=True)
class Cost:
    """FLOPs, seconds and bytes of one stage; `around` is what of the seconds goes by before and after computing."""

    flops: float
    seconds: float
    bytes: float
    around: float = 0.0


def total(costs: Sequence[Cost]) -> Cost:
    """The sum of several stages' costs."""
    return Cost(
        sum(c.flops for c in costs),
        sum(c.seconds for c in costs),
        sum(c.bytes for c in costs),
        sum(c.around for c in costs),
    )


def cost(stage: Stage, stated: Stated, rate: Rate = HERE) -> Cost:
    """The estimate of one stage; `stated` gives the parameters of hub models by path."""
    match stage:
        case Pretrain(settings=settings):
            shape = shape_of(stage, stated)
            rows = settings.steps * settings.rows_per_step
            flops = 3 * shape.forward(rows, settings.window, settings.window)
            return rate.on(shape).cost(flops, settings.steps, PARAM_BYTES * shape.total)
        case Fit():
            return _fit_cost(stage, stated, rate)
        case Label():
            return _label_cost(stage, stated, rate)
        case Select() | Evaluate():
            return Cost(0.0, HERE.stage / 3, ROW_BYTES * _rows(stage), HERE.stage / 3)  # no device has a part in it
    raise AssertionError(stage.kind)


def too_large(stages: Sequence[Stage], stated: Stated, rate: Rate) -> list[str]:
    """A note for each model whose full tuning does not fit one device, by the bytes that a parameter needs."""
    full = [stage for stage in stages if isinstance(stage, Fit) and stage.tuning == "full"]
    needs = {stage.name: FULL_TUNING * shape_of(stage.weights, stated).total / 1e9 for stage in full}
    return [
        f"full tuning of {name} needs about {need:.0f} GB (16 bytes a parameter) and each device of {rate.name} has "
        f"{rate.memory / 1e9:.0f}: take fit=lora"
        for name, need in needs.items()
        if need * 1e9 > rate.memory
    ]


def _fit_cost(stage: Fit, stated: Stated, rate: Rate) -> Cost:
    optimisation, sizes = stage.optimisation, stage.task.sizes()
    steps = ceil(sizes[stage.split] * optimisation.epochs / optimisation.rows_per_step)
    shape = shape_of(stage.weights, stated)
    rate = rate.on(shape)
    pairs = 2 if "pairs" in stage.targets else 1  # of solutions, each with its question
    forward = _forward(shape, stage.task, stage.readout, pairs * steps * optimisation.rows_per_step)
    validation = _forward(shape, stage.task, stage.readout, min(stage.evaluations, steps) * sizes["validation"])
    flops = 0.0 if stage.tuning == "probe" else TRAINING[stage.tuning] * forward + validation
    if "shift" in stage.targets:  # what the student says before its first step
        flops += _forward(shape, stage.task, stage.readout, sizes[stage.split])
    return rate.cost(flops, steps, PARAM_BYTES * shape.total, shape.total)


def _label_cost(stage: Label, stated: Stated, rate: Rate) -> Cost:
    task, rows, shape = stage.task, stage.task.sizes()[stage.split], shape_of(stage.source.weights, stated)
    rate = rate.on(shape)
    if stage.mode == "solutions":
        return _written_cost(stage, stated, rate)
    if stage.features is not None:  # a probe reads what is stored
        return rate.cost(0.0, 0, ROW_BYTES * rows)
    if stage.pairs is not None:
        flops = shape.forward(2 * rows, task.typical_tokens, task.typical_solution_tokens)
        return rate.cost(flops, 0, ROW_BYTES * rows, shape.total)
    if stage.mode == "shift":  # by the supervisor and by what it was
        flops = _forward(shape, task, stage.source.readout, 2 * rows)
        return rate.cost(flops, 0, task.typical_tokens * rows * NUMBER_BYTES, 2 * shape.total)
    return rate.cost(_forward(shape, task, stage.source.readout, rows), 0, ROW_BYTES * rows, shape.total)


def _forward(shape: "Shape", task: Any, readout: ReadOut, rows: int) -> float:
    """One pass over `rows` examples, each of whose texts (options, completions) is a text of its own."""
    texts = 1 if task.kind == "reasoning" or task.layout == "text" else len(task.class_names)
    length = task.typical_tokens / texts
    written = task.typical_solution_tokens if task.kind == "reasoning" else length
    predicted = {"text": written, "implicit": length * COMPLETION, "words": 1, "head": 0}[readout.kind]
    return shape.forward(rows * texts, length, predicted)


def _written_cost(stage: Label, stated: Stated, rate: Rate) -> Cost:
    """Worked examples and every problem are read once; samples are written token by token, the last of which no pass
    follows. Every token looks back at all before it."""
    rows, task, shape = stage.task.sizes()[stage.split], stage.task, shape_of(stage.source.weights, stated)
    assert stage.generation is not None
    texts, solution = rows * stage.generation.num_samples, task.typical_solution_tokens
    written = min(solution, stage.generation.max_new_tokens) - 1
    question, shown = task.typical_tokens - solution, task.typical_tokens * (stage.shown.count if stage.shown else 0)
    flops = shape.forward(1, shown) + shape.forward(rows, question, 1)
    flops += 2.0 * texts * written * (shape.weights + shape.words)
    flops += 4.0 * shape.attention * (rows * question * shown + texts * written * (shown + question + written / 2))
    return rate.cost(flops, ceil(texts * written / ROWS_AT_ONCE), TEXT_BYTES * texts, shape.total)


def _rows(stage: Select | Evaluate) -> int:
    if isinstance(stage, Evaluate):
        return int(stage.task.sizes()["test"])
    source: Any = stage
    while isinstance(source, Select):
        source = source.sources[0]
    return int(source.task.sizes()[source.split]) if isinstance(source, Label) else 0


# ---------------------------------------------------------------- sizes of models


@dataclass(frozen=True)
class Shape:
    """What a forward pass multiplies with: `weights` for every token, layers x width for attention, `words` (vocabulary
    x width) where words are predicted; `total` is what is stored."""

    total: int
    weights: int
    attention: int = 0
    words: int = 0

    @property
    def width(self) -> float:
        """Of the ladder; 0 where only parameters are known."""
        return self.weights / (16 * self.attention) if self.attention else 0.0

    def forward(self, rows: int, length: float, predicted: float = 0) -> float:
        """FLOPs of one pass over `rows` texts of `length` tokens that predicts words after `predicted` of them."""
        body = rows * length * (2.0 * self.weights + 4.0 * self.attention * length)
        return body + 2.0 * rows * predicted * self.words


def shape_of(weights: Weights | Fit, stated: Stated) -> Shape:
    """The shape of a model: exact for the ladder, from file headers for folders, as stated in YAML for the hub."""
    match weights:
        case Fit():
            return shape_of(weights.weights, stated)
        case Pretrain(layers=layers, width=width):
            return _ladder(len(weights.world.vocabulary()), layers, width)
        case FolderWeights(folder=folder):
            count = folder_parameters(folder.path)
        case HubWeights():
            count = stated.get(weights.path, 0)
    return Shape(count, count)


def _ladder(vocabulary: int, layers: int, width: int) -> Shape:
    body = layers * 16 * width * width
    norms = layers * 2 * width + width
    return Shape(body + norms + vocabulary * width, body, layers * width, vocabulary * width)


def model_parameters(model: Model, task: Any) -> int | None:
    """Parameters of a configured model, None where they cannot be known before it is read."""
    match model:
        case LadderModel() if task.world is None:
            return None
        case LadderModel():
            return _ladder(len(task.world.vocabulary()), model.layers, model.width).total
        case HubModel(params=params):
            return params
        case LocalModel(path=path):
            return folder_parameters(Path(path).expanduser()) or None


def stated_parameters(models: Sequence[Model]) -> dict[str, int]:
    """What YAML says of hub models, by path."""
    return {model.path: model.params for model in models if isinstance(model, HubModel)}
