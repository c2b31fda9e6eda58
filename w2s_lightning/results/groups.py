"""Jobs that differ in their seed alone, as one row: means, spreads and PGR's interval over seeds and test examples.

Seeds share the test examples, so the two are crossed (see `metrics/seeds.py`). A seed that failed is named, never
silently left out. What is here makes sweep.json, and the same rows for results that belong to no sweep. Groups that
differ in `fit.readout` alone are compared row by row: reward models with a head minus implicit ones.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.pgr import PGR, pgr_of, pgr_over_seeds
from w2s_lightning.metrics.rates import mean_score
from w2s_lightning.metrics.sections import Part, sections_of
from w2s_lightning.metrics.seeds import SeedScores
from w2s_lightning.results.scored import NO_BENCHMARK_FLOOR, NO_FLOOR, ONE_PROMPT, columns_of, score_answers
from w2s_lightning.results.stored import Answers
from w2s_lightning.show.matrix import Labels

ARMS = ("untuned", "floor", "student", "ceiling")
READOUT, CLASSIFIER, DPO = "fit.readout", "head", "implicit"
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


class SeedGroups:
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


def _figures(done: Sequence[Row], read: Read) -> dict[str, Any]:
    if not done:
        return _undefined("no job is done")
    if len(done) == 1:  # a single seed keeps its job's interval, which speaks for these trained models only
        parts = {name: done[0][name] for name in (*ARMS, "gain_over_untuned", "pgr")}
        return {name: part and {**part, "sd": None, "per_seed": [part["value"]]} for name, part in parts.items()}
    arms = [arm for arm in ARMS if all(job["arms"][arm] is not None for job in done)]
    try:
        scores = score_answers({arm: [read(job["arms"][arm]) for job in done] for arm in arms}, done[0]["metric"])
    except UserError as error:
        return _undefined(str(error))
    assert isinstance(scores, SeedScores)
    found: dict[str, Any] = dict.fromkeys((*ARMS, "gain_over_untuned"))
    found |= {arm: _spread(scores.interval(arm), scores.arms[arm].values.tolist()) for arm in arms}
    if "untuned" in arms:
        gains = (scores.arms["student"] - scores.arms["untuned"]).values.tolist()
        found["gain_over_untuned"] = _spread(scores.difference("student", "untuned"), gains)
    if "floor" not in arms:
        return {**found, "pgr": _spread(PGR.undefined(NO_FLOOR), ())}
    pgr, per_seed = pgr_over_seeds(scores)
    reasons = {str(job["pgr"]["reason"]) for job in done}
    if pgr.defined and len(reasons) == 1 and all(reason.startswith("by construction") for reason in reasons):
        pgr = replace(pgr, reason=reasons.pop())
    return {**found, "pgr": _spread(pgr, per_seed)}


def _undefined(reason: str) -> dict[str, Any]:
    return {**dict.fromkeys((*ARMS, "gain_over_untuned")), "pgr": _spread(PGR.undefined(reason), ())}


def _spread(figure: Interval | PGR, per_seed: Sequence[float | None]) -> dict[str, Any]:
    """A figure with its seeds' values and their standard deviation (None where a seed has no value, or is alone)."""
    known = [value for value in per_seed if value is not None]
    spread = float(np.std(known, ddof=1)) if len(known) == len(per_seed) > 1 else math.nan
    return {**vars(figure), "sd": spread if math.isfinite(spread) else None, "per_seed": list(per_seed)}


def section_pgrs(done: Sequence[Row], read: Read) -> list[dict[str, Any]]:
    """The student's PGR in every section (and unknown subset, and overall) of jobs that differ in their seed alone;
    empty where they have no benchmark, or where its answers cannot be read or are those to other rows."""
    judged = [job.get("benchmark_arms") or {} for job in done]
    if not judged or any(arms.get("student") is None for arms in judged):
        return []
    there = [arm for arm in ("floor", "student", "ceiling") if all(arms.get(arm) is not None for arms in judged)]
    try:
        answers = {arm: [read(arms[arm]) for arms in judged] for arm in there}
        columns = columns_of(answers)
    except UserError:
        return []
    about, found = answers["student"][0], []
    for part in sections_of(about.subsets):
        scores = part.scores(columns, about.groups) if "floor" in columns else None
        why = ONE_PROMPT if "floor" in columns else NO_BENCHMARK_FLOOR
        pgr = PGR.undefined(why) if scores is None else pgr_of(scores)
        found.append({"kind": part.kind, "name": part.name, "n": int(part.rows.sum()), "pgr": vars(pgr)})
    return found


# ---------------------------------------------------------------- classifier against DPO


def compared(jobs: Sequence[Row], read: Read) -> list[dict[str, Any]]:
    """Classifier minus DPO: one record for each row and part that both sides have, over the seeds that both have
    finished; on the test set and on every section of a benchmark. Both sides saw the same labels."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    arms = list(_both_sides(jobs))
    for row in ("floor", "ceiling", "student"):
        shared = len({str(_digests(sides, "arms", row)) for _, sides in arms}) == 1
        for arm, sides in arms:
            name = arm if row == "student" else row if shared else f"{row} ({arm})"
            for kind in ("arms", "benchmark_arms"):
                digests = _digests(sides, kind, row)
                key = (kind, row, *map(tuple, digests))
                if "" in digests[0] + digests[1] or key in found:  # paradigms share their floors and ceilings
                    continue
                found[key] = {"row": name, "n_seeds": len(sides[0]), "parts": list(_parts(digests, read))}
    return [record for record in found.values() if record["parts"]]


def _digests(sides: Sequence[Sequence[Row]], kind: str, row: str) -> list[list[str]]:
    """The evaluate stages of a row on either side, "" where there is none."""
    return [[str((job.get(kind) or {}).get(row) or "") for job in side] for side in sides]


def _both_sides(jobs: Sequence[Row]) -> Iterator[tuple[str, tuple[list[Row], list[Row]]]]:
    """Arms (in words that tell them apart) with their finished jobs under either read-out, seed by seed."""
    arms: dict[tuple[Any, ...], dict[str, dict[Any, Row]]] = {}
    alike: dict[tuple[Any, ...], Row] = {}
    for job in jobs:
        side, key = job["axes"].get(READOUT), group_key(job, READOUT)
        if job["state"] == "done" and job["metric"] == "accuracy" and side in (CLASSIFIER, DPO):
            arms.setdefault(key, {}).setdefault(side, {})[job["seed"]] = job
            alike[key] = {**job, "axes": {name: value for name, value in job["axes"].items() if name != READOUT}}
    labels = Labels(list(alike.values()))
    several_tasks = len({key[0] for key in arms}) > 1
    for key, sides in arms.items():
        seeds = sorted(sides.get(CLASSIFIER, {}).keys() & sides.get(DPO, {}).keys())
        if seeds:
            words = labels.title(alike[key]) if labels.several_pairs else labels.arm(alike[key])
            words = f"{key[0]} · {words}" if several_tasks else words
            yield words, ([sides[CLASSIFIER][seed] for seed in seeds], [sides[DPO][seed] for seed in seeds])


def _parts(digests: list[list[str]], read: Read) -> Iterator[dict[str, Any]]:
    """The difference on every section of a benchmark, or on the test set."""
    try:
        sides = {name: [read(digest) for digest in side] for name, side in zip((CLASSIFIER, DPO), digests, strict=True)}
        columns = columns_of(sides)
    except UserError:  # its group says what cannot be read
        return
    about = sides[CLASSIFIER][0]
    whole = Part("subset", "test", np.ones(len(about.ids), dtype=bool), mean_score)
    for part in sections_of(about.subsets) or (whole,):
        scores = part.scores(columns, about.groups)
        if scores is not None:
            yield {"name": part.name, **vars(scores.difference(CLASSIFIER, DPO))}
