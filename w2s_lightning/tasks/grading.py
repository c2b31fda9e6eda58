"""Counts over judged solutions: the figures that are reported of a reasoning task, as shares of questions."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import TypeVar

from w2s_lightning.tasks.answers import Verdict

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Tally:
    """Shares of `count` solutions; `flexible` is the headline (`strict` would reward learning the mark alone)."""

    count: int
    flexible: float
    strict: float
    unparsed: float
    timed_out: float


def tally(verdicts: Sequence[Verdict]) -> Tally:
    """Sum up verdicts, at least one."""
    troubles, count = [verdict.trouble for verdict in verdicts], len(verdicts)
    return Tally(
        count=count,
        flexible=sum(verdict.flexible for verdict in verdicts) / count,
        strict=sum(verdict.strict for verdict in verdicts) / count,
        unparsed=troubles.count("unparsed") / count,
        timed_out=troubles.count("timed_out") / count,
    )


def tally_by(keys: Sequence[Key], verdicts: Sequence[Verdict]) -> dict[Key, Tally]:
    """One tally for each key (number of steps, level, subject), in order of appearance."""
    groups: defaultdict[Key, list[Verdict]] = defaultdict(list)
    for key, verdict in zip(keys, verdicts, strict=True):
        groups[key].append(verdict)
    return {key: tally(group) for key, group in groups.items()}


def pass_at(verdicts: Sequence[Verdict], k: int) -> float:
    """pass@k of one question from n >= k samples, without bias: 1 - C(n-c, k) / C(n, k) (arXiv 2107.03374, eq. 1)."""
    n, right = len(verdicts), sum(verdict.flexible for verdict in verdicts)
    assert 1 <= k <= n, f"pass@{k} needs {k} samples, got {n}"
    return 1 - comb(n - right, k) / comb(n, k)


def majority_is_right(verdicts: Sequence[Verdict], answer: str | None) -> bool:
    """maj@n of one question: whether `answer`, the vote of these samples, is right."""
    return any(verdict.flexible for verdict in verdicts if answer is not None and verdict.answer == answer)


@dataclass(frozen=True)
class Quality:
    """A selection against gold, for diagnosis only: how many of the kept are right, how many of the right are kept.

    None where there is nothing to divide by.
    """

    kept_share: float
    precision: float | None
    recall: float | None


def selection_quality(kept: Collection[str], right: Mapping[str, bool]) -> Quality:
    """`kept` question ids of a rule; `right` says of every question whether the supervisor's answer is right."""
    good = sum(right[id] for id in kept)
    total = sum(right.values())
    return Quality(len(kept) / len(right), good / len(kept) if kept else None, good / total if total else None)
