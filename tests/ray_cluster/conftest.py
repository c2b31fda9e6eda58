"""A real Ray cluster of a head and one more node, a core each, started for these tests and stopped after them."""

import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.slurm.cells import pool

__all__ = ["pool"]

LIMIT = 90.0
COMMAND = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1", "--disable-usage-stats"]
NODES = {"head": ["--head", "--include-dashboard=false"], "second": []}


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a running cluster; its nodes have resources named `head` and `second`."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install -e '.[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")  # nobody else on this machine sends it tasks
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield from _running()


def _running() -> Iterator[str]:
    port = _free_port()
    place = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # Ray's sockets lie there: short
    nodes = []
    try:
        for name, words in NODES.items():
            words = [*words, f"--port={port}", f"--temp-dir={place}"] if words else [f"--address=127.0.0.1:{port}"]
            nodes.append(_started(name, words, place))
            _wait_for(len(nodes), f"127.0.0.1:{port}")
        yield f"127.0.0.1:{port}"
    finally:
        for node in reversed(nodes):
            node.terminate()
        for node in nodes:
            node.wait(LIMIT)
        shutil.rmtree(place, ignore_errors=True)


def _started(name: str, words: list[str], place: Path) -> "subprocess.Popen[bytes]":
    own = ["--node-ip-address=127.0.0.1", f'--resources={{"{name}": 1}}']
    with (place / f"{name}.log").open("wb") as log:
        return subprocess.Popen([*COMMAND, *words, *own], stdout=log, stderr=log)


def _wait_for(nodes: int, address: str) -> None:
    """Wait until as many nodes are alive, as `ray status` tells."""
    until = time.monotonic() + LIMIT
    while True:
        done = subprocess.run([COMMAND[0], "status", f"--address={address}"], capture_output=True, text=True)
        if done.stdout.count(" node_") >= nodes:
            return
        assert time.monotonic() < until, done.stdout + done.stderr
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
