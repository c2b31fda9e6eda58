"""Targets made from targets: filter, weight, average, permute. Pure functions of data and seed, without torch.

Every rule is a function whose name is the `rule` of a `select` stage, whose keyword-only parameters are its options and
which takes `seed` exactly when it draws. No rule sees a gold label but those named `oracle_*`: what is made with them
is marked as a cheat.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.errors import UserError, did_you_mean
from w2s_lightning.tasks.draws import permutation

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TargetTable:
    """What a student is trained on: `ids` [n], each once, `probs` [n, K] rows add up to 1, `weights` [n] >= 0."""

    ids: tuple[str, ...]
    probs: Floats
    weights: Floats

    def __post_init__(self) -> None:
        assert self.probs.ndim == 2, self.probs.shape
        assert len(self.ids) == len(self.probs) == len(self.weights) == len(set(self.ids))
        assert np.allclose(self.probs.sum(axis=1), 1, atol=1e-4), "target probabilities must add up to 1"
        assert (self.weights >= 0).all()

    @property
    def confidence(self) -> Floats:
        """The largest probability of each row, [n]."""
        largest: Floats = self.probs.max(axis=1, initial=0.0)
        return largest

    def take(self, rows: NDArray[np.int64]) -> "TargetTable":
        """The table of these rows, in their order."""
        return TargetTable(tuple(self.ids[row] for row in rows), self.probs[rows], self.weights[rows])


def confidence_filter(table: TargetTable, *, threshold: float) -> TargetTable:
    """Keep targets whose largest probability is at least `threshold` (K=2, 0.75: drop what lies within 0.25 to 0.75).

    Raises:
        UserError: when nothing passes.
    """
    _check_share("threshold", threshold)
    kept = np.flatnonzero(table.confidence >= threshold)
    if not len(kept):
        most = f"the most confident one has {table.confidence.max():.3f}" if table.ids else "there are none"
        raise UserError(f"threshold={threshold} keeps 0 of {len(table.ids)} targets ({most}): use a lower threshold")
    return table.take(kept)


def confidence_weight(table: TargetTable) -> TargetTable:
    """Weight targets by their largest probability; weights are scaled to keep their mean."""
    weights = table.weights * table.confidence
    return replace(table, weights=weights * (table.weights.sum() / weights.sum()))


def mean(tables: Sequence[TargetTable], *, weights: Sequence[float] | None = None) -> TargetTable:
    """The weighted mean of several supervisors' probabilities (arXiv 2410.04571), joined by id, in the first's order.

    Raises:
        UserError: for tables on different examples or classes, and for weights that are not one positive each.
    """
    shares = np.ones(len(tables)) if weights is None else np.array(weights, dtype=np.float64)
    if shares.shape != (len(tables),) or not (np.isfinite(shares) & (shares > 0)).all():
        raise UserError(f"mean: weights={weights} should be {len(tables)} positive numbers, one per supervisor")
    first, shares = tables[0], shares / shares.sum()
    joined = [_aligned(table, first) for table in tables]
    probs = sum(share * table.probs for share, table in zip(shares, joined, strict=True))
    example_weights = sum(share * table.weights for share, table in zip(shares, joined, strict=True))
    return TargetTable(first.ids, np.asarray(probs), np.asarray(example_weights))


def permute(table: TargetTable, *, seed: int) -> TargetTable:
    """Deal the targets out among the examples at random: the control whose targets tell nothing."""
    order = permutation(len(table.ids), "permute", seed)
    return TargetTable(table.ids, table.probs[order], table.weights[order])


def pseudo_label(table: TargetTable, *, threshold: float, hard: bool) -> TargetTable:
    """Keep confident targets; `hard` puts all probability on the largest (the first of equals)."""
    kept = confidence_filter(table, threshold=threshold)
    if not hard:
        return kept
    return replace(kept, probs=np.eye(kept.probs.shape[1])[kept.probs.argmax(axis=1)])


def most_confident(table: TargetTable, *, share: float) -> TargetTable:
    """Keep the most confident `share` of the targets, at least one, as hard labels: self-training's pseudo-labels.

    A share needs no calibrated probabilities, where a threshold on a barely trained head may keep nothing.
    """
    _check_share("share", share)
    count = max(1, round(share * len(table.ids)))
    order = np.argsort(-table.confidence, kind="stable")[:count]
    kept = table.take(np.sort(order))
    return replace(kept, probs=np.eye(kept.probs.shape[1])[kept.probs.argmax(axis=1)])


def subsample(table: TargetTable, *, n: int, seed: int) -> TargetTable:
    """`n` targets drawn without replacement, in the table's order; raise UserError when there are fewer."""
    if not 1 <= n <= len(table.ids):
        raise UserError(f"subsample: n={n} should be a number from 1 to {len(table.ids)}, the targets that there are")
    return table.take(np.sort(permutation(len(table.ids), "subsample", seed)[:n]))


def oracle_random_errors(tables: Sequence[TargetTable], *, seed: int) -> TargetTable:
    """A supervisor as often wrong and as sure of itself as the first table, but wrong at random; the second is gold.

    Every answer is dealt to another example together with its distance from the gold class, round the circle of
    classes: what is left of the supervisor is its error rate and its confidence, not which examples it gets wrong.
    """
    answers, truth = tables[0], _aligned(tables[1], tables[0])
    gold, num_classes = truth.probs.argmax(axis=1), truth.probs.shape[1]
    order = permutation(len(answers.ids), "oracle_random_errors", seed)
    distance = (np.arange(num_classes)[None, :] - gold[:, None]) % num_classes
    dealt = answers.probs[order[:, None], (distance + gold[order][:, None]) % num_classes]
    return TargetTable(answers.ids, dealt, answers.weights[order])


_Rule = Callable[..., TargetTable]
_RULES: tuple[_Rule, ...] = (
    *(confidence_filter, confidence_weight, mean, most_confident, permute, pseudo_label, subsample),
    oracle_random_errors,
)
RULES: Mapping[str, _Rule] = {rule.__name__: rule for rule in _RULES}


def apply_rule(rule: str, options: Mapping[str, Any], seed: int, tables: Sequence[TargetTable]) -> TargetTable:
    """Call a rule by name; raise UserError for an unknown rule, an unknown or missing option, too many tables."""
    if rule not in RULES:
        raise UserError(f"there is no selection rule {rule!r}: {did_you_mean(rule, RULES)}")
    function = RULES[rule]
    parameters = inspect.signature(function).parameters
    wanted = {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY and name != "seed"}
    for name in options:
        if name not in wanted:
            raise UserError(f"selection rule {rule} has no option {name!r}: {did_you_mean(name, wanted)}")
    missing = [name for name, p in wanted.items() if p.default is p.empty and name not in options]
    if missing:
        raise UserError(f"selection rule {rule} needs the option {missing[0]!r}")
    if not tables or ("tables" not in parameters and len(tables) > 1):
        raise UserError(f"selection rule {rule} takes one table of targets, not {len(tables)}")
    drawn = {"seed": seed} if "seed" in parameters else {}
    return function(tables if "tables" in parameters else tables[0], **options, **drawn)


def _check_share(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(f"{name}={value!r} should be a number from 0 to 1")


def _aligned(table: TargetTable, first: TargetTable) -> TargetTable:
    if set(table.ids) != set(first.ids) or table.probs.shape[1] != first.probs.shape[1]:
        different = len(set(table.ids) ^ set(first.ids))
        raise UserError(
            f"mean: the supervisors answered different examples ({different} of them not in common) or classes "
            f"({first.probs.shape[1]} and {table.probs.shape[1]}): label the same split with each"
        )
    place = {id: row for row, id in enumerate(table.ids)}
    return table.take(np.array([place[id] for id in first.ids], dtype=np.int64))
