"""The five kinds of stage: frozen records whose every field is identity.

A stage is one deterministic piece of work. Its digest is the sha256 of its canonical JSON, in which a parent stage
stands as its digest. There is no list of fields to leave out: whatever must not count (where a file lies, how many
devices, how a score is judged later) is simply not a field. `version` is bumped when the mathematics of a kind changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Literal

from w2s_lightning.content import DataFile, Folder
from w2s_lightning.digest import SHORT, canonical, digest
from w2s_lightning.schema import (
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
from w2s_lightning.tasks.examples import ChoiceTask, Split


@dataclass(frozen=True)
class Stage:
    """Common part of all stages: identity, digest, parents."""

    kind: ClassVar[str]
    version: ClassVar[int]

    def identity(self) -> Mapping[str, Any]:
        """How a stage stands inside another record's identity: by its digest."""
        return {"stage": self.digest}

    def record(self) -> dict[str, Any]:
        """The full identity as JSON types, written to `stage.json`."""
        own = {f.name: canonical(getattr(self, f.name)) for f in fields(self)}
        return {"kind": self.kind, "version": self.version, **own}

    @cached_property
    def digest(self) -> str:
        """sha256 of `record()`, 64 hex digits."""
        return digest(self.record())

    @property
    def folder(self) -> str:
        """Readable label and the first 16 hex digits; a function of identity, so one stage has one folder."""
        return f"{self.label}-{self.digest[:SHORT]}"

    @property
    def label(self) -> str:
        """Short readable name; never parsed."""
        raise NotImplementedError

    def parents(self) -> Iterator["Stage"]:
        """The stages whose outputs this one reads."""
        for f in fields(self):
            yield from _stages_in(getattr(self, f.name))

    def ancestors(self) -> Iterator["Stage"]:
        """Parents, their parents and so on; a stage that is reached twice comes twice."""
        for parent in self.parents():
            yield parent
            yield from parent.ancestors()


def _stages_in(value: object) -> Iterator[Stage]:
    if isinstance(value, Stage):
        yield value
    elif isinstance(value, BareModel):
        yield from _stages_in(value.weights)
    elif isinstance(value, tuple):
        for item in value:
            yield from _stages_in(item)


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
    """How logits are read from a model: a linear head on the last attended token, or the verdict words' logits."""

    kind: ReadOutName
    head_init: HeadInit


@dataclass(frozen=True)
class BareModel:
    """A model before any fit, with the read-out and numerics that a fit would give it."""

    weights: Weights
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
class Supervisor:
    """Labels keyed by example id from a file (people, an API): targets without a model."""

    split: Split
    file: DataFile


@dataclass(frozen=True)
class Label(Stage):
    """A model's answers on one split, keyed by example id.

    `split_seed` is None for `test`, which no seed changes. `mode`: `probs` (class probabilities) or `features`
    (the frozen network's last hidden state at the last attended token, for probes).
    """

    kind = "label"
    version = 1

    source: "Fit | BareModel"
    task: ChoiceTask
    split: Split
    split_seed: int | None
    mode: Literal["probs", "features"]
    features: "Label | None"

    @property
    def label(self) -> str:
        kind = "" if self.mode == "probs" else f"-{self.mode}"
        name = self.source.label if isinstance(self.source, Fit) else f"{self.source.name}-{self.source.readout.kind}"
        return f"{name}-{self.split}{kind}"


@dataclass(frozen=True)
class Select(Stage):
    """Targets made from targets by a rule of `selection.py` (data only): filter, weight, average, permute.

    `seed` is what the rule draws from (0 where it draws nothing); task and `split_seed` say which examples they are of.
    """

    kind = "select"
    version = 1

    rule: str
    options: Mapping[str, Any]
    seed: int
    task: ChoiceTask
    split_seed: int
    sources: tuple["Targets", ...]

    @property
    def label(self) -> str:
        return f"{self.rule}-s{self.seed}"

    @property
    def split(self) -> Split:
        return self.sources[0].split


Targets = Gold | Supervisor | Label | Select


@dataclass(frozen=True)
class Fit(Stage):
    """One model trained on targets of one split.

    `seed` sets initialisation, order and dropout; `split_seed` which examples are in `targets.split` (they differ only
    for ensembles of supervisors). `features` (probes only) holds the frozen features of the training split,
    `validation_features` those of the validation split. `evaluations` validation passes are spread over the fit.
    """

    kind = "fit"
    version = 1

    task: ChoiceTask
    weights: Weights
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
    validation_targets: Targets
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
    task: ChoiceTask
    judge: Judge

    @property
    def label(self) -> str:
        return self.answers.label if isinstance(self.answers, Label) else "supervisor_file"
