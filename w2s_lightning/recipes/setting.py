"""What every recipe is given: one task, one pair, one seed, and the few ways to put stages together.

Floor and ceiling are made here, alike for all paradigms, so that no recipe can move its own baseline.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.schema import FitSettings, HeadInit, Judge, Numerics, Objective, Optimisation, ReadOutName
from w2s_lightning.stages import (
    BareModel,
    Evaluate,
    Fit,
    Gold,
    Label,
    ReadOut,
    Select,
    Supervisor,
    Targets,
    Weights,
)
from w2s_lightning.tasks.examples import ChoiceTask, Split

Role = Literal["floor", "student", "ceiling"]
RowRole = Literal["untuned", "floor", "student", "ceiling", "teacher", "middle", "control", "reference"]
SUPERVISED = "w2s_lightning.modules.supervised.Supervised"


@dataclass(frozen=True)
class ModelSpec:
    """A model of the pair, resolved: its weights' identity and what fitting it needs to know."""

    name: str
    weights: Weights
    lr: Mapping[str, float]
    head_init: HeadInit
    encoder: bool


@dataclass(frozen=True)
class Row:
    """One line of the result: a model's answers on `test`, and what it is there for."""

    name: str
    role: RowRole
    model: str
    evaluate: Evaluate


@dataclass(frozen=True)
class Recipe:
    """What a paradigm adds to the common rows; `supervisor` names the row that made the student's targets."""

    rows: tuple[Row, ...]
    supervisor: str | None


@dataclass(frozen=True)
class Setting:
    """One job's resolved configuration, and the constructors of its stages."""

    task: ChoiceTask
    judge: Judge
    weak: ModelSpec
    strong: ModelSpec
    middle: tuple[ModelSpec, ...]
    settings: Mapping[Role, FitSettings]
    gold_objective: Objective
    objective: Objective
    module: str
    supervisor_file: DataFile | None
    supervisor_test_file: DataFile | None
    seed: int

    # ------------------------------------------------------------ stages

    def fit(
        self,
        model: ModelSpec,
        targets: Targets,
        validation: Targets,
        *,
        role: Role = "student",
        seed: int | None = None,
    ) -> Fit:
        """Train `model` on `targets`; a floor or ceiling always takes the gold objective and the supervised module."""
        chosen = self.settings[role]
        student = role == "student"
        probe = chosen.tuning == "probe"
        return Fit(
            task=self.task,
            weights=model.weights,
            readout=_readout(model, chosen.readout),
            tuning=chosen.tuning,
            lora=chosen.lora if chosen.tuning == "lora" else None,
            numerics=_numerics(chosen),
            optimisation=_optimisation(chosen, model.lr[chosen.tuning]),
            dropout=chosen.dropout,
            objective=self.objective if student else self.gold_objective,
            module=self.module if student else SUPERVISED,
            labels="hard" if isinstance(targets, Gold) else chosen.labels,
            evaluations=chosen.evaluations,
            seed=self.seed if seed is None else seed,
            split_seed=self.seed,
            targets=targets,
            validation_targets=validation,
            features=self._features(model, chosen, targets.split) if probe else None,
            validation_features=self._features(model, chosen, "validation") if probe else None,
        )

    def fit_gold(self, model: ModelSpec, split: Split, *, role: Role, seed: int | None = None) -> Fit:
        """Train `model` on the gold labels of `split` with the gold objective, whatever the paradigm."""
        return self.fit(model, Gold(split), Gold("validation"), role=role, seed=seed)

    def bare(self, model: ModelSpec, readout: ReadOutName | None = None) -> BareModel:
        """The model before any fit, read as the student is (or by its verdict words)."""
        chosen = self.settings["student"]
        return BareModel(model.weights, _readout(model, readout or chosen.readout), _numerics(chosen))

    def label(self, source: Fit | BareModel, split: Split) -> Label:
        """The source's class probabilities on a split."""
        split_seed = None if split == "test" else self.seed
        features = None
        if isinstance(source, Fit) and source.features is not None:
            base = source.features.source
            features = Label(base, self.task, split, split_seed, "features", None)
        return Label(source, self.task, split, split_seed, "probs", features)

    def select(self, rule: str, *sources: Targets, seed: int = 0, **options: Any) -> Select:
        """Targets made from targets by a rule of `selection.py`; `seed` only where the rule draws."""
        return Select(rule, options, seed, self.task, self.seed, sources)

    def evaluate(self, answers: Label | Supervisor) -> Evaluate:
        """Judge answers on `test`."""
        return Evaluate(answers, self.task, self.judge)

    def row(self, name: str, role: RowRole, model: ModelSpec, source: Fit | BareModel) -> Row:
        """A result row for a model's answers on `test`."""
        return Row(name, role, model.name, self.evaluate(self.label(source, "test")))

    def _features(self, model: ModelSpec, chosen: FitSettings, split: Split) -> Label:
        bare = BareModel(model.weights, _readout(model, chosen.readout), _numerics(chosen))
        return Label(bare, self.task, split, None if split == "test" else self.seed, "features", None)

    # ------------------------------------------------------------ the common rows

    def floor(self, seed: int | None = None) -> Fit:
        """The weak model on gold `supervise`."""
        return self.fit_gold(self.weak, "supervise", role="floor", seed=seed)

    def ceiling(self) -> Fit:
        """The strong model on gold `transfer`."""
        return self.fit_gold(self.strong, "transfer", role="ceiling")

    def common_rows(self) -> tuple[Row, ...]:
        """untuned (same read-out, and by verdict words), floor and ceiling: alike for every paradigm."""
        rows = [self.row("untuned", "untuned", self.strong, self.bare(self.strong))]
        if self.settings["student"].readout != "words" and not self.strong.encoder:
            rows.append(self.row("untuned_words", "untuned", self.strong, self.bare(self.strong, "words")))
        rows += self._floor_row()
        rows.append(self.row("ceiling", "ceiling", self.strong, self.ceiling()))
        return tuple(rows)

    def _floor_row(self) -> list[Row]:
        if self.supervisor_file is None:
            return [self.row("floor", "floor", self.weak, self.floor())]
        if self.supervisor_test_file is None:
            return []
        answers = Supervisor("test", self.supervisor_test_file)
        return [Row("floor", "floor", "file", self.evaluate(answers))]

    # ------------------------------------------------------------ the supervisor's targets

    def supervision(self, split: Split, supervisors: int = 1) -> Targets:
        """The weak side's soft targets on a split: a file, one floor, or the mean of several floors' (2410.04571)."""
        if self.supervisor_file is not None:
            return Supervisor(split, self.supervisor_file)
        labels = [self.label(self.floor(seed), split) for seed in self._ensemble_seeds(supervisors)]
        return labels[0] if len(labels) == 1 else self.select("mean", *labels)

    def _ensemble_seeds(self, supervisors: int) -> list[int]:
        return [self.seed + 1000 * member for member in range(supervisors)]


def _readout(model: ModelSpec, kind: ReadOutName) -> ReadOut:
    if kind == "words" and model.encoder:
        raise UserError(f"{model.name} is an encoder and has no verdict words: use fit.readout=head")
    return ReadOut(kind, "zeros" if model.encoder or kind == "words" else model.head_init)


def _numerics(chosen: FitSettings) -> Numerics:
    return Numerics(precision=chosen.precision, attention=chosen.attention, max_length=chosen.max_length)


def _optimisation(chosen: FitSettings, lr: float) -> Optimisation:
    return Optimisation(
        lr=lr * chosen.lr_scale,
        epochs=chosen.epochs,
        rows_per_step=chosen.rows_per_step,
        warmup_steps=chosen.warmup_steps,
        schedule=chosen.schedule,
        weight_decay=chosen.weight_decay,
        clip_norm=chosen.clip_norm,
    )
