"""Stage -> artifact: parents -> rows -> network -> Lightning -> files in the folder that the store hands out.

One file a kind of stage. Nothing here decides anything: what a stage is stands in its record, how fast it runs in the
trainer's settings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from w2s_lightning.checks import num_processes
from w2s_lightning.config.schema import Trainer
from w2s_lightning.execute import fit, judge, label, pretrain, select
from w2s_lightning.fit.launch import together
from w2s_lightning.identity import Stage
from w2s_lightning.models.device import Report, Resources, device, machine, one_each, provenance
from w2s_lightning.models.load import open_model
from w2s_lightning.show.terminal import StageProgress
from w2s_lightning.stages import Evaluate, Fit, Label, Pretrain, Select, models_of
from w2s_lightning.store import Artifact, Store

_COMPUTE: Mapping[type[Stage], Callable[..., None]] = {
    Pretrain: pretrain.compute,
    Fit: fit.compute,
    Label: label.compute,
    Select: select.compute,
    Evaluate: judge.compute,
}


def run(stages: Sequence[Stage], store: Store, trainer: Trainer, progress: StageProgress) -> list[Artifact]:
    """Obtain stages in the given order (parents first); one artifact each.

    Raises UserError, before the first one is computed, for a model of theirs that cannot be opened.
    """
    if len(stages) > 1:  # a single one begins with that
        check_models(stages, store)
    made = []
    for stage in stages:
        progress.start(stage)
        own = threaded(stage, trainer)
        work = partial(compute, stage, store=store, trainer=own, report=partial(progress.step, stage))
        artifact = store.obtain(stage, work, provenance(own, sharing(stage, own)))
        progress.finish(stage, artifact.seconds, cached=artifact.cached)
        made.append(artifact)
    return made


def check_models(stages: Sequence[Stage], store: Store) -> None:
    """Open the folder and hub models of these stages, without their weights; raise UserError for the first bad one."""
    for model, task in models_of(stages).values():
        open_model(model, task, store, numbers=False)


def check_device(trainer: Trainer) -> None:
    """Raise UserError for an accelerator that this machine, or this build of torch, does not have."""
    device(trainer)


def threaded(stage: Stage, trainer: Trainer) -> Trainer:
    """Where threads are left open, the ladder's models take one: they are too small to share, and so the same bits come
    out on machines with any number of cores."""
    small = any(isinstance(one, Pretrain) for one in (stage, *stage.ancestors()))
    return replace(trainer, threads=1) if small and trainer.threads == 0 else trainer


def sharing(stage: Stage, trainer: Trainer) -> int:
    """How many processes compute the stage: fits are shared, all else is done by the job's own."""
    return num_processes(trainer) if isinstance(stage, Fit | Pretrain) else 1


def compute(stage: Stage, folder: Path, *, store: Store, trainer: Trainer, report: Report) -> None:
    """Write the stage's outputs into `folder`; its parents must be in the store.

    A fit on several devices is computed by as many processes, each of which comes here again with one device.
    """
    if sharing(stage, trainer) > 1:
        together([partial(compute, stage, folder, store=store, trainer=one) for one in one_each(trainer)], report)
        return
    with machine(trainer) as own:
        _COMPUTE[type(stage)](stage, folder, Resources(store, trainer, own, report))
