"""Planned jobs -> what is launched: every missing stage once, then the scoring of every job that has no valid result.

A launch is a process with everything that a process costs. So what takes seconds and needs nothing else (the labels of
a fit, their evaluation) goes with the stage that it stands on, and what only one launch reads goes with that one. Fits,
pretrained models and long labels are launched on their own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from w2s_lightning.stage import Stage
from w2s_lightning.stages import Fit, Pretrain
from w2s_lightning.sweep.grid import PlannedJob

SCORE_SECONDS = 0.7
LIGHT_SECONDS = 10.0  # by estimate, up to which a label, selection or evaluation goes along with another stage

Missing = Mapping[str, tuple[Stage, PlannedJob]]


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
        """The stages that no other stage of the unit stands on: asking for these computes all."""
        below = {parent.digest for stage in self.stages for parent in stage.parents()}
        return tuple(stage for stage in self.stages if stage.digest not in below)

    @property
    def only(self) -> tuple[str, ...] | None:
        """What `run.only` is set to."""
        return tuple(stage.digest for stage in self.goals) or None

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


def missing_stages(jobs: Iterable[PlannedJob], has: Callable[[Stage], bool]) -> Missing:
    """Every stage that the store lacks, once, with the first job that needs it, parents first."""
    seen: set[str] = set()
    missing = {}
    for job in jobs:
        for stage in job.plan.stages:
            if stage.digest not in seen and not has(stage):
                missing[stage.digest] = (stage, job)
            seen.add(stage.digest)
    return missing


def make_units(unfinished: Sequence[PlannedJob], has: Callable[[Stage], bool]) -> Units:
    """The launches that bring every unfinished job to its result."""
    bundles = _Bundles(missing_stages(unfinished, has))
    bundles.join_readers()
    units = [*bundles.units(), *(_scoring(job, bundles.owner) for job in unfinished)]
    return Units(tuple(units))


@dataclass
class _Bundle:
    """A unit in the making; `light` while everything in it takes seconds."""

    job: PlannedJob
    stages: list[Stage]
    seconds: float
    light: bool


@dataclass
class _Bundles:
    """Which unit computes which missing stage: `owner` maps a stage's digest to its unit's key."""

    missing: Missing
    owner: dict[str, str] = field(default_factory=dict)
    bundles: dict[str, _Bundle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for digest, (stage, job) in self.missing.items():
            seconds = job.cost(stage).seconds
            light = not isinstance(stage, Fit | Pretrain) and seconds <= LIGHT_SECONDS
            below = {self.owner[parent.digest] for parent in stage.parents() if parent.digest in self.missing}
            host = self.bundles[next(iter(below))] if light and len(below) == 1 else None
            if host is not None and any(digest == other.digest for other in host.job.plan.stages):
                host.stages.append(stage)
                host.seconds += seconds
                self.owner[digest] = next(iter(below))
            else:
                self.bundles[digest] = _Bundle(job, [stage], seconds, light)
                self.owner[digest] = digest

    def needs(self, key: str) -> set[str]:
        """The units that a unit's stages stand on."""
        parents = {p.digest for stage in self.bundles[key].stages for p in stage.parents() if p.digest in self.missing}
        return {self.owner[parent] for parent in parents} - {key}

    def join_readers(self) -> None:
        """Put light units that a single other unit reads into that one."""
        readers: dict[str, set[str]] = {key: set() for key in self.bundles}
        for key in self.bundles:
            for needed in self.needs(key):
                readers[needed].add(key)
        for key in reversed(list(self.bundles)):
            if not self.bundles[key].light or len(readers[key]) != 1:
                continue
            reader = self.bundles[next(iter(readers[key]))]
            known = {stage.digest for stage in reader.job.plan.stages}
            if all(stage.digest in known for stage in self.bundles[key].stages):
                self._join(key, next(iter(readers[key])), readers)

    def _join(self, key: str, into: str, readers: dict[str, set[str]]) -> None:
        for needed in self.needs(key):
            readers[needed] = (readers[needed] - {key}) | {into}
        joined, host = self.bundles.pop(key), self.bundles[into]
        host.stages[:0] = joined.stages
        host.seconds += joined.seconds
        for stage in joined.stages:
            self.owner[stage.digest] = into

    def units(self) -> list[Unit]:
        """The units, each after those that it needs."""
        return [
            Unit(key, _name(b.stages), b.job, tuple(b.stages), frozenset(self.needs(key)), b.seconds)
            for key, b in self.bundles.items()
        ]


def _main(stages: Sequence[Stage]) -> Stage:
    """What a unit is called by: the stage that takes long; in one that is all light, the last."""
    return next((stage for stage in stages if isinstance(stage, Fit | Pretrain)), stages[-1])


def _name(stages: Sequence[Stage]) -> str:
    return f"{_main(stages).kind} {_main(stages).label}"


def _scoring(job: PlannedJob, owner: Mapping[str, str]) -> Unit:
    needs = frozenset(owner[stage.digest] for stage in job.plan.stages if stage.digest in owner)
    return Unit(job.plan.digest, f"score {job.folder.name}", job, (), needs, SCORE_SECONDS)
