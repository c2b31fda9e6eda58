"""A real Slurm of one node, started for these tests and stopped after them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.slurm.cells import pool

__all__ = ["pool"]

SCRIPT = Path(__file__).parent / "start.sh"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")


def missing() -> str | None:
    """Why Slurm cannot be started here."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if absent:
        return f"Slurm is not installed ({', '.join(absent)}): apt-get install slurmctld slurmd slurm-client munge"
    if os.geteuid() != 0:
        return "starting Slurm needs root"
    return None if find_spec("submitit") else "submitit is not installed: pip install -e '.[slurm]'"


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running Slurm, which SLURM_CONF names."""
    if (why := missing()) is not None:
        pytest.skip(why)
    place = tmp_path_factory.mktemp("slurm")
    started = subprocess.run([SCRIPT, "start", place], capture_output=True, text=True)
    assert started.returncode == 0, started.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(place / "slurm.conf"))
        yield place
        subprocess.run(["scancel", "--full", "--user=root"], check=False)
    subprocess.run([SCRIPT, "stop", place], check=True)
