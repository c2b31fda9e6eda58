"""Probabilities whose classes are to have known shares: log-odds shifted by one number a class, without any gold label.

EleutherAI/w2s (`balance_batch`) subtracts the mean log-odds of a batch instead, which gives the prior only where these
lie evenly.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from w2s_lightning.errors import UserError

Floats = NDArray[np.float64]
_CLOSE = 1e-6  # how near its prior the mean probability of each class comes
_ROUNDS = 100
_HALVINGS = 50


def shifted_to(probs: Floats, prior: Sequence[float]) -> Floats:
    """Probabilities `[n, K]` whose mean by class is `prior`.

    Of two classes one bisection is exact; of more the classes take turns, which is coordinate descent on a convex
    function. Raises UserError where no shift does it.
    """
    with np.errstate(divide="ignore"):
        scores: Floats = np.log(probs)
    for _ in range(_ROUNDS):
        shifted = _softmax(scores)
        if np.abs(shifted.mean(axis=0) - prior).max() < _CLOSE:
            return shifted
        for one in range(1, len(prior)):
            shifted = _softmax(scores)
            with np.errstate(divide="ignore"):
                log_odds = np.log(shifted[:, one]) - np.log(np.delete(shifted, one, axis=1).sum(axis=1))
            scores[:, one] += _shift(log_odds, prior[one])
    shares = ", ".join(f"{share:.3g}" for share in prior)
    raise UserError(
        f"balance: no shift of log-odds gives the classes the shares {shares}: {(probs.max(axis=1) == 1).sum()} of "
        f"{len(probs)} answers are certain (0 or 1) and stay what they are; use paradigm.selection=none or another "
        "paradigm.prior"
    )


def _shift(log_odds: Floats, prior: float) -> float:
    """What is to be added to log-odds [n] for a mean probability of `prior`, by bisection."""
    reach = 100 + np.abs(log_odds[np.isfinite(log_odds)]).max(initial=0.0)  # beyond it all rows are certain
    low, high = -reach, reach
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean_probability = np.mean(0.5 + 0.5 * np.tanh((log_odds + middle) / 2))  # a sigmoid that cannot overflow
        low, high = (middle, high) if mean_probability < prior else (low, middle)
    return float((low + high) / 2)


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs: Floats = raised / raised.sum(axis=1, keepdims=True)
    return probs
