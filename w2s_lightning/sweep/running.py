"""A planned grid on its way to results: launch what is missing, keep the ledger, tell how it ended."""

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from omegaconf import OmegaConf, open_dict
from rich.console import Console

from w2s_lightning import devices
from w2s_lightning.digest import SHORT
from w2s_lightning.errors import UserError
from w2s_lightning.job import Request
from w2s_lightning.report.writing import Reporter
from w2s_lightning.results.claims import print_verdicts
from w2s_lightning.show.matrix import print_compared, print_matrices, print_sections
from w2s_lightning.show.words import counted, shown, size
from w2s_lightning.store import Store
from w2s_lightning.sweep import ledger
from w2s_lightning.sweep.asked import Asked, Hydras
from w2s_lightning.sweep.attempt import Record
from w2s_lightning.sweep.board import Board
from w2s_lightning.sweep.claimed import verdicts_of
from w2s_lightning.sweep.composition import own_words
from w2s_lightning.sweep.finished import Finished, json_of
from w2s_lightning.sweep.grid import Grid
from w2s_lightning.sweep.lines import Lines, last_words
from w2s_lightning.sweep.machine import machine_for, seats_of
from w2s_lightning.sweep.pool import LOG, Pool, only, only_words
from w2s_lightning.sweep.summary import log_sweep
from w2s_lightning.sweep.units import Unit, Units, make_units
from w2s_lightning.sweep.watcher import Watcher
from w2s_lightning.sweep.waves import run_waves

POOL = "hydra_plugins.w2s.PoolLauncher"


logger = logging.getLogger(__name__)


class Running:
    """One sweep being run."""

    def __init__(self, hydras: Hydras, asked: Asked, grid: Grid, console: Console) -> None:
        runtime = grid.jobs[0].runtime
        self._hydras, self._asked, self._grid, self._console = hydras, asked, grid, console
        self._runtime = runtime
        self._group = f"{asked.name}-{grid.digest[:SHORT]}"
        self.folder = Path(runtime.paths.outputs) / "sweeps" / self._group
        self._store = Store.at(Path(runtime.paths.store), create=False)
        self._reporter = Reporter(self.folder, store=self._store.root)
        self._over = False
        self._finished = Finished()
        head = {"sweep": asked.name, "digest": grid.digest, "command": asked.command}
        self._ledger = ledger.Ledger(grid, self._reporter.shelf, head, self._finished)
        self._last: dict[str, Any] = _earlier(self.folder, grid)
        launched = dict((self._last.get("times") or {}).get("launched") or {})
        self._times: dict[str, Any] = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "launched": launched}

    def run(self) -> None:
        """Bring the sweep to its end; raise UserError with the last words when something failed."""
        units = make_units([job for job in self._grid.jobs if self._finished.result(job) is None], self._store.has)
        self._check_disk(units)
        if units.all:
            self._check_machine(units)
        _make(self.folder)
        self._store.create()
        board = Board(units, self._arrived, lambda: watcher.changed())
        watcher = Watcher(lambda: self._write(board))
        self._announce(units)
        started = time.monotonic()
        with watcher:
            try:
                if units.all:
                    self._launch(board)
            finally:
                self._times["seconds"] = round(time.monotonic() - started, 3)
                self._over = True
        self._end(board)

    def _announce(self, units: Units) -> None:
        done = len(self._grid.jobs) - sum(unit.scores for unit in units.all)
        stages = sum(not unit.scores for unit in units.all)
        fits = sum(stage.kind == "fit" for unit in units.all for stage in unit.stages)
        self._console.print(
            f"{counted(len(self._grid.jobs), 'job')}, {done} of them done; to launch: {counted(stages, 'stage')} "
            f"({counted(fits, 'fit')}), {counted(len(units.all) - stages, 'scoring')}",
            highlight=False,
        )

    def _arrived(self, unit: Unit) -> bool:
        return self._finished.result(unit.job) is not None if unit.scores else all(map(self._store.has, unit.goals))

    # ------------------------------------------------------------ launching

    def _settings(self) -> dict[Any, Any]:
        settings = OmegaConf.to_container(self._hydras.config.hydra.launcher)
        assert isinstance(settings, dict)
        return settings

    def _check_machine(self, units: Units) -> None:
        settings, trainer = self._settings(), self._runtime.trainer
        devices.check([stage for unit in units.all for stage in unit.stages], trainer)
        if settings["_target_"] == POOL:
            hardware = {(job.runtime.trainer.accelerator, str(job.runtime.trainer.devices)) for job in self._grid.jobs}
            if len(hardware) > 1:
                raise UserError(
                    "the pool gives every job of a sweep the same devices: run those with other trainer.devices or "
                    "trainer.accelerator as a sweep of their own"
                )
            seats_of(trainer, machine_for(settings, trainer))
        else:
            self._launcher()  # which asks whether its cluster answers

    def _launch(self, board: Board) -> None:
        settings = self._settings()
        with Lines(self._console, len(board.units.all)) as lines:

            def ended(unit: Unit, record: Record) -> None:
                told = {"seconds": record["seconds"], "peak_memory_bytes": record["peak_memory_bytes"]}
                self._times["launched"][unit.name] = told
                lines.ended(unit, record)

            if settings["_target_"] == POOL:
                self._pool(settings).run(board, lines.started, ended)
            else:
                run_waves(board, self._launcher(), self._overrides, self._log, lines.started, ended)

    def _pool(self, settings: Mapping[Any, Any]) -> Pool:
        trainer = self._runtime.trainer
        limit = settings.get("time_limit")
        machine, limit = machine_for(settings, trainer), limit and float(limit)
        return Pool(machine, trainer, self.folder, self._request, self._words_alone, limit)

    def _request(self, unit: Unit) -> Request:
        request = unit.job.request(self._asked.composer)
        tracking = replace(request.runtime.tracking, group=request.runtime.tracking.group or self._group)
        grouped = replace(request, runtime=replace(request.runtime, tracking=tracking))
        return only(grouped, unit.only)

    def _launcher(self) -> Any:
        config = self._hydras.config
        with open_dict(config):
            config.hydra.sweep.dir = str(self.folder)
        return Plugins.instance().instantiate_launcher(
            hydra_context=self._hydras.context, task_function=self._hydras.task, config=config
        )

    def _log(self, unit: Unit) -> str | None:
        """Where a unit's output went, if its launcher kept it."""
        log = self.folder / unit.folder / LOG
        return str(log) if log.is_file() else None

    def _words(self, unit: Unit) -> list[str]:
        group = [] if self._runtime.tracking.group else [f"tracking.group='{self._group}'"]
        return [*unit.job.overrides, *only_words(unit), *group]

    def _words_alone(self, unit: Unit) -> list[str]:
        """The command line of a process of its own, to which nobody hands Hydra's own overrides."""
        return [*own_words(self._hydras.config), *self._words(unit)]

    def _overrides(self, unit: Unit) -> list[str]:
        """What a launcher is given for a unit."""
        place = [f"hydra.sweep.dir='{self.folder}'", f"hydra.sweep.subdir='{unit.folder}'"]
        return [*self._words(unit), *place, f"hydra.job.name={unit.kind}"]

    def _check_disk(self, units: Units) -> None:
        wanted = sum(unit.job.cost(stage).bytes for unit in units.all for stage in unit.stages)
        there = next(place for place in (self._store.root, *self._store.root.parents) if place.exists())
        free = shutil.disk_usage(there).free
        if wanted > free:
            raise UserError(
                f"this sweep writes about {size(wanted)}, and {self._store.root} has {size(free)} left: "
                f"make room (python -m w2s_lightning.store gc) or name another store with paths.store=FOLDER"
            )

    # ------------------------------------------------------------ telling

    def _write(self, board: Board) -> None:
        content = self._ledger.content(board, self._times)
        content |= {key: self._last[key] for key in ("verdicts", "wandb") if key in self._last}
        self._last = content
        ledger.write(self.folder, content)
        if not self._over:
            self._report()

    def _report(self) -> None:
        """The dashboard as things are now: a sweep goes on without one."""
        try:
            self._reporter.write()
        except Exception as error:
            logger.warning("the report could not be written: %s: %s", type(error).__name__, error)

    def _end(self, board: Board) -> None:
        content = dict(self._last)
        verdicts = verdicts_of(self._asked, self._grid, self._finished, self._store.root)
        if verdicts:
            content["verdicts"] = [{**asdict(v), "claim": v.claim.id, "text": v.claim.claim} for v in verdicts]
        ledger.write(self.folder, content)  # with the verdicts, for wandb's tables
        content["wandb"] = self._mirrored(content)
        ledger.write(self.folder, content)
        print_matrices(self._console, content["groups"])
        print_sections(self._console, content["groups"])
        print_compared(self._console, content.get("readouts") or ())
        if verdicts:
            print_verdicts(self._console, verdicts)
        report = self.folder / "report.html"
        if board.units.all or not report.is_file():
            self._report()
        for name, file in (("sweep", self.folder / "sweep.json"), ("report", report)):
            if file.is_file():
                self._console.print(f"{name}: {shown(str(file))}", soft_wrap=True, highlight=False)
        words = last_words(board, self._grid.refused, self._asked.command)
        if words is not None:
            raise UserError(words)

    def _mirrored(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """The summary run in wandb: a new one only when the rows have changed since the last."""
        rows = ledger.rows_digest(content)
        known = content.get("wandb")
        if known is not None and known["rows"] == rows:
            return dict(known)
        return {**log_sweep(content, self._group, self._runtime.tracking, self.folder, self._store.root), "rows": rows}


def _earlier(folder: Path, grid: Grid) -> dict[str, Any]:
    """What a former run of the same sweep has left in sweep.json, empty where there is none."""
    found = json_of(folder / "sweep.json")
    return found if isinstance(found, dict) and found.get("digest") == grid.digest else {}


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror}): choose another place with paths.outputs=DIR"
        ) from None
