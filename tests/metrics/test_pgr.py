"""PGR of one job and over seeds: hand values, when it is undefined, pairing, clustering, and simulated coverage."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm, t

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.intervals import Groups
from w2s_lightning.metrics.pgr import PGR, pgr_of, pgr_of_job, pgr_over_seeds, predicted_half_width
from w2s_lightning.metrics.rates import JobScores, auroc_of, rates, weighted_auroc
from w2s_lightning.metrics.seeds import Linearised, SeedScores, crossed_mean, score_seeds

ARMS = ("floor", "student", "ceiling")
EXAMPLES = np.arange(1000)


def right(*accuracies: float, n: int = 1000) -> np.ndarray:
    """One row a seed, whose first examples are right: `[S, n]`, of one job `[n]`."""
    return np.squeeze([(np.arange(n) < round(accuracy * n)).astype(float) for accuracy in accuracies])


def by_chance(rate: float, seed: int, n: int = 200) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < rate).astype(float)


def job(*answers: np.ndarray, ids: object = None) -> JobScores:
    """Floor, student and ceiling."""
    return rates(dict(zip(ARMS, answers, strict=True)), np.arange(len(answers[0])) if ids is None else ids)


def scored(answers: Sequence[np.ndarray], ids: np.ndarray = EXAMPLES) -> SeedScores:
    return score_seeds(dict(zip(ARMS, answers, strict=True)), ids)


def simulated(rng: np.random.Generator, *, num_seeds: int = 1, num_groups: int = 140, seed_sd: float = 0.1):
    """Answers of three arms `[3, S, n]`, their group ids and the true accuracies of a probit model.

    Effects: of the seed (shared by its arms, and each arm's own), of the group (shared, and each arm's own), and of
    seed and group together; so an arm's accuracy over all seeds and groups is known in closed form.
    """
    ids, means = np.repeat(np.arange(num_groups), rng.integers(3, 10, size=num_groups)), np.array((0.3, 0.8, 1.5))
    latent = means[:, None, None] + seed_sd * rng.standard_normal((1, num_seeds, 1))
    latent = latent + seed_sd * rng.standard_normal((3, num_seeds, 1))
    latent = latent + 0.6 * rng.standard_normal(num_groups) + 0.4 * rng.standard_normal((3, 1, num_groups))
    latent = latent + 0.3 * rng.standard_normal((3, num_seeds, num_groups))
    answers = (rng.standard_normal((3, num_seeds, len(ids))) < latent[:, :, ids]).astype(float)
    return answers, ids, norm.cdf(means / np.sqrt(1 + 2 * seed_sd**2 + 0.6**2 + 0.4**2 + 0.3**2))


# ---------------------------------------------------------------- one job


def test_pgr_and_intervals_of_a_job_by_hand() -> None:
    scores = job(right(0.6), right(0.75), right(0.9))
    pgr, floor, gain = pgr_of(scores), scores.interval("floor"), scores.difference("student", "floor")
    # the student gains on 150 examples of the 300 that floor and ceiling differ on: a binomial share, sd .029
    half = 1.96 * 0.5 / 300**0.5
    assert (pgr.value, pgr.low, pgr.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half), abs=0.012)
    assert (pgr.defined, pgr.reason) == (True, None)
    assert (floor.value, floor.n) == (0.6, 1000)
    assert floor.half_width == pytest.approx(1.96 * (0.6 * 0.4 / 1000) ** 0.5, rel=0.1)
    assert gain.value == pytest.approx(0.15)
    assert gain.half_width == pytest.approx(1.96 * (0.15 * 0.85 / 1000) ** 0.5, rel=0.1)


UNDEFINED = {  # floor, student, ceiling -> the reason
    "the gap may be zero": (by_chance(0.7, 0), by_chance(0.72, 1), by_chance(0.71, 2), "the gap reaches 0"),
    "floor and ceiling are one model": (by_chance(0.7, 0), by_chance(0.8, 1), by_chance(0.7, 0), "the gap reaches 0"),
    "the ceiling is surely lower": (right(0.9), right(0.8), right(0.5), "the ceiling is below the floor"),
}


@pytest.mark.parametrize("case", UNDEFINED)
def test_pgr_is_undefined_for_a_reason_and_nothing_is_infinite(case: str) -> None:
    *arms, reason = UNDEFINED[case]
    result = pgr_of_job(job(*arms))
    assert (result.value, result.low, result.high, result.defined) == (None, None, None, False)
    assert reason in result.reason
    assert "95 % interval" in result.reason
    assert json.loads(json.dumps(dataclasses.asdict(result), allow_nan=False))["value"] is None


def test_pgr_above_one_and_below_zero_are_reported_as_they_are() -> None:
    above, below = (pgr_of_job(job(right(0.6), right(student), right(0.8))) for student in (0.9, 0.5))
    assert (above.value, below.value) == pytest.approx((1.5, -0.5))
    assert above.low > 1
    assert below.high < 0


def test_ends_stay_finite_when_some_resampled_gaps_are_not_positive() -> None:
    """The gap's low end is just above 0: of 2000 resamples up to 47 have a gap <= 0."""
    found = 0
    for shift in range(40):
        ceiling = by_chance(0.7, 3, 300)
        ceiling[np.flatnonzero(ceiling == 0)[:shift]] = 1.0
        scores = job(by_chance(0.7, 1, 300), by_chance(0.72, 2, 300), ceiling)
        result = pgr_of_job(scores)
        assert result.defined == (scores.difference("ceiling", "floor").low > 0)
        if result.defined and (scores.resampled[:, 2] <= scores.resampled[:, 0]).any():
            found += 1
            assert np.isfinite([result.low, result.high]).all()
            assert result.low < result.high
    assert found > 0


def test_all_arms_see_the_same_resamples() -> None:
    """A student that answers as the ceiling does has PGR 1 without any doubt; one like the floor has 0."""
    floor, ceiling = by_chance(0.6, 1, 500), by_chance(0.8, 2, 500)
    assert pgr_of_job(job(floor, ceiling, ceiling)) == PGR.of(1.0, 1.0, 1.0)
    assert pgr_of_job(job(floor, floor, ceiling)) == PGR.of(0.0, 0.0, 0.0)


def test_copies_of_an_example_within_its_group_add_no_certainty() -> None:
    answers = [by_chance(rate, seed) for seed, rate in enumerate((0.6, 0.75, 0.9))]
    copies = [np.repeat(column, 10) for column in answers]
    once, grouped, ignored = job(*answers), job(*copies, ids=np.repeat(np.arange(200), 10)), job(*copies)
    assert grouped.interval("student") == dataclasses.replace(once.interval("student"), n=2000)
    assert pgr_of_job(grouped) == pgr_of_job(once)
    ratio = ignored.interval("student").half_width / grouped.interval("student").half_width
    assert ratio == pytest.approx(10**-0.5, rel=0.1)


def test_the_order_of_the_examples_changes_nothing() -> None:
    ids, order = np.array([f"q{number % 50}" for number in range(200)]), np.random.default_rng(0).permutation(200)
    arms = {"a": by_chance(0.5, 0), "b": by_chance(0.8, 1)}
    shuffled = rates({name: scores[order] for name, scores in arms.items()}, ids[order])
    assert rates(arms, ids).difference("b", "a") == shuffled.difference("b", "a")


def test_every_resample_draws_as_many_groups_as_there_are() -> None:
    groups = Groups.of(["b", "a", "b", "c"])
    first, again = (np.concatenate(list(groups.draws(2000))) for _ in range(2))
    assert np.bincount(groups.index).tolist() == [1, 2, 1]
    assert first.shape == (2000, 3)
    assert (first.sum(axis=1) == 3).all()
    assert (first == again).all()
    assert len(np.unique(first, axis=0)) == 10


def test_auroc_serves_as_the_metric_of_a_job() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=400)
    arms = {name: rng.normal(size=400) + shift * labels for name, shift in zip(ARMS, (0.5, 1.2, 2.0), strict=True)}
    scores = rates(arms, np.arange(400) // 4, metric=auroc_of(labels), resamples=300)
    values = [float(weighted_auroc(arms[name], labels.astype(float), np.ones((1, 400)))[0]) for name in arms]
    intervals = [scores.interval(name) for name in arms]
    assert [one.value for one in intervals] == pytest.approx(values)
    assert pgr_of_job(scores).value == pytest.approx((values[1] - values[0]) / (values[2] - values[0]))
    assert all(one.low < one.value < one.high for one in intervals)


def test_resamples_without_a_positive_example_are_left_out_for_all_arms() -> None:
    labels = np.repeat([1, 0], [2, 10])
    scores = rates({"one": np.arange(12.0), "two": -np.arange(12.0)}, np.arange(12), metric=auroc_of(labels))
    assert 1000 < len(scores.resampled) < 2000
    assert np.isfinite(scores.resampled).all()


def test_what_cannot_be_compared_is_refused_with_a_message() -> None:
    for scores, ids, error, words in (
        ([1, 0], ["q", "q"], UserError, "share one group_id"),
        ([], [], UserError, "no test example"),
        ([1, 0, 1], ["p", "q"], ValueError, "align by id"),
        ([1, np.nan], ["p", "q"], ValueError, "not finite"),
    ):
        with pytest.raises(error, match=words):
            rates({"floor": scores}, ids)
    with pytest.raises(UserError, match="both labels"):
        rates({"floor": [1, 0]}, ["p", "q"], metric=auroc_of([1, 1]))
    with pytest.raises(UserError, match="two or more"):
        score_seeds({"floor": [right(0.5)]}, EXAMPLES)


def test_the_predicted_half_width_by_hand_shrinks_with_examples_and_grows_with_smaller_gaps() -> None:
    def predicted(**changed: float) -> float:
        guess = {"floor": 0.6, "ceiling": 0.9, "num_examples": 1000, "num_groups": 1000}
        return predicted_half_width(**{**guess, **changed})

    # student .75: variances .1875, .24, .09 with weights 1, -1/2, -1/2; correlations 0
    by_hand = 1.96 * ((0.1875 + 0.25 * 0.24 + 0.25 * 0.09) / 1000) ** 0.5 / 0.3
    assert predicted(correlation=0.0) == pytest.approx(by_hand)
    assert predicted(num_examples=4000, num_groups=4000, correlation=0.0) == pytest.approx(by_hand / 2)
    of_groups = predicted(num_examples=100, num_groups=100)
    assert predicted(num_groups=100, group_correlation=1.0) == pytest.approx(of_groups)
    assert predicted(ceiling=0.65) > 4 * predicted()


def test_the_predicted_half_width_is_about_the_one_that_comes_out() -> None:
    answers, ids, _ = simulated(np.random.default_rng(0))
    floor, student, ceiling = answers[:, 0]
    result = pgr_of_job(job(floor, student, ceiling, ids=ids))
    size = {"num_examples": len(ids), "num_groups": 140}
    predicted = predicted_half_width(floor=floor.mean(), ceiling=ceiling.mean(), **size)
    assert predicted == pytest.approx((result.high - result.low) / 2, rel=0.5)


# ---------------------------------------------------------------- several seeds


def test_the_two_baseline_rules_by_hand() -> None:
    """Even seeds: floor .50, student .70, ceiling .90; odd ones: floor .60, student .75, ceiling .70."""
    scores = scored([right(*own * 8) for own in ((0.5, 0.6), (0.7, 0.75), (0.9, 0.7))])
    (per_seed, own), (fixed, own_of_fixed) = pgr_over_seeds(scores), pgr_over_seeds(scores, baseline="fixed")
    assert own[:2] == pytest.approx((0.2 / 0.4, 0.15 / 0.1))
    assert own_of_fixed[:2] == pytest.approx((0.15 / 0.25, 0.2 / 0.25))  # means: floor .55, ceiling .80
    assert (per_seed.value, fixed.value) == pytest.approx((0.175 / 0.25, 0.175 / 0.25))
    assert pgr_over_seeds(scores, average="mean_of_ratios")[0].value == pytest.approx((0.5 + 1.5) / 2)
    assert pgr_over_seeds(scores, baseline="fixed", average="mean_of_ratios")[0].value == pytest.approx(0.7)
    with pytest.raises(AssertionError, match="mean"):
        pgr_over_seeds(scores, baseline="mean")


def test_fixed_baselines_may_come_from_more_seeds_than_the_student() -> None:
    answers, ids, _ = simulated(np.random.default_rng(0), num_seeds=16)
    scores = scored([answers[0], answers[1, :3], answers[2]], ids)
    floor, ceiling = answers[0].mean(), answers[2].mean()
    pgr, per_seed = pgr_over_seeds(scores, baseline="fixed")
    expected = [(row.mean() - floor) / (ceiling - floor) for row in answers[1, :3]]
    assert per_seed == pytest.approx(expected)
    assert pgr.value == pytest.approx(np.mean(expected))
    with pytest.raises(ValueError, match="baseline='fixed'"):
        pgr_over_seeds(scores)
    with pytest.raises(ValueError, match="the same seeds"):
        scores.difference("student", "floor")


def test_no_seed_is_dropped_even_where_its_own_pgr_does_not_exist() -> None:
    """The last seed's ceiling is below its floor; the pooled gap is clear and the seed counts in it."""
    floor, ceiling = right(0.5, 0.52, 0.5, 0.51, 0.62), right(0.8, 0.8, 0.82, 0.81, 0.6)
    scores = scored([floor, right(*[0.7] * 5), ceiling])
    pgr, per_seed = pgr_over_seeds(scores)
    assert [value is None for value in per_seed] == [False] * 4 + [True]
    assert pgr.value == pytest.approx((0.7 - floor.mean()) / (ceiling.mean() - floor.mean()))
    mean, _ = pgr_over_seeds(scores, average="mean_of_ratios")
    assert not mean.defined
    assert "seed number 4" in mean.reason


@pytest.mark.parametrize("baseline", ["per_seed", "fixed"])
@pytest.mark.parametrize(
    ("arms", "words"),
    [
        (((0.7, 0.71, 0.69), (0.72, 0.73, 0.74), (0.701, 0.711, 0.721)), "the gap reaches 0"),
        (((0.7, 0.71, 0.69), (0.72, 0.73, 0.74), (0.5, 0.51, 0.52)), "the ceiling is below the floor"),
        # with the examples alone this gap would be certain; it is the seeds that doubt it
        (((0.5, 0.5, 0.5), (0.6, 0.6, 0.6), (0.95, 0.6, 0.52)), "the gap reaches 0"),
    ],
)
def test_an_undefined_pgr_over_seeds_says_why(arms: tuple[tuple[float, ...], ...], words: str, baseline: str) -> None:
    pgr, _ = pgr_over_seeds(scored([right(*own) for own in arms]), baseline=baseline)
    assert pgr.value is None
    assert words in pgr.reason


def test_a_student_that_answers_like_its_own_ceiling_has_pgr_one_without_doubt() -> None:
    answers, ids, _ = simulated(np.random.default_rng(1), num_seeds=4)
    scores = scored(answers[[0, 2, 2]], ids)
    result, (fixed, _) = pgr_of(scores), pgr_over_seeds(scores, baseline="fixed")
    assert (result.value, result.low, result.high) == pytest.approx((1.0, 1.0, 1.0), abs=1e-12)
    assert scores.difference("student", "ceiling").half_width == 0.0
    assert scores.p_value("student", "ceiling") == 1.0
    assert fixed.value == pytest.approx(1.0)
    assert fixed.low < 0.99


def test_the_interval_over_seeds_by_hand() -> None:
    cells = np.array([[0.2, 0.6, 0.7, 0.9], [0.1, 0.4, 0.8, 0.7], [0.5, 0.6, 0.9, 1.0]])
    rows, columns = cells.mean(axis=1), cells.mean(axis=0)
    result = crossed_mean(Linearised(rows, cells - rows[:, None]), effective_groups=3.5)
    assert result.value == pytest.approx(cells.mean())
    assert result.seed_variance == pytest.approx(rows.var(ddof=1) / 3)
    assert result.example_variance == pytest.approx(columns.var(ddof=1) / 4)
    by_hand = t.ppf(0.975, 2) ** 2 * rows.var(ddof=1) / 3 + t.ppf(0.975, 2.5) ** 2 * columns.var(ddof=1) / 4
    assert result.half_width(0.95) == pytest.approx(by_hand**0.5)
    low, high = result.interval(1 - result.p_value())
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-6)


def test_groups_of_unequal_size_count_for_fewer() -> None:
    assert Groups.of([1, 1, 2, 2, 3, 3]).effective == pytest.approx(3)
    assert Groups.of([1, 1, 1, 1, 2, 3]).effective == pytest.approx(36 / 18)


def test_seeds_that_all_answer_alike_leave_the_example_part_alone() -> None:
    answers, ids, _ = simulated(np.random.default_rng(2))
    two, three = (scored(np.repeat(answers, times, axis=1), ids) for times in (2, 3))
    assert three.mean_of(three.arms["student"]).seed_variance == pytest.approx(0, abs=1e-12)
    assert three.interval("student").half_width == pytest.approx(two.interval("student").half_width)


def test_an_influence_is_what_the_mean_or_auroc_loses_without_the_group() -> None:
    rng = np.random.default_rng(3)
    ids, labels = rng.integers(20, size=200), rng.integers(2, size=200)
    scores = rng.normal(size=(2, 200)) + labels
    index = np.unique(ids, return_inverse=True)[1]
    sums, sizes = (np.bincount(index, weights=weights) for weights in (scores[0], np.ones(200)))
    mean = score_seeds({"one": scores}, ids).arms["one"]
    losses = (sums.sum() / 200 - (sums.sum() - sums) / (200 - sizes)) * len(sizes)
    assert mean.influence[0] == pytest.approx(losses - losses.mean())
    auroc = score_seeds({"one": scores}, ids, metric=auroc_of(labels)).arms["one"]
    assert auroc.values[1] == pytest.approx(weighted_auroc(scores[1], labels.astype(float), np.ones((1, 200)))[0])
    without = weighted_auroc(scores[1], labels.astype(float), (index != 5).astype(float)[None])[0]
    assert auroc.values[1] - auroc.influence[1, 5] / len(sizes) == pytest.approx(without, abs=2e-3)
