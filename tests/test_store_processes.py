"""Several processes ask for one stage: one computes, the others wait, and nobody's death or sleep does harm.

Run as a script, this file is such a process: `test_store_processes.py STORE COUNTER SECONDS LEASE_SECONDS`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from w2s_lightning.identity import Stage
from w2s_lightning.store import Store

WAIT = 30.0


@dataclass(frozen=True)
class Slow(Stage):
    kind = "slow"
    version = 1

    value: int = 1

    @property
    def label(self) -> str:
        return "slow"


def computation(counter: Path, seconds: float) -> Callable[[Path], None]:
    def compute(folder: Path) -> None:
        (counter / f"{os.getpid()}").touch()
        time.sleep(seconds)
        (folder / "out.bin").write_bytes(b"x" * 1000)

    return compute


def main(store: str, counter: str, seconds: str, lease_seconds: str) -> None:
    Store.at(store)
    made = Store(store, lease_seconds=float(lease_seconds)).obtain(Slow(), computation(Path(counter), float(seconds)))
    print("cached" if made.cached else "computed")


class Process:
    """One process that asks for the stage."""

    def __init__(self, folder: Path, seconds: float, lease_seconds: float) -> None:
        self.counter = folder / "counter"
        self.counter.mkdir(exist_ok=True)
        command = [sys.executable, __file__, str(folder / "store"), str(self.counter), str(seconds), str(lease_seconds)]
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_until_computing(self) -> None:
        deadline = time.monotonic() + WAIT
        while not (self.counter / str(self.popen.pid)).exists():
            assert time.monotonic() < deadline
            assert self.popen.poll() is None, self.popen.communicate()
            time.sleep(0.02)

    def result(self) -> str:
        out, err = self.popen.communicate(timeout=WAIT)
        assert self.popen.returncode == 0, err
        return out.strip()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def one(seconds: float = 0.0, lease_seconds: float = 30.0) -> Process:
        started.append(Process(tmp_path, seconds, lease_seconds))
        return started[-1]

    yield one
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


def computations(folder: Path) -> int:
    return len(list((folder / "counter").iterdir()))


def leftovers(folder: Path) -> list[Path]:
    return [path for name in (".work", ".lease") for path in (folder / "store" / name).iterdir()]


def test_six_processes_make_one_computation(start: Callable[..., Process], tmp_path: Path) -> None:
    results = sorted(process.result() for process in [start(1.0) for _ in range(6)])
    assert results == ["cached"] * 5 + ["computed"]
    assert computations(tmp_path) == 1
    assert Store(tmp_path / "store").open(Slow())
    assert not leftovers(tmp_path)


def test_who_waits_says_for_whom_once(
    start: Callable[..., Process], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    holder = start(1.5)
    holder.wait_until_computing()
    assert Store(tmp_path / "store").obtain(Slow(), computation(tmp_path / "counter", 0)).cached
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert f"process {holder.popen.pid} on " in said[0]
    assert "slow" in said[0]


def test_a_killed_holder_is_replaced_at_once_and_its_leftovers_go(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    holder = start(60.0)
    holder.wait_until_computing()
    holder.popen.send_signal(signal.SIGKILL)
    holder.popen.wait()
    begun = time.monotonic()
    assert not Store(tmp_path / "store").obtain(Slow(), computation(tmp_path / "counter", 0)).cached
    assert time.monotonic() - begun < 20, "a live holder's lease lasts 30 s"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("age", [60.0, 0.0])
def test_a_holder_killed_before_it_wrote_its_name_is_waited_for_no_longer_than_a_lease(
    age: float, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store", lease_seconds=2.0)
    Store.at(store.root)
    nameless = tmp_path / "store" / ".lease" / Slow().digest
    nameless.parent.mkdir(exist_ok=True)
    nameless.touch()
    os.utime(nameless, (time.time() - age,) * 2)
    (tmp_path / "counter").mkdir()
    assert not store.obtain(Slow(), computation(tmp_path / "counter", 0)).cached
    assert not leftovers(tmp_path)


def test_a_lost_lease_is_harmless(start: Callable[..., Process], tmp_path: Path) -> None:
    """The holder sleeps longer than its lease, another process computes, then both have the same artifact."""
    holder = start(0.5, lease_seconds=1.0)
    holder.wait_until_computing()
    psutil.Process(holder.popen.pid).suspend()
    store = Store(tmp_path / "store", lease_seconds=1.0)
    assert not store.obtain(Slow(), computation(tmp_path / "counter", 0)).cached
    psutil.Process(holder.popen.pid).resume()
    assert holder.result() == "cached", "it discards its own and verifies the winner's"
    assert computations(tmp_path) == 2
    assert not leftovers(tmp_path)
    assert not (tmp_path / "store" / ".quarantine").exists()
    assert Store(store.root).open(Slow())


def test_another_lease_duration_does_not_block(start: Callable[..., Process], tmp_path: Path) -> None:
    holder = start(1.0, lease_seconds=20.0)
    holder.wait_until_computing()
    Store(tmp_path / "store", lease_seconds=30.0).obtain(Slow(), computation(tmp_path / "counter", 0))
    assert holder.result() == "cached"
    assert computations(tmp_path) == 2


if __name__ == "__main__":
    main(*sys.argv[1:])
