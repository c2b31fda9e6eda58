"""What only transformers can tell of a model folder, asked before anything of a sweep is launched, once for each model.

The sweep's own process never loads torch, so a process of the pool's server opens the models, without their weights.
"""

import importlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from w2s_lightning.errors import UserError
from w2s_lightning.identity import Stage
from w2s_lightning.show.numbers import counted
from w2s_lightning.stages import BareModel, Task, models_of
from w2s_lightning.store import Store
from w2s_lightning.sweep.grid import Grid, PlannedJob, Refused
from w2s_lightning.sweep.pool import start_server


def with_openable_models(
    grid: Grid, needed: Callable[[PlannedJob], bool], store: Store, say: Callable[[str], None]
) -> Grid:
    """The grid without cells one of whose models cannot be opened, of those that are to be run (`needed`).

    Each such model is said once. Raises UserError when no cell is left.
    """
    stored: dict[str, bool] = {}

    def missing(stage: Stage) -> bool:
        if stage.digest not in stored:
            stored[stage.digest] = store.has(stage)
        return not stored[stage.digest]

    by_job = [(job, models_of(filter(missing, job.plan.stages))) for job in filter(needed, grid.jobs)]
    models = {key: model for _, found in by_job for key, model in found.items()}
    if not models:
        return grid
    reasons = dict(zip(models, _looked_at(list(models.values()), store.root), strict=True))
    refused: dict[str, Refused] = {}
    for job, found in by_job:
        if why := next(filter(None, (reasons[key] for key in found)), ""):
            refused[job.plan.digest] = Refused(job.overrides, job.axes, job.job, why)
    if len(refused) == len(grid.jobs):
        raise UserError(next(iter(refused.values())).reason)
    for reason in dict.fromkeys(one.reason for one in refused.values()):
        say(f"{counted([one.reason for one in refused.values()].count(reason), 'job')} left out: {reason}")
    left = tuple(job for job in grid.jobs if job.plan.digest not in refused)
    return replace(grid, jobs=left, refused=(*grid.refused, *refused.values()))


def _looked_at(models: Sequence[tuple[BareModel, Task]], store: Path) -> list[str]:
    """What is wrong with each model, "" where nothing is; a process that dies says nothing: the model's stage will."""
    start_server()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as process:
        try:
            return process.submit(_open_each, models, store).result()
        except BrokenProcessPool:
            return [""] * len(models)


def _open_each(models: Sequence[tuple[BareModel, Task]], root: Path) -> list[str]:
    """In a process of the server: open each model; what was wrong."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for standard in (1, 2):  # what libraries say of a model, they say again to the log of its stage
        os.dup2(nowhere, standard)
    load = importlib.import_module("w2s_lightning.models.load")
    store, reasons = Store.at(root, create=False), []
    for model, task in models:
        try:
            load.open_model(model, task, store, numbers=False)
            reasons.append("")
        except UserError as error:
            reasons.append(str(error))
    return reasons
