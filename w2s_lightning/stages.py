"""The five kinds of stage: frozen records whose every field is identity.

A stage is one deterministic piece of work. Its digest is the sha256 of its canonical JSON, in which a parent stage
stands as its digest. There is no list of fields to leave out: whatever must not count (where a file lies, how many
devices, how a score is judged later) is simply not a field. `version` is bumped when the mathematics of a kind changes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from w2s_lightning.config.schema import (
    GenerationSettings,
    HeadInit,
    Judge,
    Lora,
    Numerics,
    Objective,
    Optimisation,
    PretrainSettings,
    ReadOutName,
    TuningName,
)
from w2s_lightning.content import DataFile, Folder
from w2s_lightning.identity import CODE, Stage, StagePart
from w2s_lightning.tasks.example import Split
from w2s_lightning.tasks.reward_sets import RewardSetTask

Task = Any
"""A task of any kind: its `kind` says which."""


@dataclass(frozen=True)
class Pretrain(Stage):
    """A ladder model trained from scratch on a world's text."""

    kind = "pretrain"
    version = 1

    world: Any
    name: str = field(compare=False)
    layers: int
    width: int
    heads: int
    settings: PretrainSettings

    @property
    def label(self) -> str:
        return f"{self.name}-{self.world.name}"


@dataclass(frozen=True)
class HubWeights:
    """A hub repository at a commit."""

    path: str
    commit: str

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class FolderWeights:
    """A local model folder, by content."""

    folder: Folder
    name: str = field(default="folder", compare=False)


Weights = Pretrain | HubWeights | FolderWeights


@dataclass(frozen=True)
class ReadOut:
    """How answers are read from a model: a linear head on the last attended token, the verdict words' logits, the
    `text` that it writes, or `implicit` rewards (how much likelier a text is than under a reference)."""

    kind: ReadOutName
    head_init: HeadInit


@dataclass(frozen=True)
class BareModel(StagePart):
    """A model before any fit (or before the next one), with the read-out and numerics that a fit would give it."""

    weights: "Weights | Fit"
    readout: ReadOut
    numerics: Numerics

    @property
    def name(self) -> str:
        return self.weights.name


@dataclass(frozen=True)
class Gold:
    """Gold labels of a split as targets."""

    split: Split


@dataclass(frozen=True)
class UnlabelledTexts:
    """A split's texts themselves, without any label: for language modelling."""

    split: Split


@dataclass(frozen=True)
class Supervisor:
    """Labels keyed by example id from a file (people, an API): targets without a model."""

    split: Split
    file: DataFile


@dataclass(frozen=True)
class Shown(StagePart):
    """Worked examples before a question: the solutions to `count` problems of one split, drawn by `split_seed`."""

    solutions: "Targets"
    split_seed: int
    count: int


LabelMode = Literal["probs", "features", "log_probs", "shift", "solutions"]
_USES: Mapping[LabelMode, frozenset[str]] = {
    "probs": frozenset({"features", "reference"}),
    "features": frozenset(),
    "log_probs": frozenset({"pairs"}),
    "shift": frozenset(),
    "solutions": frozenset({"generation", "seed", "shown"}),
}


@dataclass(frozen=True)
class Label(Stage):
    """What a model says of one split, keyed by example id. The `mode` says what, and which of the last fields it has:

    * `probs`: class probabilities. A probe reads them from the frozen network's `features`, an implicit reward is
      measured against a `reference` (both what the untuned model says of the same split).
    * `features`: the network's last hidden state at the last attended token.
    * `log_probs`: of the completions that the task's pairs have, or of those in `pairs`.
    * `shift`: what preference training changed in the source: its log-ratio to its own reference, for every token.
    * `solutions`: `generation.num_samples` written to each problem, with worked examples `shown` before it (None:
      zero-shot), drawn from `seed` (0 where decoding is greedy), and their final answers, by the task's `reading`.

    `split_seed` is None for `test`, which no seed changes.
    """

    kind = "label"
    version = 1

    source: "Fit | BareModel"
    task: Task
    split: Split
    split_seed: int | None
    mode: LabelMode
    features: "Label | None" = None
    reference: "Label | None" = None
    pairs: "Select | None" = None
    generation: GenerationSettings | None = None
    seed: int | None = None
    shown: Shown | None = None
    reading: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.mode == "solutions":
            object.__setattr__(self, "reading", self.task.key.reading)
        own = frozenset(name for name in frozenset.union(*_USES.values()) if getattr(self, name) is not None)
        assert own <= _USES[self.mode], f"a label of {self.mode} has no {', '.join(own - _USES[self.mode])}"
        assert (self.generation is None) == (self.mode != "solutions"), "solutions are generated, and nothing else"

    @property
    def label(self) -> str:
        words = [self.source.label if isinstance(self.source, Fit) else self.source.name]
        if isinstance(self.source, BareModel) and self.mode != "solutions":
            words.append(self.source.readout.kind)
        words.append(self.task.name if isinstance(self.task, RewardSetTask) else self.split)
        words += [] if self.mode == "probs" else [self.mode]
        words += [f"{self.shown.count}shot"] if self.shown else []
        if self.generation and self.generation.num_samples > 1:
            words.append(f"n{self.generation.num_samples}")
        return "-".join(words)


@dataclass(frozen=True)
class Select(Stage):
    """Targets made from targets by a rule of `selection.py` (data only): filter, average, pair.

    `seed` is what the rule draws from (0 where it draws nothing); task and `split_seed` say which examples they are of.
    """

    kind = "select"
    version = 1

    rule: str
    options: Mapping[str, Any]
    seed: int
    task: Task
    split_seed: int
    sources: tuple["Targets", ...]

    @property
    def label(self) -> str:
        return f"{self.rule}-s{self.seed}"

    @property
    def split(self) -> Split:
        return self.sources[0].split


Targets = Gold | UnlabelledTexts | Supervisor | Label | Select
LEARNED = ("labels", "solutions", "pairs", "texts")


@dataclass(frozen=True)
class Fit(Stage):
    """One model trained on targets of one split, each of which has a name:

    * what it learns, one of `labels`, `solutions`, `pairs` (of solutions), `texts`;
    * what the loss needs beside that, under the names that losses ask for: `features` (a probe's input), `reference`
      (log-probabilities before the fit), `shift` (what was changed in the supervisor), `top_tokens` (a teacher's).

    `validation` holds the same of the split `validation`, for `evaluations` passes spread over the fit. `seed` sets
    initialisation, order and dropout; `split_seed` which examples are in the split (they differ only for ensembles of
    supervisors). `weights` may be another fit, which this one goes on from.
    """

    kind = "fit"
    version = 2  # 2: a step's rows are drawn at random

    task: Task
    weights: "Weights | Fit"
    readout: ReadOut
    tuning: TuningName
    numerics: Numerics
    optimisation: Optimisation
    dropout: float
    objective: Objective
    module: str = field(metadata=CODE)
    labels: Literal["soft", "hard"]
    seed: int
    split_seed: int
    targets: Mapping[str, Targets]
    validation: Mapping[str, Targets] = field(default_factory=dict)
    evaluations: int = 0
    lora: Lora | None = None

    @property
    def learned(self) -> Targets:
        """What the model is trained to say."""
        (name,) = [name for name in LEARNED if name in self.targets]
        return self.targets[name]

    @property
    def split(self) -> Split:
        """Whose examples it is trained on."""
        return self.learned.split

    @property
    def name(self) -> str:
        return self.weights.name

    @property
    def label(self) -> str:
        return f"{self.name}-{self.task.name}-{_origin(self.learned)}_{self.split}-{self.objective.name}-s{self.seed}"


def _origin(targets: Targets) -> str:
    """Where targets come from, in one word."""
    match targets:
        case Gold():
            return "gold"
        case UnlabelledTexts():
            return "texts"
        case Supervisor():
            return "file"
        case Label():
            return targets.source.name
        case Select():
            return targets.rule


@dataclass(frozen=True)
class Evaluate(Stage):
    """A model's answers on `test` joined with gold and scored; reads a label stage, loads no model."""

    kind = "evaluate"
    version = 1

    answers: Label | Supervisor
    task: Task
    judge: Judge
    reading: int | None = field(default=None, init=False)  # how final answers are read, of solutions alone

    def __post_init__(self) -> None:
        if self.task.kind == "reasoning":
            object.__setattr__(self, "reading", self.task.key.reading)

    @property
    def label(self) -> str:
        return "supervisor_file" if isinstance(self.answers, Supervisor) else self.answers.label


def models_of(stages: Iterable[Stage]) -> dict[tuple[Any, ...], tuple[BareModel, Task]]:
    """The folder and hub models that stages open, once in each read-out and for each kind of task and its words."""
    found: dict[tuple[Any, ...], tuple[BareModel, Task]] = {}
    for stage in stages:
        if isinstance(stage, Fit):
            model = BareModel(stage.weights, stage.readout, stage.numerics)
        elif isinstance(stage, Label) and isinstance(stage.source, BareModel):
            model = stage.source
        else:
            continue
        if isinstance(model.weights, FolderWeights | HubWeights):
            key = (model.weights, model.readout, stage.task.kind, tuple(stage.task.words))
            found.setdefault(key, (model, stage.task))
    return found
