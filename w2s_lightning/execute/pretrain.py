"""A ladder model from scratch on the text of its world."""

from pathlib import Path

import numpy as np

from w2s_lightning.data.module import FitRows
from w2s_lightning.data.rows import WindowRows
from w2s_lightning.execute.bench import Bench, keep, train
from w2s_lightning.models.ladder import untrained
from w2s_lightning.models.tokenizer import word_level
from w2s_lightning.modules.base import FitPlan
from w2s_lightning.modules.language_model import LanguageModelling
from w2s_lightning.modules.loop import Fitted
from w2s_lightning.modules.outputs import write_fitted
from w2s_lightning.objectives import next_token
from w2s_lightning.schema import Optimisation
from w2s_lightning.stage import Stage
from w2s_lightning.stages import Pretrain

CLIP_NORM = 1.0  # a fit's own is in its settings


def compute(stage: Stage, folder: Path, bench: Bench) -> None:
    """Write the stage's outputs into `folder`."""
    assert isinstance(stage, Pretrain)
    settings = stage.settings
    tokenizer = word_level(stage.world.vocabulary())
    network = untrained(stage, tokenizer)
    fitted = Fitted((), 0, None)
    if settings.steps > 0:
        windows = stage.world.windows(settings.steps, settings.rows_per_step, settings.window, settings.seed)
        rows = windows.reshape(-1, settings.window).astype(np.int64)
        data = FitRows(WindowRows(rows), targets=rows, weights=np.ones(len(rows), np.float32))
        order = np.arange(len(rows)).reshape(settings.steps, -1)
        module = LanguageModelling(network, objective=next_token, plan=_plan(stage))
        fitted = train(stage, module, data, order, None, bench)
    story = f"A Llama-architecture model pretrained from scratch on the embedded world `{stage.world.name}`."
    keep(stage, network.model, tokenizer, folder, story)
    write_fitted(folder, fitted, {"num_steps": settings.steps, "num_params": network.model.num_parameters()})


def _plan(stage: Pretrain) -> FitPlan:
    settings = stage.settings
    optimisation = Optimisation(
        lr=settings.lr,
        epochs=1.0,
        rows_per_step=settings.rows_per_step,
        warmup_steps=settings.warmup_steps,
        schedule="linear",
        weight_decay=settings.weight_decay,
        clip_norm=CLIP_NORM,
    )
    return FitPlan(optimisation, num_steps=settings.steps, seed=settings.seed, over_step=False)
