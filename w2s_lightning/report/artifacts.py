"""Stored answers and curves by digest, read without the stages' classes: any version can be shown.

A file is believed when its sha256 is the manifest's. What is missing or damaged is noted as a fault and read as None,
so that one broken artifact costs one gap in the page.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.digest import SHORT
from w2s_lightning.errors import UserError
from w2s_lightning.stages import Evaluate, Fit, Label, Pretrain, Select
from w2s_lightning.store.manifest import STAGE, Damaged, Manifest

VERSIONS = {kind.kind: kind.version for kind in (Pretrain, Fit, Label, Select, Evaluate)}
Array = np.ndarray[Any, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Fault:
    """Something on disk that cannot be shown as it should be."""

    kind: Literal["damaged", "missing", "older"]
    where: str
    detail: str


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row's answers in the order of example ids; `probs` `[n, K]` where the task has options, `subsets` on a
    benchmark."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    gold: Array
    answer: Array
    correct: Array
    difficulty: Array
    probs: Array | None
    solution: tuple[str, ...] | None
    subsets: tuple[str, ...] = ()

    @property
    def second(self) -> Array:
        """The second class's probability, `[n]`."""
        assert self.probs is not None
        second: Array = self.probs[:, 1]
        return second

    def agrees(self, other: "Predictions") -> Array:
        """Where both gave the same answer, `[n]`; two outputs without an answer do not agree."""
        return np.asarray((self.answer == other.answer) & (self.answer != np.array(None)), bool)


@dataclass(frozen=True, eq=False)
class Validation:
    """A fit's answers on `validation`: probabilities `[evaluations, n, K]` at each of `steps`."""

    steps: tuple[int, ...]
    ids: tuple[str, ...]
    probs: Array


class Shelf:
    """Reads a store. Artifacts never change, so what was read is kept; `refresh` looks for new ones."""

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
        found = self._read(digest, STAGE, _json)
        if found is not None and found.get("version") != (now := VERSIONS.get(str(found.get("kind")))):
            detail = f"made by version {found.get('version')} of this kind of stage, now {now}: compute it again"
            self._note(digest, "older", detail)
        return found

    def metrics(self, digest: str) -> Mapping[str, Any]:
        """An artifact's counts and scores, empty when there are none."""
        return self._read(digest, "metrics.json", _json) or {}

    def history(self, digest: str) -> list[dict[str, Any]]:
        """A training curve, empty when there is none."""
        return self._read(digest, "history.jsonl", _lines) or []

    def predictions(self, digest: str) -> Predictions | None:
        """The answers of an evaluate stage."""
        return self._read(digest, "predictions.parquet", _predictions)

    def answers(self, digest: str) -> Predictions:
        """As `predictions`; raise UserError where they cannot be read."""
        found = self.predictions(digest)
        if found is None:
            fault = self.faults[digest[:SHORT]]
            raise UserError(f"{fault.where} cannot be read: {fault.detail}")
        return found

    def validation(self, digest: str) -> Validation | None:
        """A fit's answers on validation, None when it was never evaluated."""
        name, manifest = "validation.parquet", self.manifest(digest)
        return self._read(digest, name, _validation) if manifest is not None and name in manifest.files else None

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
            except (Damaged, OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
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


def _json(file: Path) -> Any:
    return json.loads(file.read_bytes())


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _vectors(column: pa.ChunkedArray) -> Array:
    """A column of equally long lists as an array `[n, K]`."""
    values = column.combine_chunks()
    flat: Array = values.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), -1)


def _validation(file: Path) -> Validation:
    table = pq.read_table(file)
    steps = table.column("step").to_numpy()
    distinct = tuple(dict.fromkeys(steps.tolist()))
    count = len(steps) // len(distinct)
    ids = tuple(table.column("example_id").slice(0, count).to_pylist())
    return Validation(distinct, ids, _vectors(table.column("probs")).reshape(len(distinct), count, -1))


def _predictions(file: Path) -> Predictions:
    table = pq.read_table(file).sort_by("example_id")
    names = set(table.column_names)
    return Predictions(
        ids=tuple(table.column("example_id").to_pylist()),
        groups=tuple(table.column("group_id").to_pylist()),
        gold=table.column("gold").to_numpy(),
        answer=table.column("prediction").to_numpy(),
        correct=table.column("correct").to_numpy().astype(float),
        difficulty=table.column("difficulty").to_numpy().astype(float),
        probs=_vectors(table.column("probs")) if "probs" in names else None,
        solution=tuple(table.column("solution").to_pylist()) if "solution" in names else None,
        subsets=tuple(table.column("subset").to_pylist()) if "subset" in names else (),
    )
