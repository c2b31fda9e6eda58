"""A job's result: what its stored answers say, with intervals. Reads the store; loads no model.

Every row is scored on the same test examples with the same resamples, so that differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.pgr import PGR, pgr_of_job
from w2s_lightning.metrics.rates import JobScores, mean_score, part_rates, rates
from w2s_lightning.plan import Plan
from w2s_lightning.recipes.setting import Row
from w2s_lightning.results.benchmarked import benchmark_of
from w2s_lightning.results.information import information
from w2s_lightning.results.scored import NO_FLOOR, score_answers
from w2s_lightning.results.selected import selections
from w2s_lightning.results.stored import Answers, Array, read_answers
from w2s_lightning.results.votes import votes_of
from w2s_lightning.stages import Label, Select
from w2s_lightning.store import Store

VERSION = 1  # of result.json
_MOST_GRADES = 12


def read_rows(rows: Sequence[Row], store: Store) -> dict[str, Answers]:
    """Every row's stored answers; rows that do not answer the same test examples are an error."""
    found = {row.name: read_answers(store, row.evaluate) for row in rows}
    ids = next(iter(found.values())).ids
    for name, answers in found.items():
        assert answers.ids == ids, f"row {name} has other test examples"
    return found


def score(answers: Mapping[str, Answers], metric: str) -> JobScores:
    """Every row's metric with the shared resamples."""
    scores = score_answers({name: (one,) for name, one in answers.items()}, metric)
    assert isinstance(scores, JobScores)
    return scores


def make_result(plan: Plan, store: Store, done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of `result.json`; `done` says of each stage whether it was cached and how long it took."""
    answers = read_rows(plan.rows, store)
    scores = score(answers, plan.metric)
    by_role = {role: _first(plan.rows, role) for role in ("untuned", "floor", "ceiling")}
    student = plan.student_of_record
    marked = {name: one.strict for name, one in answers.items() if one.strict is not None}
    strict = rates(marked, answers[student].groups) if marked else None
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
        if isinstance(answers, Label) and answers.mode == "probs":
            shares[row.name] = store.read_json(answers.features or answers.reference or answers, "metrics.json").get(
                "truncated_share", 0.0
            )
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


def _by_difficulty(plan: Plan, answers: Mapping[str, Answers]) -> list[dict[str, Any]]:
    """Accuracy of every row, and the student's PGR, by difficulty, where it has a handful of grades."""
    about = answers[plan.student_of_record]
    grades = np.unique(about.difficulty[~np.isnan(about.difficulty)]).tolist()
    if not 1 < len(grades) <= _MOST_GRADES:
        return []
    found = []
    for grade in grades:
        there = about.difficulty == grade
        correct = {name: one.correct[there] for name, one in answers.items()}
        found.append(
            {
                "difficulty": grade,
                "n": int(there.sum()),
                "accuracy": {name: float(values.mean()) for name, values in correct.items()},
                "pgr": vars(_pgr_among(plan, correct, np.array(about.groups)[there])),
            }
        )
    return found


def _pgr_among(plan: Plan, correct: Mapping[str, Array], groups: Array) -> PGR:
    """The student's PGR on a part of the test examples."""
    if len(np.unique(groups)) < 2:
        return PGR.undefined("all these examples are of one group, which says nothing about others")
    return _pgr(plan, rates(correct, groups, metric=mean_score), plan.student_of_record)


def _endings(store: Store, row: Row) -> dict[str, Any]:
    """Shares of outputs that were cut off or hold no answer, and of prompts that were longer than the context."""
    metrics, answers = store.read_json(row.evaluate, "metrics.json"), row.evaluate.answers
    found = {name: metrics[name] for name in ("truncated_share", "unparsed_share", "timed_out_share")}
    too_long = store.read_json(answers, "metrics.json")["too_long"] if isinstance(answers, Label) else 0
    return {**found, "too_long_share": too_long / metrics["num_rows"]}


def _agreement(plan: Plan, answers: Mapping[str, Answers]) -> dict[str, Any]:
    """How often the student gives its supervisor's answer, and where that is right and where it is wrong.

    A student that generalises follows a right supervisor and overrules a wrong one, one that imitates follows both
    (Burns et al. 2023, arXiv 2312.09390, section 5.1).
    """
    keys = ("with_supervisor", "when_supervisor_right", "when_supervisor_wrong")
    if plan.supervisor is None or plan.supervisor not in answers:
        return dict.fromkeys(keys)
    student, supervisor = answers[plan.student_of_record], answers[plan.supervisor]
    right = supervisor.correct > 0  # what the judge calls right: for worked solutions more than equal text
    parts = part_rates(student.agrees(supervisor), [right | True, right, ~right], student.groups)
    return {key: None if part is None else _interval(part) for key, part in zip(keys, parts, strict=True)}
