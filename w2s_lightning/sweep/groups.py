"""Jobs that differ in their seed alone, as one row: means, spreads and PGR's interval over seeds and test examples.

Seeds share the test examples, so the two are crossed (see `metrics/seeds.py`). A seed that failed is named, never
silently left out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.pgr import PGR, pgr_over_seeds
from w2s_lightning.metrics.scores import auroc_of, mean_score
from w2s_lightning.metrics.seeds import SeedScores, score_seeds
from w2s_lightning.result import NO_FLOOR
from w2s_lightning.sweep.sections import section_pgrs

ARMS = ("untuned", "floor", "student", "ceiling")

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class SharedTest:
    """The examples that answers are about, in the order of their ids: group ids and gold classes `[n]`; of a benchmark
    also their subsets."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    gold: np.ndarray[Any, Any]
    subsets: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Scored:
    """One evaluate stage: whether each answer is right, or the second class's probability, `[n]`."""

    about: SharedTest
    correct: np.ndarray[Any, Any]
    probability: np.ndarray[Any, Any]


Read = Callable[[str], Scored]


class Groups:
    """Makes groups from jobs' rows; `read` gives an evaluate stage's scores by digest. Figures are made once."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: dict[tuple[str, ...], dict[str, Any]] = {}

    def rows(self, jobs: Sequence[Row]) -> list[dict[str, Any]]:
        """One row a group, in the order of its first job."""
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for job in jobs:
            groups.setdefault(_key(job), []).append(job)
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


def _key(job: Row) -> tuple[Any, ...]:
    axes = tuple((key, value) for key, value in job["axes"].items() if key != "seed")
    return (job["task"], job["paradigm"], job["weak"], job["strong"], axes)


def _figures(done: Sequence[Row], read: Read) -> dict[str, Any]:
    if not done:
        return _undefined("no job is done")
    if len(done) == 1:
        return _of_one(done[0])
    try:
        arms = tuple(arm for arm in ARMS if all(job["arms"][arm] is not None for job in done))
        scores = _scores(done, arms, read)
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

    parts = {name: alone(job[name]) for name in (*ARMS, "gain_over_untuned")}
    return {**parts, "pgr": {**job["pgr"], "sd": None, "per_seed": [job["pgr"]["value"]]}}


def _scores(done: Sequence[Row], arms: Sequence[str], read: Read) -> SeedScores:
    table = {arm: [read(job["arms"][arm]) for job in done] for arm in arms}
    about = table[arms[0]][0].about
    if any(scored.about.ids != about.ids for column in table.values() for scored in column):
        raise UserError("its seeds were scored on different test examples")
    if done[0]["metric"] == "auroc":
        columns = {arm: np.stack([scored.probability for scored in column]) for arm, column in table.items()}
        return score_seeds(columns, about.groups, metric=auroc_of(about.gold))
    columns = {arm: np.stack([scored.correct for scored in column]) for arm, column in table.items()}
    return score_seeds(columns, about.groups, metric=mean_score)


def _pgr_of(done: Sequence[Row], scores: SeedScores, has_floor: bool) -> dict[str, Any]:
    if not has_floor:
        return _pgr(PGR.undefined(NO_FLOOR), ())
    found = pgr_over_seeds(scores)
    row = _pgr(found.pgr, found.per_seed)
    reasons = {str(job["pgr"]["reason"]) for job in done}
    if found.pgr.defined and len(reasons) == 1 and reasons <= {r for r in reasons if r.startswith("by construction")}:
        row["reason"] = reasons.pop()
    return row


def _pgr(pgr: PGR, per_seed: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in per_seed if value is not None]
    return {**vars(pgr), "sd": _sd(known) if len(known) == len(per_seed) else None, "per_seed": list(per_seed)}


def _mean(interval: Interval, per_seed: Sequence[float]) -> dict[str, Any]:
    ends = {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}
    return {**ends, "sd": _sd(per_seed), "per_seed": list(per_seed)}


def _sd(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    spread = float(np.std(values, ddof=1))
    return spread if math.isfinite(spread) else None
