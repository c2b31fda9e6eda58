"""Who is waiting, running, done or failed, and why: the one place that knows, shared by launchers and the ledger."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from w2s_lightning.sweep.attempt import Record
from w2s_lightning.sweep.grid import PlannedJob
from w2s_lightning.sweep.units import Unit, Units

State = Literal["waiting", "running", "done", "failed", "blocked"]


@dataclass(frozen=True)
class Failure:
    """A unit that failed by itself, with where to read on."""

    unit: Unit
    message: str
    log: str | None


class Board:
    """States of all units; safe to use from several threads. `arrived` tells whether a unit's outputs are there."""

    def __init__(self, units: Units, arrived: Callable[[Unit], bool], changed: Callable[[], None]) -> None:
        self.units = units
        self._arrived = arrived
        self._changed = changed
        self._lock = threading.RLock()
        self._states: dict[str, State] = {unit.key: "waiting" for unit in units.all}
        self._records: dict[str, Record] = {}
        self._failures: dict[str, Failure] = {}

    def ready(self) -> list[Unit]:
        """Units that can start now, the head of the longest chain first."""
        with self._lock:
            free = [unit for unit in self.units.all if self._is_ready(unit)]
        return sorted(free, key=lambda unit: -self.units.urgency[unit.key])

    def start(self, unit: Unit) -> bool:
        """Mark a unit as running; False when there is nothing to launch: it is not ready, or its outputs have come."""
        with self._lock:
            if not self._is_ready(unit):
                return False
            arrived = self._arrived(unit)
            self._states[unit.key] = "done" if arrived else "running"
        if arrived:
            self._changed()
        return not arrived

    def arrived(self, unit: Unit) -> bool:
        """Whether a unit's outputs are there."""
        return self._arrived(unit)

    def end(self, unit: Unit, record: Record | None, log: str | None) -> None:
        """A unit has ended: well when its outputs are there, whatever the launcher says."""
        with self._lock:
            if record is not None:
                self._records[unit.key] = record
            if self._arrived(unit):
                self._states[unit.key] = "done"
            else:
                message = record["message"] if record else ""
                self._fail(unit, Failure(unit, message or "it ended without its outputs", log))
        self._changed()

    def _fail(self, unit: Unit, why: Failure) -> None:
        self._states[unit.key] = "failed"
        self._failures[unit.key] = why
        stack = list(self.units.dependants[unit.key])
        while stack:
            other = stack.pop()
            if self._states[other.key] == "waiting":
                self._states[other.key] = "blocked"
                self._failures.setdefault(other.key, why)
                stack += self.units.dependants[other.key]

    def _is_ready(self, unit: Unit) -> bool:
        return self._states[unit.key] == "waiting" and all(self._states[key] == "done" for key in unit.needs)

    def state(self, key: str) -> State | None:
        """A unit's state, None for what was never launched."""
        with self._lock:
            return self._states.get(key)

    def works_for(self, job: PlannedJob) -> bool:
        """Whether something runs for a job: its scoring, or a stage that was launched on its behalf."""
        with self._lock:
            running = [unit for unit in self.units.all if self._states[unit.key] == "running"]
        return any(unit.job.plan.digest == job.plan.digest for unit in running)

    def failure_of(self, key: str) -> Failure | None:
        """What made a unit fail or blocks it."""
        with self._lock:
            return self._failures.get(key)

    def record(self, key: str) -> Record | None:
        """What a unit's launch reported."""
        with self._lock:
            return self._records.get(key)

    def failed(self) -> list[Failure]:
        """The units that failed by themselves, in order."""
        with self._lock:
            return [self._failures[u.key] for u in self.units.all if self._states[u.key] == "failed"]

    def jobs_lost(self, failure: Failure | None = None) -> int:
        """How many jobs will have no result, because of this failure or of any."""
        with self._lock:
            lost = [self._failures[unit.key] for unit in self.units.all if unit.scores and unit.key in self._failures]
        return sum(failure is None or one is failure for one in lost)
