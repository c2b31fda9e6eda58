"""Runs the real program on the tiny world of `sweeps=smoke`, and reads what it left behind: for tests."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.composing import ROOT
from tests.models.tiny import make_folder
from w2s_lightning.errors import INTERRUPTED


@dataclass(frozen=True)
class Smoke:
    """A sweep that has run: where, what it printed, its sweep.json."""

    place: Path
    printed: str
    ledger: dict[str, Any]


LIMIT = 240.0  # seconds, after which something never happens
SLOTS = ("hydra.launcher.slots=2", "hydra.launcher.threads=1")


def environment() -> dict[str, str]:
    """One thread a process, and nothing of the caller's that changes digests or logs in anywhere."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "HF_HUB_OFFLINE": "1"}


def command(place: Path, *arguments: str, multirun: bool = True) -> list[str]:
    """`python train.py -m ...` with its store and outputs in `place`."""
    where = (f"paths.store={place}/store", f"paths.outputs={place}/outputs")
    return [sys.executable, str(ROOT / "train.py"), *(["-m"] if multirun else []), *arguments, *where]


def sweep(place: Path, *arguments: str, expect: int = 0) -> str:
    """Run a sweep to its end; stdout and stderr together."""
    return run(command(place, *arguments), expect=expect)


def run(words: list[str], *, expect: int = 0) -> str:
    """Run a command; its output. Fails when the exit code is another than expected."""
    with tempfile.TemporaryFile() as output:  # no pipe: a fork server that is still loading would hold it open
        done = subprocess.run(words, stdout=output, stderr=output, env=environment(), cwd=ROOT)
        output.seek(0)
        text = output.read().decode()
    assert done.returncode == expect, f"exit code {done.returncode}\n{text}"
    return text


def start(place: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start a sweep and return at once."""
    words = command(place, *arguments)
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's `pytest &` leaves it ignored
    )


def wait_for(happened: Callable[[], bool], process: "subprocess.Popen[str]") -> bool:
    """Wait until it happens; False when the process ends first."""
    until = time.monotonic() + LIMIT
    while not happened():
        if process.poll() is not None:
            return False
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)
    return True


def working_on(place: Path, folder: str = ".*") -> list[psutil.Process]:
    """The processes that write the log of a stage of the sweep in `place`, its folder given as a pattern."""
    log = re.compile(rf"{re.escape(str(place))}/.*/stages/{folder}/log\.txt$")
    found = []
    for one in psutil.process_iter():
        with suppress(OSError):
            found += [one] if log.search(os.readlink(f"/proc/{one.pid}/fd/1")) else []
    return found


def killed_once(place: Path, *launcher: str) -> str:
    """Kill the process of one of two cells' models: its own cell fails, the other ends well, and the same command then
    finishes both without making anything anew. Returns what the first run printed."""
    slow = ("sweeps=smoke", "seed=0", "model@weak=nano", "model@strong=nano,micro", "strong.pretrain.steps=900")
    process = start(place, *slow, *launcher)
    assert wait_for(lambda: bool(working_on(place, "micro-people-[0-9a-f]{16}")), process)
    working_on(place, "micro-people-[0-9a-f]{16}")[0].kill()
    printed, _ = process.communicate()
    assert process.returncode == 1, printed
    assert "error: 1 job failed; all others are done" in printed
    assert {job["strong"]: job["state"] for job in ledger(place)["jobs"]} == {"nano": "done", "micro": "failed"}
    before = stamps(place)
    assert "2 jobs, 1 of them done" in sweep(place, *slow, *launcher)
    assert {job["state"] for job in ledger(place)["jobs"]} == {"done"}
    assert before.items() <= stamps(place).items()
    return printed


def stopped(process: "subprocess.Popen[str]", how: signal.Signals) -> None:
    """Stop a sweep; it says so in one line."""
    process.send_signal(how)
    printed, _ = process.communicate(timeout=90)  # a task of Ray has 20 s to save its checkpoint, Ray takes its own
    assert process.returncode == INTERRUPTED, printed
    said = "error: stopped; finished stages and checkpoints are kept: the same command goes on from here"
    assert said in printed, printed
    assert "Traceback" not in printed, printed


def own_sweep_file(place: Path, sweeper: dict[str, Any], **changed: Any) -> list[str]:
    """Write a sweep file outside the repository, `smoke` with these settings; the words that find and run it."""
    content = yaml.safe_load((ROOT / "sweeps" / "smoke.yaml").read_text()) | {"hydra": {"sweeper": sweeper}} | changed
    (place / "conf" / "sweeps").mkdir(parents=True)
    (place / "conf" / "sweeps" / "own.yaml").write_text("# @package _global_\n" + yaml.safe_dump(content))
    return ["sweeps=own", f"hydra.searchpath=[file://{place}/conf]"]


def half_broken(place: Path, config: str | None = None) -> list[str]:
    """A sweep one of whose two strong models plans well and cannot be loaded: its layers have another shape."""
    folder = make_folder(place / "model", "llama", words=("wrong", "right"))  # those of `facts`
    content = json.loads((folder / "config.json").read_text()) | {"intermediate_size": 7}
    (folder / "config.json").write_text(config or json.dumps(content))
    strong = [{"model@strong": "micro", "strong.pretrain.steps": 30, "strong.pretrain.warmup_steps": 5}]
    strong.append({"model@strong": "local", "strong.path": str(folder), "strong.head_init": "zeros"})
    return own_sweep_file(place, {"params": {"model@weak": "nano", "seed": "range(2)"}, "cases": strong}, strong={})


def ledger(place: Path) -> dict[str, Any]:
    """The one sweep.json below `place`."""
    (file,) = (place / "outputs" / "sweeps").glob("*/sweep.json")
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def facts(place: Path) -> dict[str, Any]:
    """What one sweep in two places must agree on: its rows and those of every job's result, without times and place."""
    content = ledger(place)
    assert content["counts"]["done"] == len(content["jobs"])
    results = [json.loads((place / "outputs" / job["folder"] / "result.json").read_text()) for job in content["jobs"]]
    kept = {key: content[key] for key in ("digest", "counts", "groups", "jobs", "readouts")}
    kept["rows"] = [[result["digest"], result["rows"], result["pgr"]] for result in results]
    found: dict[str, Any] = json.loads(json.dumps(kept).replace(str(place), ""))
    return found


def stored(place: Path) -> dict[str, dict[str, str]]:
    """Of every finished stage, the sha256 of its files, but for those that hold times."""
    found = {}
    for manifest in (place / "store").glob("*/*/manifest.json"):
        files = json.loads(manifest.read_text())["files"]
        folder = manifest.parent
        found[f"{folder.parent.name}/{folder.name}"] = {
            name: entry["sha256"] for name, entry in files.items() if name != "history.jsonl"
        }
    return found


def stamps(place: Path) -> dict[str, tuple[int, int]]:
    """Of every finished stage, inode and time of its manifest: they change when it is made again."""
    files = (place / "store").glob("*/*/manifest.json")
    return {str(f.parent): (f.stat().st_ino, f.stat().st_mtime_ns) for f in files}


def computed(place: Path) -> list[str]:
    """Every stage that some process of the pool has computed, as the processes' logs tell, repeats included."""
    pattern = re.compile(r"^\[\d+/\d+\] (\w+) +(\S+) · [\d.]+ s$", re.MULTILINE)
    logs = (place / "outputs" / "sweeps").glob("*/stages/*/log.txt")
    return [f"{kind} {label}" for log in logs for kind, label in pattern.findall(log.read_text())]
