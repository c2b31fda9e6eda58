"""Processes that a sweep starts: what they find, what they see of the machine, what they tell."""

import json
import multiprocessing
import re
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from tests.composing import ROOT, job
from tests.sweep.programs import command, run
from w2s_lightning.config.schema import Trainer
from w2s_lightning.errors import UserError
from w2s_lightning.sweep import pool
from w2s_lightning.sweep.pool import machine_for
from w2s_lightning.sweep.process import Program, run_program

LOOK = """
import json, multiprocessing, sys, time
from pebble import concurrent
from w2s_lightning.sweep.pool import PRELOADED

def look():
    return sorted({"torch", "transformers", "pytorch_lightning", "w2s_lightning.execute"} & set(sys.modules))

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    how = {"context": context, "mp_context": context}
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        found = concurrent.process(daemon=False, **how)(look)().result()
        seconds.append(time.monotonic() - started)
    print(json.dumps({"found": found, "here": "torch" in sys.modules, "seconds": seconds}))
"""


def test_a_process_of_the_pool_starts_with_torch_in_memory(tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(LOOK)
    told = json.loads(run([sys.executable, str(tmp_path / "look.py")]).splitlines()[-1])
    assert told["found"] == ["pytorch_lightning", "torch", "transformers", "w2s_lightning.execute"]
    assert not told["here"], "the sweep's own process stays light"
    assert min(told["seconds"][1:]) < told["seconds"][0] / 3, "only the first waits for the imports"


def test_ctrl_c_does_not_reach_the_fork_server_while_it_loads() -> None:
    pool.start_server()
    server = Path(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read_text()  # type: ignore[attr-defined]
    ignored = int(re.search(r"SigIgn:\s*(\w+)", server)[1], 16)  # type: ignore[index]
    assert ignored >> (signal.SIGINT - 1) & 1


def test_other_sweepers_cannot_use_the_pool(tmp_path: Path) -> None:
    printed = run(command(tmp_path, "hydra/sweeper=basic", "seed=0,1", "hydra/launcher=pool"), expect=1)
    assert "error: hydra/launcher=pool launches for hydra/sweeper=w2s alone" in printed
    assert "Traceback" not in printed


def loaded_by(*words: str) -> set[str]:
    """The modules in memory at the end of `python train.py WORDS`."""
    code = f"""
import runpy, sys
sys.argv = ["train.py", *{words!r}]
try:
    runpy.run_path({str(ROOT / "train.py")!r}, run_name="__main__")
except SystemExit as done:
    assert not done.code, done.code
print(*sys.modules)
"""
    return set(run([sys.executable, "-c", code]).splitlines()[-1].split())


def test_composing_and_planning_load_nothing_heavy(tmp_path: Path) -> None:
    heavy = {"torch", "transformers", "pytorch_lightning", "wandb", "datasets"}
    assert not heavy & loaded_by("-m", "sweeps=smoke", "run=plan", f"paths.store={tmp_path}/store")
    composing = loaded_by("--cfg", "job")
    assert not (heavy | {"numpy", "scipy", "pyarrow", "pebble", "rich"}) & composing
    assert not [name for name in composing if name.startswith("w2s_lightning.sweep")]


# ---------------------------------------------------------------- slots, threads, GPUs


def trainer(**changed: Any) -> Trainer:
    return replace(job()[1].trainer, **changed)


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "num_cores", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_slots_times_threads_fill_the_cores_and_no_more(eight_cores: None) -> None:
    for settings, wanted, slots, threads in (
        ({"slots": "auto", "threads": "auto"}, 0, 8, 1),
        ({"slots": "auto", "threads": 2}, 0, 4, 2),
        ({"slots": "auto", "threads": "auto"}, 3, 2, 3),
        ({"slots": 2, "threads": "auto"}, 0, 2, 1),
    ):
        found = machine_for(settings, trainer(accelerator="cpu", threads=wanted))
        assert len(found.seats) <= slots  # fewer where memory is short
        assert found.environment([0]) == {"OMP_NUM_THREADS": str(threads)}
    with pytest.raises(UserError, match="4 slots x 3 threads are more than the 8 cores here"):
        machine_for({"slots": 4, "threads": 3}, trainer(accelerator="cpu"))
    with pytest.raises(UserError, match="expected auto or a number from 1 on"):
        machine_for({"slots": 0}, trainer(accelerator="cpu"))


def test_each_slot_owns_a_gpu(eight_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    found = machine_for({"slots": "auto", "threads": "auto"}, trainer(accelerator="auto"))
    assert found.seats == ("2", "5")
    assert found.threads == 4
    assert found.environment([1]) == {"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "5"}
    assert found.environment([0, 1])["CUDA_VISIBLE_DEVICES"] == "2,5"
    assert machine_for({}, trainer(accelerator="auto", devices="1,0")).seats == ("5", "2")
    assert machine_for({}, trainer(accelerator="cpu")).seats[0] is None


def test_a_job_of_several_devices_takes_as_many_slots(eight_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    for devices, width in ((1, 1), (2, 2), ("auto", 4), ("-1", 4), ("0,2", 2)):
        assert machine_for({}, trainer(accelerator="gpu", devices=devices)).width == width
    with pytest.raises(UserError, match="needs 5 slots, the pool has 4"):
        machine_for({}, trainer(accelerator="gpu", devices=5))


# ---------------------------------------------------------------- a program in a process of a cluster

EARLIER = "error: out of disk\n"  # of a former attempt, which is not told again
STOPPED = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
except KeyboardInterrupt:
    raise SystemExit(1)
"""


@pytest.mark.parametrize(
    ("text", "status", "message", "printed"),
    [
        ("import os, sys; print(sys.argv[1:], os.environ['GIVEN'], os.listdir())", "done", "", "['seed=1'] 7 ['log']"),
        ("import sys; print('error: it broke', file=sys.stderr); sys.exit(1)", "failed", "it broke", "error: it broke"),
        ("raise SystemExit(1)", "failed", "it failed without saying why", ""),
        (STOPPED, "failed", "the cluster stopped it (SIGTERM): its checkpoint is kept", ""),
    ],
)
def test_a_program_is_run_in_its_place_and_tells_how_it_ended(
    tmp_path: Path, text: str, status: str, message: str, printed: str
) -> None:
    path, folder = tmp_path / "train.py", tmp_path / "place"
    path.write_text(text)
    folder.mkdir()
    (folder / "log").write_text(EARLIER)
    program = Program("fit", path, ("seed=1",), folder, folder / "log", {"GIVEN": "7"})
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        record = processes.submit(run_program, program).result(60)
    assert (record["status"], record["message"]) == (status, message)
    assert (folder / "log").read_text().removeprefix(EARLIER).rstrip("\n") == printed
