"""A ladder model from scratch on the text of its world."""

from pathlib import Path

import numpy as np

from w2s_lightning.config.schema import Optimisation
from w2s_lightning.data.rows import Rows
from w2s_lightning.execute.fit import train, write_fitted
from w2s_lightning.execute.resources import Resources, keep
from w2s_lightning.fit.loop import Fitted
from w2s_lightning.fit.paradigms import FitPlan, Supervised
from w2s_lightning.models.ladder import untrained, word_level
from w2s_lightning.objectives import next_token
from w2s_lightning.stages import Pretrain

CLIP_NORM = 1.0  # a fit's own is in its settings


def compute(stage: Pretrain, folder: Path, resources: Resources) -> None:
    """Write the stage's model, curve and counts into `folder`."""
    settings = stage.settings
    tokenizer = word_level(stage.world.vocabulary())
    network = untrained(stage, tokenizer)
    fitted = Fitted((), 0, None)
    if settings.steps > 0:
        windows = stage.world.windows(settings.steps, settings.rows_per_step, settings.window, settings.seed)
        texts = windows.reshape(-1, settings.window).astype(np.int64)
        ids = tuple(map(str, range(len(texts))))
        rows = Rows(ids, list(texts), 1, pad_id=0).trained_on(np.ones(len(texts)), ids=texts)
        order = np.arange(len(texts)).reshape(settings.steps, -1)
        fitted = train(stage, Supervised(network, objective=next_token, plan=_plan(stage)), rows, order, resources)
    about = f"A Llama-architecture model pretrained from scratch on the embedded world `{stage.world.name}`."
    keep(stage, network.model, tokenizer, folder, about)
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
