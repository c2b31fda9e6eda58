"""RewardBench: scores of any reward model by subset, section and overall.

    python -m w2s_lightning.rewardbench MODEL --data FILE_OR_HUB

What is exported here is the arithmetic alone (`metrics.rewardbench`, `metrics.reward_intervals`); it loads no torch.
"""

from w2s_lightning.metrics.reward_intervals import (
    Judgement,
    LengthBias,
    in_section,
    judge,
    length_bias,
    overall_metric,
    section_metric,
)
from w2s_lightning.metrics.rewardbench import (
    PRIOR_SETS,
    SECTION_WEIGHTS,
    SECTIONS,
    Missing,
    best_of_credit,
    missing,
    overall,
    section_scores,
    subset_accuracy,
    wins,
)

__all__ = [
    "PRIOR_SETS",
    "SECTIONS",
    "SECTION_WEIGHTS",
    "Judgement",
    "LengthBias",
    "Missing",
    "best_of_credit",
    "in_section",
    "judge",
    "length_bias",
    "missing",
    "overall",
    "overall_metric",
    "section_metric",
    "section_scores",
    "subset_accuracy",
    "wins",
]
