"""RewardBench scores with intervals: a bootstrap over prompts; each section as a metric that PGR can be taken of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from w2s_lightning.metrics.bootstrap import JobScores, resample_job
from w2s_lightning.metrics.intervals import FloatArray, Interval
from w2s_lightning.metrics.resampling import DEFAULT_RESAMPLING, Groups, Resampling
from w2s_lightning.metrics.rewardbench import SECTION_WEIGHTS, SECTIONS, WEIGHED, Missing, missing
from w2s_lightning.metrics.scores import Metric, Statistic, mean_score, plain_values
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


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows `[n]` of a benchmark, and how they are scored."""

    kind: Literal["overall", "section", "subset"]
    name: str
    rows: npt.NDArray[np.bool_]
    metric: Metric


def parts_of(subsets: Sequence[str]) -> tuple[Part, ...]:
    """Overall and the sections that are there, then every subset by itself: RewardBench's own, then others."""
    names = np.asarray(subsets)
    by_section = {name: in_section(subsets, name) for name in SECTIONS}
    there = {name: rows for name, rows in by_section.items() if rows.any()}
    found = []
    if there:
        known = np.any(list(there.values()), axis=0)
        found.append(Part("overall", "overall", known, overall_metric(names[known].tolist())))
    for name, rows in there.items():
        found.append(Part("section", name, rows, section_metric(names[rows].tolist(), name)))
    listed = [name for weights in SECTIONS.values() for name in weights]
    order = [*listed, *sorted(set(names.tolist()) - set(listed))]
    found += [Part("subset", name, names == name, mean_score) for name in order if (names == name).any()]
    return tuple(found)


def scored(
    part: Part,
    arms: Mapping[str, FloatArray],
    group_ids: npt.NDArray[np.generic],
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> tuple[JobScores | None, dict[str, Interval]]:
    """One part for every arm (its wins [n]) on the same resamples of groups [n].

    Rows of a single group say nothing about others: no scores to compare, and intervals from 0 to 1.
    """
    own, groups = {name: won[part.rows] for name, won in arms.items()}, group_ids[part.rows]
    if len(np.unique(groups)) > 1:
        scores = resample_job(own, groups, metric=part.metric, resampling=resampling)
        return scores, {name: scores.interval(name) for name in own}
    bound = Groups.of(groups)
    values = plain_values(part.metric(np.stack(list(own.values())), bound), bound)
    return None, {
        name: Interval(value=float(value), low=0.0, high=1.0, n=len(groups))
        for name, value in zip(own, values, strict=True)
    }


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
    won, groups = np.asarray(outcome, dtype=np.float64), np.asarray(group_ids)
    found = [(part, scored(part, {"model": won}, groups, resampling)[1]["model"]) for part in parts_of(subsets)]
    each = {part.name: interval for part, interval in found if part.kind == "subset"}
    return Judgement(
        subsets={name: interval for name, interval in each.items() if name in WEIGHED},
        others={name: interval for name, interval in each.items() if name not in WEIGHED},
        sections={part.name: interval for part, interval in found if part.kind == "section"},
        overall=next((interval for part, interval in found if part.kind == "overall"), None),
        missing=missing(subsets),
    )


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
