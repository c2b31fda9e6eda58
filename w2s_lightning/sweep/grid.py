"""Overrides of many jobs -> planned jobs, all checked before anything runs.

What is wrong with the configuration refuses the whole sweep. What is wrong with one cell's models or data (a broken
folder, a repository that cannot be found) only refuses that cell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from w2s_lightning.config import Job, Runtime, build
from w2s_lightning.cost import HERE, Cost, Rate, cost, model_parameters, stated_parameters
from w2s_lightning.digest import digest
from w2s_lightning.errors import UserError
from w2s_lightning.job import Request, folder_of
from w2s_lightning.plan import Plan, Resolver, make_plan
from w2s_lightning.schema import Paths
from w2s_lightning.show.words import counted
from w2s_lightning.stage import Stage
from w2s_lightning.sweep.axes import bare
from w2s_lightning.sweep.composition import Composer

SHOWN_FROM = 50  # jobs, above which planning shows its progress

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PlannedJob:
    """One cell of the grid, ready to run; `axes` holds what distinguishes it from the sweep's other jobs."""

    overrides: tuple[str, ...]
    axes: Mapping[str, str]
    job: Job
    runtime: Runtime
    plan: Plan

    @property
    def folder(self) -> Path:
        """Where its result lies: the same place as when the job is run alone."""
        return folder_of(self.plan, self.runtime)

    def cost(self, stage: Stage, rate: Rate = HERE) -> Cost:
        """The estimate of one of its stages."""
        return cost(stage, stated_parameters((self.job.weak, self.job.strong, *self.job.middle)), rate)

    def request(self, composer: Composer) -> Request:
        """What runs the job."""
        cfg, _ = composer.compose(self.overrides)
        return Request(self.job, self.runtime, OmegaConf.to_yaml(cfg, resolve=True), self.overrides)


@dataclass(frozen=True)
class Refused:
    """A cell that cannot be planned, and why; `name` holds the words of a plan's name."""

    overrides: tuple[str, ...]
    axes: Mapping[str, str]
    name: Mapping[str, Any]
    metric: str
    reason: str


@dataclass(frozen=True)
class Grid:
    """All cells, each kind in the order of the axes; `inverted` counts pairs left out.

    `also` holds, by digest, the overrides of cells that turned out to be the same work as an earlier one.
    """

    jobs: tuple[PlannedJob, ...]
    refused: tuple[Refused, ...]
    inverted: int
    also: Mapping[str, tuple[tuple[str, ...], ...]]

    @property
    def repeated(self) -> int:
        """How many cells are left out since another one is the same work."""
        return sum(len(others) for others in self.also.values())

    @property
    def digest(self) -> str:
        """Identity of the sweep: its cells, in any order."""
        cells = sorted(job.plan.digest for job in self.jobs)
        return digest({"jobs": cells, "refused": sorted(" ".join(cell.overrides) for cell in self.refused)})

    def notices(self) -> list[str]:
        """What was left out, for people."""
        notices = []
        if self.inverted:
            notices.append(
                f"{counted(self.inverted, 'job')} left out whose weak model is larger than the strong one "
                "(hydra.sweeper.allow_inverted=true runs them)"
            )
        if self.repeated:
            notices.append(f"{counted(self.repeated, 'job')} left out, the same work as another one")
        return [*notices, *(f"not planned: {' '.join(r.overrides)}: {r.reason}" for r in self.refused)]


@dataclass
class _Collected:
    jobs: dict[str, PlannedJob] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    inverted: int = 0
    paths: set[Paths] = field(default_factory=set)
    also: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)


def plan_grid(
    jobs: Sequence[tuple[str, ...]],
    composer: Composer,
    resolver: Callable[[Runtime], Resolver],
    *,
    allow_inverted: bool,
    progress: Progress,
    planned: Callable[[PlannedJob], None] = lambda _: None,
) -> Grid:
    """Compose, bind and plan every job, telling `planned` of each; raise UserError for the first wrong configuration.

    A pair of equal sizes is kept: it is a control.
    """
    axes = axes_of(jobs)
    found = _Collected()
    for number, overrides in enumerate(jobs):
        progress(number, len(jobs))
        job, runtime = _bound(overrides, composer)
        found.paths.add(runtime.paths)
        if not allow_inverted and _inverted(job):
            found.inverted += 1
            continue
        new = _add(found, overrides, axes[number], job, runtime, resolver(runtime))
        if new is not None:
            planned(new)
    if len(found.paths) > 1:
        raise UserError("all jobs of a sweep share one store and one outputs folder: paths.* cannot be an axis")
    grid = Grid(tuple(found.jobs.values()), tuple(found.refused), found.inverted, found.also)
    if not grid.jobs and grid.refused:
        raise UserError(grid.refused[0].reason)
    if not grid.jobs:
        raise UserError("every pair of this sweep has a weak model larger than its strong one: nothing to run")
    return grid


def axes_of(jobs: Sequence[tuple[str, ...]]) -> list[dict[str, str]]:
    """Of each job, the keys that do not have one value throughout the sweep."""
    values = [dict(_split(override) for override in overrides) for overrides in jobs]
    keys = list(dict.fromkeys(key for cell in values for key in cell))
    varying = [key for key in keys if len({cell.get(key) for cell in values}) > 1]
    return [{key: cell[key] for key in varying if key in cell} for cell in values]


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return bare(key), value


def _bound(overrides: tuple[str, ...], composer: Composer) -> tuple[Job, Runtime]:
    try:
        return build(*composer.compose(overrides))
    except UserError as error:
        raise UserError(f"{error}\nin the job {' '.join(overrides)}") from None


def _inverted(job: Job) -> bool:
    weak, strong = (model_parameters(model, job.task) for model in (job.weak, job.strong))
    return job.supervisor.file is None and weak is not None and strong is not None and weak > strong


def words_of(job: Job) -> dict[str, Any]:
    """What a reader knows a cell by, as in a plan's name."""
    names = {"task": job.task.name, "paradigm": job.paradigm_name, "weak": job.weak.name, "strong": job.strong.name}
    return {**names, "seed": job.seed}


def _add(
    found: _Collected,
    overrides: tuple[str, ...],
    axes: Mapping[str, str],
    job: Job,
    runtime: Runtime,
    resolver: Resolver,
) -> PlannedJob | None:
    try:
        planned = PlannedJob(overrides, axes, job, runtime, make_plan(job, resolver))
    except (UserError, OSError) as error:
        found.refused.append(Refused(overrides, axes, words_of(job), job.judge.metric, str(error)))
        return None
    if planned.plan.digest in found.jobs:
        found.also[planned.plan.digest] = (*found.also.get(planned.plan.digest, ()), overrides)
        return None
    found.jobs[planned.plan.digest] = planned
    return planned
