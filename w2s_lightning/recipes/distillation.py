"""Distillation: a strong teacher trained on gold `supervise` teaches the weak model on `transfer` (1503.02531).

Of solutions the student learns the teacher's text (sequence level, arXiv 1606.07947), or token by token also what else
the teacher thought likely there, from stored top-k log-probabilities.
"""

from dataclasses import replace
from typing import Annotated, Literal

from w2s_lightning.config.schema import Only, record
from w2s_lightning.errors import UserError
from w2s_lightning.recipes.recipe import Recipe
from w2s_lightning.recipes.refusals import TOKEN_LEVEL, refuse_unequal
from w2s_lightning.recipes.setting import Setting


@record
class DistillationOptions:
    """`level`: the teacher's solutions alone, or with its `generation.top_log_probs` most probable tokens."""

    level: Annotated[Literal["sequence", "token"], Only("reasoning")]


def build(setting: Setting, options: DistillationOptions) -> Recipe:
    """Teacher, student, and the weak model on gold `transfer`: what the same data could give with labels."""
    teacher = setting.fit_gold(setting.strong, "supervise", role="ceiling")
    answers = setting.answers(teacher, "transfer")
    if not setting.writes:
        student = setting.fit(setting.weak, answers, setting.answers(teacher, "validation"))
    elif options.level == "sequence":
        student = setting.fit(setting.weak, answers, objective=setting.gold_objective)
    else:
        count = setting.generation.top_log_probs
        if count == 0:
            raise UserError(
                "token-level distillation needs the teacher's likeliest tokens: generation.top_log_probs=20"
            )
        refuse_unequal(setting.strong.weights, setting.weak.weights, TOKEN_LEVEL)
        assert answers.generation is not None
        tokens = replace(answers, generation=replace(answers.generation, top_log_probs=count))
        student = setting.fit(setting.weak, tokens, top_tokens=tokens)
    reference = setting.fit_gold(setting.weak, "transfer", role="floor")
    rows = (
        setting.row("teacher", "teacher", setting.strong, teacher),
        setting.row("student", "student", setting.weak, student),
        setting.row("weak_on_gold_transfer", "reference", setting.weak, reference),
    )
    return Recipe(rows, supervisor="teacher")
