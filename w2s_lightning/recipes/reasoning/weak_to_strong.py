"""Weak-to-strong reasoning in two stages (Yang et al. 2024, arXiv 2407.13647).

Stage I: the weak model and the strong model shown the weak one's work (weak_icl) answer `transfer`; the strong model
learns the solutions to the questions whose final answers agree. A further iteration asks two models fitted on either
side of what was kept. Stage II: pairs of weak and strong solutions that the stage-I model's vote tells apart.
"""

from typing import Literal

from w2s_lightning.recipes.reasoning.solving import Solving
from w2s_lightning.recipes.setting import Recipe, Row, Setting
from w2s_lightning.schema import Count, NonNegative, Share, record
from w2s_lightning.stages import Fit, Targets


@record
class Options:
    """`demonstrations` of the weak model's own solutions (to `validation`) are shown to the strong one.

    `iterations` of stage I, whose student learns the `learn` side of what both agree on; `control` adds a student on
    as many random questions. Stage II (`contrast`) trusts votes from `keep_from` on, overrules the weak answer from
    `overrule_from` on, and makes up to `pairs_per_question`; `contrast_lr_scale` multiplies the learning rate there.
    """

    demonstrations: Count
    iterations: Count
    learn: Literal["hybrid", "weak", "strong"]
    control: bool
    contrast: bool
    keep_from: Share
    overrule_from: Share
    pairs_per_question: Count
    contrast_lr_scale: NonNegative


def build(setting: Setting, options: Options) -> Recipe:
    """full_weak, weak_icl, stage I with its iterations and control, stage II."""
    solving, strong = Solving.of(setting), setting.strong
    weak = solving.supervision("transfer")
    shown = solving.shown(solving.supervision("validation"), options.demonstrations)
    base = solving.bare(strong)
    rows = [
        solving.row("full_weak", "reference", strong, solving.fit(strong, weak)),
        solving.row("weak_icl", "reference", strong, base, shown),
    ]
    stage_one = _stage_one(solving, options, weak, solving.greedy(base, "transfer", shown), rows)
    if options.contrast:
        rows.append(solving.row("stage_2", "student", strong, _stage_two(solving, options, weak, stage_one)))
    return Recipe(tuple(rows), supervisor="floor")


def _stage_one(solving: Solving, options: Options, weak: Targets, icl: Targets, rows: list[Row]) -> Fit:
    """Adds a row an iteration; returns the last iteration's fit."""
    strong, sides = solving.setting.strong, (weak, icl)
    if options.control:
        control = solving.select("random_questions", *sides, learn=options.learn, seed=solving.setting.seed)
        rows.append(solving.row("random_subset", "control", strong, solving.fit(strong, control)))
    for number in range(1, options.iterations + 1):
        last = number == options.iterations
        fit = solving.fit(strong, solving.select("agreement", *sides, learn=options.learn))
        name = "stage_1" if last else f"stage_1_iteration_{number}"
        rows.append(solving.row(name, _role(last, options), strong, fit))
        if last:
            return fit
        kept = [solving.select("agreement", *sides, learn=side) for side in ("weak", "strong")]
        weak, icl = (solving.greedy(solving.fit(strong, targets), "transfer") for targets in kept)
        sides = (weak, icl)
    raise AssertionError("there is at least one iteration")


def _role(last: bool, options: Options) -> Literal["student", "reference"]:
    return "student" if last and not options.contrast else "reference"


def _stage_two(solving: Solving, options: Options, weak: Targets, stage_one: Fit) -> Fit:
    pairs = solving.select(
        "contrastive_pairs",
        weak,
        solving.samples(stage_one, "transfer"),
        seed=solving.setting.seed,
        keep_from=options.keep_from,
        overrule_from=options.overrule_from,
        most_pairs=options.pairs_per_question,
    )
    return solving.contrast(solving.setting.strong, stage_one, pairs, lr_scale=options.contrast_lr_scale)
