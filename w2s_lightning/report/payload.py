"""The inspector's data: at most 200 rows a job in the page, all rows in a Parquet file beside it."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.report.answers import OUTCOMES, Answered, answered, chosen
from w2s_lightning.report.examples import Examples, Texts
from w2s_lightning.report.pooled import Pool
from w2s_lightning.report.records import Section
from w2s_lightning.results.stored import Answers

MOST = 200
LONGEST = 4000  # characters of one text in the page
ARMS = ("supervisor", "student", "ceiling")


class Inspector:
    """Makes payload and table from a section; a job's answers are prepared once."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str], pa.Table] = {}

    def payload(self, section: Section, pool: Pool, examples: Examples) -> tuple[dict[str, Any], list[pa.Table]]:
        """What the page's script reads, and the rows of every job."""
        sets: dict[Any, ExampleSet] = {}
        cells, tables = [], []
        for group in section.finished:
            for job in group.done:
                found = answered(job, pool)
                if found is None:
                    continue
                texts = examples.of(job.folder)
                key = (found.about.ids, texts.name if texts else "")
                shown = sets.setdefault(key, ExampleSet(found.about, texts, len(sets)))
                cells.append(_cell(found, shown, group.title))
                tables.append(self._table(section, found, shown))
        return {"sets": [one.payload() for one in sets.values()], "cells": cells}, tables

    def _table(self, section: Section, found: Answered, shown: "ExampleSet") -> pa.Table:
        key = (str(found.job.row["digest"]), shown.texts.name if shown.texts else "")
        if key not in self._tables:
            self._tables[key] = _table(found, shown)
        return self._tables[key].append_column("sweep", _repeated(section.sweep, len(found.outcome)))


class ExampleSet:
    """Test examples that several jobs share; only those that some job shows get into the page."""

    def __init__(self, about: Answers, texts: Texts | None, number: int) -> None:
        self.about = about
        self.texts = texts
        self.number = number
        self._shown: dict[int, int] = {}
        self._column: pa.Array | None = None

    def places(self, rows: Sequence[int]) -> list[int]:
        """Numbers of the rows in the page's list of examples."""
        return [self._shown.setdefault(row, len(self._shown)) for row in rows]

    def column(self) -> pa.Array:
        """All texts, made once for all jobs."""
        if self._column is None:
            known: Mapping[str, tuple[str, ...]] = self.texts.texts if self.texts else {}
            rows = [list(known[one]) if one in known else None for one in self.about.ids]
            self._column = pa.array(rows, pa.list_(pa.string()))
        return self._column

    def payload(self) -> dict[str, Any]:
        """Ids, questions, options, gold and difficulty of the shown examples."""
        rows = list(self._shown)
        parts = [self._parts(self.about.ids[row]) for row in rows]
        gold = self.about.gold[rows].tolist()
        difficulty = [None if np.isnan(one) else round(float(one), 3) for one in self.about.difficulty[rows]]
        return {
            "kind": self.texts.kind if self.texts else "choice",
            "classes": list(self.texts.class_names) if self.texts else [],
            "ids": [self.about.ids[row] for row in rows],
            "questions": [question for question, _ in parts],
            "options": [options for _, options in parts],
            "solutions": [self._solution(self.about.ids[row]) for row in rows],
            "gold": [str(one) if isinstance(one, str) else one for one in gold],
            "difficulty": difficulty,
            "thirds": _thirds(self.about.difficulty),
        }

    def _parts(self, one: str) -> tuple[str | None, list[str]]:
        texts = self.texts.texts.get(one) if self.texts else None
        if not texts:
            return None, []
        if len(texts) == 1:
            return _cut(texts[0]), []
        shared = _shared_start(texts)
        return _cut(shared).strip(), [_cut(text[len(shared) :]).strip() for text in texts]

    def _solution(self, one: str) -> str | None:
        found = self.texts.solutions.get(one) if self.texts else None
        return None if found is None else _cut(found)


def _cut(text: str) -> str:
    """A text as the page holds it: what is left out of a long one is said."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} more characters)"


def _thirds(difficulty: np.ndarray[Any, Any]) -> list[float] | None:
    """Where the middle and the hard third of all examples begin, rounded as the grades are."""
    known = np.sort(difficulty[np.isfinite(difficulty)])
    return [round(float(known[place * len(known) // 3]), 3) for place in (1, 2)] if len(known) else None


def _shared_start(texts: Sequence[str]) -> str:
    """What all options begin with, cut after a whole word."""
    low, high = min(texts), max(texts)
    length = next((place for place, sign in enumerate(low) if sign != high[place]), len(low))
    end = max(low.rfind(" ", 0, length), low.rfind("\n", 0, length))
    return low[: end + 1]


def _cell(found: Answered, shown: ExampleSet, title: str) -> dict[str, Any]:
    rows = chosen(found.outcome, MOST)
    return {
        "set": shown.number,
        "cell": title,
        "paradigm": found.job.row["paradigm"],
        "seed": found.job.seed,
        "supervisor": found.job.supervisor,
        "total": len(found.outcome),
        "counts": found.counts(),
        "rows": shown.places(rows.tolist()),
        "outcomes": found.outcome[rows].tolist(),
        "arms": {name: _arm(found.arms[name], rows) for name in ARMS if name in found.arms},
    }


def _arm(answers: Answers, rows: np.ndarray[Any, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {
        "answer": answers.prediction[rows].tolist(),
        "right": (answers.correct[rows] > 0).astype(int).tolist(),
    }
    if answers.probs is not None:
        part["probs"] = np.rint(answers.probs[rows] * 1000).astype(int).ravel().tolist()
    if answers.solutions is not None:
        part["solutions"] = [_cut(answers.solutions[row]) for row in rows]
    return part


# ---------------------------------------------------------------- all rows


def _table(found: Answered, shown: ExampleSet) -> pa.Table:
    job, about, count = found.job, found.about, len(found.outcome)
    names = ("task", "paradigm", "weak", "strong")
    columns: dict[str, Any] = {name: _repeated(str(job.row[name]), count) for name in names}
    columns["axes"] = _repeated(json.dumps(job.row["axes"], sort_keys=True), count)
    columns["seed"] = pa.array(np.full(count, int(job.seed)))
    columns["job"] = _repeated(str(job.row["digest"]), count)
    columns |= {"example_id": pa.array(about.ids), "group_id": pa.array(about.groups), "texts": shown.column()}
    columns |= {"gold": _as_text(about.gold), "difficulty": pa.array(about.difficulty, from_pandas=True)}
    columns["outcome"] = pa.DictionaryArray.from_arrays(found.outcome.astype(np.int8), list(OUTCOMES))
    for name in ARMS:
        columns |= _arm_columns(name, found.arms.get(name), count)
    return pa.table(columns)


def _arm_columns(name: str, answers: Answers | None, count: int) -> dict[str, Any]:
    nothing = pa.nulls(count, pa.string())
    probs = pa.nulls(count, pa.list_(pa.float64()))
    if answers is not None and answers.probs is not None:
        width = answers.probs.shape[1]
        ends = np.arange(0, (count + 1) * width, width, dtype=np.int32)
        probs = pa.ListArray.from_arrays(ends, answers.probs.ravel().astype(float))
    return {
        f"{name}_answer": nothing if answers is None else _as_text(answers.prediction),
        f"{name}_probs": probs,
        f"{name}_solution": nothing if answers is None or answers.solutions is None else pa.array(answers.solutions),
    }


def _repeated(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int8), [text])


def _as_text(values: np.ndarray[Any, Any]) -> pa.Array:
    return pa.array(values).cast(pa.string())


def write_rows(path: Path, tables: Sequence[pa.Table]) -> None:
    """All rows of all jobs in one file, atomically."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(pa.concat_tables([_plain(table) for table in tables]), scratch, compression="zstd")
    scratch.replace(path)


def _plain(table: pa.Table) -> pa.Table:
    """Dictionary columns as text, since dictionaries differ between jobs."""
    texts = [pa.field(f.name, pa.string()) if pa.types.is_dictionary(f.type) else f for f in table.schema]
    return table.cast(pa.schema(texts))
