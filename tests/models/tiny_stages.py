"""Stages of tiny models on tiny tasks, for tests that compute them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.models.tiny_task import TinyTask
from w2s_lightning.config.schema import Judge, Numerics, Objective, Optimisation, PretrainSettings, Trainer
from w2s_lightning.content import Folder
from w2s_lightning.execute import run
from w2s_lightning.identity import Stage
from w2s_lightning.stages import BareModel, Evaluate, Fit, FolderWeights, Gold, Label, Pretrain, ReadOut
from w2s_lightning.store import Artifact, Store
from w2s_lightning.tasks.worlds.facts import DocumentMix, FactsWorld

WORLD = FactsWorld(
    name="small_facts",
    people=4,
    relations=3,
    values=3,
    seed=0,
    frequency_offset=8.0,
    mix=DocumentMix(claim=0.4, aside=0.2, verdict=0.3, question=0.1),
)
NUMERICS = Numerics(precision="fp32", attention="sdpa", max_length=64)
HEAD = ReadOut("head", "zeros")
XENT = Objective(target="w2s_lightning.objectives.xent", self_target=False, options={})
OPTIMISATION = Optimisation(
    lr=0.01, epochs=1.0, rows_per_step=12, warmup_steps=0, schedule="linear", weight_decay=0.0, clip_norm=1.0
)
TRAINER = Trainer(
    accelerator="cpu",
    devices=1,
    num_nodes=1,
    strategy="auto",
    threads=1,
    tokens_per_batch=4096,
    checkpoint_seconds=0,
    checkpoint_steps=0,
)


class Silent:
    """Nobody watches; `seen` holds what was reported."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def start(self, stage: Stage) -> None:
        self.seen.append(("start", stage.kind))

    def step(self, stage: Stage, done: int, of: int) -> None:
        self.seen.append(("step", done, of))

    def finish(self, stage: Stage, seconds: float, *, cached: bool) -> None:
        self.seen.append(("finish", stage.kind, cached))


def obtain(store: Store, *stages: Stage, **trainer: Any) -> list[Artifact]:
    """Compute stages (parents first)."""
    return run(stages, store, replace(TRAINER, **trainer), Silent())


def weights(path: Path) -> FolderWeights:
    return FolderWeights(Folder.of_model(path))


def pretrain(**changes: Any) -> Pretrain:
    settings = PretrainSettings(steps=12, rows_per_step=4, window=16, lr=0.01, warmup_steps=2, weight_decay=0.1, seed=0)
    return Pretrain(WORLD, "atom", 1, 8, 2, replace(settings, **changes))


def fit(source: Any, **changes: Any) -> Fit:
    """A fit on gold `supervise`, supervised, two steps."""
    stage = Fit(
        task=TinyTask(),
        weights=source,
        readout=HEAD,
        tuning="full",
        numerics=NUMERICS,
        optimisation=OPTIMISATION,
        dropout=0.0,
        objective=XENT,
        module="w2s_lightning.fit.paradigms.Supervised",
        labels="hard",
        seed=0,
        split_seed=0,
        targets={"labels": Gold("supervise")},
        validation={"labels": Gold("validation")},
    )
    return replace(stage, **changes)


def label(source: Fit | BareModel, split: str, task: Any = None, mode: Any = "probs", **beside: Label) -> Label:
    chosen = task or (source.task if isinstance(source, Fit) else TinyTask())
    return Label(source, chosen, split, None if split == "test" else 0, mode, **beside)


def bare(source: Any, readout: ReadOut = HEAD) -> BareModel:
    return BareModel(source, readout, NUMERICS)


def evaluate(answers: Label) -> Evaluate:
    return Evaluate(answers, answers.task, Judge(metric="accuracy"))
