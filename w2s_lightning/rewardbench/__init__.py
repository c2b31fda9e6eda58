"""RewardBench: scores of any reward model by subset, section and overall.

    python -m w2s_lightning.rewardbench MODEL --data FILE_OR_HUB

What is exported here is the arithmetic alone (`metrics.sections`); it loads no torch.
"""

from w2s_lightning.metrics.sections import (
    PRIOR_SETS,
    SECTION_WEIGHTS,
    SECTIONS,
    Judgement,
    LengthBias,
    Missing,
    Part,
    best_of_credit,
    judge,
    length_bias,
    missing,
    overall,
    parts_of,
    section_metric,
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
    "Part",
    "best_of_credit",
    "judge",
    "length_bias",
    "missing",
    "overall",
    "parts_of",
    "section_metric",
    "section_scores",
    "subset_accuracy",
    "wins",
]
