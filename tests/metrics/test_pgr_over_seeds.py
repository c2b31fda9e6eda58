"""PGR over seeds: the two baseline rules, pooled definition, crossed variance, and simulated coverage."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm, t

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.pgr import pgr_over_seeds
from w2s_lightning.metrics.rates import auroc_of, weighted_auroc
from w2s_lightning.metrics.seeds import Linearised, SeedScores, crossed_mean, score_seeds

ARMS = ("floor", "student", "ceiling")
EXAMPLES = np.arange(1000)


def with_accuracies(*accuracies: float, n: int = 1000) -> np.ndarray:
    """One row a seed, whose first examples are right: `[S, n]`."""
    return np.stack([(np.arange(n) < round(accuracy * n)).astype(float) for accuracy in accuracies])


def simulated(rng: np.random.Generator, *, num_seeds: int, num_groups: int = 140, means=(0.3, 0.8, 1.5), seed_sd=0.1):
    """Answers of three arms `[3, S, n]`, their group ids and the true accuracies of a probit model.

    Effects: of the seed (shared by its arms, and each arm's own), of the group (shared, and each arm's own), and of
    seed and group together; so an arm's accuracy over all seeds and groups is known in closed form.
    """
    ids = np.repeat(np.arange(num_groups), rng.integers(3, 10, size=num_groups))
    latent = np.array(means)[:, None, None] + seed_sd * rng.standard_normal((1, num_seeds, 1))
    latent = latent + seed_sd * rng.standard_normal((3, num_seeds, 1))
    latent = latent + 0.6 * rng.standard_normal(num_groups) + 0.4 * rng.standard_normal((3, 1, num_groups))
    latent = latent + 0.3 * rng.standard_normal((3, num_seeds, num_groups))
    answers = (rng.standard_normal((3, num_seeds, len(ids))) < latent[:, :, ids]).astype(float)
    truth = norm.cdf(np.array(means) / np.sqrt(1 + 2 * seed_sd**2 + 0.6**2 + 0.4**2 + 0.3**2))
    return answers, ids, truth


def scored(answers: Sequence[np.ndarray], ids: np.ndarray = EXAMPLES, **more: float) -> SeedScores:
    return score_seeds(dict(zip(ARMS, answers, strict=True)), ids, **more)


def test_the_two_baseline_rules_by_hand() -> None:
    """Seed 0: floor .50, student .70, ceiling .90; seed 1: floor .60, student .75, ceiling .70."""
    arms = with_accuracies(0.5, 0.6), with_accuracies(0.7, 0.75), with_accuracies(0.9, 0.7)
    scores = scored(arms, confidence=0.3)  # two seeds are few: at 95 % this gap would not be known to be positive
    per_seed, fixed = pgr_over_seeds(scores), pgr_over_seeds(scores, baseline="fixed")
    assert per_seed.per_seed == pytest.approx((0.2 / 0.4, 0.15 / 0.1))
    assert fixed.per_seed == pytest.approx((0.15 / 0.25, 0.2 / 0.25))  # means: floor .55, ceiling .80
    assert (per_seed.pgr.value, fixed.pgr.value) == pytest.approx((0.175 / 0.25, 0.175 / 0.25))
    assert pgr_over_seeds(scores, average="mean_of_ratios").pgr.value == pytest.approx((0.5 + 1.5) / 2)
    assert pgr_over_seeds(scores, baseline="fixed", average="mean_of_ratios").pgr.value == pytest.approx(0.7)
    assert (per_seed.baseline, fixed.baseline) == ("per_seed", "fixed")
    assert per_seed.gap == fixed.gap
    assert per_seed.gap.value == pytest.approx(0.25)


def test_fixed_baselines_may_come_from_more_seeds_than_the_student() -> None:
    rng = np.random.default_rng(0)
    answers, ids, _ = simulated(rng, num_seeds=16)
    scores = scored([answers[0], answers[1, :3], answers[2]], ids)
    floor, ceiling = answers[0].mean(), answers[2].mean()
    result = pgr_over_seeds(scores, baseline="fixed")
    expected = [(row.mean() - floor) / (ceiling - floor) for row in answers[1, :3]]
    assert result.per_seed == pytest.approx(expected)
    assert result.pgr.value == pytest.approx(np.mean(expected))
    with pytest.raises(ValueError, match="baseline='fixed'"):
        pgr_over_seeds(scores)
    with pytest.raises(ValueError, match="the same seeds"):
        scores.difference("student", "floor")


def test_no_seed_is_dropped_even_where_its_own_pgr_does_not_exist() -> None:
    """The last seed's ceiling is below its floor; the pooled gap is clear and the seed counts in it."""
    floor, ceiling = with_accuracies(0.5, 0.52, 0.5, 0.51, 0.62), with_accuracies(0.8, 0.8, 0.82, 0.81, 0.6)
    scores = scored([floor, with_accuracies(0.7, 0.7, 0.7, 0.7, 0.7), ceiling])
    result = pgr_over_seeds(scores)
    assert result.per_seed[4] is None
    assert None not in result.per_seed[:4]
    assert result.pgr.value == pytest.approx((0.7 - floor.mean()) / (ceiling.mean() - floor.mean()))
    mean = pgr_over_seeds(scores, average="mean_of_ratios").pgr
    assert not mean.defined
    assert "seed number 4" in mean.reason


@pytest.mark.parametrize(("ceiling", "words"), [(0.701, "the gap reaches 0"), (0.5, "the ceiling is below the floor")])
def test_an_undefined_pgr_over_seeds_says_why_and_keeps_the_gap(ceiling: float, words: str) -> None:
    ceilings = with_accuracies(ceiling, ceiling + 0.01, ceiling + 0.02)
    scores = scored([with_accuracies(0.7, 0.71, 0.69), with_accuracies(0.72, 0.73, 0.74), ceilings])
    for baseline in ("per_seed", "fixed"):
        result = pgr_over_seeds(scores, baseline=baseline)
        assert result.pgr.value is None
        assert words in result.pgr.reason
        assert result.gap.value == pytest.approx(ceiling + 0.01 - 0.7)


def test_seeds_that_differ_widely_in_the_gap_leave_pgr_undefined_under_both_rules() -> None:
    """With the examples alone the gap would be certain; it is the seeds that doubt it."""
    scores = scored([with_accuracies(*own) for own in ((0.5, 0.5, 0.5), (0.6, 0.6, 0.6), (0.95, 0.6, 0.52))])
    assert not pgr_over_seeds(scores).pgr.defined
    assert not pgr_over_seeds(scores, baseline="fixed").pgr.defined


def test_a_student_that_answers_like_its_own_ceiling_has_pgr_one_without_doubt() -> None:
    answers, ids, _ = simulated(np.random.default_rng(1), num_seeds=4)
    scores = scored(answers[[0, 2, 2]], ids)
    result = pgr_over_seeds(scores).pgr
    assert (result.value, result.low, result.high) == pytest.approx((1.0, 1.0, 1.0), abs=1e-12)
    assert scores.difference("student", "ceiling").half_width == 0.0
    assert scores.p_value("student", "ceiling") == 1.0
    fixed = pgr_over_seeds(scores, baseline="fixed").pgr
    assert fixed.value == pytest.approx(1.0)
    assert fixed.low < 0.99


def test_crossed_variance_is_the_two_way_anova_by_hand() -> None:
    cells = np.array([[0.2, 0.6, 0.7, 0.9], [0.1, 0.4, 0.8, 0.7], [0.5, 0.6, 0.9, 1.0]])
    rows, columns, mean = cells.mean(axis=1), cells.mean(axis=0), cells.mean()
    residual = ((cells - rows[:, None] - columns + mean) ** 2).sum() / 6
    row, column = 4 * ((rows - mean) ** 2).sum() / 2, 3 * ((columns - mean) ** 2).sum() / 3
    result = crossed_mean(Linearised(rows, cells - rows[:, None]))
    assert result.value == pytest.approx(mean)
    assert result.seed_variance == pytest.approx((row - residual) / 12)
    assert result.example_variance == pytest.approx(column / 12)
    by_hand = t.ppf(0.975, 2) ** 2 * (row - residual) / 12 + t.ppf(0.975, 3) ** 2 * column / 12
    assert result.half_width(0.95) == pytest.approx(by_hand**0.5)


def test_a_negative_variance_component_is_set_to_zero_and_never_narrows_the_interval() -> None:
    cells = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0]])  # all seeds equal in the mean
    result = crossed_mean(Linearised(cells.mean(axis=1), cells - cells.mean(axis=1, keepdims=True)))
    columns = 3 * cells.mean(axis=0).var(ddof=1)
    assert result.seed_variance == 0.0
    assert result.example_variance == pytest.approx(columns / 12)
    assert columns > 0


def test_seeds_that_all_answer_alike_leave_the_example_part_alone() -> None:
    answers, ids, _ = simulated(np.random.default_rng(2), num_seeds=1)
    three = scored(np.repeat(answers, 3, axis=1), ids)
    two = scored(np.repeat(answers, 2, axis=1), ids)
    assert crossed_mean(three.arm("student")).seed_variance == pytest.approx(0, abs=1e-12)
    assert three.interval("student").half_width == pytest.approx(two.interval("student").half_width)


def test_influences_are_the_derivatives_of_the_mean_and_of_auroc() -> None:
    rng = np.random.default_rng(3)
    ids, labels = rng.integers(20, size=200), rng.integers(2, size=200)
    scores = rng.normal(size=(2, 200)) + labels
    index = np.unique(ids, return_inverse=True)[1]
    sums, sizes = (np.bincount(index, weights=weights) for weights in (scores[0], np.ones(200)))
    mean = score_seeds({"one": scores}, ids).arm("one")
    assert mean.influence[0] == pytest.approx((sums - scores[0].mean() * sizes) * len(sizes) / 200, abs=1e-4)
    auroc = score_seeds({"one": scores}, ids, metric=auroc_of(labels)).arm("one")
    assert auroc.values[1] == pytest.approx(weighted_auroc(scores[1], labels.astype(float), np.ones((1, 200)))[0])
    without = weighted_auroc(scores[1], labels.astype(float), (index != 5).astype(float)[None])[0]
    assert auroc.values[1] - auroc.influence[1, 5] / (len(sizes) - 1) == pytest.approx(without, abs=2e-3)


def test_one_seed_is_refused_with_what_to_do() -> None:
    with pytest.raises(UserError, match="two or more"):
        score_seeds({"floor": with_accuracies(0.5)}, np.arange(1000))
    with pytest.raises(ValueError, match="per_seed or fixed"):
        pgr_over_seeds(score_seeds(dict.fromkeys(ARMS, with_accuracies(0.5, 0.6)), np.arange(1000)), baseline="mean")


@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize(
    ("num_sweeps", "low", "high"),
    [(2000, 0.92, 0.98), pytest.param(20000, 0.93, 0.965, marks=pytest.mark.slow)],
    ids=["quick", "long"],
)
def test_intervals_over_seeds_cover_the_truth_as_often_as_they_say(
    num_seeds: int, num_sweeps: int, low: float, high: float
) -> None:
    rng, hits = np.random.default_rng(11), {"accuracy": [], "gain": [], "pgr": []}
    for _ in range(num_sweeps):
        answers, ids, truth = simulated(rng, num_seeds=num_seeds)
        scores = scored(answers, ids)
        hits["accuracy"].append(scores.interval("student").reaches(truth[1]))
        hits["gain"].append(scores.difference("student", "floor").reaches(truth[1] - truth[0]))
        result = pgr_over_seeds(scores).pgr
        if result.defined:
            hits["pgr"].append(result.low <= (truth[1] - truth[0]) / (truth[2] - truth[0]) <= result.high)
    assert len(hits["pgr"]) > 0.95 * num_sweeps
    for name, covered in hits.items():
        assert low <= np.mean(covered) <= high, name


def test_resampling_seeds_outside_and_examples_inside_would_cover_too_little() -> None:
    """The reason for the crossed variance: the usual nested bootstrap is too sure of itself."""
    rng, hits = np.random.default_rng(13), []
    for _ in range(200):
        answers, ids, truth = simulated(rng, num_seeds=3)
        groups = np.unique(ids, return_inverse=True)[1]
        sums = np.stack([[np.bincount(groups, weights=row) for row in arm] for arm in answers])
        sizes = np.bincount(groups)
        picked = rng.integers(3, size=(300, 3))
        weights = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=(300, 3)).astype(float)
        means = np.einsum("bsg,absg->ab", weights / (weights @ sizes)[..., None], sums[:, picked]) / 3
        ratios = (means[1] - means[0]) / (means[2] - means[0])
        low, high = np.quantile(ratios, [0.025, 0.975])
        hits.append(low <= (truth[1] - truth[0]) / (truth[2] - truth[0]) <= high)
    assert np.mean(hits) < 0.9
