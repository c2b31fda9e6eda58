"""Distillation: a strong teacher trained on gold `supervise` teaches the weak model on `transfer` (1503.02531)."""

from w2s_lightning.recipes.setting import Recipe, Setting
from w2s_lightning.schema import record


@record
class Options:
    """No options of its own: the temperature is the objective's."""


def build(setting: Setting, options: Options) -> Recipe:
    """Teacher, student, and the weak model on gold `transfer`: what the same data could give with labels."""
    teacher = setting.fit_gold(setting.strong, "supervise", role="ceiling")
    student = setting.fit(setting.weak, setting.label(teacher, "transfer"), setting.label(teacher, "validation"))
    reference = setting.fit_gold(setting.weak, "transfer", role="floor")
    rows = (
        setting.row("teacher", "teacher", setting.strong, teacher),
        setting.row("student", "student", setting.weak, student),
        setting.row("weak_on_gold_transfer", "reference", setting.weak, reference),
    )
    return Recipe(rows, supervisor="teacher")
