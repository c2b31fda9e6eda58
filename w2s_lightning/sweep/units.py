"""Planned jobs -> what is launched: every missing stage once, then the scoring of every job that has no valid result.

A label or selection that only one other missing stage reads is computed by that stage's own launch: it is cheap, and
where it is computed changes nothing. Whatever several stages read is launched on its own, so that it is computed once.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from w2s_lightning.cost import cost, stated_parameters
from w2s_lightning.stages import Label, Select, Stage
from w2s_lightning.sweep.grid import PlannedJob

SCORE_SECONDS = 0.7


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
        """Whether it scores its job, instead of computing a stage."""
        return not self.stages

    @property
    def folder(self) -> str:
        """Its own folder below the sweep's."""
        return f"stages/{self.stages[-1].folder}" if self.stages else f"jobs/{self.job.folder.name}"


@dataclass(frozen=True)
class Units:
    """All units of a sweep, each after those that it needs."""

    all: tuple[Unit, ...]

    @cached_property
    def by_key(self) -> dict[str, Unit]:
        return {unit.key: unit for unit in self.all}

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


def missing_stages(jobs: Iterable[PlannedJob], has: Callable[[Stage], bool]) -> dict[str, tuple[Stage, PlannedJob]]:
    """Every stage that the store lacks, once, with a job that needs it, parents first."""
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
    missing = missing_stages(unfinished, has)
    readers = Counter(p.digest for stage, _ in missing.values() for p in _parents(stage) if p.digest in missing)
    inside = {d for d, (stage, _) in missing.items() if isinstance(stage, Label | Select) and readers[d] == 1}
    units = [_stage_unit(stage, job, missing, inside) for d, (stage, job) in missing.items() if d not in inside]
    keys = {stage.digest: unit.key for unit in units for stage in unit.stages}
    return Units((*units, *(_scoring(job, keys) for job in unfinished)))


def _parents(stage: Stage) -> list[Stage]:
    return list({parent.digest: parent for parent in stage.parents()}.values())


def _stage_unit(stage: Stage, job: PlannedJob, missing: Mapping[str, Any], inside: set[str]) -> Unit:
    stages: dict[str, Stage] = {}
    needs: set[str] = set()

    def gather(one: Stage) -> None:
        for parent in _parents(one):
            if parent.digest in inside:
                gather(parent)
            elif parent.digest in missing:
                needs.add(parent.digest)
        stages[one.digest] = one

    gather(stage)
    stated = stated_parameters((job.job.weak, job.job.strong, *job.job.middle))
    seconds = sum(cost(one, stated).seconds for one in stages.values())
    return Unit(stage.digest, f"{stage.kind} {stage.label}", job, tuple(stages.values()), frozenset(needs), seconds)


def _scoring(job: PlannedJob, keys: Mapping[str, str]) -> Unit:
    needs = frozenset(keys[stage.digest] for stage in job.plan.stages if stage.digest in keys)
    return Unit(job.plan.digest, f"score {job.folder.name}", job, (), needs, SCORE_SECONDS)
