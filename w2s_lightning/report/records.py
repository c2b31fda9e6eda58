"""What the pages are about: a section (one task of one sweep), its groups of seeds, its jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from w2s_lightning.identity import SHORT
from w2s_lightning.results.groups import group_key
from w2s_lightning.results.pooled import Pooled
from w2s_lightning.results.stored import Fault
from w2s_lightning.results.texts import ExampleTexts
from w2s_lightning.show.matrix import Labels
from w2s_lightning.show.numbers import pair, without_ends

STATES = ("done", "running", "waiting", "failed")
Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class JobRecord:
    """One job as its sweep has it, with its result, configuration and texts where they are; `arm` is what varied."""

    row: Row
    folder: Path | None
    result: Row | None
    config: Mapping[str, Any]
    texts: ExampleTexts | None

    @property
    def stages(self) -> Sequence[Row]:
        """The stages behind its result."""
        return self.result["stages"] if self.result else ()


@dataclass(frozen=True, eq=False)
class Group:
    """Jobs that differ in their seed alone. `arm` is what varied besides the pair, `title` what tells the group from
    the others of its section."""

    row: Row
    jobs: tuple[JobRecord, ...]
    arm: str
    title: str

    @property
    def pair(self) -> str:
        """`micro → small`."""
        return pair(self.row)

    @cached_property
    def done(self) -> tuple[JobRecord, ...]:
        """Those with a readable result."""
        return tuple(job for job in self.jobs if job.result is not None)

    @cached_property
    def results(self) -> tuple[Row, ...]:
        """The readable results."""
        return tuple(job.result for job in self.done if job.result)

    @property
    def student(self) -> str:
        """The row that is the student of record."""
        return str(self.results[0]["student_of_record"])

    def rows(self, name: str, part: str) -> list[dict[str, Any]]:
        """One of the group's figures as rows of a frame, one a seed."""
        if not (found := self.row[part]) or found["value"] is None:
            return []
        found = without_ends(found, self.row["n"])
        ends = {end: found[end] for end in ("value", "low", "high")}
        seeds = zip(self.row["seeds"], found.get("per_seed") or (found["value"],), strict=False)
        head = {"cell": self.title, "pair": self.pair, "arm": self.arm, "row": name}
        return [{**head, **ends, "seed": seed, "seed's": value} for seed, value in seeds]


@dataclass(frozen=True, eq=False)
class Section:
    """One task of one sweep: what a reader looks at at a time; `content` is the sweep's."""

    key: str
    task: str
    question: str
    content: Row
    jobs: tuple[JobRecord, ...]
    pooled: Pooled
    notes: Sequence[Fault]

    @property
    def sweep(self) -> str:
        """Its sweep's name."""
        return str(self.content["sweep"])

    @cached_property
    def labels(self) -> Labels:
        """What its groups are called beside one another."""
        return Labels([row for row in self.content["groups"] if row["task"] == self.task])

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Its groups in the order of the sweep's."""
        members: dict[tuple[Any, ...], list[JobRecord]] = {}
        for job in self.jobs:
            members.setdefault(group_key(job.row), []).append(job)
        rows = [row for row in self.content["groups"] if row["task"] == self.task]
        named = [(row, self.labels.arm(row), self.labels.title(row)) for row in rows]
        return tuple(Group(row, tuple(members.get(group_key(row), ())), arm, title) for row, arm, title in named)

    @property
    def title(self) -> str:
        """Sweep and task; a digest tells sweeps of one name apart."""
        digest = self.content.get("digest")
        return f"{self.sweep} {digest[:6]} · {self.task}" if digest else f"{self.sweep} · {self.task}"

    @property
    def metric(self) -> str:
        """What all rows are scored by."""
        return str(self.jobs[0].row["metric"]) if self.jobs else "accuracy"

    @property
    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        states = [str(job.row["state"]) for job in self.jobs]
        return {state: states.count(state) for state in STATES}

    @cached_property
    def finished(self) -> tuple[Group, ...]:
        """Groups with at least one result."""
        return tuple(group for group in self.groups if group.results)

    def title_of(self, job: JobRecord) -> str:
        """Pair, arm and seed in words."""
        return f"{pair(job.row)} · {self.labels.arm(job.row)} · seed {job.row['seed']}"

    def faults(self) -> list[Fault]:
        """Everything on disk that could not be shown as it should be: files of its jobs, artifacts that they name."""
        named = {stage["digest"][:SHORT] for job in self.jobs for stage in job.stages}
        named |= {str(digest)[:SHORT] for job in self.jobs for digest in (job.row.get("arms") or {}).values()}
        return [*self.notes, *(fault for digest, fault in self.pooled.reader.faults.items() if digest in named)]
