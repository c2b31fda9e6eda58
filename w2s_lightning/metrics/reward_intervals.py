"""RewardBench scores with intervals: a bootstrap over prompts; each section as a metric that PGR can be taken of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2s_lightning.metrics.bootstrap import resample_job
from w2s_lightning.metrics.intervals import FloatArray, Interval
from w2s_lightning.metrics.resampling import DEFAULT_RESAMPLING, Groups, Resampling
from w2s_lightning.metrics.rewardbench import SECTION_WEIGHTS, SECTIONS, Missing, missing
from w2s_lightning.metrics.scores import Metric, Statistic
from w2s_lightning.metrics.subsets import subset_rates


def in_section(subsets: Sequence[str], section: str) -> npt.NDArray[np.bool_]:
    """Which rows [n] belong to a section."""
    return np.isin(np.asarray(subsets), list(SECTIONS[section]))


def section_metric(subsets: Sequence[str], section: str) -> Metric:
    """A section's score as a metric of `bootstrap.resample_job` (and so of PGR), for rows with these subsets [n].

    Give it the section's own rows only (`in_section`), so that the number of groups is the section's. A subset that a
    resample misses is left out of it with its weight.
    """
    names = np.asarray(subsets)

    def metric(columns: FloatArray, groups: Groups) -> Statistic:
        masks = [(names == name, weight) for name, weight in SECTIONS[section].items() if (names == name).any()]
        parts = [(groups.sums(columns * mask).T, groups.sums(1.0 * mask[None])[0], weight) for mask, weight in masks]

        def statistic(weights: FloatArray) -> FloatArray:
            accuracies = [_ratio(weights @ hits, weights @ sizes) for hits, sizes, _ in parts]
            return _weighted(accuracies, [weight for _, _, weight in parts])

        return statistic

    return metric


def overall_metric(subsets: Sequence[str]) -> Metric:
    """The overall score as such a metric, for rows with these subsets [n], all of them known ones."""
    there = [section for section in SECTIONS if in_section(subsets, section).any()]

    def metric(columns: FloatArray, groups: Groups) -> Statistic:
        parts = [section_metric(subsets, section)(columns, groups) for section in there]
        return lambda weights: _weighted([part(weights) for part in parts], [SECTION_WEIGHTS[name] for name in there])

    return metric


def _ratio(hits: FloatArray, sizes: FloatArray) -> FloatArray:
    """Accuracies [B, A] of one subset; NaN in resamples without it."""
    ratio: FloatArray = np.divide(hits, sizes[:, None], out=np.full_like(hits, np.nan), where=sizes[:, None] > 0)
    return ratio


def _weighted(values: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """Weighted mean of arrays [B, A], NaN left out with its weight."""
    stacked, factors = np.stack(values), np.asarray(weights, dtype=np.float64)[:, None, None]
    there = ~np.isnan(stacked)
    total, over = (np.where(there, stacked, 0) * factors).sum(axis=0), (there * factors).sum(axis=0)
    mean: FloatArray = np.divide(total, over, out=np.full_like(total, np.nan), where=over > 0)
    return mean


@dataclass(frozen=True)
class Judgement:
    """A reward model's scores with intervals; `others` are subsets that RewardBench does not know, in no section."""

    subsets: Mapping[str, Interval]
    others: Mapping[str, Interval]
    sections: Mapping[str, Interval]
    overall: Interval | None
    missing: Missing


def judge(
    outcome: npt.ArrayLike,
    subsets: Sequence[str],
    group_ids: Sequence[object],
    *,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> Judgement:
    """Score rows by `wins` [n], subset names [n] and groups [n] (prompts, which are what is resampled)."""
    won, names, groups = np.asarray(outcome, dtype=np.float64), np.asarray(subsets), np.asarray(group_ids)
    known = [name for weights in SECTIONS.values() for name in weights]
    others = sorted(set(names.tolist()) - set(known))
    order = [name for name in (*known, *others) if (names == name).any()]
    found = subset_rates(won, np.stack([names == name for name in order]), groups, resampling=resampling)
    rates = {name: rate for name, rate in zip(order, found, strict=True) if rate is not None}

    def interval(rows: npt.NDArray[np.bool_], metric: Metric) -> Interval:
        return _interval(won[rows], groups[rows], metric, resampling)

    sections = {name: in_section(names.tolist(), name) for name in SECTIONS}
    there = {name: rows for name, rows in sections.items() if rows.any()}
    every = np.isin(names, known)
    return Judgement(
        subsets={name: rates[name] for name in known if name in rates},
        others={name: rates[name] for name in others},
        sections={name: interval(rows, section_metric(names[rows].tolist(), name)) for name, rows in there.items()},
        overall=interval(every, overall_metric(names[every].tolist())) if there else None,
        missing=missing(order),
    )


def _interval(won: FloatArray, groups: npt.NDArray[np.generic], metric: Metric, resampling: Resampling) -> Interval:
    """The metric with its bootstrap interval; a single group says nothing about others, so 0 to 1."""
    if len(np.unique(groups)) > 1:
        return resample_job({"model": won}, groups, metric=metric, resampling=resampling).interval("model")
    bound = Groups.of(groups)
    value = metric(won[None], bound)(np.ones((1, 1)))[0, 0]
    return Interval(value=float(value), low=0.0, high=1.0, n=len(won))


@dataclass(frozen=True)
class LengthBias:
    """Win rates where the chosen answer is the shorter one, as long as the other, the longer one (None: no row)."""

    shorter: Interval | None
    equal: Interval | None
    longer: Interval | None


def length_bias(
    outcome: npt.ArrayLike,
    chosen_lengths: npt.ArrayLike,
    rejected_lengths: npt.ArrayLike,
    group_ids: Sequence[object],
    *,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> LengthBias:
    """Win rates by which answer is longer; `wins`, lengths (in any one unit) and groups are [n]."""
    gap = np.asarray(chosen_lengths, dtype=np.float64) - np.asarray(rejected_lengths, dtype=np.float64)
    return LengthBias(*subset_rates(outcome, np.stack([gap < 0, gap == 0, gap > 0]), group_ids, resampling=resampling))
