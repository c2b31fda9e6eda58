"""Stored answers become figures: rows of one job, or of several seeds, on one set of examples.

Every room that compares rows comes here, so that a difference, its interval and its p-value are the same wherever they
are shown. With one seed intervals speak for these trained models, with several for other seeds and examples too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.intervals import RESAMPLES, Interval
from w2s_lightning.metrics.pgr import PGR, pgr_of
from w2s_lightning.metrics.rates import JobScores, auroc_of, mean_score, part_rates, permutation_p_value, rate_on
from w2s_lightning.metrics.seeds import SeedScores, compare, score_seeds
from w2s_lightning.plan import Plan
from w2s_lightning.recipes.recipe import ResultRow
from w2s_lightning.results.stored import Answers, Array

NO_FLOOR = "there is no floor: supervisor.test_file was not given"
NO_BENCHMARK_FLOOR = "there is no floor: a supervisor's file answers the test set alone"
ONE_PROMPT = "all its rows have one prompt, which says nothing about others"

Arms = Mapping[str, Sequence[Answers]]
"""Rows by name, each with one table of answers a seed."""


def columns_of(arms: Arms, metric: str = "accuracy") -> dict[str, Array]:
    """What the metric is taken of, `[S, n]` by arm; raise UserError where arms or seeds answered different examples."""
    ids = next(iter(arms.values()))[0].ids
    if any(answers.ids != ids for own in arms.values() for answers in own):
        raise UserError("its seeds were scored on different test examples")
    return {name: np.stack([answers.scores(metric) for answers in own]) for name, own in arms.items()}


def score_answers(arms: Arms, metric: str = "accuracy") -> JobScores | SeedScores:
    """The arms' intervals and differences: with the same resamples (one seed), or seeds and examples crossed."""
    about = next(iter(arms.values()))[0]
    statistic = auroc_of(about.gold) if metric == "auroc" else mean_score
    return compare(columns_of(arms, metric), about.groups, metric=statistic)


def p_value(first: Sequence[Answers], second: Sequence[Answers], metric: str = "accuracy") -> float | None:
    """Of "no difference" between two rows with the same seeds, before any correction for several tests.

    One seed: groups of examples are permuted, which tests a mean of examples and no AUROC (None).
    """
    if len(first) > 1:
        scores = score_answers({"first": first, "second": second}, metric)
        assert isinstance(scores, SeedScores)
        return scores.p_value("first", "second")
    if metric != "accuracy":
        return None
    columns = columns_of({"first": first, "second": second})
    return permutation_p_value(columns["first"][0], columns["second"][0], first[0].groups)


def agreement(
    ours: Sequence[Answers], theirs: Sequence[Answers], resamples: int = RESAMPLES
) -> tuple[Interval | None, ...]:
    """How often a student gives its supervisor's answer: everywhere, and where that is right and where it is wrong.

    A student that generalises follows a right supervisor and overrules a wrong one, one that imitates follows both
    (Burns et al. 2023, arXiv 2312.09390, section 5.1). Several seeds are held together.
    """
    agrees = np.concatenate([a.agrees(b) for a, b in zip(ours, theirs, strict=True)])
    right = np.concatenate([one.correct > 0 for one in theirs])  # as judged: for worked solutions more than equal text
    return part_rates(agrees, [right | True, right, ~right], ours[0].groups * len(ours), resamples=resamples)


def score_imitation(ours: Arms, theirs: Arms) -> SeedScores:
    """How often rows over several seeds give their supervisors' answer where that is wrong, by row."""
    columns = {name: [a.agrees(b) for a, b in zip(own, theirs[name], strict=True)] for name, own in ours.items()}
    wrong = [one.correct == 0 for name in ours for one in theirs[name]]
    return score_seeds(columns, next(iter(ours.values()))[0].groups, metric=rate_on(wrong))


def measured_rows(rows: Sequence[ResultRow]) -> list[str]:
    """The rows that PGR is taken of."""
    return [row.name for row in rows if row.role not in ("untuned", "floor", "ceiling")]


def row_pgr(plan: Plan, scores: JobScores | SeedScores | None, name: str, no_floor: str = NO_FLOOR) -> PGR:
    """A row's PGR from the scores of all rows, or why there is none; `scores` are None where all have one prompt.

    A row that is the floor or the ceiling itself has its PGR by construction, which the reason says.
    """
    if scores is None:
        return PGR.undefined(ONE_PROMPT)
    there = {row.role: row for row in reversed(plan.rows) if row.name in scores.arms}
    if "floor" not in there or "ceiling" not in there:
        return PGR.undefined(no_floor)
    floor, ceiling = there["floor"], there["ceiling"]
    found = pgr_of(scores, student=name, floor=floor.name, ceiling=ceiling.name)
    own = next(row for row in plan.rows if row.name == name).evaluate.digest
    same = next((row.name for row in (floor, ceiling) if row.evaluate.digest == own), None)
    return replace(found, reason=f"by construction: {name} is the {same}") if found.defined and same else found
