"""Accuracy, AUROC, log loss, Brier score, calibration, accuracy by difficulty: hand and brute-force values."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from w2s_lightning.metrics.choice import accuracy_by_difficulty, auroc, brier, calibration, correct, log_loss
from w2s_lightning.metrics.rates import weighted_auroc

PROBABILITIES = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
LABELS = np.array([0, 2, 1, 2])


def test_accuracy_takes_the_first_of_tied_options() -> None:
    assert correct(PROBABILITIES, LABELS).tolist() == [1.0, 0.0, 0.0, 1.0]


def test_log_loss_and_brier_by_hand() -> None:
    assert log_loss(PROBABILITIES, LABELS) == pytest.approx(-np.log([0.9, 0.3, 0.4, 0.7]))
    assert brier(PROBABILITIES, LABELS) == pytest.approx([0.02, 0.78, 0.56, 0.14])
    assert np.isfinite(log_loss([[1.0, 0.0]], [1])).all()
    assert brier([[1.0, 0.0]], [1]) == pytest.approx([2.0])


def test_auroc_equals_the_mann_whitney_statistic_with_ties() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(6, size=300).astype(float), rng.integers(2, size=300)
    statistic = mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    assert auroc(scores, labels) == pytest.approx(statistic / ((labels == 1).sum() * (labels == 0).sum()))
    assert auroc(-scores, labels) == pytest.approx(1 - statistic / ((labels == 1).sum() * (labels == 0).sum()))


def test_weights_of_auroc_count_as_copies_of_the_examples() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.integers(5, size=40).astype(float), rng.integers(2, size=40)
    weights = rng.integers(4, size=(3, 40))
    for row, area in zip(weights, weighted_auroc(scores, labels.astype(float), weights.astype(float)), strict=True):
        assert area == pytest.approx(auroc(np.repeat(scores, row), np.repeat(labels, row)))


def test_auroc_by_hand_and_without_a_second_class() -> None:
    assert auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert auroc([0.5, 0.5], [0, 1]) == 0.5
    assert auroc([0.1, 0.4], [1, 1]) is None
    with pytest.raises(ValueError, match="labels 0 or 1"):
        auroc([0.1, 0.4], [0, 2])


def test_calibration_by_hand() -> None:
    """Two bins of .5: top probabilities .4 (wrong), .5 (wrong; a bin holds its upper end), .7 and .9 (right)."""
    result = calibration(PROBABILITIES, LABELS, num_bins=2)
    low, high = result.bins
    assert (low.low, low.high, low.n, low.accuracy, low.confidence) == (0.0, 0.5, 2, 0.0, pytest.approx(0.45))
    assert (high.low, high.high, high.n, high.accuracy, high.confidence) == (0.5, 1.0, 2, 1.0, pytest.approx(0.8))
    assert result.ece == pytest.approx((2 * 0.45 + 2 * 0.2) / 4)


def test_empty_calibration_bins_say_so_and_a_sure_right_model_is_calibrated() -> None:
    result = calibration([[1.0, 0.0], [0.0, 1.0]], [0, 1])
    assert result.ece == 0.0
    assert [one.n for one in result.bins] == [0] * 9 + [2]
    assert (result.bins[0].accuracy, result.bins[0].confidence) == (None, None)


def test_difficulty_levels_hold_equally_many_examples_and_never_part_equal_ones() -> None:
    levels = accuracy_by_difficulty([1, 1, 0, 1, 0, 0], [1, 1, 2, 2, 3, 3], np.arange(6), num_levels=3)
    found = [(one.low, one.high, one.accuracy.value, one.accuracy.n) for one in levels]
    assert found == [(1, 1, 1.0, 2), (2, 2, 0.5, 2), (3, 3, 0.0, 2)]
    assert (levels[1].accuracy.low, levels[1].accuracy.high) == (0.0, 1.0)
    levels = accuracy_by_difficulty(np.arange(100) < 50, np.arange(100.0), np.arange(100), num_levels=4)
    assert [(one.low, one.high, one.accuracy.n) for one in levels] == [(n, n + 24, 25) for n in (0, 25, 50, 75)]
    assert [one.accuracy.value for one in levels] == [1.0, 1.0, 0.0, 0.0]
    tied = accuracy_by_difficulty(np.ones(100), np.repeat([1.0, 2.0], [90, 10]), np.arange(100), num_levels=5)
    assert [(one.low, one.accuracy.n) for one in tied] == [(1.0, 90), (2.0, 10)]


@pytest.mark.parametrize(
    ("probabilities", "labels", "words"),
    [
        ([[2.0, -1.0]], [0], "softmax"),
        ([[0.5, 0.5]], [2], "expected 0 .. 1"),
        ([[0.5, 0.5]], [0, 1], r"\[n, K\]"),
    ],
)
def test_logits_and_labels_that_do_not_fit_are_refused(probabilities: object, labels: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        correct(probabilities, labels)
