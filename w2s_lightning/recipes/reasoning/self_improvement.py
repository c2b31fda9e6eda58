"""Self-improvement: the strong model learns from those of its own samples that win their question's vote.

Each round draws samples from the round before, keeps the majority's where it is large enough (LMSI, arXiv 2210.11610),
one for each list of equations (2308.01825), and refits from the pretrained weights (ReST-EM, 2312.06585).
"""

from dataclasses import replace
from typing import Literal

from w2s_lightning.recipes.reasoning.solving import Solving
from w2s_lightning.recipes.setting import Recipe, Row, Setting
from w2s_lightning.schema import Count, Share, record
from w2s_lightning.stages import BareModel, Fit, Gold, Shown


@record
class Options:
    """`start` names round 0: the untuned model with `demonstrations` gold solutions of `supervise`, a fit on gold
    `supervise`, or a fit on the weak model's solutions.

    `keep_from`: the smallest share of a vote that is trusted. `oracle_gold_filter` keeps right samples by hidden gold
    in place of the vote (STaR, arXiv 2203.14465): a cheat, and marked as one.
    """

    start: Literal["few_shot", "supervise", "weak_to_strong"]
    demonstrations: Count
    rounds: Count
    keep_from: Share
    oracle_gold_filter: bool


def build(setting: Setting, options: Options) -> Recipe:
    """Round 0, the rounds between, and the student: the last round."""
    solving = Solving.of(setting)
    current, shown = _round_zero(solving, options)
    rows: list[Row] = [solving.row("round_0", "reference", setting.strong, current, shown)]
    for number in range(1, options.rounds + 1):
        drawn = solving.samples(current, "transfer", shown)
        if options.oracle_gold_filter:
            targets = solving.select("oracle_gold_filter", drawn, Gold("transfer"))
        else:
            targets = solving.select("majority_vote", drawn, keep_from=options.keep_from)
        current, shown = solving.teach(setting.strong, targets), None
        rows.append(solving.row(f"round_{number}", "reference", setting.strong, current))
    rows[-1] = replace(rows[-1], name="student", role="student")
    return Recipe(tuple(rows), supervisor=rows[-2].name)


def _round_zero(solving: Solving, options: Options) -> tuple[Fit | BareModel, Shown | None]:
    strong = solving.setting.strong
    if options.start == "supervise":
        return solving.fit_gold(strong, "supervise", role="ceiling"), None
    if options.start == "weak_to_strong":
        return solving.fit(strong, solving.supervision("transfer")), None
    return solving.bare(strong), solving.shown(Gold("supervise"), options.demonstrations)
