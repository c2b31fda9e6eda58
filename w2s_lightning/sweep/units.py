"""Planned jobs -> what is launched: every missing stage once, then the scoring of every job that has no valid result;
and which of these units waits, runs, is done or failed.

A launch is a process with everything that a process costs. So what takes seconds and needs nothing else (the labels of
a fit, their evaluation) goes with the stage that it stands on, and what only one launch reads goes with that one. Fits,
pretrained models and long labels are launched on their own.

The truth is on disk: a unit has ended well when its outputs are there, whatever its launcher said.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from w2s_lightning.identity import Stage
from w2s_lightning.job import Record
from w2s_lightning.show.numbers import counted
from w2s_lightning.stages import Fit, Pretrain
from w2s_lightning.sweep.grid import PlannedJob, Refused

SCORE_SECONDS = 0.7
LOG = "log.txt"  # a unit's output, in its own folder below the sweep's
MOST = 8  # failures that are listed in full
LIGHT_SECONDS = 10.0  # by estimate, up to which a label, selection or evaluation goes along with another stage


@dataclass(frozen=True)
class Unit:
    """One launch. `stages` are computed by it, parents first; a scoring has none. `needs` are keys of other units."""

    key: str
    job: PlannedJob
    stages: tuple[Stage, ...]
    seconds: float
    needs: frozenset[str] = frozenset()

    @property
    def scores(self) -> bool:
        """Whether it scores its job, instead of computing stages."""
        return not self.stages

    @property
    def light(self) -> bool:
        """Whether it takes seconds, so that it may go along with another unit."""
        return self.seconds <= LIGHT_SECONDS and not any(isinstance(stage, Fit | Pretrain) for stage in self.stages)

    @cached_property
    def main(self) -> Stage:
        """What a unit is called by: the stage that takes long; in one that is all light, the last."""
        return next((stage for stage in self.stages if isinstance(stage, Fit | Pretrain)), self.stages[-1])

    @property
    def kind(self) -> str:
        """The kind of its main stage, or `score`: what a cluster's resources are given by."""
        return "score" if self.scores else self.main.kind

    @cached_property
    def name(self) -> str:
        """What people read."""
        return f"{self.kind} {self.job.folder.name if self.scores else self.main.label}"

    @property
    def folder(self) -> str:
        """Its own folder below the sweep's."""
        return f"jobs/{self.job.folder.name}" if self.scores else f"stages/{self.main.folder}"

    @cached_property
    def goals(self) -> tuple[Stage, ...]:
        """The stages that no other stage of the unit stands on: asking for these (`run.only`) computes all."""
        below = {parent.digest for stage in self.stages for parent in stage.parents()}
        return tuple(stage for stage in self.stages if stage.digest not in below)

    def takes(self, other: "Unit") -> bool:
        """Whether its job knows the other's stages: a unit is launched on behalf of one job."""
        return {stage.digest for stage in other.stages} <= {stage.digest for stage in self.job.plan.stages}


@dataclass(frozen=True)
class Units:
    """All units of a sweep, each after those that it needs."""

    all: tuple[Unit, ...]

    @cached_property
    def urgency(self) -> dict[str, float]:
        """Seconds from a unit's start to the end of the longest chain that hangs on it."""
        found: dict[str, float] = {}
        for unit in reversed(self.all):
            found[unit.key] = unit.seconds + max((found[d.key] for d in self.dependants[unit.key]), default=0.0)
        return found

    @cached_property
    def dependants(self) -> dict[str, list[Unit]]:
        """The units that need a unit directly."""
        found: dict[str, list[Unit]] = {unit.key: [] for unit in self.all}
        for unit in self.all:
            for key in unit.needs:
                found[key].append(unit)
        return found

    def waves(self) -> list[list[Unit]]:
        """Units by level, as late as each can be: a ceiling runs beside the students, not before them."""
        height: dict[str, int] = {}
        for unit in reversed(self.all):
            height[unit.key] = max((height[d.key] + 1 for d in self.dependants[unit.key]), default=0)
        top = max(height.values(), default=-1)
        return [[unit for unit in self.all if height[unit.key] == level] for level in range(top, -1, -1)]


def make_units(unfinished: Sequence[PlannedJob], has: Callable[[Stage], bool]) -> Units:
    """The launches that bring every unfinished job to its result."""
    units: dict[str, Unit] = {}
    owner: dict[str, str] = {}  # of a missing stage's digest: the key of the unit that computes it
    seen: set[str] = set()
    for job in unfinished:
        for stage in job.plan.stages:
            if stage.digest not in seen and not has(stage):
                unit = Unit(stage.digest, job, (stage,), job.cost(stage).seconds)
                below = _needs(unit, owner)
                host = units[next(iter(below))] if unit.light and len(below) == 1 else unit
                if host is not unit and host.takes(unit):
                    unit = replace(host, stages=(*host.stages, stage), seconds=host.seconds + unit.seconds)
                units[unit.key], owner[stage.digest] = unit, unit.key
            seen.add(stage.digest)
    _join_readers(units, owner)
    found = [replace(unit, needs=_needs(unit, owner)) for unit in units.values()]
    for job in unfinished:
        needs = frozenset(owner[stage.digest] for stage in job.plan.stages if stage.digest in owner)
        found.append(Unit(job.plan.digest, job, (), SCORE_SECONDS, needs))
    return Units(tuple(found))


def _needs(unit: Unit, owner: Mapping[str, str]) -> frozenset[str]:
    """The units that a unit's stages stand on."""
    parents = {parent.digest for stage in unit.stages for parent in stage.parents()}
    return frozenset(owner[parent] for parent in parents & owner.keys()) - {unit.key}


def _join_readers(units: dict[str, Unit], owner: dict[str, str]) -> None:
    """Put light units that a single other unit reads into that one."""
    readers: dict[str, set[str]] = {key: set() for key in units}
    for unit in units.values():
        for needed in _needs(unit, owner):
            readers[needed].add(unit.key)
    for unit in reversed(list(units.values())):  # readers first, so that a chain of light units ends in one
        into = units[next(iter(readers[unit.key]))] if len(readers[unit.key]) == 1 else None
        unit = units[unit.key]  # which may have taken others in by now
        if into is None or not unit.light or not into.takes(unit):
            continue
        for needed in _needs(unit, owner):
            readers[needed] = (readers[needed] - {unit.key}) | {into.key}
        del units[unit.key]
        units[into.key] = replace(into, stages=unit.stages + into.stages, seconds=into.seconds + unit.seconds)
        owner |= dict.fromkeys((stage.digest for stage in unit.stages), into.key)


# ---------------------------------------------------------------- where each of them stands


def failure(message: str, kind: str, seconds: float = 0.0) -> Record:
    """The record of something that could not tell itself how it went."""
    return Record(status="failed", type=kind, message=message, traceback="", seconds=seconds, peak_memory_bytes=0)


@dataclass(frozen=True)
class Failure:
    """A unit that failed by itself, with where to read on."""

    unit: Unit
    message: str
    log: str | None


class UnitStates:
    """Who waits, runs, is done, failed or blocked by a failure, and why; one thread launches, others may look.

    `arrived` tells whether a unit's outputs are there, `started` and `ended` are told of each launch.
    """

    def __init__(
        self,
        units: Units,
        folder: Path,
        arrived: Callable[[Unit], bool],
        started: Callable[[Unit], None] = lambda _: None,
        ended: Callable[[Unit, Record], None] = lambda *_: None,
    ) -> None:
        self.units, self.folder, self.arrived = units, folder, arrived
        self._started, self._ended = started, ended
        self.states: dict[str, Literal["waiting", "running", "done", "failed", "blocked"]] = dict.fromkeys(
            (unit.key for unit in units.all), "waiting"
        )
        self._failures: dict[str, Failure] = {}  # of units that failed, and of those that they block

    def ready(self) -> list[Unit]:
        """Units that can start now, the head of the longest chain first."""
        free = filter(self._is_ready, self.units.all)
        return sorted(free, key=lambda unit: -self.units.urgency[unit.key])

    def _is_ready(self, unit: Unit) -> bool:
        return self.states[unit.key] == "waiting" and all(self.states[key] == "done" for key in unit.needs)

    def start(self, unit: Unit) -> bool:
        """Mark a unit as running; False when there is nothing to launch: it is not ready, or its outputs have come."""
        if not self._is_ready(unit):
            return False
        running = not self.arrived(unit)
        self.states[unit.key] = "running" if running else "done"
        if running:
            self._started(unit)
        return running

    def log(self, unit: Unit) -> Path:
        """Where a unit's output goes."""
        return self.folder / unit.folder / LOG

    def end(self, unit: Unit, record: Record) -> None:
        """A unit has ended: well when its outputs are there, whatever the launcher says."""
        if self.arrived(unit):
            self.states[unit.key] = "done"
        else:
            log = self.log(unit)  # which some launchers do not keep
            message = record["message"] or "it ended without its outputs"
            why = self._failures[unit.key] = Failure(unit, message, str(log) if log.is_file() else None)
            self.states[unit.key] = "failed"
            self._block(unit, why)
        self._ended(unit, record)

    def _block(self, unit: Unit, why: Failure) -> None:
        for other in self.units.dependants[unit.key]:
            if self.states[other.key] == "waiting":
                self.states[other.key] = "blocked"
                self._failures[other.key] = why
                self._block(other, why)

    def of(self, job: PlannedJob) -> tuple[str, str | None, str | None]:
        """State, reason and log of a job without a result: it is running while anything runs on its behalf."""
        failed = self._failures.get(job.plan.digest)
        if failed is not None:
            own = failed.unit.key == job.plan.digest
            return "failed", failed.message if own else f"{failed.unit.name}: {failed.message}", failed.log
        running = (unit for unit in self.units.all if self.states[unit.key] == "running")
        runs = any(unit.job.plan.digest == job.plan.digest for unit in running)
        return ("running" if runs else "waiting"), None, None

    def failed(self) -> list[Failure]:
        """The units that failed by themselves, in order."""
        return [self._failures[unit.key] for unit in self.units.all if self.states[unit.key] == "failed"]

    def lost(self) -> list[Failure]:
        """Of each job that will have no result, the failure that took it."""
        return [self._failures[unit.key] for unit in self.units.all if unit.scores and unit.key in self._failures]


def last_words(states: UnitStates, refused: Sequence[Refused], command: str) -> str | None:
    """What failed, where its log is, and the command that finishes the rest; None when all went well."""
    failures, lost = states.failed(), states.lost()
    if not failures and not refused:
        return None
    lines = [f"{counted(len(lost) + len(refused), 'job')} failed; all others are done"]
    for failure in failures[:MOST]:
        waiting = lost.count(failure)
        needed = f" (needed by {counted(waiting, 'job')})" if waiting and not failure.unit.scores else ""
        log = f"\n  log: {failure.log}" if failure.log else ""
        lines.append(f"  {failure.unit.name}: {failure.message}{needed}{log}")
    if len(failures) > MOST:
        lines.append(f"  and {len(failures) - MOST} more: see sweep.json")
    lines += [f"  not planned: {' '.join(cell.overrides)}: {cell.reason}" for cell in refused[:MOST]]
    return "\n".join([*lines, f"once that is mended, this finishes the rest: {command}"])
