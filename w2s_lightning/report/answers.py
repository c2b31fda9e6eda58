"""A job's answers on the test set, arm beside arm: supervisor, student and ceiling, with what the student made of its
supervisor's answer. One array entry an example, in the order of example ids."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from w2s_lightning.report.pooled import Pool
from w2s_lightning.report.records import Job
from w2s_lightning.results.stored import Answers

Array = np.ndarray[Any, Any]

WORDS = {
    "followed_right": "followed a right supervisor",
    "overruled_right": "overruled a right supervisor",
    "imitated_error": "imitated its supervisor's error",
    "overruled_wrong": "overruled a wrong supervisor",
    "other_error": "made another error than its supervisor",
    "right": "is right (no supervisor)",
    "wrong": "is wrong (no supervisor)",
}
"""Every outcome in words: what the student made of its supervisor's answer, and the last two where there is none.

Two different wrong answers exist where there are more than two: such a student has overruled nothing."""

OUTCOMES = tuple(WORDS)


@dataclass(frozen=True, eq=False)
class Answered:
    """Answers by arm: student, and supervisor and ceiling where there are any. `outcome` is an index into OUTCOMES."""

    job: Job
    arms: dict[str, Answers]
    outcome: Array

    @property
    def about(self) -> Answers:
        """Ids, groups, gold and difficulty."""
        return self.arms["student"]

    def counts(self) -> dict[str, int]:
        """How many test examples of each outcome there are."""
        found = np.bincount(self.outcome, minlength=len(OUTCOMES)).tolist()
        return {name: count for name, count in zip(OUTCOMES, found, strict=True) if count}


def answered(job: Job, pool: Pool) -> Answered | None:
    """A finished job's answers, None when the student's cannot be read."""
    names = {"supervisor": job.supervisor, "student": job.student, "ceiling": "ceiling"}
    found = {arm: one for arm, name in names.items() if name and (one := pool.answers([job], name))}
    if "student" not in found:
        return None
    ids = found["student"][0].ids
    arms = {arm: one[0] for arm, one in found.items() if one[0].ids == ids}
    return Answered(job, arms, _outcome(arms["student"], arms.get("supervisor")))


def _outcome(student: Answers, supervisor: Answers | None) -> Array:
    right = student.correct > 0
    if supervisor is None:
        return np.where(right, OUTCOMES.index("right"), OUTCOMES.index("wrong"))
    led, same = supervisor.correct > 0, student.agrees(supervisor)
    found = {"followed_right": led & right, "overruled_right": led, "overruled_wrong": right, "imitated_error": same}
    return np.select(list(found.values()), [OUTCOMES.index(name) for name in found], OUTCOMES.index("other_error"))


def chosen(outcome: Array, most: int) -> Array:
    """Which examples a page shows: of every outcome an equal share, the rest in order; the same ones in every job as
    far as outcomes allow, since the order is that of example ids, which are hashes."""
    share = most // max(1, len(np.unique(outcome)))
    kept = np.zeros(len(outcome), bool)
    for value in np.unique(outcome):
        kept[np.flatnonzero(outcome == value)[:share]] = True
    left = np.flatnonzero(~kept)[: max(0, most - int(kept.sum()))]
    kept[left] = True
    found: Array = np.flatnonzero(kept)
    return found
