"""The five kinds of stage: frozen records whose every field is identity.

A stage is one deterministic piece of work. Its digest is the sha256 of its canonical JSON, in which a parent stage
stands as its digest. There is no list of fields to leave out: whatever must not count (where a file lies, how many
devices, how a score is judged later) is simply not a field. `version` is bumped when the mathematics of a kind changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from w2s_lightning.content import DataFile, Folder
from w2s_lightning.schema import (
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
from w2s_lightning.stage import Part, Stage
from w2s_lightning.tasks.example import Split
from w2s_lightning.tasks.reward_set_task import RewardSetTask
from w2s_lightning.tasks.task import ChoiceTask, ReasoningTask

Task = Any
"""A `ChoiceTask` or a `ReasoningTask`: its `kind` says which, and functions for one kind say so in their signature."""


@dataclass(frozen=True)
class Pretrain(Stage):
    """A ladder model trained from scratch on a world's text."""

    kind = "pretrain"
    version = 1

    world: Any
    name: str
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

    @property
    def name(self) -> str:
        return f"folder_{self.folder.sha256[:6]}"


Weights = Pretrain | HubWeights | FolderWeights


@dataclass(frozen=True)
class ReadOut:
    """How answers are read from a model: a linear head on the last attended token, the verdict words' logits, the
    `text` that it writes, or `implicit` rewards (how much likelier a text is than under a reference)."""

    kind: ReadOutName
    head_init: HeadInit


@dataclass(frozen=True)
class BareModel(Part):
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
class Texts:
    """A split's texts themselves, without any label: for language modelling."""

    split: Split


@dataclass(frozen=True)
class Supervisor:
    """Labels keyed by example id from a file (people, an API): targets without a model."""

    split: Split
    file: DataFile


@dataclass(frozen=True)
class Label(Stage):
    """A model's answers on one split, keyed by example id.

    `split_seed` is None for `test`, which no seed changes. `mode`: `probs` (class probabilities), `features` (the
    frozen network's last hidden state at the last attended token, for probes) or `log_probs` (of an example's
    completions, for implicit rewards). `features` is what a probe or an implicit reward needs of the untuned model.
    """

    kind = "label"
    version = 1

    source: "Fit | BareModel"
    task: ChoiceTask
    split: Split
    split_seed: int | None
    mode: Literal["probs", "features", "log_probs"]
    features: "Label | None"

    @property
    def label(self) -> str:
        kind = "" if self.mode == "probs" else f"-{self.mode}"
        name = self.source.label if isinstance(self.source, Fit) else f"{self.source.name}-{self.source.readout.kind}"
        where = self.task.name if isinstance(self.task, RewardSetTask) else self.split
        return f"{name}-{where}{kind}"


@dataclass(frozen=True)
class Shift(Stage):
    """What preference training changed in a supervisor: its log-ratio to its own reference for every token of a split.

    As targets of a fit it stands for the supervisor's answers (`labels`) too.
    """

    kind = "label"
    version = 1

    labels: Label

    @property
    def source(self) -> "Fit":
        assert isinstance(self.labels.source, Fit), "an untuned model has not been changed"
        return self.labels.source

    @property
    def task(self) -> ChoiceTask:
        return self.labels.task

    @property
    def split(self) -> Split:
        return self.labels.split

    @property
    def label(self) -> str:
        return f"{self.source.label}-{self.split}-shift"


@dataclass(frozen=True)
class Shown(Part):
    """Worked examples before a question: the solutions to `count` problems of one split, drawn by `split_seed`."""

    solutions: "Targets"
    split_seed: int
    count: int


@dataclass(frozen=True)
class Solve(Stage):
    """The solutions that a model writes to one split's problems, `generation.num_samples` each, keyed by problem id.

    `split_seed` is None for `test`. `seed` is what samples are drawn from (0 where decoding is greedy). `shown` are
    worked examples before every question (None: zero-shot).
    """

    kind = "label"
    version = 1

    source: "Fit | BareModel"
    task: ReasoningTask
    split: Split
    split_seed: int | None
    generation: GenerationSettings
    seed: int
    shown: Shown | None

    @property
    def label(self) -> str:
        name = self.source.label if isinstance(self.source, Fit) else self.source.name
        shots = f"-{self.shown.count}shot" if self.shown else ""
        samples = f"-n{self.generation.num_samples}" if self.generation.num_samples > 1 else ""
        return f"{name}-{self.split}-solutions{shots}{samples}"


@dataclass(frozen=True)
class Reference(Stage):
    """Log-probabilities of contrastive pairs under a reference model, stored once.

    As targets of a contrastive fit it stands for the pairs too, so the reference is never in memory beside the student.
    """

    kind = "label"
    version = 1

    source: "Fit | BareModel"
    pairs: "Select"

    @property
    def task(self) -> Task:
        return self.pairs.task

    @property
    def split(self) -> Split:
        return self.pairs.split

    @property
    def label(self) -> str:
        name = self.source.label if isinstance(self.source, Fit) else self.source.name
        return f"{name}-{self.split}-log_probs"


@dataclass(frozen=True)
class Select(Stage):
    """Targets made from targets by a rule of `selection.py` or `solutions.py` (data only): filter, average, pair.

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


Targets = Gold | Texts | Supervisor | Label | Shift | Solve | Select | Reference


@dataclass(frozen=True)
class Fit(Stage):
    """One model trained on targets of one split.

    `seed` sets initialisation, order and dropout; `split_seed` which examples are in `targets.split` (they differ only
    for ensembles of supervisors). `weights` may be another fit, which this one goes on from. `features` holds what
    the untuned model says of the training split (a probe's frozen features, an implicit reward's reference),
    `validation_features` the same of the validation split. `evaluations` validation passes are spread over the fit.
    """

    kind = "fit"
    version = 1

    task: Task
    weights: "Weights | Fit"
    readout: ReadOut
    tuning: TuningName
    lora: Lora | None
    numerics: Numerics
    optimisation: Optimisation
    dropout: float
    objective: Objective
    module: str
    labels: Literal["soft", "hard"]
    evaluations: int
    seed: int
    split_seed: int
    targets: Targets
    validation_targets: Targets | None
    features: Label | None
    validation_features: Label | None

    @property
    def name(self) -> str:
        return self.weights.name

    @property
    def label(self) -> str:
        objective = self.objective.target.rsplit(".", 1)[-1]
        return f"{self.name}-{self.task.name}-{_origin(self.targets)}_{self.targets.split}-{objective}-s{self.seed}"


def _origin(targets: Targets) -> str:
    """Where targets come from, in one word."""
    match targets:
        case Gold():
            return "gold"
        case Texts():
            return "texts"
        case Supervisor():
            return "file"
        case Label() | Shift() | Solve():
            return targets.source.name
        case Select():
            return targets.rule
        case Reference():
            return targets.pairs.rule


@dataclass(frozen=True)
class Evaluate(Stage):
    """A model's answers on `test` joined with gold and scored; reads a label stage, loads no model."""

    kind = "evaluate"
    version = 1

    answers: Label | Solve | Supervisor
    task: Task
    judge: Judge

    @property
    def label(self) -> str:
        return "supervisor_file" if isinstance(self.answers, Supervisor) else self.answers.label
