"""Weak-to-strong reasoning in two stages (Yang et al. 2024, arXiv 2407.13647).

Stage I: the weak model and the strong model shown the weak one's work (weak_icl) answer `transfer`; the strong model
learns the solutions to the questions whose final answers agree. A further iteration asks two models fitted on either
side of what was kept. Stage II: pairs of weak and strong solutions that the stage-I model's vote tells apart.
"""

from dataclasses import replace
from typing import Annotated, Literal

from w2s_lightning.config.schema import Few, NonNegative, Only, Share, record
from w2s_lightning.recipes.recipe import Recipe, ResultRow
from w2s_lightning.recipes.setting import Setting
from w2s_lightning.stages import Fit, Targets

OfSolutions = Only("reasoning")


@record
class StageOptions:
    """`demonstrations` of the weak model's own solutions (to `validation`) are shown to the strong one.

    `iterations` of stage I, whose student learns the `learn` side of what both agree on. Stage II (`contrast`) trusts
    votes from `keep_from` on, overrules the weak answer from `overrule_from` on, and makes up to `pairs_per_question`;
    `contrast_lr_scale` multiplies the learning rate there.
    """

    demonstrations: Annotated[Few, OfSolutions]
    iterations: Annotated[Few, OfSolutions]
    learn: Annotated[Literal["hybrid", "weak", "strong"], OfSolutions]
    contrast: Annotated[bool, OfSolutions]
    keep_from: Annotated[Share, OfSolutions]
    overrule_from: Annotated[Share, OfSolutions]
    pairs_per_question: Annotated[Few, OfSolutions]
    contrast_lr_scale: Annotated[NonNegative, OfSolutions]


def build(setting: Setting, options: StageOptions, *, control: bool) -> Recipe:
    """full_weak, weak_icl, stage I with its iterations and control, stage II."""
    strong, sft = setting.strong, setting.gold_objective
    weak = setting.supervision("transfer")
    shown = setting.shown(setting.supervision("validation"), options.demonstrations)
    base = setting.bare(strong)
    rows = [
        setting.row("full_weak", "reference", strong, setting.fit(strong, weak, objective=sft)),
        setting.row("weak_icl", "reference", strong, base, shown),
    ]
    sides: tuple[Targets, Targets] = (weak, setting.answers(base, "transfer", shown))
    if control:
        drawn = setting.select("random_questions", *sides, learn=options.learn, seed=setting.seed)
        rows.append(setting.row("random_subset", "control", strong, setting.fit(strong, drawn, objective=sft)))
    stage_one = _stage_one(setting, options, sides, rows)
    if options.contrast:
        rows.append(setting.row("stage_2", "student", strong, _stage_two(setting, options, weak, stage_one)))
    return Recipe(tuple(rows), supervisor="floor")


def _stage_one(setting: Setting, options: StageOptions, sides: tuple[Targets, Targets], rows: list[ResultRow]) -> Fit:
    """Adds a row an iteration; returns the last iteration's fit."""
    strong, sft = setting.strong, setting.gold_objective
    for number in range(1, options.iterations):
        fit = setting.fit(strong, setting.select("agreement", *sides, learn=options.learn), objective=sft)
        rows.append(setting.row(f"stage_1_iteration_{number}", "reference", strong, fit))
        kept = [setting.select("agreement", *sides, learn=side) for side in ("weak", "strong")]
        weak, icl = (setting.answers(setting.fit(strong, one, objective=sft), "transfer") for one in kept)
        sides = (weak, icl)
    last = setting.fit(strong, setting.select("agreement", *sides, learn=options.learn), objective=sft)
    rows.append(setting.row("stage_1", "reference" if options.contrast else "student", strong, last))
    return last


def _stage_two(setting: Setting, options: StageOptions, weak: Targets, stage_one: Fit) -> Fit:
    """Goes on from stage I with contrastive pairs, against what the stage-I model itself says of them."""
    pairs = setting.select(
        "contrastive_pairs",
        weak,
        setting.samples(stage_one, "transfer"),
        seed=setting.seed,
        keep_from=options.keep_from,
        overrule_from=options.overrule_from,
        most_pairs=options.pairs_per_question,
    )
    reference = setting.label(stage_one, pairs.split, "log_probs", pairs=pairs)
    fit = setting.fit(setting.strong, pairs, start=stage_one, reference=reference)
    slower = replace(fit.optimisation, lr=fit.optimisation.lr * options.contrast_lr_scale)
    return replace(fit, optimisation=slower)
