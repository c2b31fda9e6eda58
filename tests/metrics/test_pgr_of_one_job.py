"""PGR of one job: hand values, when it is undefined, pairing, clustering, and the interval's simulated coverage."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.stats import norm

from w2s_lightning.errors import UserError
from w2s_lightning.metrics.pgr import PGR, pgr_of_job, predicted_half_width
from w2s_lightning.metrics.rates import JobScores, auroc_of, rates, weighted_auroc
from w2s_lightning.metrics.resampling import Groups, Resampling, draws

ARMS = ("floor", "student", "ceiling")


def hits(*, right: int, wrong: int) -> np.ndarray:
    """Per-example scores whose mean is right / (right + wrong), the right answers first."""
    return np.repeat([1.0, 0.0], [right, wrong])


def noisy_hits(rate: float, *, n: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < rate).astype(float)


SAME = noisy_hits(0.7, n=200, seed=0)


def job(floor: np.ndarray, student: np.ndarray, ceiling: np.ndarray, group_ids: object = None) -> JobScores:
    groups = np.arange(len(floor)) if group_ids is None else group_ids
    return rates(dict(zip(ARMS, (floor, student, ceiling), strict=True)), groups)


def test_pgr_of_a_job_by_hand() -> None:
    result = pgr_of_job(job(hits(right=600, wrong=400), hits(right=750, wrong=250), hits(right=900, wrong=100)))
    assert result.defined
    assert result.reason is None
    assert result.value == pytest.approx(0.5)
    # the student gains on 150 examples of the 300 that floor and ceiling differ on: a binomial share, sd .029
    assert result.low == pytest.approx(0.5 - 1.96 * 0.5 / 300**0.5, abs=0.012)
    assert result.high == pytest.approx(0.5 + 1.96 * 0.5 / 300**0.5, abs=0.012)


def test_arms_and_differences_have_intervals_of_the_expected_width() -> None:
    scores = job(hits(right=600, wrong=400), hits(right=750, wrong=250), hits(right=900, wrong=100))
    floor, gain = scores.interval("floor"), scores.difference("student", "floor")
    assert (floor.value, floor.n) == (0.6, 1000)
    assert floor.half_width == pytest.approx(1.96 * (0.6 * 0.4 / 1000) ** 0.5, rel=0.1)
    assert gain.value == pytest.approx(0.15)
    assert gain.half_width == pytest.approx(1.96 * (0.15 * 0.85 / 1000) ** 0.5, rel=0.1)


UNDEFINED = {  # floor, student, ceiling -> the reason
    "the gap may be zero": (
        *(noisy_hits(rate, n=200, seed=n) for n, rate in enumerate((0.7, 0.72, 0.71))),
        "reaches 0",
    ),
    "floor and ceiling are one model": (SAME, noisy_hits(0.8, n=200, seed=1), SAME, "the gap reaches 0"),
    "the ceiling is surely below the floor": (
        *(hits(right=right, wrong=500 - right) for right in (450, 400, 250)),
        "the ceiling is below the floor",
    ),
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
    floor, ceiling = hits(right=600, wrong=400), hits(right=800, wrong=200)
    above = pgr_of_job(job(floor, hits(right=900, wrong=100), ceiling))
    below = pgr_of_job(job(floor, hits(right=500, wrong=500), ceiling))
    assert above.value == pytest.approx(1.5)
    assert above.low > 1
    assert below.value == pytest.approx(-0.5)
    assert below.high < 0


def test_ends_stay_finite_when_some_resampled_gaps_are_not_positive() -> None:
    """The gap's low end is just above 0: of 2000 resamples up to 47 have a gap <= 0."""
    found = 0
    for shift in range(40):
        ceiling = noisy_hits(0.7, n=300, seed=3)
        ceiling[np.flatnonzero(ceiling == 0)[:shift]] = 1.0
        scores = job(noisy_hits(0.7, n=300, seed=1), noisy_hits(0.72, n=300, seed=2), ceiling)
        gaps = scores.resampled[:, scores.column("ceiling")] - scores.resampled[:, scores.column("floor")]
        result = pgr_of_job(scores)
        assert result.defined == (scores.difference("ceiling", "floor").low > 0)
        if result.defined and (gaps <= 0).any():
            found += 1
            assert np.isfinite([result.low, result.high]).all()
            assert result.low < result.high
    assert found > 0


def test_all_arms_see_the_same_resamples() -> None:
    """A student that answers as the ceiling does has PGR 1 without any doubt; one like the floor has 0."""
    floor, ceiling = noisy_hits(0.6, n=500, seed=1), noisy_hits(0.8, n=500, seed=2)
    assert pgr_of_job(job(floor, ceiling, ceiling)) == PGR.of(1.0, 1.0, 1.0)
    assert pgr_of_job(job(floor, floor, ceiling)) == PGR.of(0.0, 0.0, 0.0)


def test_copies_of_an_example_within_its_group_add_no_certainty() -> None:
    floor, student, ceiling = (noisy_hits(rate, n=200, seed=seed) for seed, rate in enumerate((0.6, 0.75, 0.9)))
    once = job(floor, student, ceiling)
    arms = [np.repeat(column, 10) for column in (floor, student, ceiling)]
    grouped = job(*arms, group_ids=np.repeat(np.arange(200), 10))
    ignored = job(*arms)
    assert grouped.interval("student") == dataclasses.replace(once.interval("student"), n=2000)
    assert pgr_of_job(grouped) == pgr_of_job(once)
    ratio = ignored.interval("student").half_width / grouped.interval("student").half_width
    assert ratio == pytest.approx(10**-0.5, rel=0.1)


def test_the_order_of_the_examples_changes_nothing() -> None:
    ids = [f"q{number % 50}" for number in range(300)]
    arms = {name: noisy_hits(rate, n=300, seed=seed) for seed, (name, rate) in enumerate((("a", 0.5), ("b", 0.8)))}
    order = np.random.default_rng(0).permutation(300)
    plain = rates(arms, ids)
    shuffled = rates({name: scores[order] for name, scores in arms.items()}, [ids[position] for position in order])
    assert plain.difference("b", "a") == shuffled.difference("b", "a")


def test_the_seed_decides_the_resamples_and_every_resample_draws_all_groups() -> None:
    groups = Groups.of(["b", "a", "b", "c"])
    first, again, other = (np.concatenate(list(draws(groups, Resampling(seed=seed)))) for seed in (0, 0, 1))
    assert groups.sizes.tolist() == [1.0, 2.0, 1.0]
    assert first.shape == (2000, 3)
    assert (first.sum(axis=1) == 3).all()
    assert (first == again).all()
    assert (first != other).any()


def test_auroc_serves_as_the_metric_of_a_job() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=400)
    arms = {name: rng.normal(size=400) + shift * labels for name, shift in zip(ARMS, (0.5, 1.2, 2.0), strict=True)}
    scores = rates(arms, np.arange(400) // 4, metric=auroc_of(labels), resampling=Resampling(resamples=300))
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
    with pytest.raises(UserError, match="share one group_id"):
        rates({"floor": [1, 0]}, ["q", "q"])
    with pytest.raises(UserError, match="both labels"):
        rates({"floor": [1, 0]}, ["p", "q"], metric=auroc_of([1, 1]))
    with pytest.raises(UserError, match="no test example"):
        rates({"floor": []}, [])
    with pytest.raises(ValueError, match="align by id"):
        rates({"floor": [1, 0, 1]}, ["p", "q"])
    with pytest.raises(ValueError, match="not finite"):
        rates({"floor": [1, np.nan]}, ["p", "q"])
    with pytest.raises(ValueError, match="no arm 'middle'"):
        rates({"floor": [1, 0]}, ["p", "q"]).interval("middle")
    with pytest.raises(UserError, match="100 or more"):
        Resampling(resamples=10)


def probit_answers(
    rng: np.random.Generator, ids: np.ndarray, *, means: np.ndarray, shared: float, own: float
) -> np.ndarray:
    """Probit models, with a shared and an own effect of each group: true accuracies are known in closed form."""
    num_groups = ids[-1] + 1
    effect = shared * rng.standard_normal(num_groups) + own * rng.standard_normal((3, num_groups))
    return (rng.standard_normal((3, len(ids))) < (means[:, None] + effect)[:, ids]).astype(float)


@pytest.mark.parametrize("num_groups", [25, 140])
@pytest.mark.parametrize(
    ("num_jobs", "resamples", "low", "high"),
    [(1500, 500, 0.92, 0.98), pytest.param(4000, 1000, 0.93, 0.965, marks=pytest.mark.slow)],
    ids=["quick", "long"],
)
def test_a_jobs_intervals_cover_the_truth_as_often_as_they_say(
    num_groups: int, num_jobs: int, resamples: int, low: float, high: float
) -> None:
    rng, means, shared, own = np.random.default_rng(7), np.array([0.3, 0.8, 1.5]), 0.6, 0.4
    truth = norm.cdf(means / np.sqrt(1 + shared**2 + own**2))
    true_pgr = (truth[1] - truth[0]) / (truth[2] - truth[0])
    gains, ratios = [], []
    for number in range(num_jobs):
        ids = np.repeat(np.arange(num_groups), rng.integers(2, 11, size=num_groups))
        arms = dict(zip(ARMS, probit_answers(rng, ids, means=means, shared=shared, own=own), strict=True))
        scores = rates(arms, ids, resampling=Resampling(resamples=resamples, seed=number))
        gains.append(scores.difference("student", "floor").reaches(truth[1] - truth[0]))
        result = pgr_of_job(scores)
        if result.defined:
            ratios.append(result.low <= true_pgr <= result.high)
    assert len(ratios) > 0.95 * num_jobs
    assert low <= np.mean(gains) <= high
    assert low <= np.mean(ratios) <= high


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
    assert predicted(ceiling=0.6) == np.inf


def test_the_predicted_half_width_is_about_the_one_that_comes_out() -> None:
    ids = np.repeat(np.arange(140), 14)
    means = np.array([0.3, 0.85, 1.5])
    answers = probit_answers(np.random.default_rng(0), ids, means=means, shared=0.6, own=0.5)
    result = pgr_of_job(job(*answers, group_ids=ids))
    predicted = predicted_half_width(
        floor=answers[0].mean(), ceiling=answers[2].mean(), num_examples=len(ids), num_groups=140
    )
    assert predicted == pytest.approx((result.high - result.low) / 2, rel=0.5)
