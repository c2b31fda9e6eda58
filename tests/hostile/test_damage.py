"""Every kind of damage to every kind of file of ours: the commands go on, name it, and say it in short."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.asking import Ask, check
from tests.report.making import Made, small
from w2s_lightning.report.__main__ import main as report
from w2s_lightning.results.claims import main as claims
from w2s_lightning.store.__main__ import main as store

CLAIM = """- id: gap
  claim: something is recovered
  jobs: [model@weak=nano, model@strong=small, paradigm=weak_to_strong]
  seeds: [0, 1, 2, 3, 4]
  quantity: {of: pgr, row: student}
  says: above
  threshold: 0
"""
FILES = {  # where it lies, and which commands must name it
    "store/fit/*/manifest.json": ("verify",),
    "store/fit/*/history.jsonl": ("verify",),
    "store/evaluate/*/stage.json": ("verify",),
    "store/evaluate/*/predictions.parquet": ("verify",),
    "store/evaluate/*": ("verify",),
    "store/w2s_store.json": ("verify", "ls", "gc"),
    "outputs/fact_*/result.json": ("gc", "claims"),
    "outputs/sweeps/*/sweep.json": ("claims",),
    "outputs/fact_*/config.yaml": (),
    "claims.yaml": ("claims",),
}


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def holding(content: bytes) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        remove(path)
        path.write_bytes(content)

    return damage


def half(path: Path) -> None:
    content = b"" if path.is_dir() else path.read_bytes()
    holding(content[: len(content) // 2])(path)


def flip(path: Path) -> None:
    """One bit, with the size and the time of before."""
    path = path / "predictions.parquet" if path.is_dir() else path
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 3] ^= 128
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def retyped(turn: Callable[[Any], Any]) -> Callable[[Path], object]:
    """JSON of the same keys whose values have other types."""

    def damage(path: Path) -> None:
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError):
            content = {"format": 0}
        holding(json.dumps({key: turn(value) for key, value in content.items()}).encode())(path)

    return damage


def other(value: Any) -> Any:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        turned = {key: other(inner) for key, inner in items}
        return turned if isinstance(value, dict) else list(turned.values())
    return 5 if isinstance(value, str) else "text"


def instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        remove(path)
        make(path)

    return damage


def circle(path: Path) -> None:
    path.mkdir()
    (path / "one").symlink_to(path)
    (path / "two").symlink_to(path)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": holding(b""),
    "half": half,
    "flipped": flip,
    "binary": holding(bytes(range(256)) * 4),
    "escape codes": holding(b'\x1b[31m{"x"'),
    "an empty object": holding(b"{}"),
    "a list": holding(b"[{}]"),
    "nested deep": holding(b"[" * 100_000),
    "a long number": holding(b'{"format": ' + b"9" * 6000 + b"}"),
    "a lone surrogate": holding(b'{"digest": "\\ud800"}'),
    "types": retyped(other),
    "nulls": retyped(lambda _: None),
    "lists": retyped(lambda _: [1]),
    "a folder": instead(Path.mkdir),
    "a circle of links": instead(circle),
    "a link to nothing": instead(lambda path: path.symlink_to(path.parent / "nothing")),
    "a link to itself": instead(lambda path: path.symlink_to(path)),
    "a pipe": instead(os.mkfifo),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return small(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize(("file", "named_by"), FILES.items(), ids=FILES)
def test_commands_survive_damage_and_name_it(
    ask: Ask, whole: Made, file: str, named_by: tuple[str, ...], damage: Callable[[Path], object]
) -> None:
    shutil.copytree(whole.root, ask.place, dirs_exist_ok=True)
    (ask.place / "claims.yaml").write_text(CLAIM)
    path = sorted(ask.place.glob(file))[0]
    damage(path)
    ask.monkeypatch.chdir(ask.place)
    commands: dict[str, Callable[[], int]] = {
        "verify": lambda: store(["verify"]),
        "ls": lambda: store(["ls"]),
        "claims": lambda: claims(["--claims", "claims.yaml"]),
        "report": lambda: report(["--text"]),
        "gc": lambda: store(["gc", "--keep-days", "0", "--delete"]),
        "repair": lambda: store(["verify", "--repair"]),
    }
    for name, command in commands.items():
        answer = ask._run(command)
        check(replace(answer, code=0) if answer.out else answer, code=None)  # what `verify` finds is its answer
        if name in named_by:
            assert path.name in answer.text or path.parent.name in answer.text, (name, answer.text)
            assert answer.code == 1 or path.suffix == ".json", (name, answer.text)


def test_gc_leaves_links_and_what_they_lead_to(ask: Ask, whole: Made) -> None:
    shutil.copytree(whole.root, ask.place, dirs_exist_ok=True)
    ask.monkeypatch.chdir(ask.place)
    linked = sorted(Path("store/evaluate").iterdir())[0]
    linked.rename("elsewhere")
    linked.symlink_to(Path("elsewhere").absolute())
    Path("store/more").symlink_to(Path("store/fit").absolute())
    Path("store/.work").mkdir(exist_ok=True)
    Path("store/.work/link").symlink_to(Path("elsewhere").absolute())
    for file in Path("outputs").glob("*/result.json"):
        file.write_text(json.dumps({"stages": []}))
    check(ask._run(lambda: store(["gc", "--keep-days", "0", "--delete"])), "removed", 0)
    assert linked.is_symlink()
    assert Path("store/.work/link").is_symlink()
    assert Path("elsewhere/manifest.json").is_file()
    assert not list(Path("store/fit").iterdir())
    check(ask._run(lambda: store(["verify"])), "0 damaged", 0)
