"""config -> Plan: the DAG of frozen stages that one job needs.

The plan is a pure function of what is learned. It is never given the trainer, tracking, path or run groups, so nothing
of the machine can enter an identity. Its shape never depends on data.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any, Protocol

from w2s_lightning.config.bind import JobSettings, bind
from w2s_lightning.config.mistakes import Origin
from w2s_lightning.config.schema import FitSettings, HubModel, LadderModel, LocalModel, Model, Objective
from w2s_lightning.content import DataFile, Folder
from w2s_lightning.errors import UserError
from w2s_lightning.identity import Stage, digest
from w2s_lightning.model_folder import check_model_folder
from w2s_lightning.recipes.recipe import Recipe, ResultRow
from w2s_lightning.recipes.setting import ModelSpec, Role, Setting
from w2s_lightning.refs import cached_config
from w2s_lightning.stages import Fit, FolderWeights, HubWeights, Pretrain, Weights
from w2s_lightning.tasks.reward_sets import benchmark_at
from w2s_lightning.tasks.task import Task
from w2s_lightning.verdict_words import lost_words

ENCODERS = frozenset(
    ("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta")
)


ROLES: tuple[Role, ...] = ("floor", "student", "ceiling")
_READING_ORDER = ("untuned", "floor", "teacher", "reference", "middle", "student", "control", "ceiling")


class Resolver(Protocol):
    """Finds the commit of a hub repository (see `refs.py`)."""

    def commit(self, kind: str, repository: str, revision: str) -> str: ...


@dataclass(frozen=True)
class Plan:
    """One job's stages by what they are for; `name` holds the words that a reader knows the job by."""

    name: Mapping[str, Any]
    metric: str
    rows: tuple[ResultRow, ...]
    student_of_record: str
    supervisor: str | None
    notices: tuple[str, ...]

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Every stage once, parents before children."""
        return stages_of(self.rows)

    @cached_property
    def digest(self) -> str:
        """Identity of the job: its rows and what they are called."""
        rows = [[row.name, row.role, *(stage.digest for stage in row.evaluates)] for row in self.rows]
        return digest({"rows": rows, "student": self.student_of_record, "metric": self.metric})

    def stage(self, wanted: str) -> Stage:
        """The stage whose digest starts with `wanted`."""
        found = next((stage for stage in self.stages if stage.digest.startswith(wanted)), None)
        if found is None:
            raise UserError(f"no stage {wanted} in this job: `run=plan` lists them")
        return found


def stages_of(rows: Iterable[ResultRow]) -> tuple[Stage, ...]:
    """Every stage behind the rows once, parents before children."""
    seen: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        if stage.digest not in seen:
            for parent in stage.parents():
                visit(parent)
            seen[stage.digest] = stage

    for row in rows:
        for evaluate in row.evaluates:
            visit(evaluate)
    return tuple(seen.values())


def make_plan(job: JobSettings, resolver: Resolver) -> Plan:
    """Resolve models, task and role settings, and let the paradigm's recipe put the stages together."""
    setting = make_setting(job, resolver)
    recipe: Recipe = job.paradigm.recipe(setting, job.paradigm.options)
    rows = tuple(sorted(setting.common_rows() + recipe.rows, key=lambda row: _READING_ORDER.index(row.role)))
    plan = Plan(
        name=name_of(job),
        metric=job.judge.metric,
        rows=rows,
        student_of_record=_student_of_record(job.paradigm.student_of_record, rows),
        supervisor=recipe.supervisor,
        notices=_notices(setting),
    )
    _refuse_unused(job, setting, [stage for stage in plan.stages if isinstance(stage, Fit)])
    return plan


def name_of(job: JobSettings) -> dict[str, Any]:
    """What a reader knows a job by."""
    weak = "file" if job.supervisor.file else job.weak.name
    names = {"task": job.task.name, "paradigm": job.paradigm_name, "weak": weak, "strong": job.strong.name}
    return {**names, "seed": job.seed}


def _student_of_record(wanted: str | None, rows: Sequence[ResultRow]) -> str:
    """The row that figures are about: the one asked for, or the recipe's last student."""
    own = [row for row in rows if row.role not in ("untuned", "floor", "ceiling")]
    if wanted is None:
        return [row.name for row in own if row.role == "student"][-1]
    if wanted not in [row.name for row in rows]:
        raise UserError(
            f"paradigm.student_of_record={wanted} is no row of this recipe: take one of "
            f"{', '.join(row.name for row in own)}"
        )
    return wanted


def _refuse_unused(job: JobSettings, setting: Setting, fits: Sequence[Fit]) -> None:
    """Raise UserError for an objective that was asked for and that no fit of this job is trained with."""
    asked = f"objective={setting.objective.name}"
    if setting.by_token and not any("shift" in fit.targets for fit in fits):
        raise UserError(f"{asked} follows a supervisor token by token: it is for paradigm=weak_to_strong")
    if job.objective is not None and job.objective not in [fit.objective for fit in fits]:
        raise UserError(f"{asked} trains nothing here: no fit of {job.paradigm_name} has an objective of its own")


def make_setting(job: JobSettings, resolver: Resolver) -> Setting:
    """The resolved configuration that recipes build from; raise UserError where parts do not fit together."""
    commit = partial(resolver.commit, "dataset")
    resolve = getattr(job.task, "resolved", None)  # of what a task reads from the hub, where it does
    task: Task = job.task if resolve is None else resolve(commit)
    implicit = job.fit.readout == "implicit" and task.kind == "preference"
    kind = "implicit" if implicit else task.kind  # implicit rewards have losses of their own
    own = job.paradigm.objectives.get(kind)
    objective = job.objective or own
    if objective is None or kind not in job.gold:
        raise UserError(f"paradigm {job.paradigm_name} has no objective for tasks of kind {kind}")
    if own is not None:
        _refuse_unlike(objective, own, kind, f"paradigm {job.paradigm_name} on tasks of kind {kind}")
    data, files = job.benchmark.benchmark, job.supervisor
    if data is not None and task.kind != "preference":
        raise UserError(f"task.benchmark is for preference tasks, and {task.name} is none: leave it out")
    return Setting(
        task=task,
        judge=job.judge,
        benchmark=None if data is None else benchmark_at(data, task, commit),
        test_samples=job.benchmark.test_samples,
        weak=_model(job.weak, task, resolver),
        strong=_model(job.strong, task, resolver),
        middle=tuple(_model(model, task, resolver) for model in job.middle),
        settings={role: _for_role(job.fit, role) for role in ROLES},
        generation=job.generation,
        gold_objective=job.gold[kind],
        objective=objective,
        module=job.paradigm.module,
        supervisor_file=None if files.file is None else DataFile.at(files.file),
        supervisor_test_file=None if files.test_file is None else DataFile.at(files.test_file),
        seed=job.seed,
    )


def _refuse_unlike(chosen: Objective, own: Objective, kind: str, where: str) -> None:
    """Raise UserError for an objective that reads other things than the paradigm's own one (pairs, not labels)."""
    if kind == "implicit" and chosen.reads[0] == "moments":  # in place of labels: what was changed in the supervisor
        return
    if (chosen.reads[0], "probs" in chosen.reads) != (own.reads[0], "probs" in own.reads):
        raise UserError(
            f"objective={chosen.name} reads {' and '.join(chosen.reads)}; {where} has {' and '.join(own.reads)}: "
            f"take objective={own.name} or one that reads the same"
        )


def _for_role(fit: FitSettings, role: Role) -> FitSettings:
    overrides: Mapping[str, Any] = getattr(fit, role)
    plain = {name: getattr(fit, name) for name in FitSettings.__dataclass_fields__}
    if role == "floor":  # Burns et al. do this to student and ceiling, not to their supervisor
        plain["generative_epochs"] = 0
    settings: FitSettings = bind(FitSettings, {**plain, **overrides}, Origin(f"fit.{role}", None))
    return settings


def _model(model: Model, task: Task, resolver: Resolver) -> ModelSpec:
    """A model with its weights; where there are no verdict words to begin with, its head begins at zeros."""
    weights: Weights
    files: Folder | None = None
    match model:
        case LadderModel():
            weights, encoder = _ladder(model, task), False
        case HubModel():
            commit = resolver.commit("model", model.path, model.revision)
            weights, encoder = HubWeights(model.path, commit), model.encoder
            cached = cached_config(model.path, commit, "tokenizer.json")
            files = None if cached is None else Folder(cached.parent, commit)
        case LocalModel():
            files = Folder.of_model(model.path)
            encoder = check_model_folder(files).get("model_type") in ENCODERS
            weights = FolderWeights(files, model.name)
    lost = () if files is None or encoder else lost_words(files, tuple(task.words))
    worded = task.words and not (task.words_are_labels and lost)
    return ModelSpec(
        model.name, weights, asdict(model.lr), model.head_init if worded else "zeros", encoder, lost_words=lost
    )


def _ladder(model: LadderModel, task: Task) -> Pretrain:
    if task.world is None:
        raise UserError(
            f"{model.name} is an embedded ladder model and knows only embedded worlds, not task {task.name}: "
            f"take a hub model or a folder (`model@weak=./folder`)"
        )
    if task.world.name not in model.worlds:
        raise UserError(
            f"{model.name} has no pretraining settings for the world {task.world.name}: it knows "
            f"{', '.join(model.worlds)} (conf/model/{model.name}.yaml, worlds)"
        )
    changes = {name: value for name, value in vars(model.pretrain).items() if value is not None}
    settings = replace(model.worlds[task.world.name], **changes)
    return Pretrain(task.world, model.name, model.layers, model.width, model.heads, settings)


def _notices(setting: Setting) -> tuple[str, ...]:
    student, ceiling = setting.settings["student"], setting.settings["ceiling"]
    shared = [name for name in FitSettings.__dataclass_fields__ if name not in (*ROLES, "labels", "evaluations")]
    differ = [name for name in shared if getattr(student, name) != getattr(ceiling, name)]
    found = []
    models = (setting.weak, setting.strong, *setting.middle)
    if setting.task.words_are_labels and (without := list(dict.fromkeys(m.name for m in models if m.lost_words))):
        lost = dict.fromkeys(word for model in models for word in model.lost_words)
        found.append(
            f"verdict words: none for {' and '.join(without)}, since the labels {', '.join(list(lost)[:3])} are not "
            "one token each there: their heads begin at zero"
        )
    if isinstance(setting.strong.weights, Pretrain) and setting.strong.weights.settings.steps:
        told = setting.task.world.in_pretraining
        found.append(f"{told}: a student shows what its model knew already (elicitation), by construction")
    if differ:
        found.append(f"student and ceiling differ in {', '.join(differ)}: their PGR compares fit settings too")
    if epochs := student.generative_epochs:
        found.append(
            f"before its labels, the student modelled the texts of `transfer` (fit.generative_epochs={epochs:g})"
        )
    return tuple(found)
