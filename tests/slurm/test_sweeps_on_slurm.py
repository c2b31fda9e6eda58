"""Sweeps through `hydra/launcher=slurm` on a real one-node Slurm."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.slurm.cells import CELLS, LAUNCHES, assert_alike, logs
from tests.sweep.programs import half_broken, killed_once, ledger, start, stopped, sweep, wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]
SLURM = ("hydra/launcher=slurm", "hydra.launcher.poll_seconds=1")


def queue(*states: str) -> list[str]:
    """Names of the jobs that Slurm has in these states, or in any."""
    chosen = [f"--states={','.join(states)}"] if states else []
    done = subprocess.run(
        ["squeue", "--noheader", "--array", "--format=%j", *chosen], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_digests_and_metrics_are_those_of_the_pool(slurm: Path, pool: Path, tmp_path: Path) -> None:
    wanted = ("hydra.launcher.stages.pretrain.timeout_min=17", "hydra.launcher.stages.fit.mem_gb=1")
    printed = sweep(tmp_path, *CELLS, *SLURM, *wanted)
    assert f"[{LAUNCHES}/{LAUNCHES}] score " in printed
    assert_alike(tmp_path, pool)
    assert queue() == []
    assert len(logs(tmp_path)) == LAUNCHES
    times, memory = asked_for(tmp_path, "time"), asked_for(tmp_path, "mem")
    assert times == {"pretrain": {"17"}, "fit": {"240"}, "score": {"30"}}
    assert memory == {"pretrain": set(), "fit": {"1GB"}, "score": set()}
    again = sweep(tmp_path, *CELLS, *SLURM)
    assert "2 jobs, 2 of them done; to launch: 0 stages (0 fits), 0 scorings" in again


def asked_for(place: Path, option: str) -> dict[str, set[str]]:
    """What every kind's arrays asked Slurm for, as their batch files say."""
    found: dict[str, set[str]] = {}
    for file in (place / "outputs" / "sweeps").glob("*/slurm/*_submission.sh"):
        given = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", file.read_text(), re.MULTILINE))
        found.setdefault(given["job-name"], set()).update({given[option]} if option in given else set())
    return found


def test_a_model_that_does_not_load_is_left_out_and_the_rest_goes_on(slurm: Path, tmp_path: Path) -> None:
    printed = sweep(tmp_path, *half_broken(tmp_path), "seed=0", *SLURM, expect=1)
    jobs = {job["strong"]: job for job in ledger(tmp_path)["jobs"]}
    assert {name: job["state"] for name, job in jobs.items()} == {"micro": "done", "model": "failed"}
    assert "the weights do not fit config.json" in jobs["model"]["reason"]
    assert "error: 1 job failed; all others are done" in printed
    assert "this finishes the rest: python train.py -m sweeps=own" in printed


def test_a_killed_process_fails_its_own_stage_and_the_rest_goes_on(slurm: Path, tmp_path: Path) -> None:
    printed = killed_once(tmp_path, *SLURM)
    said = r"pretrain micro-\S+ · FAILED: its Slurm job \d+(_\d+)? ended without a word: FAILED, SIGKILL"
    assert re.search(said, printed)
    assert queue() == []


def test_ctrl_c_takes_the_jobs_out_of_the_queue(slurm: Path, tmp_path: Path) -> None:
    words = (*CELLS, "strong.pretrain.steps=100000", *SLURM)
    process = start(tmp_path, *words)
    assert wait_for(lambda: "pretrain" in queue("RUNNING"), process)
    stopped(process, signal.SIGINT)
    until_empty = subprocess.run(["timeout", "60", "bash", "-c", 'while [ -n "$(squeue -h)" ]; do sleep 0.5; done'])
    assert until_empty.returncode == 0


def test_what_slurm_refuses_is_said(slurm: Path, tmp_path: Path) -> None:
    printed = sweep(tmp_path, *CELLS, *SLURM, "hydra.launcher.partition=gold", expect=1)
    assert "Slurm refused the pretrain jobs: sbatch: error: Batch job submission failed: Invalid partition" in printed
    assert "error: 2 jobs failed" in printed
