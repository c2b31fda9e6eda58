"""Figures of jobs that differ in their seed alone, made from their stored answers for those who show them.

Several seeds: crossed with the test examples (`metrics/seeds.py`). One seed: its job's own interval. Rates on parts of
the test set hold the seeds together and resample test groups, so they speak for these trained models. A figure is None
where a job lacks the row, or its answers cannot be read or are to other examples: the reader notes what is damaged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.choice import Calibration, DifficultyLevel, accuracy_by_difficulty, calibration
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.sections import sections_of
from w2s_lightning.results.scored import agreement, p_value, score_answers
from w2s_lightning.results.stored import Answers, Array, StoreReader

DRAWN = 500  # resamples, for pictures: their ends move by less than a line's width
LEVELS = 6
TEST = "evaluate"  # where a result's row names the stage of its answers to the test set
OUTPUTS = ("strict", "truncated_share", "unparsed_share")  # of rows that write solutions

OUTCOMES = {
    "followed_right": "followed a right supervisor",
    "overruled_right": "overruled a right supervisor",
    "imitated_error": "imitated its supervisor's error",
    "overruled_wrong": "overruled a wrong supervisor",
    "other_error": "made another error than its supervisor",
    "right": "is right (no supervisor)",
    "wrong": "is wrong (no supervisor)",
}
"""What a student can make of its supervisor's answer, and the last two where there is none.

Two different wrong answers exist where there are more than two: such a student has overruled nothing."""

Result = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Pass:
    """A fit's answers on validation at one `share` of its training: accuracy by gold, which no fit saw, and agreement
    with the targets that it had."""

    share: float
    epoch: float
    gold: float
    agreement: float | None


def row_named(result: Result, name: str) -> Result | None:
    """One of a result's rows."""
    return next((row for row in result["rows"] if row["name"] == name), None)


def supervisor_of(result: Result) -> str | None:
    """The row that made the student's targets, None without one that answered the test set."""
    return None if result["agreement"]["with_supervisor"] is None else result["supervisor"]


def gap_of(group: Mapping[str, Any]) -> tuple[float | None, list[float]]:
    """Ceiling minus floor of a group, and of each of its seeds."""
    floor, ceiling = group["floor"], group["ceiling"]
    if not floor or not ceiling:
        return None, []
    each = ceiling.get("per_seed") or [ceiling["value"]], floor.get("per_seed") or [floor["value"]]
    return ceiling["value"] - floor["value"], [high - low for high, low in zip(*each, strict=True)]


def outcomes(student: Answers, supervisor: Answers | None) -> Array:
    """Indices into OUTCOMES, `[n]`."""
    names, right = list(OUTCOMES), student.correct > 0
    if supervisor is None:
        return np.where(right, names.index("right"), names.index("wrong"))
    led, same = supervisor.correct > 0, student.agrees(supervisor)
    found = {"followed_right": led & right, "overruled_right": led, "overruled_wrong": right, "imitated_error": same}
    return np.select(list(found.values()), [names.index(name) for name in found], names.index("other_error"))


class Pooled:
    """Computes from a store, once for each set of artifacts; `results` are those of jobs that differ in their seed."""

    def __init__(self, reader: StoreReader) -> None:
        self.reader = reader
        self._kept: dict[tuple[Any, ...], Any] = {}

    def answers(self, results: Sequence[Result], name: str, to: str = "evaluate") -> list[Answers] | None:
        """A row's answers for every job, `to` the test set or its `benchmark`."""
        found = [self.reader.answers(digest) if digest else None for digest in _digests(results, name, to)]
        known = [one for one in found if one is not None]
        same = all(one.ids == known[0].ids for one in known)
        return known if known and same and len(known) == len(found) else None

    def _figure(self, make: Callable[..., T], *rows: tuple[Sequence[Result], str, str], **options: Any) -> T | None:
        """What `make` finds in the answers of some rows."""
        key = (make, *(_digests(*row) for row in rows), *options.items())
        if key not in self._kept:
            answers = [self.answers(*row) for row in rows]
            if any(one is None for one in answers):
                return None
            try:
                self._kept[key] = make(*answers, **options)
            except UserError:
                return None
        found: T = self._kept[key]
        return found

    def row(self, results: Sequence[Result], name: str) -> dict[str, Any] | None:
        """A row's `value`, `low`, `high`, `per_seed`, and the means of its OUTPUTS where it writes solutions."""
        rows = [row for result in results if (row := row_named(result, name)) is not None]
        if len(rows) != len(results) or not rows:
            return None
        per_seed, ends = [row["value"] for row in rows], rows[0]
        if len(rows) > 1:
            part = self._figure(_interval, (results, name, TEST), metric=results[0]["metric"])
            ends = {"low": None, "high": None} if part is None else vars(part)
        found = {"value": float(np.mean(per_seed)), "low": ends["low"], "high": ends["high"], "per_seed": per_seed}
        if all("strict" in row for row in rows):
            shares = [{**row, "strict": row["strict"]["value"]} for row in rows]
            listed = {share: [one[share] for one in shares] for share in OUTPUTS}
            found |= {share: None if None in each else float(np.mean(each)) for share, each in listed.items()}
        return found

    def difference(
        self, one: Sequence[Result], first: str, two: Sequence[Result], second: str
    ) -> tuple[Interval, float] | None:
        """Two rows over the seeds that both have, paired by seed and test example; with the p-value of "no difference",
        before any correction."""
        shared = {_seed(result) for result in one} & {_seed(result) for result in two}
        one, two = ([result for result in side if _seed(result) in shared] for side in (one, two))
        if not shared:
            return None
        return self._figure(_difference, (one, first, TEST), (two, second, TEST), metric=one[0]["metric"])

    # ------------------------------------------------------------ parts of the test set

    def following(self, results: Sequence[Result]) -> tuple[Interval | None, ...] | None:
        """Agreement of student and supervisor where the supervisor is right, and where it is wrong."""
        student, supervisor = results[0]["student_of_record"], supervisor_of(results[0])
        if supervisor is None:
            return None
        found = self._figure(agreement, (results, student, TEST), (results, supervisor, TEST), resamples=DRAWN)
        return found and found[1:]

    def calibration(self, results: Sequence[Result], name: str) -> Calibration | None:
        """A row's calibration curve; None without probabilities."""
        return self._figure(_calibration, (results, name, TEST))

    def by_difficulty(self, results: Sequence[Result], name: str) -> tuple[DifficultyLevel, ...] | None:
        """A row's accuracy from easy to hard, the mean over seeds of each example; None without difficulty."""
        return self._figure(_by_difficulty, (results, name, TEST))

    def sections(self, results: Sequence[Result], name: str) -> dict[str, Interval]:
        """A row's score in every section of a benchmark, empty without one: over seeds and prompts, or of one seed over
        prompts."""
        return self._figure(_sections, (results, name, "benchmark")) or {}

    # ------------------------------------------------------------ how it was trained

    def fit(self, result: Result, name: str) -> str | None:
        """The digest of the fit whose answers a row is about, None for a bare model or a file."""
        stage: Any = self.reader.stage(row["evaluate"]) if (row := row_named(result, name)) else None
        for field in ("answers", "source"):  # evaluate -> label -> fit
            value = (stage or {}).get(field)
            digest = value.get("stage") if isinstance(value, dict) else None
            stage = self.reader.stage(digest) if digest else None
        return str(digest) if stage and stage.get("kind") == "fit" else None

    def passes(self, digest: str, gold: Mapping[str, Any]) -> list[Pass]:
        """A fit's passes over validation joined with `gold` by example id; empty where either is missing."""
        found, stage = self.reader.validation(digest), self.reader.stage(digest)
        if found is None or stage is None or any(one not in gold for one in found.ids):
            return []
        history = self.reader.history(digest)
        last = max((row["step"] for row in history), default=found.steps[-1])
        epochs = float((stage.get("optimisation") or {}).get("epochs") or 1.0)
        agreement = {row["step"]: row["validation_agreement"] for row in history if "validation_agreement" in row}
        right = (found.probs.argmax(axis=2) == np.array([gold[one] for one in found.ids])).mean(axis=1)
        return [
            Pass(step / last, epochs * step / last, accuracy, agreement.get(step))
            for step, accuracy in zip(found.steps, right.tolist(), strict=True)
        ]


def mean_passes(seeds: Sequence[Sequence[Pass]]) -> list[Pass]:
    """Means over seeds, pass by pass; empty where the seeds made unequally many."""
    if len({len(passes) for passes in seeds}) != 1:
        return []
    found = []
    for each in zip(*seeds, strict=True):
        means = zip(*((one.share, one.epoch, one.gold) for one in each), strict=True)
        share, epoch, gold = (float(np.mean(values)) for values in means)
        agreement = [one.agreement for one in each if one.agreement is not None]
        found.append(Pass(share, epoch, gold, float(np.mean(agreement)) if len(agreement) == len(each) else None))
    return found


def _seed(result: Result) -> Any:
    return result["job"]["seed"]


def _digests(results: Sequence[Result], name: str, to: str) -> tuple[str, ...]:
    return tuple(str(row.get(to) or "") if (row := row_named(result, name)) else "" for result in results)


# ---------------------------------------------------------------- figures of answers, a table of them a seed


def _interval(found: Sequence[Answers], *, metric: str) -> Interval:
    return score_answers({"row": found}, metric).interval("row")


def _difference(first: Sequence[Answers], second: Sequence[Answers], *, metric: str) -> tuple[Interval, float] | None:
    chance = p_value(first, second, metric)
    found = score_answers({"first": first, "second": second}, metric).difference("first", "second")
    return None if chance is None else (found, chance)


def _calibration(found: Sequence[Answers]) -> Calibration | None:
    probs = [one.probs for one in found if one.probs is not None]
    return calibration(np.concatenate(probs), np.concatenate([one.gold for one in found])) if probs else None


def _by_difficulty(found: Sequence[Answers]) -> tuple[DifficultyLevel, ...] | None:
    difficulty = found[0].difficulty
    known = np.isfinite(difficulty)
    if len(np.unique(difficulty[known])) < 2:
        return None
    hits, groups = np.mean([one.correct for one in found], axis=0), np.array(found[0].groups)
    return accuracy_by_difficulty(hits[known], difficulty[known], groups[known], num_levels=LEVELS, resamples=DRAWN)


def _sections(found: Sequence[Answers]) -> dict[str, Interval]:
    won = {"row": np.stack([one.correct for one in found])}
    parts = sections_of(found[0].subsets)
    return {part.name: part.intervals(won, found[0].groups, DRAWN)["row"] for part in parts}
