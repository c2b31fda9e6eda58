"""A job's result: what its stored answers say, with intervals. Reads the store; loads no model.

Every row is scored on the same test examples with the same resamples, so that differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from w2s_lightning.stages import BareModel, Fit, Gold, Label, Select, Stage, Supervisor, Targets
from w2s_lightning.store import Store

VERSION = 1  # of result.json
NO_FLOOR = "there is no floor: supervisor.test_file was not given"


@dataclass(frozen=True)
class Answers:
    """All rows' answers on the shared test examples, in one order of example ids."""

    ids: tuple[str, ...]
    groups: np.ndarray[Any, Any]
    gold: np.ndarray[Any, Any]
    probs: Mapping[str, np.ndarray[Any, Any]]

    def predictions(self, row: str) -> np.ndarray[Any, Any]:
        """Predicted class of each example `[n]`."""
        return np.asarray(self.probs[row].argmax(axis=1))


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
        probs={name: np.array(table.column("probs").to_pylist()) for name, table in tables.items()},
    )


def _table(store: Store, stage: Stage) -> pa.Table:
    return pq.read_table(store.open(stage) / "predictions.parquet").sort_by("example_id")


def score(answers: Answers, metric: str) -> JobScores:
    """Every row's metric with the shared resamples."""
    if metric == "auroc":
        columns = {name: probs[:, 1] for name, probs in answers.probs.items()}
        return resample_job(columns, answers.groups, metric=auroc_of(answers.gold))
    columns = {name: (answers.predictions(name) == answers.gold).astype(float) for name in answers.probs}
    return resample_job(columns, answers.groups, metric=mean_score)


def make_result(plan: Plan, store: Store, done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of `result.json`; `done` says of each stage whether it was cached and how long it took."""
    answers = read_rows(plan.rows, store)
    scores = score(answers, plan.metric)
    by_role = {role: _first(plan.rows, role) for role in ("untuned", "floor", "ceiling")}
    student = plan.student_of_record
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
        "rows": [_row(plan, store, scores, row) for row in plan.rows],
        "cheats": cheats(plan),
        "notices": list(plan.notices),
        "stages": list(done),
    }


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


def _row(plan: Plan, store: Store, scores: JobScores, row: Row) -> dict[str, Any]:
    measured = row.role not in ("untuned", "floor", "ceiling")
    return {
        "name": row.name,
        "role": row.role,
        "model": row.model,
        **_interval(scores.interval(row.name)),
        "pgr": vars(_pgr(plan, scores, row.name)) if measured else None,
        "information": information(store, row),
        "evaluate": row.evaluate.digest,
    }


def _agreement(plan: Plan, answers: Answers) -> dict[str, Any]:
    keys = ("with_supervisor", "when_supervisor_right", "when_supervisor_wrong")
    if plan.supervisor is None or plan.supervisor not in answers.probs:
        return dict.fromkeys(keys)
    student, supervisor = answers.predictions(plan.student_of_record), answers.predictions(plan.supervisor)
    found = agreement(student, supervisor, answers.gold, answers.groups)
    parts = (found.overall, found.supervisor_right, found.supervisor_wrong)
    return {key: None if part is None else _interval(part) for key, part in zip(keys, parts, strict=True)}


# ---------------------------------------------------------------- what a row saw


def information(store: Store, row: Row) -> dict[str, int]:
    """Labels and tokens that went into a row's model: counted from its stages, never declared by a recipe."""
    seen = {"gold_seen_by_student": 0, "gold_upstream": 0, "pseudo_labels": 0, "train_tokens": 0, "sampled_tokens": 0}
    source = row.evaluate.answers.source if isinstance(row.evaluate.answers, Label) else None
    if not isinstance(source, Fit):
        return seen
    fitted = store.read_json(source, "metrics.json")
    own = "gold_seen_by_student" if isinstance(source.targets, Gold) else "pseudo_labels"
    seen[own] = fitted["num_rows"]
    seen["train_tokens"] = fitted["num_tokens"]
    gold = {(fit.targets.split, fit.split_seed): fit for fit in _fits_behind(source.targets) if _on_gold(fit)}
    seen["gold_upstream"] = sum(store.read_json(fit, "metrics.json")["num_rows"] for fit in gold.values())
    return seen


def _on_gold(fit: Fit) -> bool:
    return isinstance(fit.targets, Gold)


def _fits_behind(targets: Targets) -> list[Fit]:
    match targets:
        case Select(sources=sources):
            return [fit for source in sources for fit in _fits_behind(source)]
        case Label(source=Fit() as fit):
            return [fit, *_fits_behind(fit.targets)]
        case Label(source=BareModel()) | Gold() | Supervisor():
            return []
    raise AssertionError(targets)
