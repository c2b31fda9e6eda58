"""Weak to strong: the strong model learns from the weak model's answers on `transfer` (Burns et al., arXiv 2312.09390).

With middle models the student of each size supervises the next (bootstrapping, section 4.3.1 there). Of solutions it
learns in two stages: see `weak_to_strong_reasoning.py`.
"""

from dataclasses import replace
from typing import Annotated, Literal

from w2s_lightning.config.schema import Few, Only, OpenShare, Share, record
from w2s_lightning.errors import UserError
from w2s_lightning.recipes import weak_to_strong_reasoning as reasoning
from w2s_lightning.recipes.recipe import Recipe, ResultRow
from w2s_lightning.recipes.refusals import WSPO, refuse_unequal
from w2s_lightning.recipes.setting import ModelSpec, Setting
from w2s_lightning.stages import Fit, Gold, Label, Targets

OfClasses = Only("choice", "preference")


@record
class WeakToStrongOptions(reasoning.StageOptions):
    """`supervisors` > 1 averages soft labels; `selection` filters or weights them by confidence, or balances them.

    `control` trains one more student that shows what the targets do. Of labels it has permuted ones (auto: with
    objectives that learn from the student's own output, which can gain without any supervision, and with balanced
    labels); of solutions, as many random questions as stage I keeps. `prior` has each class's share, known without
    any gold (None: all are equal). `oracle_random_errors` replaces the supervisor's errors by random ones at the
    same rate, with hidden gold: a cheat, and marked as one.
    """

    control: Literal["auto", "always", "never"]
    supervisors: Annotated[Few, OfClasses]
    selection: Annotated[Literal["none", "filter", "weight", "balance"], OfClasses]
    threshold: Annotated[Share, OfClasses]
    prior: Annotated[tuple[OpenShare, ...] | None, OfClasses]
    oracle_random_errors: Annotated[bool, OfClasses]


def build(setting: Setting, options: WeakToStrongOptions) -> Recipe:
    """The chain of students up to the strong one, and the control on permuted targets; or the two stages."""
    if setting.writes:
        return reasoning.build(setting, options, control=options.control != "never")
    rows: list[ResultRow] = []
    supervisor = "floor" if options.supervisors == 1 else None  # the mean of several is no row
    targets = setting.supervision("transfer", options.supervisors)
    validation = setting.supervision("validation", options.supervisors)
    if options.oracle_random_errors:
        targets = setting.select("oracle_random_errors", targets, Gold("transfer"), seed=setting.seed)
    for number, model in enumerate(setting.middle, start=1):
        step = _fit(setting, model, _selected(setting, targets, options), validation)
        supervisor = f"middle_{number}"
        rows.append(setting.row(supervisor, "middle", model, step))
        targets, validation = setting.answers(step, "transfer"), setting.answers(step, "validation")
    targets = _selected(setting, targets, options)
    rows.append(setting.row("student", "student", setting.strong, _fit(setting, setting.strong, targets, validation)))
    lifts_by_itself = setting.objective.self_target or options.selection == "balance"
    if options.control == "always" or (options.control == "auto" and lifts_by_itself):
        permuted = setting.select("permute", targets, seed=setting.seed)
        control = _fit(setting, setting.strong, permuted, validation)
        rows.append(setting.row("permuted_control", "control", setting.strong, control))
    return Recipe(tuple(rows), supervisor)


def _fit(setting: Setting, model: ModelSpec, targets: Targets, validation: Targets) -> Fit:
    """A student of these targets; token by token it learns what preference training changed in their author."""
    if not setting.by_token:
        return setting.fit(model, targets, validation)
    if not isinstance(targets, Label) or not isinstance(targets.source, Fit):
        raise UserError(
            "objective=wspo follows one supervising model, in all of its answers: leave supervisor.file, "
            "paradigm.supervisors, selection, control and oracle_random_errors out"
        )
    refuse_unequal(targets.source, model.weights, WSPO)
    return setting.fit(model, targets, validation, shift=replace(targets, mode="shift", reference=None))


def _selected(setting: Setting, targets: Targets, options: WeakToStrongOptions) -> Targets:
    if options.selection == "filter":
        return setting.select("confidence_filter", targets, threshold=options.threshold)
    if options.selection == "weight":
        return setting.select("confidence_weight", targets)
    if options.selection == "balance":
        classes = len(setting.task.class_names)
        prior = options.prior or (1 / classes,) * classes
        if len(prior) != classes or abs(sum(prior) - 1) > 1e-6:
            raise UserError(
                f"paradigm.prior={list(prior)}: expected a share for each of the {classes} classes of "
                f"{setting.task.name}, which add up to 1, or null (all are equal)"
            )
        return setting.select("balance", targets, prior=prior)
    return targets
