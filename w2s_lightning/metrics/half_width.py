"""How wide PGR's interval will be, predicted before training: a warning, not an estimate."""

import math

TOO_WIDE = 0.25
"""A predicted half-width above this is worth a warning: the interval would span half of the gap or more."""


def predicted_half_width(
    *,
    floor: float,
    ceiling: float,
    num_examples: int,
    num_groups: int,
    expected_pgr: float = 0.5,
    correlation: float = 0.3,
    group_correlation: float = 0.3,
) -> float:
    """Half-width of a 95 % interval of one job's PGR, from accuracies of floor and ceiling, guessed or measured.

    The delta method: PGR is the mean of u = (student - floor - P (ceiling - floor)) / gap, plus P, so its half-width
    is 1.96 sqrt(deff Var(u) / n) / gap. Assumptions, each of them rough: per-example scores are 0 or 1, the student's
    accuracy is floor + P gap, any two arms' scores have the given correlation, and n / num_groups examples a group
    share a `group_correlation`, deff = 1 + (n / num_groups - 1) group_correlation (Kish 1965). Seeds are left out:
    with several, the example part stays and the seed part comes on top. Returns infinity when the ceiling is not above
    the floor.
    """
    gap = ceiling - floor
    if not (0 <= floor <= 1 and 0 <= ceiling <= 1) or not 0 < num_groups <= num_examples:
        raise ValueError(
            f"expected accuracies in 0 .. 1 and 1 .. n groups: got {floor}, {ceiling}, {num_groups} groups"
        )
    if gap <= 0:
        return math.inf
    student = min(1.0, max(0.0, floor + expected_pgr * gap))
    spreads = [math.sqrt(rate * (1 - rate)) for rate in (student, floor, ceiling)]
    parts = [weight * spread for weight, spread in zip((1, expected_pgr - 1, -expected_pgr), spreads, strict=True)]
    own, together = sum(part**2 for part in parts), sum(parts) ** 2
    variance = (1 - correlation) * own + correlation * together
    design_effect = 1 + (num_examples / num_groups - 1) * group_correlation
    return 1.96 * math.sqrt(variance * design_effect / num_examples) / gap
