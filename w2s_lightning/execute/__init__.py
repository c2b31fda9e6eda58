"""Stage -> artifact: parents -> data -> network -> Lightning -> files in the folder that the store hands out.

One file a kind of answer: `choice` (labels), `implicit` (rewards of a policy), `solutions`; `texts` and `pretrain` for
what comes before. Nothing here decides anything: what a stage is stands in its record, how fast it runs in the
trainer's settings.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from w2s_lightning.devices import num_processes
from w2s_lightning.execute import choice, implicit, pretrain, solutions, texts
from w2s_lightning.execute.bench import Bench
from w2s_lightning.models.device import machine, one_each, provenance
from w2s_lightning.modules.curve import Report
from w2s_lightning.modules.launch import together
from w2s_lightning.schema import Trainer
from w2s_lightning.stage import Stage
from w2s_lightning.stages import (
    Evaluate,
    Fit,
    Label,
    Pretrain,
    ReadOut,
    Reference,
    Select,
    Shift,
    Solve,
    Texts,
)
from w2s_lightning.store import Artifact, Store

Maker = Callable[[Stage, Path, Bench], None]


class Progress(Protocol):
    """Who watches a job's stages (see `terminal.StageLines`)."""

    def start(self, stage: Stage) -> None: ...
    def step(self, stage: Stage, done: int, of: int) -> None: ...
    def finish(self, stage: Stage, seconds: float, *, cached: bool) -> None: ...


def run(stages: Sequence[Stage], store: Store, trainer: Trainer, progress: Progress) -> list[Artifact]:
    """Obtain stages in the given order (parents first); one artifact each."""
    made = []
    for stage in stages:
        progress.start(stage)
        own = threaded(stage, trainer)
        work = partial(compute, stage, store=store, trainer=own, report=partial(progress.step, stage))
        artifact = store.obtain(stage, work, provenance(own, sharing(stage, own)))
        progress.finish(stage, artifact.seconds, cached=artifact.cached)
        made.append(artifact)
    return made


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
    with machine(trainer) as device:
        maker_of(stage)(stage, folder, Bench(store, trainer, device, report))


def maker_of(stage: Stage) -> Maker:
    """Who computes the stage: what a model reads and writes decides, not which paradigm asked."""
    match stage:
        case Pretrain():
            return pretrain.compute
        case Fit(targets=Texts()):
            return texts.compute
        case Solve() | Reference():
            return solutions.compute
        case Shift() | Fit(readout=ReadOut(kind="implicit")):
            return implicit.compute
        case Label() if stage.source.readout.kind == "implicit":
            return implicit.compute
        case Fit() | Select() | Evaluate() if stage.task.kind == "reasoning":
            return solutions.compute
        case _:
            return choice.compute
