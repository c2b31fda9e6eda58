"""Folders -> sections: the sweeps that a page is about, and the results that belong to none of them.

A `Library` is kept between two writings of one page, so that a growing sweep is read once and not once a job.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_lightning.errors import UserError
from w2s_lightning.report.ledgers import LEDGER, DamagedLedger, read_ledger
from w2s_lightning.report.loose import loose_row
from w2s_lightning.report.pooled import Pool
from w2s_lightning.report.questions import question_of, stated_question
from w2s_lightning.report.reading import Files
from w2s_lightning.report.records import Job, Section, named
from w2s_lightning.results.groups import SeedGroups, group_key
from w2s_lightning.results.stored import Fault, StoreReader
from w2s_lightning.store.root import is_ours

LOOSE = "single jobs"


@dataclass(frozen=True)
class Wanted:
    """Which folders a page is about: given sweeps, or everything below an outputs folder."""

    sweeps: tuple[Path, ...]
    outputs: Path | None
    store: Path | None


class Library:
    """What has been read of stores, results and configurations."""

    def __init__(self) -> None:
        self.files = Files()
        self._pools: dict[Path, tuple[StoreReader, Pool]] = {}

    def sections(self, wanted: Wanted) -> list[Section]:
        """The sections of a page, anew; raise UserError for a folder that is no sweep or no store."""
        self.files.faults = []
        for shelf, _ in self._pools.values():
            shelf.refresh()
        found: list[Section] = []
        seen: set[str] = set()
        for folder in wanted.sweeps or _below(wanted.outputs):
            content = self._content(folder, alone=bool(wanted.sweeps))
            if content is not None:
                seen |= {str(job["digest"]) for job in content["jobs"]}
                found += self._of_sweep(content, folder.resolve().parent.parent, wanted.store, start=len(found))
        if not wanted.sweeps and wanted.outputs is not None:
            found += self._loose(wanted.outputs, wanted.store, seen, start=len(found))
        return found

    def pool(self, section: Section) -> Pool:
        """The computations over the section's store."""
        return self._pools[section.shelf.root][1]

    def shelf(self, store: Path) -> StoreReader:
        """The reader of a store; raise UserError for a folder that is none."""
        root = store.absolute()
        if root not in self._pools:
            if root.exists():
                is_ours(root)
            shelf = StoreReader(root)
            self._pools[root] = (shelf, Pool(shelf))
        return self._pools[root][0]

    def _content(self, folder: Path, *, alone: bool) -> Mapping[str, Any] | None:
        """A sweep's ledger; a broken one ends the page only when it was asked for by name."""
        try:
            return read_ledger(folder)
        except DamagedLedger as error:
            if alone:
                raise UserError(f"{error}: run the sweep again, it is written anew") from None
            self.files.faults.append(Fault("damaged", f"{folder.name}/{LEDGER}", str(error)))
            return None

    def _of_sweep(self, content: Mapping[str, Any], outputs: Path, store: Path | None, start: int) -> list[Section]:
        before = len(self.files.faults)
        jobs = [self._job(row, outputs / row["folder"] if row["folder"] else None) for row in content["jobs"]]
        shelf = self.shelf(store or _store_of(jobs, outputs))
        return _by_task(content, jobs, shelf, self.files.faults[before:], start)

    def _job(self, row: Mapping[str, Any], folder: Path | None) -> Job:
        if folder is None or row["state"] != "done":
            return Job(row, folder, None, {})
        result = self.files.result(folder)
        if result is None and not (folder / "result.json").exists():
            self.files.faults.append(Fault("missing", str(row["folder"]), "its result.json is gone: run the job again"))
        return Job(row, folder, result, self.files.config(folder))

    def _loose(self, outputs: Path, store: Path | None, seen: set[str], start: int) -> list[Section]:
        before, jobs = len(self.files.faults), []
        for folder in sorted(file.parent for file in outputs.glob("*/result.json")):
            result = self.files.result(folder)
            if result is not None and result["digest"] not in seen:
                jobs.append(Job(loose_row(result, folder.name), folder, result, self.files.config(folder)))
        notes = self.files.faults[before:]
        if not jobs:
            return []
        shelf = self.shelf(store or _store_of(jobs, outputs))
        rows = [job.row for job in sorted(jobs, key=lambda job: job.seed)]
        content = {"sweep": LOOSE, "jobs": rows, "groups": SeedGroups(shelf.required_answers).rows(rows)}
        return _by_task(content, jobs, shelf, notes, start)


def _below(outputs: Path | None) -> list[Path]:
    """All sweeps of an outputs folder, the newest first."""
    if outputs is None:
        return []
    files = sorted(outputs.glob(f"sweeps/*/{LEDGER}"), key=lambda file: file.stat().st_mtime, reverse=True)
    return [file.parent for file in files]


def _store_of(jobs: Sequence[Job], outputs: Path) -> Path:
    """The store that the jobs used: as their configuration says it, from here or from beside the outputs."""
    named = next((str(job.config["paths.store"]) for job in jobs if job.config.get("paths.store")), None)
    if named is None:
        overrides = [text for job in jobs for text in job.row["overrides"]]
        named = next((text.split("=", 1)[1] for text in overrides if text.startswith("paths.store=")), "store")
    here = Path(named)
    return here if here.exists() or here.is_absolute() else outputs.absolute().parent / named


def _by_task(
    content: Mapping[str, Any], jobs: Sequence[Job], shelf: StoreReader, notes: Sequence[Fault], start: int
) -> list[Section]:
    tasks = list(dict.fromkeys(str(job.row["task"]) for job in jobs))
    return [_section(_key(content, task, start + n), content, task, jobs, shelf, notes) for n, task in enumerate(tasks)]


def _key(content: Mapping[str, Any], task: str, number: int) -> str:
    """What links call a section: it stays when other sweeps come and go."""
    words = f"{content['sweep']}-{str(content.get('digest') or '')[:6]}-{task}"
    slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    return slug if len(slug) < 60 else f"{slug[:50]}-{number}"


def _section(
    key: str, content: Mapping[str, Any], task: str, jobs: Sequence[Job], shelf: StoreReader, notes: Sequence[Fault]
) -> Section:
    own = tuple(job for job in jobs if job.row["task"] == task)
    members: dict[tuple[Any, ...], list[Job]] = {}
    for job in own:
        members.setdefault(group_key(job.row), []).append(job)
    rows = [row for row in content["groups"] if row["task"] == task]
    sweep, verdicts = str(content["sweep"]), tuple(content.get("verdicts") or ())
    groups = named([(row, tuple(members.get(group_key(row), ()))) for row in rows])
    return Section(
        key=key,
        sweep=sweep,
        task=task,
        question=content.get("question") or stated_question(sweep) or question_of(groups, verdicts),
        command=content.get("command"),
        digest=content.get("digest"),
        times=content.get("times") or {},
        groups=groups,
        jobs=own,
        verdicts=verdicts,
        shelf=shelf,
        notes=tuple(notes),
    )
