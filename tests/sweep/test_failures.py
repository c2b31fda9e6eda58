"""Failures stay local: broken models, killed processes, a killed sweep, Ctrl-C."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.sweep.programs import (
    SLOTS,
    Smoke,
    facts,
    half_broken,
    killed_once,
    ledger,
    stamps,
    start,
    stopped,
    stored,
    sweep,
    wait_for,
    working_on,
)
from w2s_lightning.errors import UserError
from w2s_lightning.sweep.sweep_file import write

# ---------------------------------------------------------------- one cell is broken


def test_a_broken_model_fails_its_own_cells_and_the_rest_goes_on(tmp_path: Path) -> None:
    printed = sweep(tmp_path, *half_broken(tmp_path), *SLOTS, expect=1)
    content = ledger(tmp_path)
    states = {(job["strong"], job["seed"]): job["state"] for job in content["jobs"]}
    assert states == {("micro", 0): "done", ("micro", 1): "done", ("model", 0): "failed", ("model", 1): "failed"}
    reasons = [job["reason"] for job in content["jobs"] if job["state"] == "failed"]
    assert all("the weights do not fit config.json" in reason for reason in reasons), reasons
    assert "error: 2 jobs failed; all others are done" in printed
    assert "once that is mended, this finishes the rest: python train.py -m sweeps=own" in printed
    before, _, after = printed.partition("to launch:")
    assert f"note: 2 jobs left out: {tmp_path}/model: the weights do not fit" in " ".join(before.split())
    assert "model-fact_pairs" not in after, "nothing of it is trained"
    row = next(line.split() for line in printed.splitlines() if line.split()[:1] == ["nano"])
    assert row[-1] == "failed"


def test_a_model_that_cannot_be_planned_refuses_its_own_cells_and_the_same_command_finishes_the_rest(
    tmp_path: Path,
) -> None:
    words = half_broken(tmp_path, config="{")
    printed = sweep(tmp_path, *words, "seed=0", *SLOTS, expect=1)
    assert "note: not planned: model@strong=local" in printed
    assert "is not JSON" in printed
    assert ledger(tmp_path)["counts"]["failed"] == 1
    again = sweep(tmp_path, *words, "seed=0", *SLOTS, expect=1)
    assert "1 job, 1 of them done; to launch: 0 stages" in again


def test_a_ledger_that_cannot_be_written_is_one_message_and_leaves_no_half(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").mkdir()  # nothing can be put into its place
    with pytest.raises(UserError, match=r"cannot write \S+/sweep.json \(Is a directory\): finished stages .* are kept"):
        write(tmp_path, {"jobs": []})
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.json"]


# ---------------------------------------------------------------- processes are killed


def test_a_killed_process_fails_its_own_unit_and_says_so(tmp_path: Path) -> None:
    printed = killed_once(tmp_path, *SLOTS)
    assert "FAILED: its process was killed (SIGKILL, perhaps by the system for want of memory)" in printed


def test_a_job_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    words = ("sweeps=smoke", "seed=0", "model@weak=nano", "model@strong=nano", "strong.pretrain.steps=100000")
    printed = sweep(tmp_path, *words, "hydra.launcher.time_limit=3", expect=1)
    assert "stopped after 3 s (hydra.launcher.time_limit)" in printed


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_stop_cleanly_and_the_same_command_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    words = ("sweeps=smoke", "seed=0", "model@weak=nano", "model@strong=nano", *SLOTS)
    process = start(tmp_path, *words)
    assert wait_for(lambda: len(stored(tmp_path)) > 2, process)
    children = psutil.Process(process.pid).children(recursive=True)
    stopped(process, how)
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive
    assert ledger(tmp_path)["counts"]["done"] == 0
    before = stamps(tmp_path)
    sweep(tmp_path, *words)
    assert before.items() <= stamps(tmp_path).items()


def killed_and_restarted(place: Path, times: int, seed: int) -> str:
    """Kill the whole tree at random moments, restarting each time; the output of the last, undisturbed start."""
    chance = random.Random(seed)
    kept: dict[str, tuple[int, int]] = {}
    for _ in range(times):
        process = start(place, "sweeps=smoke", *SLOTS)
        grown = len(stamps(place)) + chance.randrange(1, 8)
        if wait_for(lambda grown=grown: len(stamps(place)) >= grown, process):
            time.sleep(chance.uniform(0.0, 0.6))
            for one in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.communicate()
        else:
            process.communicate()
        now = stamps(place)
        assert kept.items() <= now.items(), "a finished stage was computed again"
        kept = now
    printed = sweep(place, "sweeps=smoke", *SLOTS)
    assert kept.items() <= stamps(place).items(), "a finished stage was computed again"
    return printed


@pytest.mark.parametrize(
    ("times", "seed"), [(2, 1), *(pytest.param(20, seed, marks=pytest.mark.slow) for seed in (2,))]
)
@pytest.mark.timeout(1800)
def test_a_sweep_that_is_killed_again_and_again_ends_like_an_undisturbed_one(
    smoke: Smoke, tmp_path: Path, times: int, seed: int
) -> None:
    killed_and_restarted(tmp_path, times, seed)
    assert stored(tmp_path) == stored(smoke.place)
    assert facts(tmp_path) == facts(smoke.place)


def test_a_killed_sweep_leaves_no_process_behind(tmp_path: Path) -> None:
    process = start(tmp_path, "sweeps=smoke", "strong.pretrain.steps=4000", *SLOTS)
    assert wait_for(lambda: len(working_on(tmp_path)) == 2, process)
    assert all(os.getpgid(one.pid) == one.pid for one in working_on(tmp_path)), "a terminal's Ctrl-C comes once"
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(below, timeout=20)
    assert not alive
