"""The Lightning module of a fit, from the dotted paths and options in its record."""

import importlib
import inspect
from functools import partial
from typing import Any

from torch import nn

from w2s_lightning.errors import UserError
from w2s_lightning.modules.base import Base, FitPlan, Objective
from w2s_lightning.schema import Objective as ObjectiveSettings
from w2s_lightning.stages import Fit


def module_of(stage: Fit, network: nn.Module, *, num_steps: int) -> Base:
    """The stage's module around `network`; raise UserError where a dotted path or an option is wrong."""
    made = found(stage.module, "paradigm.module")
    if not (inspect.isclass(made) and issubclass(made, Base)):
        raise UserError(f"paradigm.module={stage.module} is no child of w2s_lightning.modules.base.Base")
    plan = FitPlan(stage.optimisation, num_steps, stage.seed, over_step=stage.objective.self_target)
    return made(network, objective=objective_of(stage.objective), plan=plan)


def objective_of(settings: ObjectiveSettings) -> Objective:
    """The loss function with its options bound."""
    function = found(settings.target, "objective.target")
    try:
        inspect.signature(function).bind(None, None, fraction=0.0, **settings.options)
    except TypeError as error:
        raise UserError(f"objective.options do not fit {settings.target}: {error}") from error
    return partial(function, **settings.options)


def found(path: str, key: str) -> Any:
    """What a dotted path names; raise UserError when there is no such thing."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{key}={path} cannot be imported: {error}") from error
