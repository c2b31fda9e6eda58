"""One job on several devices: the whole of it from the command line, and what is refused before anything runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.composing import job
from tests.small_jobs import SMALL_WORLD, run_job
from tests.sweep.programs import SLOTS, command, run
from w2s_lightning.checks import num_processes
from w2s_lightning.data.tables import read
from w2s_lightning.errors import UserError
from w2s_lightning.models.device import device, one_each
from w2s_lightning.results.stored import matrix

LOGCONF = ("objective=logconf", "trainer.tokens_per_batch=200")
TWO = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")


def artifacts(place: Path) -> list[str]:
    found = sorted(str(f.parent.relative_to(place / "store")) for f in (place / "store").glob("*/*/manifest.json"))
    assert len(found) > 15
    return found


def history(place: Path, artifact: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "store" / artifact / "history.jsonl").read_text().splitlines()]


def test_a_job_on_two_processes_gives_the_digests_curves_and_answers_of_one(tmp_path: Path) -> None:
    """The second one goes through the sweeps' pool, whose processes share their fits with others."""
    one, two = tmp_path / "one", tmp_path / "two"
    result = run_job(one, *LOGCONF)
    run(command(two, *SMALL_WORLD, *LOGCONF, *TWO, *SLOTS, "tracking=disabled"))
    assert artifacts(two) == artifacts(one)
    for artifact in artifacts(one):
        provenance = json.loads((two / "store" / artifact / "manifest.json").read_text())["provenance"]
        shared = artifact.startswith(("pretrain/", "fit/"))
        assert provenance["processes"] == (2 if shared else 1)
        if shared:
            for a, b in zip(history(two, artifact), history(one, artifact), strict=True):
                assert a == pytest.approx(b, rel=1e-4, abs=1e-5)
        if artifact.startswith("label/"):
            a, b = (matrix(read(p / "store" / artifact / "predictions.parquet"), "probs") for p in (two, one))
            assert np.allclose(a, b, atol=1e-4)
    (file,) = (two / "outputs").glob("*/result.json")
    assert json.loads(file.read_text())["digest"] == result["digest"]
    printed = "".join(log.read_text() for log in (two / "outputs" / "sweeps").rglob("log.txt"))
    assert printed.count("result: ") == 1, "one process prints"
    assert "Warning" not in printed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("trainer.devices=3",), r"pretrain \S+: 8 rows a step do not divide by 3 processes.*Type trainer.devices=2;"),
        (("trainer.devices=16",), r"8 rows a step.*Type trainer.devices=8; 8 rows divide by 1, 2, 4, 8$"),
        (("trainer.devices=4", "fit.rows_per_step=10"), r"fit \S+: 10 rows a step do not divide by 4 processes"),
        (("trainer.devices=two",), r"trainer.devices='two' \(conf/trainer/ddp.yaml\): expected how many"),
        (("trainer.devices=0",), r"trainer.devices=0 \(conf/trainer/ddp.yaml\): expected how many"),
        (("trainer.strategy=fsdp",), "trainer.strategy=fsdp is not supported: expected auto or ddp"),
        (("trainer.devices=2", "trainer.num_nodes=2"), "trainer.num_nodes=2: .*one machine"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_runs(
    tmp_path: Path, settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run_job(tmp_path, "trainer=ddp", "trainer.accelerator=cpu", *settings)
    assert list(tmp_path.iterdir()) == []


def test_every_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    _, runtime = job("trainer=ddp", "trainer.devices='1,3'")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [one.devices for one in one_each(runtime.trainer)] == ["1,", "3,"]
    assert [device(one).index for one in one_each(runtime.trainer)] == [1, 3]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with pytest.raises(UserError, match="there are 3 GPUs here"):
        one_each(runtime.trainer)


def test_gpus_that_are_not_there_are_one_clear_message() -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    _, runtime = job("trainer=ddp", "trainer.devices=2", "trainer.accelerator=gpu")
    with pytest.raises(UserError, match=r"trainer.accelerator=gpu: torch finds no such device here"):
        one_each(runtime.trainer)


@pytest.mark.parametrize(
    ("settings", "gpus", "processes"),
    [
        (("trainer=ddp", "trainer.accelerator=cpu"), "0,1", 1),
        (("trainer=ddp",), "0,1,2", 3),
        (("trainer=ddp",), "", 1),
        (("trainer=ddp", "trainer.devices='1,3'"), "0,1,2,3", 2),
        (("trainer=gpu",), "0,1", 1),
        (("trainer=cpu", "trainer.devices=2"), "", 2),
    ],
)
def test_a_fit_takes_a_process_for_each_device(
    monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...], gpus: str, processes: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    assert num_processes(job(*settings)[1].trainer) == processes
