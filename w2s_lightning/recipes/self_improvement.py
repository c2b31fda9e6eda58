"""Self-improvement: the strong model learns from its own confident answers on `transfer`, refitted each round.

Every round starts from the pretrained weights again, so that rounds differ in their targets alone
(rejection-sampling fine-tuning, arXiv 2308.01825; ReST-EM, 2312.06585).
"""

from dataclasses import replace
from typing import Literal

from w2s_lightning.errors import UserError
from w2s_lightning.recipes.setting import Recipe, Row, Setting
from w2s_lightning.schema import Count, Share, record
from w2s_lightning.stages import BareModel, Fit


@record
class Options:
    """`start` names round 0: zero-shot verdict words, gold `supervise`, or the weak supervisor's targets."""

    start: Literal["few_shot", "supervise", "weak_to_strong"]
    rounds: Count
    keep: Share


def build(setting: Setting, options: Options) -> Recipe:
    """Round 0, the rounds between, and the student: the last round."""
    current = _round_zero(setting, options)
    rows: list[Row] = [setting.row("round_0", "reference", setting.strong, current)]
    for number in range(1, options.rounds + 1):
        targets = setting.select("most_confident", setting.label(current, "transfer"), share=options.keep)
        current = setting.fit(setting.strong, targets, setting.label(current, "validation"))
        rows.append(setting.row(f"round_{number}", "reference", setting.strong, current))
    rows[-1] = replace(rows[-1], name="student", role="student")
    return Recipe(tuple(rows), supervisor=rows[-2].name)


def _round_zero(setting: Setting, options: Options) -> Fit | BareModel:
    if options.start == "supervise":
        return setting.fit_gold(setting.strong, "supervise", role="ceiling")
    if options.start == "weak_to_strong":
        return setting.fit(setting.strong, setting.supervision("transfer"), setting.supervision("validation"))
    if setting.strong.encoder:
        raise UserError(f"{setting.strong.name} is an encoder and cannot start few_shot: paradigm.start=supervise")
    return setting.bare(setting.strong, "words")
