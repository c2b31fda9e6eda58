"""Self-improvement: the strong model learns from its own surest answers on `transfer`, refitted each round.

Of class probabilities the most confident are kept, of solutions those samples that win their question's vote where it
is large enough (LMSI, arXiv 2210.11610), one for each list of equations. Every round starts from the pretrained weights
again, so that rounds differ in their targets alone (rejection-sampling fine-tuning, 2308.01825; ReST-EM, 2312.06585).
"""

from dataclasses import replace
from typing import Annotated, Literal

from w2s_lightning.config.schema import Few, Only, Share, record
from w2s_lightning.errors import UserError
from w2s_lightning.recipes.recipe import Recipe, ResultRow
from w2s_lightning.recipes.setting import Setting
from w2s_lightning.stages import BareModel, Fit, Gold, Shown, Targets


@record
class SelfImprovementOptions:
    """`start` names round 0: zero-shot verdict words or few-shot with `demonstrations` gold solutions of `supervise`, a
    fit on gold `supervise`, or one on the weak supervisor's answers; auto: few_shot where solutions are written.

    It learns the most confident `keep` of its labels, or what wins a vote with a share of `keep_from` at least.
    `oracle_gold_filter` keeps right samples by hidden gold in place of the vote (STaR, arXiv 2203.14465): a cheat, and
    marked as one.
    """

    start: Literal["auto", "few_shot", "supervise", "weak_to_strong"]
    rounds: Few
    keep: Annotated[Share, Only("choice", "preference")]
    demonstrations: Annotated[Few, Only("reasoning")]
    keep_from: Annotated[Share, Only("reasoning")]
    oracle_gold_filter: Annotated[bool, Only("reasoning")]


def build(setting: Setting, options: SelfImprovementOptions) -> Recipe:
    """Round 0, the rounds between, and the student: the last round."""
    current, shown = _round_zero(setting, options)
    rows: list[ResultRow] = [setting.row("round_0", "reference", setting.strong, current, shown)]
    for number in range(1, options.rounds + 1):
        targets = _surest(setting, options, current, shown)
        current, shown = setting.fit(setting.strong, targets, setting.answers(current, "validation", shown)), None
        rows.append(setting.row(f"round_{number}", "reference", setting.strong, current))
    rows[-1] = replace(rows[-1], name="student", role="student")
    return Recipe(tuple(rows), supervisor=rows[-2].name)


def _surest(
    setting: Setting, options: SelfImprovementOptions, current: Fit | BareModel, shown: Shown | None
) -> Targets:
    if not setting.writes:
        return setting.select("most_confident", setting.answers(current, "transfer"), share=options.keep)
    drawn = setting.samples(current, "transfer", shown)
    if options.oracle_gold_filter:
        return setting.select("oracle_gold_filter", drawn, Gold("transfer"))
    return setting.select("majority_vote", drawn, keep_from=options.keep_from)


def _round_zero(setting: Setting, options: SelfImprovementOptions) -> tuple[Fit | BareModel, Shown | None]:
    start, strong = options.start, setting.strong
    if start == "auto":
        start = "few_shot" if setting.writes else "supervise"
    if start == "supervise":
        return setting.fit_gold(strong, "supervise", role="ceiling"), None
    if start == "weak_to_strong":
        return setting.fit(strong, setting.supervision("transfer"), setting.supervision("validation")), None
    if setting.writes:
        return setting.bare(strong), setting.shown(Gold("supervise"), options.demonstrations)
    if strong.encoder:
        raise UserError(f"{strong.name} is an encoder and cannot start few_shot: paradigm.start=supervise")
    return setting.bare(strong, "words"), None
