"""Sweeps through `hydra/launcher=ray_cluster` on a real cluster of two nodes."""

import re
import signal
from pathlib import Path

import psutil
import pytest

from tests.slurm.cells import CELLS, LAUNCHES, assert_alike, logs
from tests.sweep.programs import killed_once, start, stopped, sweep, wait_for, working_on

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]


def on(address: str) -> tuple[str, str]:
    """The words that choose the launcher."""
    return "hydra/launcher=ray_cluster", f"hydra.launcher.address={address}"


def test_digests_and_metrics_are_those_of_the_pool(cluster: str, pool: Path, tmp_path: Path) -> None:
    """Pretraining is sent to one node and all fits to the other: both take part."""
    wanted = [f"hydra.launcher.stages.{kind}.resources={{{node}: 1}}" for kind, node in NODE_OF.items()]
    printed = sweep(tmp_path, *CELLS, *on(cluster), *wanted)
    assert f"[{LAUNCHES}/{LAUNCHES}] score " in printed
    assert_alike(tmp_path, pool)
    assert len(logs(tmp_path)) == LAUNCHES
    again = sweep(tmp_path, *CELLS, *on(cluster))
    assert "2 jobs, 2 of them done; to launch: 0 stages (0 fits), 0 scorings" in again


NODE_OF = {"pretrain": "head", "fit": "second"}


def test_a_killed_worker_fails_its_own_stage_and_the_rest_goes_on(cluster: str, tmp_path: Path) -> None:
    assert re.search(r"pretrain micro-\S+ · FAILED: WorkerCrashedError", killed_once(tmp_path, *on(cluster)))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_the_tasks(cluster: str, tmp_path: Path, how: signal.Signals) -> None:
    process = start(tmp_path, *CELLS, "strong.pretrain.steps=100000", *on(cluster))
    assert wait_for(lambda: bool(working_on(tmp_path)), process)
    workers = working_on(tmp_path)
    stopped(process, how)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
