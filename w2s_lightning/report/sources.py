"""Folders -> sections: the sweeps that a page is about, and the results that belong to none of them.

A `Library` is kept between two writings of one page, so that a growing sweep is read once and not once a job. A broken
file is a fault that the page shows, and no end.
"""

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from w2s_lightning.atomic import read_yaml
from w2s_lightning.errors import UserError
from w2s_lightning.report.records import JobRecord, Row, Section
from w2s_lightning.results.claims import key_of
from w2s_lightning.results.groups import ARMS, SeedGroups, job_row
from w2s_lightning.results.job_result import VERSION
from w2s_lightning.results.pooled import Pooled
from w2s_lightning.results.read_back import read_result, read_sweep
from w2s_lightning.results.stored import Fault, StoreReader
from w2s_lightning.results.texts import EXAMPLES, ExampleTexts, parse_texts
from w2s_lightning.store import is_ours

LEDGER, LOOSE = "sweep.json", "single jobs"
SWEEPS = (Path("sweeps"), Path(__file__).resolve().parents[2] / "sweeps")
QUESTION = "How much of the gap does the student recover?"

UNREADABLE = (ValueError, KeyError, TypeError, RecursionError, pa.ArrowException)


@dataclass(frozen=True)
class Wanted:
    """Which folders a page is about: given sweeps, or everything below an outputs folder."""

    sweeps: tuple[Path, ...]
    outputs: Path | None
    store: Path | None


class Library:
    """What has been read of stores, results, configurations and texts; `tables` keeps the rows of jobs, `faults` hold
    what could not be read and no section has named."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str, str], pa.Table] = {}
        self.faults: list[Fault] = []
        self._files: dict[Path, tuple[int, Any]] = {}
        self._pools: dict[Path, Pooled] = {}
        self._texts: dict[str, ExampleTexts] = {}

    def sections(self, wanted: Wanted) -> list[Section]:
        """The sections of a page, anew; raise UserError for a folder that is no sweep or no store."""
        self.faults = []
        for pooled in self._pools.values():
            pooled.reader.refresh()
        found: list[Section] = []
        seen: set[str] = set()
        ledgers = [] if wanted.outputs is None else list(wanted.outputs.glob("sweeps/*/[s]weep.json"))
        newest_first = sorted(ledgers, key=lambda file: file.lstat().st_mtime, reverse=True)
        below = [file.parent for file in newest_first]
        for folder in wanted.sweeps or below:
            content = self._ledger(folder, alone=bool(wanted.sweeps))
            if content is not None:
                outputs = folder.resolve().parent.parent
                seen |= {str(job["digest"]) for job in content["jobs"]}
                rows = [{**row, "log": _own_log(folder, row["log"])} for row in content["jobs"]]
                jobs = [self._job(row, outputs / row["folder"] if row["folder"] else None) for row in rows]
                found += self._by_task(content, jobs, self.pooled(wanted.store or _store_of(jobs, outputs)), len(found))
        if not wanted.sweeps and wanted.outputs is not None:
            found += self._loose(wanted.outputs, wanted.store, seen, start=len(found))
        return found

    def pooled(self, store: Path) -> Pooled:
        """The computations over a store; raise UserError for a folder that is none."""
        root = store.absolute()
        if root not in self._pools:
            if root.exists():
                is_ours(root)
            self._pools[root] = Pooled(StoreReader(root))
        return self._pools[root]

    def _loose(self, outputs: Path, store: Path | None, seen: set[str], start: int) -> list[Section]:
        """Jobs that were run one at a time, as the rows that a sweep would have."""
        jobs = []
        for folder in sorted(file.parent for file in outputs.glob("*/result.json")):
            result = self._result(folder)
            if result is not None and result["digest"] not in seen:
                jobs.append(self._job(_loose_row(result, folder.name), folder))
        if not jobs:
            return []
        jobs = _told_apart(sorted(jobs, key=lambda job: job.row["seed"]))
        pooled = self.pooled(store or _store_of(jobs, outputs))
        rows = [job.row for job in jobs]
        groups = SeedGroups(pooled.reader.required_answers).rows(rows)
        return self._by_task({"sweep": LOOSE, "jobs": rows, "groups": groups}, jobs, pooled, start)

    # ------------------------------------------------------------ files

    def _ledger(self, folder: Path, *, alone: bool) -> Row | None:
        """A sweep's content; a broken one ends the page only when it was asked for by name."""
        file = folder / LEDGER
        if not os.path.lexists(file):
            raise UserError(_no_sweep(folder))
        try:
            return read_sweep(file)
        except (OSError, ValueError) as error:
            told = f"{file} is damaged ({error})"
            if alone:
                raise UserError(f"{told}: run the sweep again, it is written anew") from None
            self.faults.append(Fault("damaged", f"{folder.name}/{LEDGER}", told))
            return None

    def _job(self, row: Row, folder: Path | None) -> JobRecord:
        if folder is None or row["state"] != "done":
            return JobRecord(row, folder, None, {}, None)
        result = self._result(folder)
        if result is None and not (folder / "result.json").exists():
            self.faults.append(Fault("missing", str(row["folder"]), "its result.json is gone: run the job again"))
        flat = self._read(folder / "config.yaml", lambda file: _flat(dict(read_yaml(file)))) or {}
        return JobRecord(row, folder, result, flat, self._read(folder / EXAMPLES, self._shared_texts))

    def _result(self, folder: Path) -> Row | None:
        """A job's result; None without one, or with one that cannot be read as a result."""
        file = folder / "result.json"
        found: Row | None = self._read(file, read_result)
        if found is not None and found.get("version") != VERSION:
            detail = f"written in version {found.get('version')} of results, now {VERSION}: run the job again"
            self._note("older", file, detail)
        return found

    def _shared_texts(self, file: Path) -> ExampleTexts:
        """Seeds have the same test examples: files of equal content share one record."""
        content = file.read_bytes()
        name = hashlib.sha256(content).hexdigest()
        if name not in self._texts:
            self._texts[name] = parse_texts(content)
        return self._texts[name]

    def _read(self, file: Path, parse: Callable[[Path], Any]) -> Any:
        """A file's content, parsed again only when it changes; None where there is none or it cannot be read."""
        try:
            stamp = file.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note("damaged", file, f"it cannot be read: {error.strerror}")
            return None
        if file not in self._files or self._files[file][0] != stamp:
            try:
                if not file.is_file():  # opening a pipe would wait for ever
                    raise ValueError("it is no file")
                self._files[file] = (stamp, parse(file))
            except (OSError, *UNREADABLE) as error:
                self._note("damaged", file, f"it cannot be read: {str(error).partition(chr(10))[0]}")
                return None
        return self._files[file][1]

    def _note(self, kind: Any, file: Path, detail: str) -> None:
        fault = Fault(kind, f"{file.parent.name}/{file.name}", detail)
        self.faults += [] if fault in self.faults else [fault]

    # ------------------------------------------------------------ sections

    def _by_task(self, content: Row, jobs: Sequence[JobRecord], pooled: Pooled, start: int) -> list[Section]:
        sweep, found = str(content["sweep"]), []
        notes, self.faults = tuple(self.faults), []
        for number, task in enumerate(dict.fromkeys(str(job.row["task"]) for job in jobs), start):
            # What links call a section: it stays when other sweeps come and go.
            words = f"{sweep}-{str(content.get('digest') or '')[:6]}-{task}"
            slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
            key = slug if len(slug) < 60 else f"{slug[:50]}-{number}"
            own = tuple(job for job in jobs if job.row["task"] == task)
            found.append(Section(key, task, _stated_question(sweep) or QUESTION, content, own, pooled, notes))
        return found


def _told_apart(jobs: Sequence[JobRecord]) -> list[JobRecord]:
    """The jobs with `-2` behind the name of a model that lies elsewhere than another one of that name."""
    places: dict[str, set[str]] = {}  # none for one that is pretrained here, which comes first
    for job in jobs:
        for side in ("weak", "strong"):
            places.setdefault(job.row[side], set()).add(str(job.config.get(f"{side}.path", "")))

    def own(job: JobRecord, side: str) -> str:
        name = str(job.row[side])
        number = sorted(places[name]).index(str(job.config.get(f"{side}.path", ""))) + 1
        return name if number == 1 else f"{name}-{number}"

    return [replace(job, row={**job.row, **{side: own(job, side) for side in ("weak", "strong")}}) for job in jobs]


def _loose_row(result: Row, folder: str) -> Row:
    """A finished job's row; its axes are the overrides that are no matter of the machine."""
    overrides = list(result.get("overrides") or ())
    axes = dict(sorted(text.lstrip("+").split("=", 1) for text in key_of(overrides) if "=" in text))
    rows = {role: next((row for row in result["rows"] if row["role"] == role), None) for role in ARMS}
    rows["student"] = next(row for row in result["rows"] if row["name"] == result["student_of_record"])
    arms = {arm: row and row["evaluate"] for arm, row in rows.items()}
    judged = {arm: row["benchmark"] for arm, row in rows.items() if row and row.get("benchmark")}
    where = {"digest": result["digest"], "folder": folder, "state": "done"}
    return job_row(result["job"], axes, overrides, result, **where, arms=arms, benchmark_arms=judged or None)


def _own_log(folder: Path, log: str | None) -> str | None:
    """A log where its sweep's folder has it, which may have been copied since; None for any other file."""
    place = folder.joinpath(*Path(log or "").parts[-3:])
    return str(place) if log and place.resolve().is_relative_to(folder.resolve()) else None


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by dotted key."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def _no_sweep(folder: Path) -> str:
    near = [path.parent for path in (*folder.glob(f"*/{LEDGER}"), *folder.glob("sweeps/*/[s]weep.json"))]
    if near:
        return f"{folder} is no sweep, but it holds some: name one, such as --sweep {near[0]}"
    return (
        f"{folder} is no sweep: it has no {LEDGER}. Sweeps lie under outputs/sweeps/ once `python train.py -m ...` ran"
    )


def _store_of(jobs: Sequence[JobRecord], outputs: Path) -> Path:
    """The store that the jobs used: as their configuration says it, from here or from beside the outputs."""
    named = [str(job.config["paths.store"]) for job in jobs if job.config.get("paths.store")]
    named += [text.split("=", 1)[1] for job in jobs for text in job.row["overrides"] if text.startswith("paths.store=")]
    here = Path(named[0] if named else "store")
    return here if here.exists() or here.is_absolute() else outputs.absolute().parent / here


def _stated_question(sweep: str) -> str | None:
    """The first question in the comment that a sweep's file begins with (`sweeps/<name>.yaml`)."""
    files = [folder / f"{sweep}.yaml" for folder in SWEEPS] if re.fullmatch(r"[\w-]+", sweep) else []
    file = next((file for file in files if file.is_file()), None)
    lines = file.read_text("utf-8").splitlines() if file else []
    comments = [line[1:].strip() for line in lines if line.startswith("#")]
    found = re.search(r"[^.?]*\?", " ".join(line for line in comments if not line.startswith("@")))
    return found[0].strip() if found else None
