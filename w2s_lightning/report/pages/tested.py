"""Tests of difference between rows that saw the same: paired by seed and example, corrected together (Holm).

Only pairs with a student of record in them are tested, so that the correction is over questions somebody asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from w2s_lightning.metrics.differences import holm
from w2s_lightning.report.pooled import Difference, Pool
from w2s_lightning.report.records import Job
from w2s_lightning.report.words import counted, signed

LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Line:
    """One row of a pair: `digests` tell whether two lines are the same model; `outputs` say how its texts ended."""

    name: str
    row: str
    role: str
    model: str
    jobs: tuple[Job, ...]
    part: dict[str, Any]
    information: dict[str, Any]
    digests: tuple[str, ...]
    outputs: dict[str, float]

    @property
    def saw(self) -> tuple[int, int, bool]:
        """What rows must share to be compared: gold labels seen, gold labels behind, whether pseudo-labels were."""
        seen = self.information
        return seen["gold_seen_by_student"], seen["gold_upstream"], bool(seen["pseudo_labels"])


@dataclass(frozen=True)
class Tested:
    """One tested difference; `p_value` is Holm's, `sentence` says it in words."""

    first: str
    second: str
    difference: Difference
    p_value: float
    sentence: str


def test_all(blocks: Sequence[Sequence[Line]], pool: Pool) -> list[list[Tested]]:
    """Every comparison within a block that has a student of record in it, corrected over all blocks."""
    raw = [[(a, b, found) for a, b in _compared(own) if (found := _differ(a, b, pool))] for own in blocks]
    adjusted = iter(holm([found.p_value for own in raw for _, _, found in own]))
    total = sum(map(len, raw))
    return [[_tested(a, b, found, next(adjusted), total) for a, b, found in own] for own in raw]


def _compared(lines: Sequence[Line]) -> list[tuple[Line, Line]]:
    pairs = [(one, other) for place, one in enumerate(lines) for other in lines[place + 1 :]]
    return [(a, b) if a.role == "student" else (b, a) for a, b in pairs if "student" in (a.role, b.role)]


def _differ(one: Line, other: Line, pool: Pool) -> Difference | None:
    """Over the seeds that both have."""
    shared = {job.seed for job in one.jobs} & {job.seed for job in other.jobs}
    left, right = ([job for job in line.jobs if job.seed in shared] for line in (one, other))
    return pool.difference(left, one.row, right, other.row) if shared else None


def _tested(one: Line, other: Line, found: Difference, p_value: float, total: int) -> Tested:
    far = signed(found.value)
    ends = f" [{signed(found.low)}, {signed(found.high)}]" if found.low is not None and found.high is not None else ""
    how = f"p = {p_value:.3f}" if p_value >= 0.001 else "p < 0.001"
    told = "a difference" if p_value < LEVEL else "not told apart"
    over = f", Holm over {counted(total, 'test')}" if total > 1 else ""
    sentence = f"{one.name} − {other.name}: {far}{ends}, {told} ({how}{over})."
    return Tested(one.name, other.name, found, p_value, sentence)
