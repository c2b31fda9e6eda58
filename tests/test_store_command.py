"""`python -m w2s_lightning.store` as a person types it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from w2s_lightning.identity import Stage
from w2s_lightning.store import Store


@dataclass(frozen=True)
class Toy(Stage):
    kind = "toy"
    version = 1

    value: int

    @property
    def label(self) -> str:
        return f"toy{self.value}"


def write_output(folder: Path) -> None:
    (folder / "out.bin").write_bytes(b"x" * 5000)


def run(*arguments: str | Path, cwd: Path, store: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "W2S_STORE"}
    if store is not None:
        environment["W2S_STORE"] = store
    command = [sys.executable, "-m", "w2s_lightning.store", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three artifacts; a result refers to the first two."""
    store = Store.at(tmp_path / "store")
    for value in (1, 2, 3):
        store.obtain(Toy(value), write_output)
    write_result(tmp_path / "outputs" / "job" / "result.json", Toy(1), Toy(2))
    return store


def write_result(path: Path, *stages: Stage) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"stages": [{"kind": s.kind, "label": s.label, "digest": s.digest} for s in stages]}))


def test_ls_lists_what_is_there(store: Store, tmp_path: Path) -> None:
    done = run("ls", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    for value in (1, 2, 3):
        assert f"toy{value}" in done.stdout
        assert Toy(value).digest[:16] in done.stdout
    assert "kB" in done.stdout


def test_the_store_can_be_named_by_option_or_environment(store: Store, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "toy1" in run("ls", "--store", store.root, cwd=elsewhere).stdout
    assert "toy1" in run("ls", cwd=elsewhere, store=str(store.root)).stdout


def test_verify_finds_damage_and_repairs_it(store: Store, tmp_path: Path) -> None:
    done = run("verify", cwd=tmp_path)
    assert done.returncode == 0
    assert "3 artifacts, 0 damaged" in done.stdout
    path = store.path(Toy(2)) / "out.bin"
    path.write_bytes(b"x" * 4999 + b"y")
    (store.path(Toy(3)) / "manifest.json").unlink()
    done = run("verify", cwd=tmp_path)
    assert done.returncode == 1
    assert "out.bin has sha256" in done.stdout
    assert "no manifest.json" in done.stdout
    assert path.exists(), "without --repair nothing moves"
    assert run("verify", "--repair", cwd=tmp_path).returncode == 0
    assert not path.exists()
    assert len(list((store.root / ".quarantine").iterdir())) == 2
    assert run("verify", cwd=tmp_path).returncode == 0


def test_verify_notices_an_artifact_under_a_foreign_name(store: Store, tmp_path: Path) -> None:
    store.path(Toy(3)).rename(store.root / "toy" / f"toy9-{'0' * 16}")
    done = run("verify", cwd=tmp_path)
    assert done.returncode == 1
    assert "different stages" in done.stdout


def test_gc_lists_and_then_removes_only_what_nothing_refers_to(store: Store, tmp_path: Path) -> None:
    done = run("gc", "--keep-days", "0", cwd=tmp_path)
    assert done.returncode == 0
    assert Toy(3).folder in done.stdout
    assert "--delete" in done.stdout
    assert Toy(1).folder not in done.stdout
    assert store.has(Toy(3)), "dry by default"
    assert run("gc", "--keep-days", "0", "--delete", cwd=tmp_path).returncode == 0
    assert store.has(Toy(1))
    assert store.has(Toy(2))
    assert not store.has(Toy(3))
    assert not list((store.root / ".work").iterdir())


def test_gc_keeps_what_is_young(store: Store, tmp_path: Path) -> None:
    assert "0 items" in run("gc", "--delete", cwd=tmp_path).stdout
    assert store.has(Toy(3))


def test_gc_takes_old_work_quarantine_and_leases_but_not_living_ones(store: Store, tmp_path: Path) -> None:
    old = time.time() - 40 * 86400
    (store.checkpoints(Toy(4)) / "step.ckpt").write_text("old")
    (store.checkpoints(Toy(5)) / "step.ckpt").write_text("held")
    (store.root / ".lease" / Toy(5).digest).write_text("alive")
    (store.root / ".lease" / Toy(6).digest).write_text("dead")
    store.quarantine(store.path(Toy(3)), store.path(Toy(3)).stat().st_ino, "a test")
    for part in (".work", ".quarantine"):
        for path in [*(store.root / part).iterdir(), *(store.root / part).rglob("*")]:
            os.utime(path, (old, old))
    os.utime(store.root / ".lease" / Toy(6).digest, (old, old))
    assert run("gc", "--keep-days", "30", "--delete", cwd=tmp_path).returncode == 0
    assert [path.name for path in (store.root / ".work").iterdir()] == [Toy(5).digest]
    assert [path.name for path in (store.root / ".lease").iterdir()] == [Toy(5).digest]
    assert not list((store.root / ".quarantine").iterdir())
    assert store.has(Toy(1))


def test_gc_refuses_when_it_cannot_know_what_is_needed(store: Store, tmp_path: Path) -> None:
    done = run("gc", "--outputs", "nowhere", "--keep-days", "0", "--delete", cwd=tmp_path)
    assert done.returncode == 1
    assert "no result.json" in done.stderr
    assert "--outputs" in done.stderr
    (tmp_path / "outputs" / "job" / "result.json").write_text("{")
    done = run("gc", "--keep-days", "0", "--delete", cwd=tmp_path)
    assert done.returncode == 1
    assert "result.json" in done.stderr
    assert store.has(Toy(3))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "ls|verify|gc"),
        (["list"], 2, "invalid choice"),
        (["gc", "--keep-days", "-1"], 2, "0 or more"),
        (["gc", "--keep-days", "x"], 2, "invalid"),
        (["ls", "--store", "nowhere"], 1, "no store"),
        (["ls", "--store", "outputs"], 1, "not a store"),
    ],
)
def test_a_mistake_gets_a_short_message(
    store: Store, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "nowhere").exists()


def test_the_store_imports_no_torch() -> None:
    heavy = "{'torch', 'lightning', 'pytorch_lightning', 'transformers', 'wandb'}"
    code = f"import sys, w2s_lightning.store.__main__; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
