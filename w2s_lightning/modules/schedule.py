"""Learning rate by step: a pure function, so that a resumed fit needs no scheduler state."""

import math

from w2s_lightning.schema import Optimisation


def learning_rate(step: int, num_steps: int, settings: Optimisation) -> float:
    """Rate of step `step` (0-based): linear warm-up, then cosine or linear decay towards 0, or constant."""
    warmup = min(settings.warmup_steps, num_steps)
    if step < warmup:
        return settings.lr * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, num_steps - warmup)
    match settings.schedule:
        case "cosine":
            return settings.lr * 0.5 * (1 + math.cos(math.pi * done))
        case "linear":
            return settings.lr * (1 - done)
        case "constant":
            return settings.lr
