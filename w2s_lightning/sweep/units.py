"""Planned jobs -> what is launched: every missing stage once, then the scoring of every job that has no valid result.

A launch is a process with everything that a process costs. So what takes seconds and needs nothing else (the labels of
a fit, their evaluation) goes with the stage that it stands on, and what only one launch reads goes with that one. Fits,
pretrained models and long labels are launched on their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from w2s_lightning.identity import Stage
from w2s_lightning.stages import Fit, Pretrain
from w2s_lightning.sweep.grid import PlannedJob

SCORE_SECONDS = 0.7
LIGHT_SECONDS = 10.0  # by estimate, up to which a label, selection or evaluation goes along with another stage


@dataclass(frozen=True)
class Unit:
    """One launch. `stages` are computed by it, parents first; a scoring has none. `needs` are keys of other units."""

    key: str
    name: str
    job: PlannedJob
    stages: tuple[Stage, ...]
    needs: frozenset[str]
    seconds: float

    @property
    def scores(self) -> bool:
        """Whether it scores its job, instead of computing stages."""
        return not self.stages

    @property
    def kind(self) -> str:
        """The kind of its main stage, or `score`: what a cluster's resources are given by."""
        return self.name.partition(" ")[0]

    @cached_property
    def goals(self) -> tuple[Stage, ...]:
        """The stages that no other stage of the unit stands on: asking for these (`run.only`) computes all."""
        below = {parent.digest for stage in self.stages for parent in stage.parents()}
        return tuple(stage for stage in self.stages if stage.digest not in below)

    @property
    def folder(self) -> str:
        """Its own folder below the sweep's."""
        return f"stages/{_main(self.stages).folder}" if self.stages else f"jobs/{self.job.folder.name}"


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
    missing: dict[str, tuple[Stage, PlannedJob]] = {}  # with the first job that needs it, parents first
    seen: set[str] = set()
    for job in unfinished:
        for stage in job.plan.stages:
            if stage.digest not in seen and not has(stage):
                missing[stage.digest] = (stage, job)
            seen.add(stage.digest)
    bundles = _Bundles(missing)
    bundles.join_readers()
    units = [
        Unit(key, _name(one.stages), one.job, tuple(one.stages), frozenset(bundles.needs(key)), one.seconds)
        for key, one in bundles.all.items()
    ]
    for job in unfinished:
        needs = frozenset(bundles.owner[stage.digest] for stage in job.plan.stages if stage.digest in bundles.owner)
        units.append(Unit(job.plan.digest, f"score {job.folder.name}", job, (), needs, SCORE_SECONDS))
    return Units(tuple(units))


def _main(stages: Sequence[Stage]) -> Stage:
    """What a unit is called by: the stage that takes long; in one that is all light, the last."""
    return next((stage for stage in stages if isinstance(stage, Fit | Pretrain)), stages[-1])


def _name(stages: Sequence[Stage]) -> str:
    return f"{_main(stages).kind} {_main(stages).label}"


@dataclass
class _Bundle:
    """A unit in the making; `light` while everything in it takes seconds."""

    job: PlannedJob
    stages: list[Stage]
    seconds: float
    light: bool


class _Bundles:
    """Which unit computes which missing stage: `owner` maps a stage's digest to its unit's key in `all`."""

    def __init__(self, missing: Mapping[str, tuple[Stage, PlannedJob]]) -> None:
        self.owner: dict[str, str] = {}
        self.all: dict[str, _Bundle] = {}
        for digest, (stage, job) in missing.items():
            seconds = job.cost(stage).seconds
            light = not isinstance(stage, Fit | Pretrain) and seconds <= LIGHT_SECONDS
            below = {self.owner[parent.digest] for parent in stage.parents() if parent.digest in self.owner}
            host = self.all[next(iter(below))] if light and len(below) == 1 else None
            # A unit is launched on behalf of one job, whose plan must know all of the unit's stages.
            if host is not None and any(digest == other.digest for other in host.job.plan.stages):
                host.stages.append(stage)
                host.seconds += seconds
                self.owner[digest] = next(iter(below))
            else:
                self.all[digest] = _Bundle(job, [stage], seconds, light)
                self.owner[digest] = digest

    def needs(self, key: str) -> set[str]:
        """The units that a unit's stages stand on."""
        parents = {parent.digest for stage in self.all[key].stages for parent in stage.parents()}
        return {self.owner[parent] for parent in parents & self.owner.keys()} - {key}

    def join_readers(self) -> None:
        """Put light units that a single other unit reads into that one."""
        readers: dict[str, set[str]] = {key: set() for key in self.all}
        for key in self.all:
            for needed in self.needs(key):
                readers[needed].add(key)
        for key in reversed(list(self.all)):  # readers first, so that a chain of light units ends in one
            bundle = self.all[key]
            if not bundle.light or len(readers[key]) != 1:
                continue
            (into,) = readers[key]
            host = self.all[into]
            if not {stage.digest for stage in bundle.stages} <= {stage.digest for stage in host.job.plan.stages}:
                continue
            for needed in self.needs(key):
                readers[needed] = (readers[needed] - {key}) | {into}
            del self.all[key]
            host.stages[:0] = bundle.stages
            host.seconds += bundle.seconds
            self.owner |= dict.fromkeys((stage.digest for stage in bundle.stages), into)
