"""What every recipe is given: one task, one pair, one seed, and the few words to put stages together.

The words are the same for every kind of task: `supervision`, `answers`, `fit`, `select`, `row`. The kind decides what
an answer is (class probabilities, or a solution that is written out) and what a fit learns. Floor and ceiling are made
here, alike for all paradigms, so that no recipe can move its own baseline.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from w2s_lightning.config.schema import (
    FitSettings,
    GenerationSettings,
    HeadInit,
    Judge,
    Numerics,
    Objective,
    Optimisation,
    ReadOutName,
)
from w2s_lightning.content import DataFile
from w2s_lightning.errors import UserError
from w2s_lightning.recipes.recipe import ResultRow, RowRole
from w2s_lightning.recipes.refusals import refuse_mixed
from w2s_lightning.stages import (
    BareModel,
    Evaluate,
    Fit,
    Gold,
    Label,
    LabelMode,
    ReadOut,
    Select,
    Shown,
    Supervisor,
    Targets,
    UnlabelledTexts,
    Weights,
)
from w2s_lightning.tasks.example import Split
from w2s_lightning.tasks.reward_sets import OwnTest, RewardSetTask
from w2s_lightning.verdict_words import refuse_lost

T = TypeVar("T")
Role = Literal["floor", "student", "ceiling"]
SUPERVISED = "w2s_lightning.fit.paradigms.Supervised"
TEXT_OBJECTIVE = Objective(target="w2s_lightning.objectives.sft", options={})
TEXT = ReadOut("text", "zeros")
UNTUNED_SHOWN = 4  # gold solutions of `supervise` before every question of the untuned model
MEMBER = 1000  # from the seed of one supervisor of an ensemble to the next one's


@dataclass(frozen=True)
class ModelSpec:
    """A model of the pair, resolved: its weights' identity and what fitting it needs to know.

    `lost_words` are the task's verdict words that its tokenizer has no token for.
    """

    name: str
    weights: Weights
    lr: Mapping[str, float]
    head_init: HeadInit
    encoder: bool
    lost_words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """One job's resolved configuration, and the constructors of its stages; UserError for parts that do not fit."""

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
    module: str
    supervisor_file: DataFile | None
    supervisor_test_file: DataFile | None
    seed: int

    def __post_init__(self) -> None:
        refuse_mixed(self)

    @property
    def by_token(self) -> bool:
        """Whether the objective follows what was changed in a supervisor, token by token, and not its answers."""
        return self.objective.reads[0] == "moments"

    @property
    def writes(self) -> bool:
        """Whether answers are solutions that are written out, and not class probabilities."""
        return bool(self.task.kind == "reasoning")

    def bare(
        self, model: ModelSpec, readout: ReadOutName | None = None, start: Weights | Fit | None = None
    ) -> BareModel:
        """The model before any fit (or after `start`), read as the student is (or by its verdict words)."""
        chosen = self.settings["student"]
        read = self._readout(model, readout or chosen.readout)
        return BareModel(start or model.weights, read, part_of(chosen, Numerics))

    def fit(
        self,
        model: ModelSpec,
        targets: Targets,
        validation: Targets | None = None,
        *,
        role: Role = "student",
        seed: int | None = None,
        objective: Objective | None = None,
        start: Fit | None = None,
        **beside: Targets,
    ) -> Fit:
        """Train `model` on answers; a floor or ceiling always takes the gold objective and the supervised module.

        It goes on from `start` where that is given. `validation` is looked at on the way where answers are class
        probabilities; `beside` are further targets that the objective asks for by name.
        """
        chosen, gold = self.settings[role], isinstance(targets, Gold)
        weights, readout = start or self._start(model, role), self._readout(model, chosen.readout)
        objective = objective or (self.objective if role == "student" else self.gold_objective)
        if objective.options.get("margin") == "data" and not gold:
            raise UserError(
                "objective.margin=data takes the margins of gold labels, and this student learns from answers: "
                "use gold.preference.margin=data, for floor and ceiling"
            )
        learned = "solutions" if self.writes else "labels"
        if isinstance(targets, Select) and targets.rule == "contrastive_pairs":
            learned = "pairs"

        def named(answers: Targets) -> dict[str, Targets]:
            return {learned: answers, **self._untuned(model, weights, readout, chosen, answers.split)}

        looked_at = None if self.writes or readout.kind == "implicit" else validation
        return self._tuned(
            model,
            chosen,
            weights=weights,
            readout=readout,
            objective=objective,
            module=self.module if role == "student" and not gold else SUPERVISED,
            labels="hard" if gold or self.writes else chosen.labels,
            seed=self.seed if seed is None else seed,
            targets={**named(targets), **beside},
            validation={} if looked_at is None else named(looked_at),
            evaluations=0 if looked_at is None else chosen.evaluations,
        )

    def _tuned(self, model: ModelSpec, chosen: FitSettings, **learned: Any) -> Fit:
        """A fit of the job's examples, tuned as a role's settings say, at the model's peak rate."""
        return Fit(
            task=self.task,
            tuning=chosen.tuning,
            lora=chosen.lora if chosen.tuning == "lora" else None,
            numerics=part_of(chosen, Numerics),
            optimisation=part_of(chosen, Optimisation, lr=model.lr[chosen.tuning] * chosen.lr_scale),
            dropout=chosen.dropout,
            split_seed=self.seed,
            **learned,
        )

    def fit_gold(self, model: ModelSpec, split: Split, *, role: Role, seed: int | None = None) -> Fit:
        """Train `model` on the gold answers of `split` with the gold objective, whatever the paradigm."""
        return self.fit(model, Gold(split), Gold("validation"), role=role, seed=seed)

    def floor(self, seed: int | None = None) -> Fit:
        """The weak model on gold `supervise`."""
        return self.fit_gold(self.weak, "supervise", role="floor", seed=seed)

    def ceiling(self) -> Fit:
        """The strong model on gold `transfer`."""
        return self.fit_gold(self.strong, "transfer", role="ceiling")

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
        return self._tuned(
            model,
            replace(chosen, epochs=chosen.generative_epochs),
            weights=model.weights,
            readout=TEXT,
            objective=TEXT_OBJECTIVE,
            module=SUPERVISED,
            labels="hard",
            seed=self.seed,
            targets={"texts": UnlabelledTexts("supervise" if role == "floor" else "transfer")},
        )

    def _untuned(
        self, model: ModelSpec, weights: Weights | Fit, readout: ReadOut, chosen: FitSettings, split: Split
    ) -> dict[str, Label]:
        """What a fit needs of the model before it: a probe's features, an implicit reward's reference."""
        if readout.kind != "implicit" and chosen.tuning != "probe":
            return {}
        if readout.kind in ("implicit", "text") and chosen.tuning == "probe":
            what = "an implicit reward" if readout.kind == "implicit" else "a reasoning task"
            raise UserError(f"a probe trains a head, and {what} has none: use fit.tuning=full or lora")
        bare = BareModel(weights, readout, part_of(chosen, Numerics))
        if readout.kind == "implicit":
            return {"reference": self.label(bare, split, "log_probs")}
        return {"features": self.label(bare, split, "features")}

    def _readout(self, model: ModelSpec, kind: ReadOutName) -> ReadOut:
        if self.writes:
            return TEXT
        if kind == "text":
            raise UserError("fit.readout=text is for reasoning tasks, which always use it: take head or words")
        if kind == "implicit" and self.task.kind != "preference":
            raise UserError(f"fit.readout=implicit is for preference tasks, and {self.task.name} is none: take head")
        if kind == "words" and not self.task.words:
            raise UserError(f"task {self.task.name} has no verdict words: use fit.readout=head")
        if kind != "head" and model.encoder:
            raise UserError(f"{model.name} is an encoder and has no {kind}: use fit.readout=head")
        init = "zeros" if model.encoder or kind != "head" else model.head_init
        if kind == "words" or init == "unembedding":
            refuse_lost(model.lost_words, self.task.words, model.name)
        return ReadOut(kind, init)

    def answers(
        self, source: Fit | BareModel, split: Split, shown: Shown | None = None, *, of: RewardSetTask | None = None
    ) -> Label:
        """The source's class probabilities, or its one solution each, on a split of the job's task (or of another)."""
        if self.writes:
            greedy = replace(self.generation, num_samples=1, temperature=0.0, top_p=1.0, top_log_probs=0)
            return self.label(source, split, "solutions", generation=greedy, seed=0, shown=shown)
        answers = self.label(source, split, "probs", task=of or self.task)
        trained = source.targets if isinstance(source, Fit) else {}
        before: dict[str, Any] = {
            name: replace(base, task=answers.task, split=split, split_seed=answers.split_seed)
            for name in ("features", "reference")
            if isinstance(base := trained.get(name), Label)
        }
        return replace(answers, **before)

    def samples(
        self,
        source: Fit | BareModel,
        split: Split,
        shown: Shown | None = None,
        *,
        count: int | None = None,
        key: str = "generation.num_samples",
    ) -> Label:
        """`count` solutions to each problem, or as many as the `generation` group says under `key`."""
        own, count = self.generation, count or self.generation.num_samples
        if own.temperature == 0 or count < 2:
            raise UserError(
                f"{key}={count} at temperature={own.temperature:g} gives no vote: use {key}=10 generation.temperature=1"
            )
        settings = replace(own, num_samples=count, top_log_probs=0)
        return self.label(source, split, "solutions", generation=settings, seed=self.seed, shown=shown)

    def label(self, source: Fit | BareModel, split: Split, mode: LabelMode, **asked: Any) -> Label:
        """What `source` says of a split of the job's task; `asked` is what the mode has beside that."""
        split_seed = None if split == "test" else self.seed
        return Label(**{"task": self.task, **asked}, source=source, split=split, split_seed=split_seed, mode=mode)

    def shown(self, solutions: Targets, count: int) -> Shown:
        """Worked examples for prompts of this job."""
        return Shown(solutions, self.seed, count)

    def select(self, rule: str, *sources: Targets, seed: int = 0, **options: Any) -> Select:
        """Targets made from targets by a rule of `selection.py`; `seed` only where the rule draws."""
        return Select(rule, options, seed, self.task, self.seed, sources)

    def supervision(self, split: Split, supervisors: int = 1) -> Targets:
        """The weak side's answers to a split: a file's, one floor's, or the mean of several floors' (2410.04571)."""
        if self.supervisor_file is not None:
            return Supervisor(split, self.supervisor_file)
        seeds = [self.seed + MEMBER * member for member in range(supervisors)]
        made = [self.answers(self.floor(seed), split) for seed in seeds]
        return made[0] if len(made) == 1 else self.select("mean", *made)

    def row(
        self, name: str, role: RowRole, model: ModelSpec, source: Fit | BareModel, shown: Shown | None = None
    ) -> ResultRow:
        """A result row for a model's answers on `test`, on the benchmark, and for votes where these are wanted."""
        own = self.answers(source, "test", shown)
        benchmark = votes = None
        if (other := self.benchmark) is not None:
            read = own if isinstance(other.source, OwnTest) else self.answers(source, "test", of=other)
            benchmark = Evaluate(read, other, Judge(metric="accuracy"))
        if self.test_samples is not None:
            drawn = self.samples(source, "test", shown, count=self.test_samples, key="task.test_samples")
            votes = self._judged(drawn)
        return ResultRow(name, role, model.name, self._judged(own), benchmark, votes)

    def common_rows(self) -> tuple[ResultRow, ...]:
        """untuned, floor and ceiling: alike for every paradigm."""
        rows = self._untuned_rows()
        if self.supervisor_file is None:
            rows.append(self.row("floor", "floor", self.weak, self.floor()))
        elif self.supervisor_test_file is not None:
            judged = self._judged(Supervisor("test", self.supervisor_test_file))
            rows.append(ResultRow("floor", "floor", "file", judged))
        return (*rows, self.row("ceiling", "ceiling", self.strong, self.ceiling()))

    def _untuned_rows(self) -> list[ResultRow]:
        """The strong model before any supervision: with the student's read-out, and as one would ask it otherwise."""
        strong, chosen = self.strong, self.settings["student"]
        if self.writes:
            few = self.shown(Gold("supervise"), UNTUNED_SHOWN)
            return [
                self.row("untuned", "untuned", strong, self.bare(strong), few),
                self.row("untuned_zero_shot", "untuned", strong, self.bare(strong)),
            ]
        rows = [self.row("untuned", "untuned", strong, self.bare(strong))]
        worded = self.task.words and not (self.task.words_are_labels and strong.lost_words)
        if chosen.readout == "head" and worded and not strong.encoder:
            rows.append(self.row("untuned_words", "untuned", strong, self.bare(strong, "words")))
        start = self._start(strong, "student")
        if start is not strong.weights and chosen.readout != "head":  # what texts alone do
            rows.append(self.row("untuned_texts", "untuned", strong, self.bare(strong, start=start)))
        return rows

    def _judged(self, answers: Label | Supervisor) -> Evaluate:
        return Evaluate(answers, self.task, self.judge)


def part_of(chosen: FitSettings, cls: type[T], **more: Any) -> T:
    """A record of values that stand in a role's settings under the same names."""
    names = getattr(cls, "__dataclass_fields__", {}).keys() - more.keys()
    return cls(**{name: getattr(chosen, name) for name in names}, **more)
