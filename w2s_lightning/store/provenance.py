"""Where and with what an artifact was made: bit-equality is promised only between equal provenances."""

import os
import platform
import resource
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "w2s-lightning",
    "torch",
    "pytorch-lightning",
    "transformers",
    "tokenizers",
    "safetensors",
    "datasets",
    "peft",
    "numpy",
    "pyarrow",
)


def provenance(seconds: float, more: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, machine and cost of a computation that ends now; `more` adds to it or overrides it."""
    return {
        "versions": dict(_versions()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "host": socket.gethostname(),
        "threads": int(os.environ.get("OMP_NUM_THREADS") or 0) or _cores(),
        "seconds": round(seconds, 3),
        "peak_memory_bytes": _peak_memory(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }


@cache
def _versions() -> Mapping[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def _processor() -> str:
    """The model of the processor: another one's kernels round otherwise."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _peak_memory() -> int:
    """The process's own peak so far, which for a job in its own process is the stage's."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
