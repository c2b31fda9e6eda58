"""`python -m w2s_lightning.store` as a person types it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.toy_stage import Toy, write_output
from w2s_lightning.store import Store
from w2s_lightning.store.__main__ import main

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in a folder with `store` and `outputs`: its exit code and what it says."""
    monkeypatch.delenv("W2S_STORE", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as left:  # argparse's own
            code = int(left.code or 0)
        out, err = capsys.readouterr()
        assert bool(err) == (code != 0 and not out)
        return code, out + err

    return run


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Store:
    """Three artifacts; a result refers to the first two."""
    store = Store.at(tmp_path / "store")
    for value in (1, 2, 3):
        store.obtain(Toy(value), write_output)
    result = tmp_path / "outputs" / "job" / "result.json"
    result.parent.mkdir(parents=True)
    result.write_text(json.dumps({"stages": [{"digest": Toy(value).digest} for value in (1, 2)]}))
    return store


def test_ls_lists_what_is_there(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "W2S_STORE"}
    command = [sys.executable, "-m", "w2s_lightning.store", "ls"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for value in (1, 2, 3):
        assert f"toy{value}" in done.stdout
        assert Toy(value).digest[:16] in done.stdout
    assert "kB" in done.stdout


def test_the_store_can_be_named_by_option_or_environment(
    run: Command, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "outputs")
    assert "toy1" in run("ls", "--store", str(store.root))[1]
    monkeypatch.setenv("W2S_STORE", str(store.root))
    assert "toy1" in run("ls")[1]


def test_verify_finds_damage_and_repairs_it(run: Command, store: Store) -> None:
    assert run("verify") == (0, "3 artifacts, 0 damaged\n")
    path = store.path(Toy(2)) / "out.bin"
    path.write_bytes(b"x" * 4999 + b"y")
    (store.path(Toy(3)) / "manifest.json").unlink()
    store.path(Toy(1)).rename(store.root / "toy" / f"toy9-{'0' * 16}")
    code, said = run("verify")
    assert code == 1
    for damage in ("out.bin has sha256", "no manifest.json", "different stages"):
        assert damage in said
    assert path.exists(), "without --repair nothing moves"
    assert run("verify", "--repair")[0] == 0
    assert not path.exists()
    assert len(list((store.root / ".quarantine").iterdir())) == 3
    assert run("verify")[0] == 0


def test_gc_lists_and_then_removes_only_what_nothing_refers_to(run: Command, store: Store) -> None:
    code, said = run("gc", "--keep-days", "0")
    assert code == 0
    assert Toy(3).folder in said
    assert "--delete" in said
    assert Toy(1).folder not in said
    assert store.has(Toy(3)), "dry by default"
    assert "0 items" in run("gc", "--delete")[1], "young ones stay"
    assert run("gc", "--keep-days", "0", "--delete")[0] == 0
    assert [store.has(Toy(value)) for value in (1, 2, 3)] == [True, True, False]
    assert not list((store.root / ".work").iterdir())


def test_gc_takes_old_work_quarantine_and_leases_but_not_living_ones(run: Command, store: Store) -> None:
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
    assert run("gc", "--keep-days", "30", "--delete")[0] == 0
    assert [path.name for path in (store.root / ".work").iterdir()] == [Toy(5).digest]
    assert [path.name for path in (store.root / ".lease").iterdir()] == [Toy(5).digest]
    assert not list((store.root / ".quarantine").iterdir())
    assert store.has(Toy(1))


def test_gc_refuses_when_it_cannot_know_what_is_needed(run: Command, store: Store, tmp_path: Path) -> None:
    code, said = run("gc", "--outputs", "nowhere", "--keep-days", "0", "--delete")
    assert code == 1
    assert "no result.json" in said
    assert "--outputs" in said
    (tmp_path / "outputs" / "job" / "result.json").write_text("{")
    code, said = run("gc", "--keep-days", "0", "--delete")
    assert code == 1
    assert "result.json is not readable" in said
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
    run: Command, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done, told = run(*arguments)
    assert done == code
    assert said in told
    assert not (tmp_path / "nowhere").exists()
