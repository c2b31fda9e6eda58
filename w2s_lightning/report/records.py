"""What the pages are about: a section (one task of one sweep), its groups of seeds, its jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_lightning.digest import SHORT
from w2s_lightning.report.words import arm_of, pair_of
from w2s_lightning.results.stored import Fault, StoreReader

STATES = ("done", "running", "waiting", "failed")
Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Job:
    """One job as its sweep has it, with its result and configuration where they are."""

    row: Row
    folder: Path | None
    result: Row | None
    config: Mapping[str, Any]

    @property
    def state(self) -> str:
        """One of STATES."""
        return str(self.row["state"])

    @property
    def seed(self) -> Any:
        """The job's seed."""
        return self.row["seed"]

    @property
    def rows(self) -> Sequence[Row]:
        """The rows of its result."""
        return self.result["rows"] if self.result else ()

    def named(self, name: str) -> Row | None:
        """One of its result's rows."""
        return next((row for row in self.rows if row["name"] == name), None)

    @property
    def student(self) -> str:
        """The row that is the student of record."""
        return str(self.result["student_of_record"]) if self.result else "student"

    @property
    def supervisor(self) -> str | None:
        """The row that made the student's targets."""
        if self.result is None or (self.result.get("agreement") or {}).get("with_supervisor") is None:
            return None
        known = self.result.get("supervisor")
        return str(known) if known is not None else _likely_supervisor(self.rows)

    @property
    def title(self) -> str:
        """Pair, arm and seed in words."""
        return f"{pair_of(self.row)} · {arm_of(self.row, with_paradigm=True)} · seed {self.seed}"


def _likely_supervisor(rows: Sequence[Row]) -> str | None:
    """For results that do not name it: the last of teacher, round or middle model, else the floor."""
    for role in ("teacher", "middle"):
        if named := [row["name"] for row in rows if row["role"] == role]:
            return str(named[-1])
    rounds = [row["name"] for row in rows if row["name"].startswith("round_")]
    return str(rounds[-1]) if rounds else next((str(row["name"]) for row in rows if row["role"] == "floor"), None)


@dataclass(frozen=True, eq=False)
class Group:
    """Jobs that differ in their seed alone.

    `arm` is what varied besides the pair, `title` what tells the group from the others of its section.
    """

    row: Row
    jobs: tuple[Job, ...]
    arm: str
    title: str

    @property
    def done(self) -> tuple[Job, ...]:
        """Those with a readable result."""
        return tuple(job for job in self.jobs if job.result is not None)

    @property
    def pair(self) -> str:
        """`micro → small`."""
        return pair_of(self.row)


def named(found: Sequence[tuple[Row, tuple[Job, ...]]]) -> tuple[Group, ...]:
    """Groups with names as short as telling them apart allows."""
    rows = [row for row, _ in found]
    several = len({row["paradigm"] for row in rows}) > 1
    arms = [arm_of(row, with_paradigm=several) for row in rows]
    alike, alone = len(set(arms)) == 1, len({pair_of(row) for row in rows}) == 1
    titles = [
        pair_of(row) if alike else arm if alone else f"{pair_of(row)} · {arm}"
        for row, arm in zip(rows, arms, strict=True)
    ]
    return tuple(Group(*one, arm, title) for one, arm, title in zip(found, arms, titles, strict=True))


@dataclass(frozen=True, eq=False)
class Section:
    """One task of one sweep: what a reader looks at at a time."""

    key: str
    sweep: str
    task: str
    question: str
    command: str | None
    digest: str | None
    times: Row
    groups: tuple[Group, ...]
    jobs: tuple[Job, ...]
    verdicts: Sequence[Row]
    shelf: StoreReader
    notes: Sequence[Fault]

    @property
    def title(self) -> str:
        """Sweep and task; a digest tells sweeps of one name apart."""
        return f"{self.sweep} {self.digest[:6]} · {self.task}" if self.digest else f"{self.sweep} · {self.task}"

    @property
    def metric(self) -> str:
        """What all rows are scored by."""
        return str(self.jobs[0].row["metric"]) if self.jobs else "accuracy"

    @property
    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        states = [job.state for job in self.jobs]
        return {state: states.count(state) for state in STATES}

    @property
    def finished(self) -> tuple[Group, ...]:
        """Groups with at least one result."""
        return tuple(group for group in self.groups if group.done)

    def faults(self) -> list[Fault]:
        """Everything on disk that could not be shown as it should be: files of its jobs, artifacts that they name."""
        named = {stage["digest"][:SHORT] for job in self.jobs for stage in (job.result or {}).get("stages", ())}
        named |= {str(digest)[:SHORT] for job in self.jobs for digest in (job.row.get("arms") or {}).values()}
        return [*self.notes, *(fault for digest, fault in self.shelf.faults.items() if digest in named)]
