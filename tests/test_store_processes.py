"""Several processes ask for one stage: one computes, the others wait, and nobody's death or sleep does harm.

Run as a module, this file is such a process: `-m tests.test_store_processes FOLDER SECONDS LEASE_SECONDS`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.composing import ROOT
from tests.toy_stage import Toy, write_output
from w2s_lightning.store import Store

WAIT = 30.0
Start = Callable[..., subprocess.Popen[str]]


def ask(folder: Path, seconds: float = 0.0, lease_seconds: float = 30.0) -> str:
    """Obtain the stage, which takes its time to compute and leaves a mark of the process that did."""

    def compute(place: Path) -> None:
        (folder / f"computed_by_{os.getpid()}").touch()
        time.sleep(seconds)
        write_output(place)

    Store.at(folder / "store")
    made = Store(folder / "store", lease_seconds=lease_seconds).obtain(Toy(), compute)
    return "cached" if made.cached else "computed"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def one(seconds: float, lease_seconds: float = 30.0) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.test_store_processes", str(tmp_path), str(seconds), str(lease_seconds)]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=-1, text=True))
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.communicate()


def holder(process: subprocess.Popen[str], folder: Path) -> subprocess.Popen[str]:
    """The process once it computes."""
    deadline = time.monotonic() + WAIT
    while not (folder / f"computed_by_{process.pid}").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


def result(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0, err
    return out.strip()


def computations(folder: Path) -> int:
    return len(list(folder.glob("computed_by_*")))


def assert_whole(folder: Path) -> None:
    """The artifact verifies, and nothing is left of the work."""
    assert Store(folder / "store").open(Toy())
    assert not [path for name in (".work", ".lease", ".quarantine") for path in (folder / "store" / name).glob("*")]


def test_six_processes_make_one_computation(start: Start, tmp_path: Path) -> None:
    results = sorted(result(process) for process in [start(1.0) for _ in range(6)])
    assert results == ["cached"] * 5 + ["computed"]
    assert computations(tmp_path) == 1
    assert_whole(tmp_path)


def test_who_waits_says_for_whom_once(start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    process = holder(start(1.5), tmp_path)
    assert ask(tmp_path) == "cached"
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"process {process.pid} on " in said
    assert "toy1" in said


def test_a_killed_holder_is_replaced_at_once_and_its_leftovers_go(start: Start, tmp_path: Path) -> None:
    process = holder(start(60.0), tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = time.monotonic()
    assert ask(tmp_path) == "computed"
    assert time.monotonic() - begun < 20, "a live holder's lease lasts 30 s"
    assert_whole(tmp_path)


@pytest.mark.parametrize("age", [60.0, 0.0])
def test_a_holder_killed_before_it_wrote_its_name_is_waited_for_no_longer_than_a_lease(
    age: float, tmp_path: Path
) -> None:
    Store.at(tmp_path / "store")
    nameless = tmp_path / "store" / ".lease" / Toy().digest
    nameless.parent.mkdir()
    nameless.touch()
    os.utime(nameless, (time.time() - age,) * 2)
    assert ask(tmp_path, lease_seconds=2.0) == "computed"
    assert_whole(tmp_path)


def test_a_lost_lease_is_harmless(start: Start, tmp_path: Path) -> None:
    """The holder sleeps longer than its lease, another process computes, then both have the same artifact."""
    process = holder(start(0.5, lease_seconds=1.0), tmp_path)
    psutil.Process(process.pid).suspend()
    assert ask(tmp_path, lease_seconds=1.0) == "computed"
    psutil.Process(process.pid).resume()
    assert result(process) == "cached", "it discards its own and verifies the winner's"
    assert computations(tmp_path) == 2
    assert_whole(tmp_path)


def test_another_lease_duration_does_not_block(start: Start, tmp_path: Path) -> None:
    process = holder(start(1.0, lease_seconds=20.0), tmp_path)
    ask(tmp_path)
    assert result(process) == "cached"
    assert computations(tmp_path) == 2


if __name__ == "__main__":
    print(ask(Path(sys.argv[1]), *map(float, sys.argv[2:])))
