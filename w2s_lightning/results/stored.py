"""The one reader of stored answers: tables by example id, for every kind of task and every room that needs one.

A file is believed when its sha256 is its manifest's. A job or a stage holds a `Store`, reads by stage and gets the
store's own errors. Whoever shows results has digests alone: for a `StoreReader` what is missing or damaged is a `Fault`
to be shown beside the rest, and any version can be shown. Nothing is computed here, and no torch is loaded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.atomic import parse_json, read_json
from w2s_lightning.errors import UserError
from w2s_lightning.identity import SHORT
from w2s_lightning.selection import TargetTable
from w2s_lightning.stages import Evaluate, Fit, Label, Pretrain, Select
from w2s_lightning.store import Damaged, Manifest, Store
from w2s_lightning.store.manifest import STAGE
from w2s_lightning.tasks.example import Solution

PREDICTIONS, TARGETS, SOLUTIONS = "predictions.parquet", "targets.parquet", "solutions.parquet"
PAIRS, VALIDATION, METRICS = "pairs.parquet", "validation.parquet", "metrics.json"
VERSIONS = {kind.kind: kind.version for kind in (Pretrain, Fit, Label, Select, Evaluate)}

Array = np.ndarray[Any, Any]
T = TypeVar("T")
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, pa.ArrowException)  # what a file of others gives


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's answers to `test` or to a benchmark beside gold, in the order of example ids (several samples of one
    question stay in theirs).

    `gold` and `prediction` `[n]` are class numbers, or final answers (text; None where there is none). `correct` and
    `strict` (a marked answer alone) are 0 or 1, `difficulty` NaN where unknown. None is what the kind of task lacks:
    `probs` `[n, K]` of options, `solutions` and how they ended (`finish`). `subsets` are a benchmark's, else empty.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    gold: Array
    prediction: Array
    correct: Array
    difficulty: Array
    probs: Array | None = None
    strict: Array | None = None
    solutions: tuple[str, ...] | None = None
    finish: tuple[str | None, ...] | None = None
    subsets: tuple[str, ...] = ()

    def scores(self, metric: str) -> Array:
        """What a metric is taken of, `[n]`: the second class's probability for `auroc`, else right or wrong."""
        if metric != "auroc":
            return self.correct
        assert self.probs is not None, "AUROC is of options"
        second: Array = self.probs[:, 1]
        return second

    def agrees(self, other: "Answers") -> Array:
        """Where both gave the same answer, `[n]`; two outputs without an answer do not agree."""
        return np.asarray((self.prediction == other.prediction) & (self.prediction != np.array(None)), bool)


@dataclass(frozen=True)
class StoredPair:
    """Two solutions to example `id`, one preferred."""

    id: str
    chosen: str
    rejected: str
    chosen_answer: str | None
    rejected_answer: str | None
    confidence: float
    weak_is_chosen: bool


@dataclass(frozen=True, eq=False)
class ValidationAnswers:
    """A fit's answers on `validation`: probabilities `[evaluations, n, K]` at each of `steps`."""

    steps: tuple[int, ...]
    ids: tuple[str, ...]
    probs: Array


# ---------------------------------------------------------------- by stage, for jobs and stages


def read_answers(store: Store, stage: Evaluate) -> Answers:
    """The answers that an evaluate stage holds beside gold; UserError for a file that is not of our making."""
    file = store.file(stage, PREDICTIONS)
    try:
        return _answers(file)
    except _UNREADABLE as error:
        raise UserError(
            f"{file} holds something else than answers ({' '.join(str(error).split())[:80]}): "
            "remove its folder, and the same command makes it again"
        ) from error


def read_targets(store: Store, stage: Label | Select) -> TargetTable:
    """A label stage's probabilities, each with weight 1, or the targets and weights of a select stage."""
    table = pq.read_table(store.file(stage, PREDICTIONS if isinstance(stage, Label) else TARGETS))
    ids = tuple(table.column("example_id").to_pylist())
    weights = np.ones(len(ids)) if isinstance(stage, Label) else table.column("weight").to_numpy()
    return TargetTable(ids, matrix(table, "probs").astype(np.float64), weights.astype(np.float64))


def read_solutions(store: Store, stage: Label | Select) -> tuple[Solution, ...]:
    """The solutions that a model wrote, or that a selection kept, in the order in which they are stored."""
    table = pq.read_table(store.file(stage, SOLUTIONS))
    ends = table.column("finish").to_pylist() if "finish" in table.column_names else [None] * len(table)
    columns = (table.column(name).to_pylist() for name in ("example_id", "text", "answer"))
    return tuple(Solution(*row) for row in zip(*columns, ends, strict=True))


def read_pairs(store: Store, stage: Select) -> tuple[StoredPair, ...]:
    """The pairs that a selection made."""
    rows = pq.read_table(store.file(stage, PAIRS)).to_pylist()
    return tuple(StoredPair(id=row.pop("example_id"), **row) for row in rows)


# ---------------------------------------------------------------- by digest, for those who show results


@dataclass(frozen=True)
class Fault:
    """Something on disk that cannot be shown as it should be."""

    kind: Literal["damaged", "missing", "older"]
    where: str
    detail: str


class StoreReader:
    """Reads a store by digest. Artifacts never change, so what was read is kept; `refresh` looks for new ones."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: dict[str, Fault] = {}
        self._folders: dict[str, Path] = {}
        self._kept: dict[tuple[str, str], Any] = {}
        self.refresh()

    def refresh(self) -> None:
        """Forget faults, and see which artifacts there are now."""
        self.faults = {}
        kinds = [path for path in self.root.glob("*/") if not path.name.startswith(".")]
        self._folders = {folder.name.rpartition("-")[2]: folder for kind in kinds for folder in kind.iterdir()}

    def digests(self) -> list[str]:
        """The short digests of everything that is there."""
        return sorted(self._folders)

    def folder(self, digest: str) -> Path | None:
        """Where an artifact lies."""
        return self._folders.get(digest[:SHORT])

    def manifest(self, digest: str) -> Manifest | None:
        """An artifact's manifest."""
        return self._once(digest, "manifest", Manifest.read)

    def stage(self, digest: str) -> Mapping[str, Any] | None:
        """An artifact's identity; one of an older version is noted."""
        found: Mapping[str, Any] | None = self._read(digest, STAGE, read_json)
        if found is not None and found.get("version") != (now := VERSIONS.get(str(found.get("kind")))):
            detail = f"made by version {found.get('version')} of this kind of stage, now {now}: compute it again"
            self._note(digest, "older", detail)
        return found

    def metrics(self, digest: str) -> Mapping[str, Any]:
        """An artifact's counts and scores, empty when there are none."""
        return self._read(digest, METRICS, read_json) or {}

    def history(self, digest: str) -> list[dict[str, Any]]:
        """A training curve, empty when there is none."""
        return self._read(digest, "history.jsonl", read_lines) or []

    def answers(self, digest: str) -> Answers | None:
        """The answers of an evaluate stage."""
        return self._read(digest, PREDICTIONS, _answers)

    def required_answers(self, digest: str) -> Answers:
        """As `answers`; raise UserError where they cannot be read."""
        found = self.answers(digest)
        if found is None:
            fault = self.faults[digest[:SHORT]]
            raise UserError(f"{fault.where} cannot be read: {fault.detail}")
        return found

    def validation(self, digest: str) -> ValidationAnswers | None:
        """A fit's answers on validation, None when it was never evaluated."""
        manifest = self.manifest(digest)
        return None if manifest is None or VALIDATION not in manifest.files else self._read(digest, VALIDATION, _passes)

    def _read(self, digest: str, name: str, parse: Callable[[Path], T]) -> T | None:
        return self._once(digest, name, lambda folder: parse(_checked(folder, name)))

    def _once(self, digest: str, name: str, read: Callable[[Path], T]) -> T | None:
        """What is read of an artifact's folder, None with a fault noted where that fails."""
        key, folder = (digest[:SHORT], name), self.folder(digest)
        if key not in self._kept:
            if folder is None:
                self._note(digest, "missing", "the store no longer holds it: run the job again")
                return None
            try:
                self._kept[key] = read(folder)
            except (Damaged, *_UNREADABLE) as error:
                self._note(digest, "damaged", f"{error}")
                return None
        found: T = self._kept[key]
        return found

    def _note(self, digest: str, kind: Literal["damaged", "missing", "older"], detail: str) -> None:
        folder = self.folder(digest)
        where = digest[:SHORT] if folder is None else f"{folder.parent.name}/{folder.name}"
        self.faults.setdefault(digest[:SHORT], Fault(kind, where, detail))


def _checked(folder: Path, name: str) -> Path:
    entry = Manifest.read(folder).files.get(name)
    if entry is None:
        raise Damaged(f"{name} is not in its manifest")
    entry.verify(folder / name)
    return folder / name


# ---------------------------------------------------------------- files to tables


def read_lines(file: Path) -> list[dict[str, Any]]:
    """JSON objects, one a line."""
    return [parse_json(line) for line in file.read_bytes().splitlines()]


def matrix(table: pa.Table, column: str) -> Array:
    """A column of equally long lists as an array `[n, K]`."""
    if not pa.types.is_list(table.schema.field(column).type):
        raise ValueError(f"`{column}` is to hold lists")
    flat: Array = table.column(column).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(table), -1)


def _answers(file: Path) -> Answers:
    # Not `read_table`, which first loads all that reads folders of files.
    table = pq.ParquetFile(file).read().sort_by("example_id")
    there = {name: table.column(name) for name in table.column_names}

    def listed(name: str) -> Any:
        return tuple(there[name].to_pylist()) if name in there else None

    def numbers(name: str) -> Array:
        found: Array = there[name].to_numpy().astype(float)
        return found

    correct = numbers("correct")
    if not len(table) or not np.isin(correct, (0, 1)).all():
        raise ValueError("`correct` is to say for every example whether it is right")
    if (counted := read_json(file.with_name(METRICS)).get("num_rows", len(table))) != len(table):
        raise ValueError(f"{len(table)} rows, and {METRICS} counts {counted}")
    if "probs" not in there and pa.types.is_integer(there["gold"].type):  # texts: a final answer has no options
        raise ValueError("`gold` is a class number, and there are no `probs`")
    return Answers(
        ids=listed("example_id"),
        groups=listed("group_id"),
        gold=there["gold"].to_numpy(),
        prediction=there["prediction"].to_numpy(),
        correct=correct,
        difficulty=numbers("difficulty") if "difficulty" in there else np.full(len(table), np.nan),
        probs=matrix(table, "probs") if "probs" in there else None,
        strict=numbers("strict") if "strict" in there else None,
        solutions=listed("solution"),
        finish=listed("finish"),
        subsets=listed("subset") or (),
    )


def _passes(file: Path) -> ValidationAnswers:
    table = pq.ParquetFile(file).read()
    steps = table.column("step").to_numpy()
    distinct = tuple(dict.fromkeys(steps.tolist()))
    count = len(steps) // len(distinct)
    ids = tuple(table.column("example_id").slice(0, count).to_pylist())
    return ValidationAnswers(distinct, ids, matrix(table, "probs").reshape(len(distinct), count, -1))
