"""What every recipe is given: one task, one pair, one seed, and the few ways to put stages together.

Floor and ceiling are made here, alike for all paradigms, so that no recipe can move its own baseline.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.schema import (
    FitSettings,
    GenerationSettings,
    HeadInit,
    Judge,
    Numerics,
    Objective,
    Optimisation,
    ReadOutName,
)
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
    Texts,
    Weights,
)
from w2s_lightning.tasks.example import Split
from w2s_lightning.tasks.reward_sets import OwnTest, RewardSetTask
from w2s_lightning.tasks.task import Task

Role = Literal["floor", "student", "ceiling"]
RowRole = Literal["untuned", "floor", "student", "ceiling", "teacher", "middle", "control", "reference"]
SUPERVISED = "w2s_lightning.fit.paradigms.Supervised"
TEXT_OBJECTIVE = Objective(target="w2s_lightning.objectives.sft", self_target=False, options={})


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
    """One line of the result: a model's answers on `test` (and on a benchmark), and what it is there for.

    `votes` are several samples of its own to each test problem."""

    name: str
    role: RowRole
    model: str
    evaluate: Evaluate
    benchmark: Evaluate | None = None
    votes: Evaluate | None = None

    @property
    def evaluates(self) -> tuple[Evaluate, ...]:
        """Its evaluate stages."""
        return tuple(stage for stage in (self.evaluate, self.benchmark, self.votes) if stage is not None)


@dataclass(frozen=True)
class Recipe:
    """What a paradigm adds to the common rows; `supervisor` names the row that made the student's targets."""

    rows: tuple[Row, ...]
    supervisor: str | None


@dataclass(frozen=True)
class Setting:
    """One job's resolved configuration, and the constructors of a choice job's stages.

    `task` is a `Task`, or a `ReasoningTask` (see `recipes/reasoning`). `by_token`: the objective follows what was
    changed in a supervisor token by token, not its answers."""

    task: Any
    judge: Judge
    benchmark: RewardSetTask | None
    test_samples: int | None
    weak: ModelSpec
    strong: ModelSpec
    middle: tuple[ModelSpec, ...]
    settings: Mapping[Role, FitSettings]
    generation: GenerationSettings
    gold_objective: Objective
    objective: Objective
    by_token: bool
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
        student, implicit = role == "student", chosen.readout == "implicit"
        start = self._start(model, role)
        base = "reference" if implicit else "features" if chosen.tuning == "probe" else None

        def named(labels: Targets) -> dict[str, Targets]:
            """The labels, and what the untuned model says of the same split where that is needed too."""
            return {"labels": labels} | (
                {} if base is None else {base: self._of_base(model, start, chosen, labels.split)}
            )

        objective = self.objective if student else self.gold_objective
        if objective.options.get("margin") == "data" and not isinstance(targets, Gold):
            raise UserError(
                "objective.options.margin=data takes the margins of gold labels, and this student learns from answers: "
                "use gold.preference.options.margin=data, for floor and ceiling"
            )
        return Fit(
            task=self.task,
            weights=start,
            readout=self._readout(model, chosen.readout),
            tuning=chosen.tuning,
            lora=chosen.lora if chosen.tuning == "lora" else None,
            numerics=numerics_of(chosen),
            optimisation=optimisation_of(chosen, model.lr[chosen.tuning]),
            dropout=chosen.dropout,
            objective=objective,
            module=self.module if student and not isinstance(targets, Gold) else SUPERVISED,
            labels="hard" if isinstance(targets, Gold) else chosen.labels,
            seed=self.seed if seed is None else seed,
            split_seed=self.seed,
            targets=named(targets),
            validation={} if implicit else named(validation),
            evaluations=0 if implicit else chosen.evaluations,
        )

    def fit_gold(self, model: ModelSpec, split: Split, *, role: Role, seed: int | None = None) -> Fit:
        """Train `model` on the gold labels of `split` with the gold objective, whatever the paradigm."""
        return self.fit(model, Gold(split), Gold("validation"), role=role, seed=seed)

    def bare(
        self, model: ModelSpec, readout: ReadOutName | None = None, start: Weights | Fit | None = None
    ) -> BareModel:
        """The model before any fit (or after `start`), read as the student is (or by its verdict words)."""
        chosen = self.settings["student"]
        return BareModel(start or model.weights, self._readout(model, readout or chosen.readout), numerics_of(chosen))

    def label(self, source: Fit | BareModel, split: Split, of: Task | RewardSetTask | None = None) -> Label:
        """The source's class probabilities on a split of the job's task (or of another one)."""
        task = self.task if of is None else of
        split_seed = None if split == "test" else self.seed
        beside = source.targets if isinstance(source, Fit) else {}
        before: dict[str, Any] = {
            name: replace(base, task=task, split=split, split_seed=split_seed)
            for name in ("features", "reference")
            if isinstance(base := beside.get(name), Label)
        }
        return Label(source, task, split, split_seed, "probs", **before)

    def select(self, rule: str, *sources: Targets, seed: int = 0, **options: Any) -> Select:
        """Targets made from targets by a rule of `selection.py`; `seed` only where the rule draws."""
        return Select(rule, options, seed, self.task, self.seed, sources)

    def evaluate(self, answers: Label | Supervisor) -> Evaluate:
        """Judge answers on `test`."""
        return Evaluate(answers, self.task, self.judge)

    def row(self, name: str, role: RowRole, model: ModelSpec, source: Fit | BareModel) -> Row:
        """A result row for a model's answers on `test`, and on the benchmark where there is one."""
        own, task = self.label(source, "test"), self.benchmark
        if task is None:
            return Row(name, role, model.name, self.evaluate(own))
        answers = own if isinstance(task.source, OwnTest) else self.label(source, "test", task)
        return Row(name, role, model.name, self.evaluate(own), Evaluate(answers, task, Judge(metric="accuracy")))

    def _start(self, model: ModelSpec, role: Role) -> Weights | Fit:
        """What a fit starts from: `generative_epochs` of modelling texts without labels come first (2312.09390, 5.2.2).

        Student and ceiling alike see those of `transfer`; a floor, if at all, those of `supervise`.
        """
        chosen = self.settings[role]
        if not chosen.generative_epochs:
            return model.weights
        if model.encoder or chosen.tuning == "probe":
            what = f"{model.name} is an encoder" if model.encoder else "a probe leaves the network as it is"
            raise UserError(f"{what}: it cannot model texts first, so use fit.generative_epochs=0")
        optimisation = optimisation_of(chosen, model.lr[chosen.tuning])
        return Fit(
            task=self.task,
            weights=model.weights,
            readout=ReadOut("text", "zeros"),
            tuning=chosen.tuning,
            lora=chosen.lora if chosen.tuning == "lora" else None,
            numerics=numerics_of(chosen),
            optimisation=replace(optimisation, epochs=chosen.generative_epochs),
            dropout=chosen.dropout,
            objective=TEXT_OBJECTIVE,
            module=SUPERVISED,
            labels="hard",
            seed=self.seed,
            split_seed=self.seed,
            targets={"texts": Texts("supervise" if role == "floor" else "transfer")},
        )

    def _of_base(self, model: ModelSpec, start: Weights | Fit, chosen: FitSettings, split: Split) -> Label:
        """What the model before the fit says of a split: a probe's features, an implicit reward's reference."""
        if chosen.readout == "implicit" and chosen.tuning == "probe":
            raise UserError("a probe trains a head, and an implicit reward has none: use fit.tuning=full or lora")
        bare = BareModel(start, self._readout(model, chosen.readout), numerics_of(chosen))
        mode: Literal["features", "log_probs"] = "log_probs" if chosen.readout == "implicit" else "features"
        return Label(bare, self.task, split, None if split == "test" else self.seed, mode)

    def _readout(self, model: ModelSpec, kind: ReadOutName) -> ReadOut:
        if kind == "text":
            raise UserError("fit.readout=text is for reasoning tasks, which always use it: take head or words")
        if kind == "implicit" and self.task.kind != "preference":
            raise UserError(f"fit.readout=implicit is for preference tasks, and {self.task.name} is none: take head")
        if kind == "words" and not self.task.words:
            raise UserError(f"task {self.task.name} has no verdict words: use fit.readout=head")
        if kind != "head" and model.encoder:
            raise UserError(f"{model.name} is an encoder and has no {kind}: use fit.readout=head")
        return ReadOut(kind, "zeros" if model.encoder or kind != "head" else model.head_init)

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
        if self.settings["student"].readout == "head" and self.task.words and not self.strong.encoder:
            rows.append(self.row("untuned_words", "untuned", self.strong, self.bare(self.strong, "words")))
        start = self._start(self.strong, "student")
        if start is not self.strong.weights and self.settings["student"].readout != "head":  # what texts alone do
            rows.append(self.row("untuned_texts", "untuned", self.strong, self.bare(self.strong, start=start)))
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


def numerics_of(chosen: FitSettings) -> Numerics:
    """What a role's forward passes depend on besides weights."""
    return Numerics(precision=chosen.precision, attention=chosen.attention, max_length=chosen.max_length)


def optimisation_of(chosen: FitSettings, lr: float) -> Optimisation:
    """How a role's fits are optimised, at the model's peak rate `lr`."""
    return Optimisation(
        lr=lr * chosen.lr_scale,
        epochs=chosen.epochs,
        rows_per_step=chosen.rows_per_step,
        warmup_steps=chosen.warmup_steps,
        schedule=chosen.schedule,
        weight_decay=chosen.weight_decay,
        clip_norm=chosen.clip_norm,
    )
