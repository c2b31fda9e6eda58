"""Jobs that differ in their seed alone, as one row: means, spreads and PGR's interval over seeds and test examples.

Seeds share the test examples, so the two are crossed (see `metrics/seeds.py`). A seed that failed is named, never
silently left out. What is here makes sweep.json, and the same rows for results that belong to no sweep.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.bootstrap import resample_job
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.pgr import PGR, pgr_of_job, pgr_over_seeds
from w2s_lightning.metrics.reward_intervals import Part
from w2s_lightning.metrics.scores import auroc_of, mean_score
from w2s_lightning.metrics.seeds import SeedScores, score_seeds
from w2s_lightning.results.benchmarked import NO_FLOOR as NO_BENCHMARK_FLOOR
from w2s_lightning.results.benchmarked import ONE_PROMPT, sections_of
from w2s_lightning.results.job_result import NO_FLOOR
from w2s_lightning.results.stored import Answers, Array

ARMS = ("untuned", "floor", "student", "ceiling")
OF_PGR = ("floor", "student", "ceiling")
FROM_RESULT = ("metric", *ARMS, "pgr", "gain_over_untuned", "agreement", "cheats", "notices")

Row = Mapping[str, Any]
Read = Callable[[str], Answers]


def job_row(
    words: Row, axes: Mapping[str, str], overrides: Sequence[str], result: Row | None, **more: Any
) -> dict[str, Any]:
    """A job's row: what its result says, empty without one, and what is known besides; `words` are its plan's name."""
    found = {name: (result or {}).get(name) for name in FROM_RESULT}
    found |= {"cheats": found["cheats"] or [], "notices": found["notices"] or []}
    known: dict[str, Any] = {
        "also": [],
        **dict.fromkeys(("digest", "folder", "state", "reason", "log")),
        "arms": dict.fromkeys(ARMS),
    }
    asked = {"axes": dict(axes), "overrides": list(overrides)}
    return {**words, **asked, **known, "benchmark_arms": None, **found, **more}


def group_key(row: Row, *other: str) -> tuple[Any, ...]:
    """What the jobs of one group have in common: everything but the seed, and but the `other` axes."""
    axes = tuple((key, value) for key, value in row["axes"].items() if key not in ("seed", *other))
    return (row["task"], row["paradigm"], row["weak"], row["strong"], axes)


class Groups:
    """Makes groups from jobs' rows; `read` gives an evaluate stage's answers by digest, or raises UserError. Figures
    are made once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: dict[tuple[str, ...], dict[str, Any]] = {}

    def rows(self, jobs: Sequence[Row]) -> list[dict[str, Any]]:
        """One row a group, in the order of its first job."""
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for job in jobs:
            groups.setdefault(group_key(job), []).append(job)
        return [self._group(members) for members in groups.values()]

    def _group(self, members: Sequence[Row]) -> dict[str, Any]:
        done = [job for job in members if job["state"] == "done"]
        lost = [job for job in members if job["state"] != "done"]
        key = tuple(job["digest"] for job in done)
        if key not in self._known:
            self._known[key] = {**_figures(done, self._read), "sections": section_pgrs(done, self._read)}
        first = members[0]
        return {
            **{name: first[name] for name in ("task", "paradigm", "weak", "strong", "metric")},
            "axes": {name: value for name, value in first["axes"].items() if name != "seed"},
            "seeds": [job["seed"] for job in done],
            "n": len(done),
            "expected": len(members),
            "missing": [{name: job[name] for name in ("seed", "state", "reason")} for job in lost],
            "cheats": sorted({cheat for job in done for cheat in job["cheats"]}),
            **self._known[key],
        }


def seed_scores(columns: Mapping[str, Sequence[Answers]], metric: str) -> SeedScores:
    """Arms over their seeds; raise UserError where they were scored on different test examples."""
    first = next(iter(columns.values()))[0]
    if any(one.ids != first.ids for column in columns.values() for one in column):
        raise UserError("its seeds were scored on different test examples")
    table = {arm: np.stack([one.scores(metric) for one in own]) for arm, own in columns.items()}
    return score_seeds(table, first.groups, metric=auroc_of(first.gold) if metric == "auroc" else mean_score)


def _figures(done: Sequence[Row], read: Read) -> dict[str, Any]:
    if not done:
        return _undefined("no job is done")
    if len(done) == 1:
        return _of_one(done[0])
    try:
        arms = tuple(arm for arm in ARMS if all(job["arms"][arm] is not None for job in done))
        scores = seed_scores({arm: [read(job["arms"][arm]) for job in done] for arm in arms}, done[0]["metric"])
    except UserError as error:
        return _undefined(str(error))
    values = {arm: _mean(scores.interval(arm), scores.per_seed(arm)) if arm in arms else None for arm in ARMS}
    gain = None
    if "untuned" in arms:
        differences = np.subtract(scores.per_seed("student"), scores.per_seed("untuned"))
        gain = _mean(scores.difference("student", "untuned"), differences.tolist())
    return {**values, "gain_over_untuned": gain, "pgr": _pgr_of(done, scores, "floor" in arms)}


def _undefined(reason: str) -> dict[str, Any]:
    return {**dict.fromkeys(ARMS), "gain_over_untuned": None, "pgr": _pgr(PGR.undefined(reason), ())}


def _of_one(job: Row) -> dict[str, Any]:
    """A single seed keeps its job's interval, which speaks for these trained models only."""

    def alone(part: Row | None) -> dict[str, Any] | None:
        return None if part is None else {**part, "sd": None, "per_seed": [part["value"]]}

    return {name: alone(job[name]) for name in (*ARMS, "gain_over_untuned", "pgr")}


def _pgr_of(done: Sequence[Row], scores: SeedScores, has_floor: bool) -> dict[str, Any]:
    if not has_floor:
        return _pgr(PGR.undefined(NO_FLOOR), ())
    found = pgr_over_seeds(scores)
    row = _pgr(found.pgr, found.per_seed)
    reasons = {str(job["pgr"]["reason"]) for job in done}
    if found.pgr.defined and len(reasons) == 1 and all(reason.startswith("by construction") for reason in reasons):
        row["reason"] = reasons.pop()
    return row


def _pgr(pgr: PGR, per_seed: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in per_seed if value is not None]
    return {**vars(pgr), "sd": _sd(known) if len(known) == len(per_seed) else None, "per_seed": list(per_seed)}


def _mean(interval: Interval, per_seed: Sequence[float]) -> dict[str, Any]:
    return {**vars(interval), "sd": _sd(per_seed), "per_seed": list(per_seed)}


def _sd(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    spread = float(np.std(values, ddof=1))
    return spread if math.isfinite(spread) else None


# ---------------------------------------------------------------- a benchmark's sections


def section_pgrs(done: Sequence[Row], read: Read) -> list[dict[str, Any]]:
    """The student's PGR in every section (and unknown subset, and overall) of jobs that differ in their seed alone;
    empty where they have no benchmark, or where its answers cannot be read or are those to other rows."""
    judged = [job.get("benchmark_arms") or {} for job in done]
    if not judged or any(arms.get("student") is None for arms in judged):
        return []
    there = [arm for arm in OF_PGR if all(arms.get(arm) is not None for arms in judged)]
    try:
        scored = {arm: [read(arms[arm]) for arms in judged] for arm in there}
    except UserError:
        return []
    about = scored["student"][0]
    if any(one.ids != about.ids for column in scored.values() for one in column):
        return []
    columns = {arm: np.stack([one.correct for one in column]) for arm, column in scored.items()}
    groups, parts = np.array(about.groups), sections_of(about.subsets)
    return [
        {"kind": part.kind, "name": part.name, "n": int(part.rows.sum()), "pgr": vars(_section(part, columns, groups))}
        for part in parts
    ]


def _section(part: Part, columns: Mapping[str, Array], groups: Array) -> PGR:
    own, ids = {arm: values[:, part.rows] for arm, values in columns.items()}, groups[part.rows]
    if "floor" not in own:
        return PGR.undefined(NO_BENCHMARK_FLOOR)
    if len(np.unique(ids)) == 1:
        return PGR.undefined(ONE_PROMPT)
    try:
        if len(own["student"]) == 1:
            return pgr_of_job(resample_job(own, ids, metric=part.metric))
        return pgr_over_seeds(score_seeds(own, ids, metric=part.metric)).pgr
    except UserError as error:
        return PGR.undefined(str(error))
