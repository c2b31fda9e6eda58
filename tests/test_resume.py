"""A fit killed by SIGKILL goes on from its last checkpoint and ends bit-identical to one that was left alone."""

import hashlib
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.models.tiny_stages import fit, label, obtain, pretrain, weights
from w2s_lightning.config.schema import Objective
from w2s_lightning.identity import Stage
from w2s_lightning.stages import Fit
from w2s_lightning.store import Store

ROOT = Path(__file__).resolve().parent.parent
NEVER = 10**9
SETTINGS = {"checkpoint_steps": 2, "tokens_per_batch": 150}
FILES = ("model/model.safetensors", "history.jsonl", "metrics.json", "validation.parquet")

# A process of its own, which kills itself without warning at the end of one step of a fit.
DRIVER = f"""
import os, pickle, signal, sys
from pathlib import Path
import pytorch_lightning as pl
from tests.models.tiny_stages import obtain
from w2s_lightning.fit import loop
from w2s_lightning.store import Store

class Kill(pl.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch.number == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)

build = loop._lightning
loop._lightning = lambda trainer, num_steps, callbacks: build(trainer, num_steps, [*callbacks, Kill()])
obtain(Store.at(sys.argv[1]), *pickle.loads(Path(sys.argv[2]).read_bytes()), **{SETTINGS!r})
"""


def student(path: Path) -> list[Stage]:
    """A floor of 2 steps and a student of 9 in three epochs: dropout, micro-batches, a batch statistic, validation."""
    floor = fit(weights(path))
    weak = {split: label(floor, split) for split in ("transfer", "validation")}
    logconf = {"c_max": 0.5, "warmup_share": 0.2, "warmup": "linear", "threshold": "batch_mean"}
    made = fit(
        floor.weights,
        dropout=0.3,
        seed=3,
        targets={"labels": weak["transfer"]},
        validation={"labels": weak["validation"]},
        labels="soft",
        objective=Objective(target="w2s_lightning.objectives.logconf", self_target=True, options=logconf),
        module="w2s_lightning.fit.paradigms.WeakToStrong",
        evaluations=3,
        optimisation=replace(floor.optimisation, epochs=3.0),
    )
    return [floor, *weak.values(), made]


def drive(store: Path, record: Path, kill_at: int) -> int:
    command = [sys.executable, "-c", DRIVER, str(store), str(record), str(kill_at)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def hashes(store: Path, stage: Stage) -> dict[str, str]:
    folder = Store.at(store).open(stage)
    names = [name for name in FILES if name != "validation.parquet" or isinstance(stage, Fit)]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.mark.parametrize("kind", ["fit", "pretrain"])
def test_killed_in_the_first_and_in_a_later_epoch_it_ends_bit_identical(tmp_path, folder, kind):
    if kind == "fit":
        stages, kills = student(folder("gpt2")), (2, 6)
    else:
        stages, kills = [pretrain()], (8,)
    record, store = tmp_path / "stages.pickle", tmp_path / "killed"
    record.write_bytes(pickle.dumps(stages))
    for kill_at in kills:
        assert drive(store, record, kill_at) == -signal.SIGKILL
        saved = sorted(path.name for path in Store.at(store).checkpoints(stages[-1]).glob("*.ckpt"))
        assert saved[-1] == f"step-{kill_at:08d}.ckpt"
    assert drive(store, record, NEVER) == 0
    obtain(Store.at(tmp_path / "whole"), *stages, **SETTINGS)
    assert hashes(store, stages[-1]) == hashes(tmp_path / "whole", stages[-1])
