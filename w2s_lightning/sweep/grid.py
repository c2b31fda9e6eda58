"""Overrides of many jobs -> planned jobs, all checked before anything runs.

What is wrong with the configuration refuses the whole sweep. What is wrong with one cell's models or data (a broken
folder, a repository that cannot be found) only refuses that cell.
"""

import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, open_dict
from rich.console import Console

from w2s_lightning.checks import check_data
from w2s_lightning.config.bind import JobSettings, Runtime, build
from w2s_lightning.config.schema import LadderModel, Paths
from w2s_lightning.cost import HERE, Cost, Rate, cost, model_parameters, stated_parameters
from w2s_lightning.errors import UserError
from w2s_lightning.identity import Stage, digest
from w2s_lightning.job import folder_of
from w2s_lightning.plan import Plan, Resolver, make_plan
from w2s_lightning.show.numbers import counted
from w2s_lightning.sweep.axes import Overrides

SHOWN_FROM = 50  # jobs, above which planning shows its progress
SAID_EVERY = 5.0  # seconds, where no terminal shows it


class Composer:
    """Overrides -> configuration, quickly; `master` is what Hydra composed for the sweep as a whole.

    Hydra composes once per distinct choice of groups (90 ms each); values are applied to a copy by Hydra's own
    function, in its own order. A test compares the two on every job of every sweep file.
    """

    def __init__(self, loader: ConfigLoaderImpl, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        overrides = [str(override) for override in master.hydra.overrides.hydra]
        _, self._groups = loader._parse_overrides_and_create_caching_repo(master.hydra.job.config_name, overrides)
        self._parser = OverridesParser.create()
        self._bases: dict[Overrides, tuple[bytes, dict[str, Any]]] = {}

    def compose(self, overrides: Sequence[str]) -> tuple[DictConfig, Mapping[str, str | None]]:
        """The job's configuration without Hydra's node, and the choice made in each group.

        Raises Hydra's exceptions where Hydra would.
        """
        values: list[Override] = []
        groups: list[str] = []
        for override in self._parser.parse_overrides(list(overrides)):
            if self._groups.group_exists(override.key_or_group) and not isinstance(override.value(), dict):
                groups.append(str(override.input_line))
            else:
                values.append(override)
        chosen = tuple(groups)
        if chosen not in self._bases:
            cfg = self._loader.load_sweep_config(self._master, groups)
            choices = dict(cfg.hydra.runtime.choices)
            with open_dict(cfg):
                del cfg["hydra"]
            self._bases[chosen] = pickle.dumps(cfg), choices
        base, choices = self._bases[chosen]
        cfg = pickle.loads(base)  # a copy, seven times as fast as `copy.deepcopy`
        ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        return cfg, choices


@dataclass(frozen=True)
class PlannedJob:
    """One cell of the grid, ready to run; `axes` holds what distinguishes it from the sweep's other jobs."""

    overrides: Overrides
    axes: Mapping[str, str]
    job: JobSettings
    runtime: Runtime
    plan: Plan
    names: Overrides = ()  # of models that the sweep has to tell apart: words that a process for one job needs too

    @property
    def folder(self) -> Path:
        """Where its result lies: the same place as when the job is run alone."""
        return folder_of(self.plan, self.runtime)

    def cost(self, stage: Stage, rate: Rate = HERE) -> Cost:
        """The estimate of one of its stages."""
        return cost(stage, stated_parameters((self.job.weak, self.job.strong, *self.job.middle)), rate)


@dataclass(frozen=True)
class Refused:
    """A cell that cannot be planned, and why."""

    overrides: Overrides
    axes: Mapping[str, str]
    job: JobSettings
    reason: str


@dataclass(frozen=True)
class Grid:
    """All cells, each kind in the order of the axes; `inverted` counts pairs left out.

    `also` holds, by digest, the overrides of cells that turned out to be the same work as an earlier one.
    """

    jobs: tuple[PlannedJob, ...]
    refused: tuple[Refused, ...]
    inverted: int
    also: Mapping[str, tuple[Overrides, ...]]

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


def plan_grid(
    jobs: Sequence[Overrides],
    composer: Composer,
    resolver: Callable[[Runtime], Resolver],
    console: Console,
    *,
    allow_inverted: bool,
    planned: Callable[[PlannedJob], None] = lambda _: None,
) -> Grid:
    """Compose, bind and plan every job, telling `planned` of each; raise UserError for the first wrong configuration.

    A pair of equal sizes is kept: it is a control.
    """
    axes = axes_of(jobs)
    found: dict[str, PlannedJob] = {}
    also: dict[str, tuple[Overrides, ...]] = {}
    refused: list[Refused] = []
    places: set[Paths] = set()
    called: dict[str, list[str]] = {}
    inverted, said = 0, time.monotonic()
    with console.status("") as status:
        for number, overrides in enumerate(jobs):
            if len(jobs) >= SHOWN_FROM and number % 10 == 0:
                status.update(f"planning {number}/{len(jobs)} jobs")
                if not console.is_terminal and time.monotonic() > said + SAID_EVERY:  # a log has no such line
                    said = time.monotonic()
                    console.print(f"planning {number}/{len(jobs)} jobs", highlight=False)
            try:
                cfg, choices = composer.compose(overrides)
                job, runtime = build(cfg, choices, overrides, called)
            except UserError as error:
                raise UserError(f"{error}\nin the job {' '.join(overrides)}") from None
            places.add(runtime.paths)
            keys = ("weak", "strong", *(f"middle.{slot}" for slot in cfg.get("middle") or ()))
            models = zip(keys, (job.weak, job.strong, *job.middle), strict=True)
            clash = any(len(paths) > 1 for paths in called.values())
            names = tuple(f"{key}.name={m.name}" for key, m in models if clash and not isinstance(m, LadderModel))
            weak, strong = (model_parameters(model, job.task) for model in (job.weak, job.strong))
            if not allow_inverted and not job.supervisor.file and weak and strong and weak > strong:
                inverted += 1
                continue
            try:
                plan = make_plan(job, resolver(runtime))
                new = PlannedJob(overrides, axes[number], job, runtime, plan, names)
            except (UserError, OSError) as error:
                refused.append(Refused(overrides, axes[number], job, str(error)))
                continue
            if new.plan.digest in found:
                also[new.plan.digest] = (*also.get(new.plan.digest, ()), overrides)
            else:
                found[new.plan.digest] = new
                planned(new)
    if len(places) > 1:
        raise UserError("all jobs of a sweep share one store and one outputs folder: paths.* cannot be an axis")
    if not found and refused:
        raise UserError(refused[0].reason)
    if not found:
        raise UserError("every pair of this sweep has a weak model larger than its strong one: nothing to run")
    return Grid(tuple(found.values()), tuple(refused), inverted, also)


def axes_of(jobs: Sequence[Overrides]) -> list[dict[str, str]]:
    """Of each job, the keys that do not have one value throughout the sweep."""
    values = [{key.lstrip("+~"): value for key, _, value in (text.partition("=") for text in job)} for job in jobs]
    keys = dict.fromkeys(key for cell in values for key in cell)
    varying = [key for key in keys if len({cell.get(key) for cell in values}) > 1]
    return [{key: cell[key] for key in varying if key in cell} for cell in values]


def with_checked_data(grid: Grid, needed: Callable[[PlannedJob], bool], say: Callable[[str], None]) -> Grid:
    """The grid without cells whose data cannot be used: each data set is read once before anything runs.

    `needed` tells which jobs are to be run; what is to be said of their data is said once. Raises UserError when no
    cell is left.
    """
    reasons: dict[tuple[str, ...], str | None] = {}
    said: set[str] = set()
    refused: dict[str, Refused] = {}
    for job in filter(needed, grid.jobs):
        files = job.job.supervisor
        splits = (job.job.paradigm_name, str(files)) if files.file or files.test_file else ()  # that are asked of files
        key = (digest(job.plan.rows[0].evaluate.task), str(job.job.seed), str(job.job.benchmark), *splits)
        notices = set(job.plan.notices)
        if key not in reasons:
            try:
                notices |= set(check_data(job.job, job.plan))
                reasons[key] = None
            except UserError as error:
                reasons[key] = str(error)
        for notice in notices - said:
            say(notice)
        said |= notices
        if (reason := reasons[key]) is not None:
            refused[job.plan.digest] = Refused(job.overrides, job.axes, job.job, reason)
    if len(refused) == len(grid.jobs):
        raise UserError(next(iter(refused.values())).reason)
    left = tuple(job for job in grid.jobs if job.plan.digest not in refused)
    return replace(grid, jobs=left, refused=(*grid.refused, *refused.values()))
