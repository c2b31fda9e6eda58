"""Frozen records for every configuration group except `task` (see `tasks/`).

YAML under `conf/` is the only home of default values: these records have none. `config.py` binds YAML to them with
pydantic, so ranges written here are checked before anything runs. Records whose values change what is learned
(identity) and records that only say how this machine runs it (runtime) are kept apart: `plan.py` never sees the latter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

from annotated_types import Ge, Gt, Interval
from pydantic import AfterValidator, ConfigDict, Strict

from w2s_lightning.config.typed import Devices, Name, Place, Repository
from w2s_lightning.errors import UserError
from w2s_lightning.identity import CODE

T = TypeVar("T")

# The upper ends are beyond all that works, and small enough that nothing overflows, hangs or fills the memory.
Count = Annotated[int, Interval(ge=1, le=10**7)]
Few = Annotated[int, Interval(ge=1, le=200)]
Items = Annotated[int, Interval(ge=1, le=10**6)]  # of an embedded world, per split: they are drawn one by one
Width = Annotated[int, Interval(ge=1, le=2**16)]
Steps = Annotated[int, Interval(ge=0, le=10**7)]
Epochs = Annotated[float, Interval(gt=0, le=10**4)]
Seed = Annotated[int, Strict(), Interval(ge=0, lt=2**32)]
NonNegative = Annotated[float, Ge(0)]
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Interval(ge=0, le=1)]
OpenShare = Annotated[float, Interval(gt=0, lt=1)]
Minority = Annotated[float, Interval(ge=0, lt=0.5)]

TuningName = Literal["full", "lora", "probe"]
ReadOutName = Literal["head", "words", "text", "implicit"]
HeadInit = Literal["zeros", "unembedding"]
WarmUp = Literal["linear", "openai_2023"]
Threshold = Literal["batch_median", "batch_mean", "fixed_half"]


def _margin(value: Any) -> Any:
    if value == "data" or (isinstance(value, int | float) and value >= 0):
        return value
    raise ValueError("expected 0 (none) or more, or data (each pair's own margin)")


Margin = Annotated[Any, AfterValidator(_margin)]


@dataclass(frozen=True, init=False)
class Only:
    """Of an annotation: the option counts for tasks of these kinds alone, and is refused for others."""

    kinds: tuple[str, ...]

    def __init__(self, *kinds: str) -> None:
        object.__setattr__(self, "kinds", kinds)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """A frozen keyword-only dataclass whose unknown keys pydantic refuses."""
    made = dataclass(frozen=True, kw_only=True)(cls)
    made.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    return made


# ---------------------------------------------------------------- identity: what is learned


@record
class LearningRates:
    """Peak learning rate of a model by tuning method; `fit.lr_scale` multiplies it."""

    full: NonNegative
    lora: NonNegative
    probe: NonNegative


@record
class PretrainSettings:
    """How a ladder model is trained from scratch on a world's text; `seed` is its own, never the job's."""

    steps: Steps
    rows_per_step: Count
    window: Count
    lr: NonNegative
    warmup_steps: Steps
    weight_decay: NonNegative
    seed: Seed


@record
class PretrainChanges:
    """What is changed of a world's `PretrainSettings`; null leaves a value as it is."""

    steps: Steps | None
    rows_per_step: Count | None
    window: Count | None
    lr: NonNegative | None
    warmup_steps: Steps | None
    weight_decay: NonNegative | None
    seed: Seed | None


@record
class LadderModel:
    """A small Llama-architecture model that a `pretrain` stage trains on the task's embedded world.

    `worlds` says by world how; `pretrain` changes that for whichever world it is.
    """

    name: Name
    layers: Few
    width: Width
    heads: Few
    lr: LearningRates
    head_init: HeadInit
    worlds: Mapping[str, PretrainSettings]
    pretrain: PretrainChanges

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise UserError(f"{self.name}: width={self.width} must be a multiple of twice its heads={self.heads}")


@record
class HubModel:
    """A model repository on the Hugging Face hub; `params` is stated so that a plan needs no download."""

    name: Name
    path: Repository
    revision: str
    params: Annotated[int, Ge(1)]
    encoder: bool
    lr: LearningRates
    head_init: HeadInit


@record
class LocalModel:
    """A model folder in Hugging Face layout with safetensors weights and a tokenizer.

    Whether it is an encoder is read from its `config.json`; an encoder's head always starts at zeros.
    """

    name: Name
    path: Place
    lr: LearningRates
    head_init: HeadInit


Model = LadderModel | HubModel | LocalModel


@record
class Lora:
    """Low-rank adapters (arXiv 2106.09685) as PEFT names them; `targets` may be `all-linear`."""

    rank: Width
    alpha: Positive
    dropout: Share
    targets: str


@record
class Numerics:
    """What a forward pass depends on besides the weights; `max_length` in tokens, longer texts lose their start."""

    precision: Literal["fp32", "bf16"]
    attention: Literal["sdpa", "eager", "flash_attention_2"]
    max_length: Count


@record
class AdamW:
    """The optimiser and its schedule over a whole fit; a step is `rows_per_step` rows whatever the hardware."""

    epochs: Epochs
    rows_per_step: Count
    warmup_steps: Steps
    schedule: Literal["cosine", "linear", "constant"]
    weight_decay: NonNegative
    clip_norm: Positive


@record
class Optimisation(AdamW):
    """One fit's, at the peak rate `lr`."""

    lr: NonNegative


@record
class FitSettings(Numerics, AdamW):
    """The `fit` group: how every model of a job is tuned; `floor`, `student`, `ceiling` override it for one role."""

    lr_scale: NonNegative
    dropout: Share
    tuning: TuningName
    readout: ReadOutName
    labels: Literal["soft", "hard"]
    evaluations: Steps
    generative_epochs: Annotated[float, Interval(ge=0, le=10**4)]
    lora: Lora
    floor: Mapping[str, Any]
    student: Mapping[str, Any]
    ceiling: Mapping[str, Any]


@record
class GenerationSettings:
    """The `generation` group: how solutions of reasoning tasks are drawn; the task adds its own stop strings."""

    max_new_tokens: Count
    num_samples: Annotated[int, Interval(ge=1, le=10**5)]
    temperature: NonNegative
    top_p: Annotated[float, Interval(gt=0, le=1)]
    top_log_probs: Steps


@record
class Objective:
    """A loss function by dotted path, and its options; `self_target`: it learns from the student's own output.

    `version` is raised when its mathematics changes under the same name and options. `reads` are its positional
    parameters: what the network says, then columns of targets."""

    target: str = field(metadata=CODE)
    options: Mapping[str, Any]
    self_target: bool = False
    version: Annotated[int, Ge(1)] = 1
    reads: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.target.rpartition(".")[2]


@record
class Judge:
    """How predictions are scored: the headline `metric` that PGR is computed on."""

    metric: Literal["accuracy", "auroc"]


@record
class Benchmark:
    """What else a job's models are judged on; of a preference job: a file or hub set in RewardBench's columns.

    `benchmark_overlap` lets its rows have prompts that the job trains on; the result then says how many. Of a reasoning
    job: `test_samples` samples of every row's model to each test problem, for maj@n and pass@n (None: none).
    """

    benchmark: str | None
    benchmark_overlap: bool
    test_samples: Count | None


@record
class Paradigm:
    """A paradigm: recipe, Lightning module (its dotted path), default objectives by task kind, the recipe's options.

    `student_of_record` names the row that figures are about (None: the recipe's last student)."""

    recipe: Callable[..., Any]
    module: str
    student_of_record: str | None
    objectives: Mapping[str, Objective]
    options: Any


# ---------------------------------------------------------------- runtime: how this machine runs it


@record
class Trainer:
    """Hardware and pace: nothing here changes what is learned."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"]
    devices: Devices
    num_nodes: Count
    strategy: str
    threads: Annotated[int, Interval(ge=0, le=1024)]
    tokens_per_batch: Annotated[int, Interval(ge=0, le=10**7)]
    checkpoint_seconds: NonNegative
    checkpoint_steps: Steps


@record
class Tracking:
    """Where runs are mirrored; `auto` is online when logged in, else offline."""

    mode: Literal["auto", "online", "offline", "disabled"]
    project: str
    entity: str | None
    group: str | None
    tags: tuple[str, ...]
    init_timeout: Positive


@record
class SupervisorFiles:
    """Supervisor answers from files keyed by example id, in place of the weak model's.

    `file` covers `transfer` and `validation` and trains the student; `test_file` (it may be the same file) covers
    `test` and is the floor: without it PGR is undefined.
    """

    file: str | None
    test_file: str | None

    def __post_init__(self) -> None:
        if self.test_file is not None and self.file is None:
            raise UserError("supervisor.test_file goes with supervisor.file, which trains the student: give both")


@record
class Paths:
    """Folders on this machine."""

    store: Place
    outputs: Place


@record
class Run:
    """`mode=plan` shows what would run, priced for `accelerator` (`h100x64`; None: this machine); `only` computes just
    the stages with these digests and what they stand on (used by sweeps)."""

    mode: Literal["job", "plan"]
    only: str | tuple[str, ...] | None
    accelerator: str | None

    def __post_init__(self) -> None:
        if self.accelerator is not None and self.mode != "plan":
            raise UserError(f"run.accelerator={self.accelerator} prices a plan, and chooses no device: add run=plan")
