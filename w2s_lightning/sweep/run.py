"""A sweep from Hydra's call to its end: plan the grid, launch what is missing, re-read the store, finish, tell.

Whatever happens, finished stages and results stay, and the same command goes on from them.
"""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console

from w2s_lightning.atomic import below, folder_name
from w2s_lightning.checks import check_devices
from w2s_lightning.config.bind import Runtime
from w2s_lightning.cost import HERE, rate_of, stated_parameters, too_large
from w2s_lightning.errors import UserError, handling
from w2s_lightning.identity import SHORT
from w2s_lightning.job import Record, Request
from w2s_lightning.refs import Refs
from w2s_lightning.results.claims import Results, Verdict, decide, key_of, print_verdicts
from w2s_lightning.results.stored import StoreReader
from w2s_lightning.show.matrix import print_compared, print_matrices, print_sections
from w2s_lightning.show.mirror import log_sweep
from w2s_lightning.show.numbers import counted, shown, size
from w2s_lightning.show.planned import print_grid_plan
from w2s_lightning.show.terminal import LaunchProgress, print_lines
from w2s_lightning.store import Store
from w2s_lightning.sweep.axes import read_command
from w2s_lightning.sweep.cluster import check_extra, run_waves
from w2s_lightning.sweep.grid import Composer, Grid, PlannedJob, plan_grid, with_checked_data
from w2s_lightning.sweep.openable import with_openable_models
from w2s_lightning.sweep.pool import Machine, Pool, machine_for, num_cores, start_server
from w2s_lightning.sweep.sweep_file import JobResults, SweepFile, calling
from w2s_lightning.sweep.units import Unit, Units, UnitStates, last_words, make_units

POOL = "hydra_plugins.w2s.PoolLauncher"


class Report(Protocol):
    """The page of a sweep, written again and again while it grows. The plugin hands it in: nothing imports `report`."""

    reader: StoreReader

    def write(self) -> object: ...
    def mirrored(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]: ...


def sweep(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    arguments: Sequence[str],
    report: Callable[[Path, Path], Report],
) -> None:
    """Run or plan the sweep that Hydra was asked for; raise UserError for a mistake, and when something failed.

    `report` makes the page's writer from the sweep's folder and the store's.
    """

    def launcher() -> Launcher:
        return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)

    loader = context.config_loader
    assert isinstance(loader, ConfigLoaderImpl)
    with handling(signal.SIGTERM, signal.default_int_handler):  # it stops a sweep as Ctrl-C does
        one = Sweep(config, arguments, Composer(loader, config), launcher, report)
        one.plan()
        if one.runtime.run.mode == "plan":
            one.show_plan()
        else:
            one.run()


class Sweep:
    """One sweep: its grid, planned, on the way to results. `launcher` makes Hydra's, for what the pool does not run."""

    _grid: Grid  # from `plan` on
    runtime: Runtime  # of all jobs, as far as their store, outputs and tracking go

    def __init__(
        self,
        config: DictConfig,
        arguments: Sequence[str],
        composer: Composer,
        launcher: Callable[[], Launcher],
        report: Callable[[Path, Path], Report],
    ) -> None:
        self._command = read_command(config, arguments)
        self._config, self._composer, self._launcher, self._open_report = config, composer, launcher, report
        self._settings = config.hydra.launcher
        self._pooled = self._settings["_target_"] == POOL
        self._console, self._results = Console(), JobResults()
        self._changed, self._over = threading.Event(), False
        self._report_failure = ""  # why the page could not be written, the last time

    def _note(self, text: str) -> None:
        print_lines(self._console, [f"note: {text}"])

    def plan(self) -> None:
        """Plan the whole grid, and say what is left out of it."""
        refs = cache(lambda store, planning: Refs(Path(store), planning=planning))

        def prepare(job: PlannedJob) -> None:
            # As soon as one job is seen to need it: start the pool's server (it takes seconds), or look for the extra.
            if job.runtime.run.mode == "job" and self._results.missing(job):
                start_server() if self._pooled else check_extra(self._settings["_target_"])

        grid = plan_grid(
            self._command.jobs,
            self._composer,
            lambda runtime: refs(runtime.paths.store, runtime.run.mode == "plan"),
            self._console,
            allow_inverted=bool(self._config.hydra.sweeper.allow_inverted),
            planned=prepare,
        )
        for notice in (*self._command.notices, *grid.notices()):
            self._note(notice)
        self._grid, self.runtime = grid, grid.jobs[0].runtime
        self._store = Store.at(Path(self.runtime.paths.store), create=False)

    def show_plan(self) -> None:
        """What the grid asks for, what the store has of it, and what the rest costs; runs nothing."""
        rate = rate_of(self.runtime.run.accelerator)
        check_devices([stage for job in self._grid.jobs for stage in job.plan.stages], self.runtime.trainer)
        asked = [(stage, job) for job in self._grid.jobs for stage in job.plan.stages]
        different = {stage.digest: (stage, job) for stage, job in asked}
        stored = {digest: self._store.has(stage) for digest, (stage, _) in different.items()}
        costs = {digest: job.cost(stage, rate) for digest, (stage, job) in different.items()}
        num_done = len(self._grid.jobs) - sum(map(self._results.missing, self._grid.jobs))
        jobs = f"{counted(len(self._grid.jobs), 'job')} ({num_done} done)"
        slots = num_cores() if rate is HERE else rate.count
        launches = len(make_units(list(filter(self._results.missing, self._grid.jobs)), self._store.has).all)
        stages = [stage for stage, _ in asked]
        apart = not self._pooled and not self._settings["_target_"].endswith("BasicLauncher")
        show = partial(print_grid_plan, jobs=jobs, rate=rate, slots=slots, launches=launches, apart=apart)
        show(self._console, stages, stored, costs)
        stated = {
            path: count
            for job in self._grid.jobs
            for path, count in stated_parameters((job.job.weak, job.job.strong, *job.job.middle)).items()
        }
        print_lines(self._console, (f"note: {one}" for one in too_large(stages, stated, rate)))

    def run(self) -> None:
        """Bring the sweep to its end; raise UserError with the last words when something failed."""
        self._grid = with_checked_data(self._grid, self._results.missing, self._note)
        self._grid = with_openable_models(self._grid, self._results.missing, self._store, self._note)
        self._group = f"{self._command.name}-{self._grid.digest[:SHORT]}"
        self.folder = below(Path(self.runtime.paths.outputs), "sweeps", folder_name(self._group))
        before, broken = self._store.quarantined(), list(filter(self._results.damaged, self._grid.jobs))
        units = make_units(list(filter(self._results.missing, self._grid.jobs)), self._store.has)
        self._check_disk(units)
        self._lines = LaunchProgress(self._console, len(units.all))

        def arrived(unit: Unit) -> bool:
            return not self._results.missing(unit.job) if unit.scores else all(map(self._store.has, unit.goals))

        states = UnitStates(units, self.folder, arrived, lambda unit: self._lines.start(unit.name), self._ended)
        launch = self._launch_of(states) if units.all else lambda: None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot write to {self.folder} ({error.strerror}): choose another place with paths.outputs=DIR"
            ) from None
        Store.at(self._store.root)  # it is made now, with something to compute
        self._reporter = self._open_report(self.folder, self._store.root)
        command = self._command
        head = {"sweep": command.name, "digest": self._grid.digest, "command": command.again, "remark": command.remark}
        self._file = SweepFile(self.folder, self._grid, self._reporter.reader, self._results, head)
        self._announce(units)
        started = time.monotonic()
        with calling(lambda: self._write(states), self._changed):
            try:
                with self._lines.status:
                    launch()
            finally:
                self._file.times["seconds"] = round(time.monotonic() - started, 3)
                self._over = True
        mended = [name.rpartition("-")[0].replace("-", " ", 1) for name in self._store.quarantined() - before]
        mended += [str(job.folder / "result.json") for job in broken]
        mended += [str(self.folder / "sweep.json")] * self._file.was_damaged
        print_lines(self._console, (f"mended: {name} was damaged and was made again" for name in sorted(mended)))
        self._end(states)

    # ------------------------------------------------------------ launching

    def _check_disk(self, units: Units) -> None:
        wanted = sum(unit.job.cost(stage).bytes for unit in units.all for stage in unit.stages)
        there = next(place for place in (self._store.root, *self._store.root.parents) if place.exists())
        free = shutil.disk_usage(there).free
        if wanted > free:
            raise UserError(
                f"this sweep writes about {size(wanted)}, and {self._store.root} has {size(free)} left: "
                f"make room (python -m w2s_lightning.store gc) or name another store with paths.store=FOLDER"
            )

    def _launch_of(self, states: UnitStates) -> Callable[[], None]:
        """What runs the units; raise UserError for what these devices or this launcher cannot run."""
        trainer = self.runtime.trainer
        check_devices([stage for unit in states.units.all for stage in unit.stages], trainer)
        if not self._pooled:
            with open_dict(self._config):
                self._config.hydra.sweep.dir = str(self.folder)
            launcher = self._launcher()  # ours ask then whether their cluster answers
            return lambda: run_waves(states, launcher, self._overrides)
        hardware = {(job.runtime.trainer.accelerator, str(job.runtime.trainer.devices)) for job in self._grid.jobs}
        if len(hardware) > 1:
            raise UserError(
                "the pool gives every job of a sweep the same devices: run those with other trainer.devices or "
                "trainer.accelerator as a sweep of their own"
            )
        limit = self._settings.get("time_limit")
        machine = machine_for(self._settings, trainer)
        pool = Pool(machine, lambda unit: self._request(unit, machine), limit and float(limit))
        return lambda: pool.run(states)

    def _request(self, unit: Unit, machine: Machine) -> Request:
        """What a process of the pool is sent."""
        runtime = unit.job.runtime
        trainer = replace(runtime.trainer, threads=machine.threads, devices=machine.width)
        tracking = replace(runtime.tracking, group=runtime.tracking.group or self._group)
        only = tuple(stage.digest for stage in unit.goals) or None
        runtime = replace(runtime, trainer=trainer, tracking=tracking, run=replace(runtime.run, only=only))
        cfg, _ = self._composer.compose([*unit.job.overrides, *unit.job.names])
        return Request(unit.job.job, runtime, OmegaConf.to_yaml(cfg, resolve=True), unit.job.overrides)

    def _overrides(self, unit: Unit) -> list[str]:
        """The same as words of a command line, which a launcher is given."""
        group = [] if self.runtime.tracking.group else [f"tracking.group='{self._group}'"]
        only = [f"run.only=[{','.join(stage.digest for stage in unit.goals)}]"] if unit.goals else []
        place = [f"hydra.sweep.dir='{self.folder}'", f"hydra.sweep.subdir='{unit.folder}'"]
        return [*unit.job.overrides, *unit.job.names, *only, *group, *place, f"hydra.job.name={unit.kind}"]

    # ------------------------------------------------------------ telling

    def _announce(self, units: Units) -> None:
        scorings = sum(unit.scores for unit in units.all)
        stages = len(units.all) - scorings
        fits = sum(stage.kind == "fit" for unit in units.all for stage in unit.stages)
        more = sum(len(unit.stages) for unit in units.all) - stages
        along = f", and {counted(more, 'stage')} (labels and evaluations) that go along with them" if more else ""
        self._console.print(
            f"{counted(len(self._grid.jobs), 'job')}, {len(self._grid.jobs) - scorings} of them done; to launch: "
            f"{counted(stages, 'stage')} ({counted(fits, 'fit')}), {counted(scorings, 'scoring')}{along}",
            highlight=False,
        )

    def _ended(self, unit: Unit, record: Record) -> None:
        told = {"seconds": record["seconds"], "peak_memory_bytes": record["peak_memory_bytes"]}
        self._file.times["launched"][unit.name] = told
        self._changed.set()
        memory = f" · {size(record['peak_memory_bytes'])}" if record["peak_memory_bytes"] else ""
        done = record["status"] == "done"
        self._lines.finish(unit.name, f"{record['seconds']:.1f} s{memory}" if done else f"FAILED: {record['message']}")

    def _write(self, states: UnitStates) -> None:
        self._file.refresh(states)
        if not self._over:
            self._report()

    def _report(self) -> None:
        """The dashboard as things are now: a sweep goes on without one, and says so at its end."""
        try:
            self._reporter.write()
            self._report_failure = ""
        except Exception as error:
            self._report_failure = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"

    def _end(self, states: UnitStates) -> None:
        verdicts = self._verdicts()
        if verdicts:  # written before wandb's tables are made of them
            rows = [
                {**asdict(v), "claim": v.claim.id, "text": v.claim.claim, "as_claimed": v.as_claimed} for v in verdicts
            ]
            self._file.write(verdicts=rows)
        content, now = self._file.content, self._file.rows_digest()
        if (content.get("wandb") or {}).get("rows") != now:  # a rerun that changes nothing makes no second run
            logged = log_sweep(
                content, self._reporter.mirrored, self._group, settings=self.runtime.tracking, folder=self.folder
            )
            self._file.write(wandb={**logged, "rows": now})
        print_lines(self._console, [self._command.remark] if self._command.remark else [])
        print_matrices(self._console, content["groups"])
        print_sections(self._console, content["groups"])
        print_compared(self._console, content["readouts"])
        if verdicts:
            print_verdicts(self._console, verdicts)
        report = self.folder / "report.html"
        if states.units.all or not report.is_file():
            self._report()
        if self._report_failure:
            self._note(f"the report could not be written: {self._report_failure}")
        for name, file in (("sweep", self.folder / "sweep.json"), ("report", report)):
            if file.is_file():
                self._console.print(f"{name}: {shown(str(file))}", soft_wrap=True, highlight=False)
        words = last_words(states, self._grid.refused, self._command.again)
        if words is not None:
            raise UserError(words)

    def _verdicts(self) -> list[Verdict]:
        """Decide every claim from the grid's results; those whose jobs are not all there are `waiting`."""
        given = key_of(self._command.arguments)
        found: dict[tuple[frozenset[str], int], Any] = {}
        for job in self._grid.jobs:
            result = self._results.of(job)
            for overrides in (job.overrides, *self._grid.also.get(job.plan.digest, ())) if result else ():
                found[key_of(overrides) - given, job.job.seed] = result
        results = Results(found, self._store.root)
        return decide(self._command.claims, results)
