"""The pool's processes: what they start with, what they see, and jobs that want a process of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.composing import ROOT
from tests.sweep.planning import grid_of
from tests.sweep.programs import SLOTS, command, environment, run
from w2s_lightning.sweep.pool import _OwnProcesses
from w2s_lightning.sweep.units import Unit, make_units

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


def test_other_sweepers_can_use_the_pool(tmp_path: Path) -> None:
    words = ("sweeps=smoke", "hydra/sweeper=basic", "model@weak=nano", "seed=0")
    printed = run(command(tmp_path, *words, *SLOTS))
    assert "[2/2] facts-weak_to_strong-nano-" in printed
    assert len(list((tmp_path / "outputs").glob("*/result.json"))) == 2


def test_configuration_and_plans_load_nothing_heavy(tmp_path: Path) -> None:
    heavy = "{'torch', 'transformers', 'pytorch_lightning', 'wandb', 'datasets'}"
    for words in (["--cfg", "job"], ["-m", "sweeps=smoke", "run=plan", f"paths.store={tmp_path}/store"]):
        code = (
            f"import sys, runpy; sys.argv = ['train.py', *{words!r}]\n"
            f"try: runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
            "except SystemExit as done: assert not done.code, done.code\n"
            f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
        assert done.returncode == 0, done.stderr


def test_composing_one_job_imports_no_sweep_code() -> None:
    code = (
        f"import sys, runpy; sys.argv = ['train.py', '--cfg', 'job']\n"
        f"try: runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "assert not [m for m in sys.modules if m.startswith('w2s_lightning.sweep')]\n"
        "assert not {'numpy', 'scipy', 'pyarrow', 'pebble', 'rich'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- processes of their own


@pytest.fixture
def unit() -> Unit:
    return make_units(grid_of("sweeps=smoke", "seed=0", "model@strong=nano").jobs, lambda _: False).all[0]


def own(
    program: str, unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float | None
) -> _OwnProcesses:
    (tmp_path / "train.py").write_text(program)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "train.py")])
    return _OwnProcesses(limit)


def test_a_job_of_several_devices_gets_the_command_line_of_its_unit(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import os, sys; print(sys.argv[1:], os.environ['CUDA_VISIBLE_DEVICES'])"
    processes = own(program, unit, tmp_path, monkeypatch, None)
    future = processes.submit(unit, {"CUDA_VISIBLE_DEVICES": "0,1"}, tmp_path, tmp_path / "log.txt")
    assert future.result(30)["status"] == "done"
    log = (tmp_path / "log.txt").read_text()
    assert unit.only
    assert f"'run.only=[{','.join(unit.only)}]'" in log
    assert "'sweeps=smoke'" in log
    assert "'-m'" not in log
    assert log.endswith("0,1\n")


def test_its_failure_is_told_by_its_last_error_line(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; print('error: first'); print('error: it broke', file=sys.stderr); sys.exit(1)"
    future = own(program, unit, tmp_path, monkeypatch, None).submit(unit, {}, tmp_path, tmp_path / "log.txt")
    record = future.result(30)
    assert (record["status"], record["message"]) == ("failed", "it broke")


def test_it_is_stopped_by_the_time_limit_and_by_ctrl_c(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper = "import time; time.sleep(60)"
    limited = own(sleeper, unit, tmp_path, monkeypatch, 0.5)
    with pytest.raises(TimeoutError):
        limited.submit(unit, {}, tmp_path, tmp_path / "log.txt").result(30)
    endless = own(sleeper, unit, tmp_path, monkeypatch, None)
    future = endless.submit(unit, {}, tmp_path, tmp_path / "log.txt")
    endless.stop()
    assert future.result(30)["status"] == "failed"
