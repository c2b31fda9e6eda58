"""Supervised: the strong model on the gold solutions that the floor had."""

from w2s_lightning.recipes.reasoning.solving import Solving
from w2s_lightning.recipes.setting import Recipe, Setting
from w2s_lightning.schema import record
from w2s_lightning.stages import Gold


@record
class Options:
    """No options of its own."""


def build(setting: Setting, options: Options) -> Recipe:
    """Gold solutions of `supervise` on the strong model."""
    solving = Solving.of(setting)
    student = solving.teach(setting.strong, Gold("supervise"))
    return Recipe((solving.row("student", "student", setting.strong, student),), supervisor=None)
