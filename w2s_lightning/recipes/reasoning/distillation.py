"""Distillation: a strong teacher trained on gold `supervise` writes the solutions that the weak model learns.

Sequence-level (arXiv 1606.07947): the student learns the teacher's text. Token-level: it also learns what else the
teacher thought likely at every position, from stored top-k log-probabilities.
"""

from dataclasses import replace
from typing import Literal

from w2s_lightning.errors import UserError
from w2s_lightning.recipes.reasoning.solving import Solving
from w2s_lightning.recipes.setting import Recipe, Setting
from w2s_lightning.recipes.vocabularies import TOKEN_LEVEL, refuse_unequal
from w2s_lightning.schema import record
from w2s_lightning.stages import Label


@record
class Options:
    """`level`: the teacher's solutions alone, or with its `generation.top_log_probs` most probable tokens."""

    level: Literal["sequence", "token"]


def build(setting: Setting, options: Options) -> Recipe:
    """Teacher, student, and the weak model on gold `transfer`: what the same data could give with labels."""
    solving = Solving.of(setting)
    teacher = solving.fit_gold(setting.strong, "supervise", role="ceiling")
    written = solving.greedy(teacher, "transfer")
    if options.level == "token":
        written = _with_top_tokens(solving, written)
        student = solving.teach(setting.weak, written, top_tokens=written)
    else:
        student = solving.fit(setting.weak, written)
    reference = solving.fit_gold(setting.weak, "transfer", role="floor")
    rows = (
        solving.row("teacher", "teacher", setting.strong, teacher),
        solving.row("student", "student", setting.weak, student),
        solving.row("weak_on_gold_transfer", "reference", setting.weak, reference),
    )
    return Recipe(rows, supervisor="teacher")


def _with_top_tokens(solving: Solving, written: Label) -> Label:
    count = solving.setting.generation.top_log_probs
    if count == 0:
        raise UserError("token-level distillation needs the teacher's likeliest tokens: generation.top_log_probs=20")
    refuse_unequal(solving.setting.strong.weights, solving.setting.weak.weights, TOKEN_LEVEL)
    assert written.generation is not None
    return replace(written, generation=replace(written.generation, top_log_probs=count))
