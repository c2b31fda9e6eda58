"""config -> Plan: the DAG of frozen stages that one job needs.

The plan is a pure function of what is learned. It is never given the trainer, tracking, path or run groups, so nothing
of the machine can enter an identity. Its shape never depends on data.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from w2s_lightning.config import Job, bind
from w2s_lightning.content import DataFile, Folder, model_config
from w2s_lightning.digest import digest
from w2s_lightning.errors import UserError
from w2s_lightning.mistakes import Origin
from w2s_lightning.recipes.setting import ModelSpec, Role, Row, Setting
from w2s_lightning.schema import FitSettings, HubModel, LadderModel, LocalModel, Model
from w2s_lightning.stages import FolderWeights, HubWeights, Pretrain, Stage

ENCODERS = frozenset(
    ("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta")
)


class Resolver(Protocol):
    """Finds the commit of a hub repository (see `refs.py`)."""

    def commit(self, kind: str, repository: str, revision: str) -> str: ...


@dataclass(frozen=True)
class Plan:
    """One job's stages by what they are for; `name` holds the words that a reader knows the job by."""

    name: Mapping[str, Any]
    metric: str
    rows: tuple[Row, ...]
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
        rows = [[row.name, row.role, row.evaluate.digest] for row in self.rows]
        return digest({"rows": rows, "student": self.student_of_record, "metric": self.metric})

    def stage(self, wanted: str) -> Stage:
        """The stage whose digest starts with `wanted`."""
        for stage in self.stages:
            if stage.digest.startswith(wanted):
                return stage
        raise UserError(f"no stage {wanted} in this job: `run=plan` lists them")


def stages_of(rows: Iterable[Row]) -> tuple[Stage, ...]:
    """Every stage behind the rows once, parents before children."""
    seen: dict[str, Stage] = {}
    for row in rows:
        for stage in _walk(row.evaluate):
            seen.setdefault(stage.digest, stage)
    return tuple(seen.values())


def _walk(stage: Stage) -> Iterator[Stage]:
    for parent in stage.parents():
        yield from _walk(parent)
    yield stage


def make_plan(job: Job, resolver: Resolver) -> Plan:
    """Resolve models, task and role settings, and let the paradigm's recipe put the stages together."""
    setting = make_setting(job, resolver)
    recipe = importlib.import_module(job.paradigm.recipe).build(setting, job.paradigm.options)
    rows = _in_reading_order(setting.common_rows() + recipe.rows)
    student = job.paradigm.student_of_record
    if student not in [row.name for row in rows]:
        raise UserError(f"student_of_record={student} is no row of this recipe: {[row.name for row in rows]}")
    return Plan(
        name={
            "task": job.task.name,
            "paradigm": job.paradigm_name,
            "weak": "file" if setting.supervisor_file else job.weak.name,
            "strong": job.strong.name,
            "seed": job.seed,
        },
        metric=job.judge.metric,
        rows=rows,
        student_of_record=student,
        supervisor=recipe.supervisor,
        notices=_notices(setting),
    )


_ORDER = ("untuned", "floor", "teacher", "reference", "middle", "student", "control", "ceiling")


def _in_reading_order(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: _ORDER.index(row.role)))


def make_setting(job: Job, resolver: Resolver) -> Setting:
    """The resolved configuration that recipes build from; raise UserError where parts do not fit together."""
    task = _resolved_task(job.task, resolver)
    objective = job.objective or job.paradigm.objectives.get(task.kind)
    if objective is None or task.kind not in job.gold:
        raise UserError(f"paradigm {job.paradigm_name} has no objective for tasks of kind {task.kind}")
    files = job.supervisor
    return Setting(
        task=task,
        judge=job.judge,
        weak=_model(job.weak, task, resolver),
        strong=_model(job.strong, task, resolver),
        middle=tuple(_model(model, task, resolver) for model in job.middle),
        settings={role: _for_role(job.fit, role) for role in ("floor", "student", "ceiling")},
        gold_objective=job.gold[task.kind],
        objective=objective,
        module=job.paradigm.module,
        supervisor_file=None if files.file is None else DataFile.at(files.file),
        supervisor_test_file=None if files.test_file is None else DataFile.at(files.test_file),
        seed=job.seed,
    )


def _resolved_task(task: Any, resolver: Resolver) -> Any:
    """Tasks from the hub get the commit of their data set."""
    resolve = getattr(task, "resolved", None)
    if resolve is None:
        return task
    return resolve(lambda repository, revision: resolver.commit("dataset", repository, revision))


def _for_role(fit: FitSettings, role: Role) -> FitSettings:
    overrides: Mapping[str, Any] = getattr(fit, role)
    plain = {name: getattr(fit, name) for name in FitSettings.__dataclass_fields__}
    settings: FitSettings = bind(FitSettings, {**plain, **overrides}, Origin(f"fit.{role}", None))
    return settings


def _model(model: Model, task: Any, resolver: Resolver) -> ModelSpec:
    lr = {"full": model.lr.full, "lora": model.lr.lora, "probe": model.lr.probe}
    match model:
        case LadderModel():
            return ModelSpec(model.name, _ladder(model, task), lr, model.head_init, encoder=False)
        case HubModel():
            weights = HubWeights(model.path, resolver.commit("model", model.path, model.revision))
            return ModelSpec(model.name, weights, lr, model.head_init, model.encoder)
        case LocalModel():
            folder = Folder.of_model(model.path)
            encoder = model_config(folder.path).get("model_type") in ENCODERS
            return ModelSpec(model.name, FolderWeights(folder), lr, model.head_init, encoder)


def _ladder(model: LadderModel, task: Any) -> Pretrain:
    if task.world is None:
        raise UserError(
            f"{model.name} is an embedded ladder model and knows only embedded worlds, not task {task.name}: "
            f"take a hub model or a folder (`model@weak=local weak.path=DIR`)"
        )
    return Pretrain(task.world, model.name, model.layers, model.width, model.heads, model.pretrain)


def _notices(setting: Setting) -> tuple[str, ...]:
    student, ceiling = setting.settings["student"], setting.settings["ceiling"]
    shared = ("readout", "lr_scale", "epochs", "tuning", "precision", "rows_per_step", "dropout")
    differ = [name for name in shared if getattr(student, name) != getattr(ceiling, name)]
    if not differ:
        return ()
    return (f"student and ceiling differ in {', '.join(differ)}: their PGR compares fit settings too",)
