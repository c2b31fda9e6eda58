"""The inspector of examples: at most 200 rows a job in the page, all rows in a Parquet file beside it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from w2s_lightning.report.records import JobRecord, Section
from w2s_lightning.results.pooled import OUTCOMES, Pooled, outcomes, supervisor_of
from w2s_lightning.results.stored import Answers, Array
from w2s_lightning.results.texts import ExampleTexts

MOST = 200
LONGEST = 4000  # characters of one text in the page
ARMS = ("supervisor", "student", "ceiling")


@dataclass(frozen=True, eq=False)
class Inspected:
    """A job's answers on the test set by arm, in the order of example ids; `outcome` is an index into OUTCOMES."""

    job: JobRecord
    arms: dict[str, Answers]
    outcome: Array


def inspected(job: JobRecord, pooled: Pooled) -> Inspected | None:
    """A finished job's answers, None when the student's cannot be read."""
    assert job.result is not None
    names = {"supervisor": supervisor_of(job.result), "student": job.result["student_of_record"], "ceiling": "ceiling"}
    found = {arm: own[0] for arm, name in names.items() if name and (own := pooled.answers([job.result], name))}
    if "student" not in found:
        return None
    arms = {arm: one for arm, one in found.items() if one.ids == found["student"].ids}
    return Inspected(job, arms, outcomes(arms["student"], arms.get("supervisor")))


def chosen(outcome: Array, most: int) -> Array:
    """Which examples a page shows: of every outcome an equal share, the rest in order; the same ones in every job as
    far as outcomes allow, since the order is that of example ids, which are hashes."""
    values = np.unique(outcome)
    kept = np.zeros(len(outcome), bool)
    for value in values:
        kept[np.flatnonzero(outcome == value)[: most // len(values)]] = True
    kept[np.flatnonzero(~kept)[: max(0, most - int(kept.sum()))]] = True
    return np.flatnonzero(kept)


def inspector(section: Section, tables: dict[tuple[str, str], pa.Table]) -> tuple[dict[str, Any], list[pa.Table]]:
    """What the page's script reads, and the rows of every job; `tables` keeps those from one writing to the next."""
    sets: dict[Any, ExampleSet] = {}
    cells, found = [], []
    for group in section.finished:
        for job in group.done:
            one = inspected(job, section.pooled)
            if one is None:
                continue
            about, name = one.arms["student"], job.texts.name if job.texts else ""
            shown = sets.setdefault((about.ids, name), ExampleSet(about, job.texts, len(sets)))
            cells.append(_cell(one, shown, group.title))
            key = (str(job.row["digest"]), name)
            if key not in tables:
                tables[key] = _table(one, shown)
            found.append(tables[key].append_column("sweep", pa.repeat(section.sweep, len(one.outcome))))
    return {"sets": [one.payload() for one in sets.values()], "cells": cells}, found


class ExampleSet:
    """Test examples that several jobs share; only those that some job shows get into the page."""

    def __init__(self, about: Answers, texts: ExampleTexts | None, number: int) -> None:
        self._about, self._texts, self.number = about, texts, number
        self._shown: dict[int, int] = {}

    @cached_property
    def column(self) -> pa.Array:
        """The texts of every example, where they are known."""
        known = self._texts.texts if self._texts else {}
        return pa.array([known.get(one) for one in self._about.ids], pa.list_(pa.string()))

    def places(self, rows: Sequence[int]) -> list[int]:
        """Numbers of the rows in the page's list of examples."""
        return [self._shown.setdefault(row, len(self._shown)) for row in rows]

    def payload(self) -> dict[str, Any]:
        """Ids, questions, options, gold and difficulty of the shown examples."""
        rows, texts, hard = list(self._shown), self._texts, self._about.difficulty
        ids = [self._about.ids[row] for row in rows]
        parts = [_parts(texts.texts.get(one, ()) if texts else ()) for one in ids]
        solutions = texts.solutions if texts else {}
        known = np.sort(hard[np.isfinite(hard)])
        # Where the middle and the hard third of all examples begin, rounded as the grades are.
        thirds = [round(float(known[place * len(known) // 3]), 3) for place in (1, 2)] if len(known) else None
        return {
            "kind": texts.kind if texts else "choice",
            "classes": list(texts.class_names) if texts else [],
            "ids": ids,
            "questions": [question for question, _ in parts],
            "options": [options for _, options in parts],
            "solutions": [_cut(solutions[one]) if one in solutions else None for one in ids],
            "gold": self._about.gold[rows].tolist(),
            "difficulty": [None if np.isnan(one) else round(float(one), 3) for one in hard[rows]],
            "thirds": thirds,
        }


def _parts(texts: Sequence[str]) -> tuple[str | None, list[str]]:
    """What all options begin with, cut after a whole word, and the rest of each."""
    if len(texts) < 2:
        return (_cut(texts[0]) if texts else None), []
    low, high = min(texts), max(texts)
    length = next((place for place, sign in enumerate(low) if sign != high[place]), len(low))
    end = max(low.rfind(" ", 0, length), low.rfind("\n", 0, length)) + 1
    return _cut(low[:end]).strip(), [_cut(text[end:]).strip() for text in texts]


def _cut(text: str) -> str:
    """A text as the page holds it: what is left out of a long one is said."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} more characters)"


def _cell(found: Inspected, shown: ExampleSet, title: str) -> dict[str, Any]:
    rows = chosen(found.outcome, MOST)
    counts = np.bincount(found.outcome, minlength=len(OUTCOMES)).tolist()
    arms = {}
    for name, answers in found.arms.items():
        right = (answers.correct[rows] > 0).astype(int).tolist()
        arms[name] = {"answer": answers.prediction[rows].tolist(), "right": right}
        if answers.probs is not None:
            arms[name]["probs"] = np.rint(answers.probs[rows] * 1000).astype(int).ravel().tolist()
        if answers.solutions is not None:
            arms[name]["solutions"] = [_cut(answers.solutions[row]) for row in rows]
    return {
        "set": shown.number,
        "cell": title,
        "paradigm": found.job.row["paradigm"],
        "seed": found.job.row["seed"],
        "total": len(found.outcome),
        "counts": {name: count for name, count in zip(OUTCOMES, counts, strict=True) if count},
        "rows": shown.places(rows.tolist()),
        "outcomes": found.outcome[rows].tolist(),
        "arms": arms,
    }


def _table(found: Inspected, shown: ExampleSet) -> pa.Table:
    """All rows of a job; equal columns for every job, whatever its task."""
    row, about, count = found.job.row, found.arms["student"], len(found.outcome)
    same: dict[str, Any] = {name: str(row[name]) for name in ("task", "paradigm", "weak", "strong")}
    same |= {"axes": json.dumps(row["axes"], sort_keys=True), "seed": int(row["seed"]), "job": str(row["digest"])}
    columns: dict[str, Any] = {name: pa.repeat(value, count) for name, value in same.items()}
    columns |= {"example_id": pa.array(about.ids), "group_id": pa.array(about.groups), "texts": shown.column}
    columns |= {"gold": _as_text(about.gold), "difficulty": pa.array(about.difficulty, from_pandas=True)}
    columns["outcome"] = pa.array(np.array(list(OUTCOMES), object)[found.outcome])
    for name in ARMS:
        answers = found.arms.get(name)
        probs, written = (answers.probs, answers.solutions) if answers else (None, None)
        nothing, lists = pa.nulls(count, pa.string()), pa.nulls(count, pa.list_(pa.float64()))
        if probs is not None:
            ends = np.arange(0, probs.size + 1, probs.shape[1], dtype=np.int32)
            lists = pa.ListArray.from_arrays(ends, probs.ravel().astype(float))
        columns[f"{name}_answer"] = _as_text(answers.prediction) if answers else nothing
        columns[f"{name}_probs"] = lists
        columns[f"{name}_solution"] = pa.array(written) if written else nothing
    return pa.table(columns)


def _as_text(values: Array) -> pa.Array:
    return pa.array(values).cast(pa.string())
