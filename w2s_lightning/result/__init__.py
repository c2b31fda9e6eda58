"""A job's result: what its stored answers say, with intervals. Reads the store; loads no model.

Every row is scored on the same test examples with the same resamples, so that differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.metrics.agreement import agreement
from w2s_lightning.metrics.bootstrap import JobScores, resample_job
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.pgr import PGR, pgr_of_job
from w2s_lightning.metrics.scores import auroc_of, mean_score
from w2s_lightning.plan import Plan
from w2s_lightning.recipes.setting import Row
from w2s_lightning.result.benchmarked import benchmark_of
from w2s_lightning.result.information import information
from w2s_lightning.result.selected import selections
from w2s_lightning.result.votes import votes_of
from w2s_lightning.stage import Stage
from w2s_lightning.stages import Label, Select, Solve
from w2s_lightning.store import Store

VERSION = 1  # of result.json
Array = np.ndarray[Any, Any]
_MOST_GRADES = 12
NO_FLOOR = "there is no floor: supervisor.test_file was not given"


@dataclass(frozen=True)
class Answers:
    """All rows' answers on the shared test examples, in one order of example ids.

    By row: `predictions` [n] (classes, or final answers as text), `correct` [n] and, for reasoning, `strict` [n]; of
    choice tasks also `probs` [n, K].
    """

    ids: tuple[str, ...]
    groups: Array
    gold: Array
    predictions: Mapping[str, Array]
    correct: Mapping[str, Array]
    strict: Mapping[str, Array]
    difficulty: tuple[float | None, ...]
    probs: Mapping[str, Array]


def read_rows(rows: Sequence[Row], store: Store) -> Answers:
    """Join the rows' stored predictions by example id; rows that do not cover the same test set are an error."""
    tables = {row.name: _table(store, row.evaluate) for row in rows}
    first = next(iter(tables.values()))
    ids = tuple(first.column("example_id").to_pylist())
    for name, table in tables.items():
        assert tuple(table.column("example_id").to_pylist()) == ids, f"row {name} has other test examples"
    return Answers(
        ids=ids,
        groups=np.array(first.column("group_id").to_pylist()),
        gold=np.array(first.column("gold").to_pylist()),
        predictions={name: _predictions(table) for name, table in tables.items()},
        correct=_columns(tables, "correct", float),
        strict=_columns(tables, "strict", float),
        difficulty=tuple(first.column("difficulty").to_pylist()),
        probs=_columns(tables, "probs", float),
    )


def _columns(tables: Mapping[str, pa.Table], column: str, dtype: type) -> dict[str, Array]:
    """A column of every row that has it."""
    there = {name: table for name, table in tables.items() if column in table.column_names}
    return {name: np.array(table.column(column).to_pylist(), dtype) for name, table in there.items()}


def _predictions(table: pa.Table) -> Array:
    """Classes, or final answers as text ("" for none)."""
    found = table.column("prediction").to_pylist()
    return np.array([("" if one is None else one) for one in found])


def _table(store: Store, stage: Stage) -> pa.Table:
    return pq.read_table(store.open(stage) / "predictions.parquet").sort_by("example_id")


def score(answers: Answers, metric: str) -> JobScores:
    """Every row's metric with the shared resamples."""
    if metric == "auroc":
        columns = {name: probs[:, 1] for name, probs in answers.probs.items()}
        return resample_job(columns, answers.groups, metric=auroc_of(answers.gold))
    return resample_job(answers.correct, answers.groups, metric=mean_score)


def make_result(plan: Plan, store: Store, done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of `result.json`; `done` says of each stage whether it was cached and how long it took."""
    answers = read_rows(plan.rows, store)
    scores = score(answers, plan.metric)
    by_role = {role: _first(plan.rows, role) for role in ("untuned", "floor", "ceiling")}
    student = plan.student_of_record
    strict = resample_job(answers.strict, answers.groups, metric=mean_score) if answers.strict else None
    return {
        "version": VERSION,
        "job": dict(plan.name),
        "digest": plan.digest,
        "metric": plan.metric,
        "student_of_record": student,
        "supervisor": plan.supervisor,
        **{role: None if name is None else _interval(scores.interval(name)) for role, name in by_role.items()},
        "student": _interval(scores.interval(student)),
        "pgr": vars(_pgr(plan, scores, student)),
        "gain_over_untuned": _interval(scores.difference(student, by_role["untuned"] or student)),
        "agreement": _agreement(plan, answers),
        "rows": [_row(plan, store, scores, strict, row) for row in plan.rows],
        "by_difficulty": _by_difficulty(plan, answers),
        "benchmark": _benchmark(plan, store),
        "votes": votes_of(plan.rows, store, partial(_pgr, plan)),
        "selections": selections(plan, store),
        "cheats": cheats(plan),
        "notices": [*plan.notices, *_cut(plan, store)],
        "stages": list(done),
    }


def _benchmark(plan: Plan, store: Store) -> dict[str, Any] | None:
    """The rows on `task.benchmark`, None where there is none."""
    if plan.rows[0].benchmark is None:
        return None
    splits = plan.rows[0].evaluate.task.splits(plan.name["seed"])
    return benchmark_of(plan.rows, splits, store, partial(_pgr, plan))


def _cut(plan: Plan, store: Store) -> list[str]:
    """Rows whose model did not see the start of some test texts, since they were too long."""
    shares = {}
    for row in plan.rows:
        answers = row.evaluate.answers
        if isinstance(answers, Label):
            shares[row.name] = store.read_json(answers.features or answers, "metrics.json").get("truncated_share", 0.0)
    cut = [f"{name} {share:.1%}" for name, share in shares.items() if share]
    return [f"test texts that lost their start (fit.max_length): {', '.join(cut)}"] if cut else []


def cheats(plan: Plan) -> list[str]:
    """The rules with hidden gold among the job's stages: decided by what was computed, not by what was configured."""
    rules = {stage.rule for stage in plan.stages if isinstance(stage, Select)}
    return sorted(rule for rule in rules if rule.startswith("oracle_"))


def _first(rows: Sequence[Row], role: str) -> str | None:
    return next((row.name for row in rows if row.role == role), None)


def _interval(interval: Interval) -> dict[str, Any]:
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}


def _pgr(plan: Plan, scores: JobScores, name: str) -> PGR:
    floor, ceiling = _first(plan.rows, "floor"), _first(plan.rows, "ceiling")
    if floor is None or ceiling is None:
        return PGR.undefined(NO_FLOOR)
    found = pgr_of_job(scores, student=name, floor=floor, ceiling=ceiling)
    digests = {row.name: row.evaluate.digest for row in plan.rows}
    same = [row for row in (floor, ceiling) if digests[row] == digests[name]]
    return replace(found, reason=f"by construction: {name} is the {same[0]}") if found.defined and same else found


def _row(plan: Plan, store: Store, scores: JobScores, strict: JobScores | None, row: Row) -> dict[str, Any]:
    """`strict` (reasoning only): the same on marked answers alone."""
    measured = row.role not in ("untuned", "floor", "ceiling")
    beside = {}
    if strict is not None:
        pgr = vars(_pgr(plan, strict, row.name)) if measured else None
        beside = {"strict": {**_interval(strict.interval(row.name)), "pgr": pgr}, **_endings(store, row)}
    return {
        "name": row.name,
        "role": row.role,
        "model": row.model,
        **_interval(scores.interval(row.name)),
        "pgr": vars(_pgr(plan, scores, row.name)) if measured else None,
        **beside,
        "information": information(store, row),
        "evaluate": row.evaluate.digest,
        **({} if row.benchmark is None else {"benchmark": row.benchmark.digest}),
        **({} if row.votes is None else {"votes": row.votes.digest}),
    }


def _by_difficulty(plan: Plan, answers: Answers) -> list[dict[str, Any]]:
    """Accuracy of every row, and the student's PGR, by difficulty, where it has a handful of grades."""
    grades = sorted({grade for grade in answers.difficulty if grade is not None})
    if not 1 < len(grades) <= _MOST_GRADES:
        return []
    found = []
    for grade in grades:
        there = np.array([one == grade for one in answers.difficulty])
        correct = {row.name: answers.correct[row.name][there] for row in plan.rows}
        found.append(
            {
                "difficulty": grade,
                "n": int(there.sum()),
                "accuracy": {name: float(values.mean()) for name, values in correct.items()},
                "pgr": vars(_pgr_among(plan, correct, answers.groups[there])),
            }
        )
    return found


def _pgr_among(plan: Plan, correct: Mapping[str, Array], groups: Array) -> PGR:
    """The student's PGR on a part of the test examples."""
    if len(np.unique(groups)) < 2:
        return PGR.undefined("all these examples are of one group, which says nothing about others")
    return _pgr(plan, resample_job(correct, groups, metric=mean_score), plan.student_of_record)


def _endings(store: Store, row: Row) -> dict[str, Any]:
    """Shares of outputs that were cut off or hold no answer, and of prompts that were longer than the context."""
    metrics, answers = store.read_json(row.evaluate, "metrics.json"), row.evaluate.answers
    found = {name: metrics[name] for name in ("truncated_share", "unparsed_share", "timed_out_share")}
    too_long = store.read_json(answers, "metrics.json")["too_long"] if isinstance(answers, Solve) else 0
    return {**found, "too_long_share": too_long / metrics["num_rows"]}


def _agreement(plan: Plan, answers: Answers) -> dict[str, Any]:
    keys = ("with_supervisor", "when_supervisor_right", "when_supervisor_wrong")
    if plan.supervisor is None or plan.supervisor not in answers.predictions:
        return dict.fromkeys(keys)
    student, supervisor = answers.predictions[plan.student_of_record], answers.predictions[plan.supervisor]
    if student.dtype.kind != "i":
        student = np.where(student == "", "none", student)  # two outputs without an answer do not agree
    # Right is what the judge calls right, which for worked solutions is more than equal text.
    other = supervisor + 1 if supervisor.dtype.kind == "i" else np.char.add(supervisor, "?")
    right = np.where(answers.correct[plan.supervisor] > 0, supervisor, other)
    found = agreement(student, supervisor, right, answers.groups)
    parts = (found.overall, found.supervisor_right, found.supervisor_wrong)
    return {key: None if part is None else _interval(part) for key, part in zip(keys, parts, strict=True)}
