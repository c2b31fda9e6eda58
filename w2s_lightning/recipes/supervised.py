"""Supervised: the floor's label budget (gold `supervise`) on the strong model."""

from w2s_lightning.config.schema import record
from w2s_lightning.recipes.recipe import Recipe
from w2s_lightning.recipes.setting import Setting
from w2s_lightning.stages import Gold


@record
class SupervisedOptions:
    """No options of its own."""


def build(setting: Setting, options: SupervisedOptions) -> Recipe:
    """The strong model on the gold answers that the floor had."""
    student = setting.fit(setting.strong, Gold("supervise"), Gold("validation"))
    return Recipe((setting.row("student", "student", setting.strong, student),), supervisor=None)
