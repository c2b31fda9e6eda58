"""How reasoning recipes put stages together: solutions are written, selected, learned, and paired.

Floor, ceiling and the untuned rows are made here, alike for all paradigms, as `Setting` does for choice tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from w2s_lightning.content import has_chat_template
from w2s_lightning.errors import UserError
from w2s_lightning.recipes.setting import (
    SUPERVISED,
    ModelSpec,
    Role,
    Row,
    RowRole,
    Setting,
    numerics_of,
    optimisation_of,
)
from w2s_lightning.schema import GenerationSettings, Objective
from w2s_lightning.stages import (
    BareModel,
    Evaluate,
    Fit,
    FolderWeights,
    Gold,
    Label,
    Pretrain,
    ReadOut,
    Select,
    Shown,
    Supervisor,
    Targets,
    Weights,
)
from w2s_lightning.tasks.example import Split
from w2s_lightning.tasks.task import Task

TEXT = ReadOut("text", "zeros")
UNTUNED_SHOWN = 4  # gold solutions of `supervise` before every question of the untuned model


@dataclass(frozen=True)
class Solving:
    """The constructors of a reasoning job's stages."""

    setting: Setting
    task: Task

    @classmethod
    def of(cls, setting: Setting) -> "Solving":
        """Raises UserError for settings that only choice tasks have."""
        if setting.middle:
            raise UserError("reasoning tasks have no bootstrapping through middle models: leave model@middle.* out")
        for model in (setting.weak, setting.strong):
            if model.encoder:
                raise UserError(f"{model.name} is an encoder and writes no solutions: take a decoder")
            if setting.task.format.is_chat and _has_no_template(model.weights):
                raise UserError(
                    f"task.format.chat_template={setting.task.format.chat_template}: the tokenizer of {model.name} "
                    "has none: take plain text (task.format.chat_template=null) or an instruction-tuned model"
                )
        for readout in {chosen.readout for chosen in setting.settings.values()} - {"head", "text"}:
            raise UserError(f"fit.readout={readout}: solutions are read as text, whatever it says: leave it out")
        if setting.judge.metric != "accuracy":
            raise UserError(f"task.judge.metric={setting.judge.metric}: solutions are right or wrong: use accuracy")
        return cls(setting, setting.task)

    # ------------------------------------------------------------ stages

    def fit(self, model: ModelSpec, targets: Targets, *, role: Role = "student") -> Fit:
        """Fine-tune `model` on the solutions in `targets`, question by question, without examples before them."""
        gold = role != "student" or isinstance(targets, Gold)
        module = SUPERVISED if gold else self.setting.module
        learned: dict[str, Targets] = {"solutions": targets}
        return self._fit(model, model.weights, learned, self.setting.gold_objective, module, role)

    def fit_gold(self, model: ModelSpec, split: Split, *, role: Role) -> Fit:
        """Fine-tune `model` on the gold solutions of `split`."""
        return self.fit(model, Gold(split), role=role)

    def contrast(self, model: ModelSpec, start: Fit, pairs: Select, *, lr_scale: float) -> Fit:
        """Go on from `start` with contrastive pairs, against what `start` itself says of them; the job's objective."""
        reference = Label(start, self.task, pairs.split, pairs.split_seed, "log_probs", pairs=pairs)
        targets: dict[str, Targets] = {"pairs": pairs, "reference": reference}
        fit = self._fit(model, start, targets, self.setting.objective, self.setting.module, "student")
        return replace(fit, optimisation=replace(fit.optimisation, lr=fit.optimisation.lr * lr_scale))

    def teach(self, model: ModelSpec, targets: Targets, **beside: Targets) -> Fit:
        """Train `model` on solutions, and on what is beside them, with the job's own objective and module."""
        named = {"solutions": targets, **beside}
        return self._fit(model, model.weights, named, self.setting.objective, self.setting.module, "student")

    def _fit(
        self,
        model: ModelSpec,
        weights: Weights | Fit,
        targets: Mapping[str, Targets],
        objective: Objective,
        module: str,
        role: Role,
    ) -> Fit:
        chosen = self.setting.settings[role]
        if chosen.tuning == "probe":
            raise UserError("a probe trains a head, and a reasoning task has none: use fit.tuning=full or lora")
        return Fit(
            task=self.task,
            weights=weights,
            readout=TEXT,
            tuning=chosen.tuning,
            lora=chosen.lora if chosen.tuning == "lora" else None,
            numerics=numerics_of(chosen),
            optimisation=optimisation_of(chosen, model.lr[chosen.tuning]),
            dropout=chosen.dropout,
            objective=objective,
            module=module,
            labels="hard",
            seed=self.setting.seed,
            split_seed=self.setting.seed,
            targets=targets,
        )

    def bare(self, model: ModelSpec) -> BareModel:
        """The model before any fit."""
        return BareModel(model.weights, TEXT, numerics_of(self.setting.settings["student"]))

    def greedy(self, source: Fit | BareModel, split: Split, shown: Shown | None = None) -> Label:
        """The source's one solution to each problem of a split."""
        own = self.setting.generation
        settings = replace(own, num_samples=1, temperature=0.0, top_p=1.0, top_log_probs=0)
        return self._solve(source, split, settings, shown, seed=0)

    def samples(self, source: Fit | BareModel, split: Split, shown: Shown | None = None) -> Label:
        """Several solutions to each problem, as the `generation` group says."""
        return self._draw(source, split, shown, self.setting.generation.num_samples, "generation.num_samples")

    def _draw(self, source: Fit | BareModel, split: Split, shown: Shown | None, count: int, key: str) -> Label:
        own = self.setting.generation
        if own.temperature == 0 or count < 2:
            raise UserError(
                f"{key}={count} at temperature={own.temperature:g} gives no vote: use {key}=10 generation.temperature=1"
            )
        settings = replace(own, num_samples=count, top_log_probs=0)
        return self._solve(source, split, settings, shown, seed=self.setting.seed)

    def _solve(
        self, source: Fit | BareModel, split: Split, settings: GenerationSettings, shown: Shown | None, *, seed: int
    ) -> Label:
        split_seed = None if split == "test" else self.setting.seed
        asked: dict[str, Any] = {"generation": settings, "seed": seed, "shown": shown}
        return Label(source, self.task, split, split_seed, "solutions", **asked)

    def select(self, rule: str, *sources: Targets, seed: int = 0, **options: Any) -> Select:
        """Solutions or pairs made from solutions by a rule of `solutions.py`; `seed` only where the rule draws."""
        return Select(rule, options, seed, self.task, self.setting.seed, sources)

    def shown(self, solutions: Targets, count: int) -> Shown:
        """Worked examples for prompts of this job."""
        return Shown(solutions, self.setting.seed, count)

    # ------------------------------------------------------------ rows

    def row(
        self, name: str, role: RowRole, model: ModelSpec, source: Fit | BareModel, shown: Shown | None = None
    ) -> Row:
        """A result row for a model's greedy solutions to `test`, and for votes of samples where these are wanted."""
        answers, count, votes = self.greedy(source, "test", shown), self.setting.test_samples, None
        if count is not None:
            votes = self._judged(self._draw(source, "test", shown, count, "task.test_samples"))
        return Row(name, role, model.name, self._judged(answers), votes=votes)

    def _judged(self, answers: Label | Supervisor) -> Evaluate:
        return Evaluate(answers, self.task, self.setting.judge)

    def common_rows(self) -> tuple[Row, ...]:
        """untuned (few-shot on gold `supervise`, and zero-shot), floor and ceiling: alike for every paradigm."""
        strong = self.setting.strong
        gold = self.shown(Gold("supervise"), UNTUNED_SHOWN)
        rows = [
            self.row("untuned", "untuned", strong, self.bare(strong), gold),
            self.row("untuned_zero_shot", "untuned", strong, self.bare(strong)),
            *self._floor_row(),
            self.row("ceiling", "ceiling", strong, self.fit_gold(strong, "transfer", role="ceiling")),
        ]
        return tuple(rows)

    def _floor_row(self) -> list[Row]:
        if self.setting.supervisor_file is None:
            return [self.row("floor", "floor", self.setting.weak, self.floor())]
        if self.setting.supervisor_test_file is None:
            return []
        return [Row("floor", "floor", "file", self._judged(Supervisor("test", self.setting.supervisor_test_file)))]

    def floor(self) -> Fit:
        """The weak model on gold solutions of `supervise`."""
        return self.fit_gold(self.setting.weak, "supervise", role="floor")

    def supervision(self, split: Split) -> Targets:
        """The weak side's solutions to a split: a file's, or the floor's greedy ones."""
        if self.setting.supervisor_file is not None:
            return Supervisor(split, self.setting.supervisor_file)
        return self.greedy(self.floor(), split)


def common_rows(setting: Setting) -> tuple[Row, ...]:
    """The rows that every paradigm has, by task kind."""
    return Solving.of(setting).common_rows() if setting.task.kind == "reasoning" else setting.common_rows()


def _has_no_template(weights: Weights) -> bool:
    """Known without opening the model: of a hub model only its tokenizer can tell."""
    if isinstance(weights, FolderWeights):
        return not has_chat_template(weights.folder.path)
    return isinstance(weights, Pretrain)
