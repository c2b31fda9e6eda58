"""Folders that are not ours, cannot be written to, or are full: one message each, nothing half-written."""

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from w2s_lightning.errors import UserError
from w2s_lightning.identity import Stage
from w2s_lightning.store import Store


@dataclass(frozen=True)
class Toy(Stage):
    kind = "toy"
    version = 1

    value: int = 1

    @property
    def label(self) -> str:
        return "toy"


def small(folder: Path) -> None:
    (folder / "out.bin").write_bytes(b"x" * 100)


def too_big(folder: Path) -> None:
    (folder / "out.bin").write_bytes(b"x" * (4 << 20))


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "mount"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "w2s", place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a file system here: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"not a store.*paths\.store="):
        Store.at(tmp_path)
    with pytest.raises(UserError, match="not a store"):
        Store(tmp_path).obtain(Toy(), small)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_an_empty_folder_becomes_a_store(tmp_path: Path) -> None:
    Store.at(tmp_path)
    assert Store.at(tmp_path).root == tmp_path
    assert os.listdir(tmp_path) == ["w2s_store.json"]


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w2s_store.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        Store.at(tmp_path)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    for root in (tmp_path / "store", tmp_path / "store" / "below"):
        with pytest.raises(UserError, match=r"store.*paths\.store="):
            Store.at(root)


def test_a_file_named_like_a_kind_is_noticed_before_computing(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    (tmp_path / "toy").write_text("a file")
    with pytest.raises(UserError, match="cannot write to the store"):
        store.obtain(Toy(), lambda folder: pytest.fail("computed in vain"))


def test_a_read_only_store_serves_hits_and_refuses_the_rest_before_computing(mounted: Path) -> None:
    Store.at(mounted / "store").obtain(Toy(), small)
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    store = Store.at(mounted / "store")
    assert store.obtain(Toy(), small).cached
    with pytest.raises(UserError, match=r"cannot write to the store.*Read-only"):
        store.obtain(Toy(2), lambda folder: pytest.fail("computed in vain"))
    with pytest.raises(UserError, match="cannot write to the store"):
        store.checkpoints(Toy(2))
    with pytest.raises(UserError, match="cannot write to the store"):
        Store.at(mounted / "other")


def test_a_full_disk_is_said_with_the_free_space_and_leaves_nothing(mounted: Path) -> None:
    store = Store.at(mounted / "store")
    with pytest.raises(UserError, match=r"disk full while computing toy.*MB free.*gc"):
        store.obtain(Toy(), too_big)
    assert not store.path(Toy()).exists()
    assert not list((store.root / ".lease").iterdir())
    assert not [path for path in (store.root / ".work").rglob("*") if path.is_file()]
    assert not store.obtain(Toy(), small).cached, "with room again it goes on"


def test_a_disk_that_fills_up_while_publishing_leaves_nothing(mounted: Path) -> None:
    store = Store.at(mounted / "store")

    def fill(folder: Path) -> None:
        with (folder / "out.bin").open("wb", buffering=0) as stream, suppress(OSError):
            while stream.write(b"x" * 1000):
                pass

    with pytest.raises(UserError, match="disk full"):
        store.obtain(Toy(), fill)
    assert not store.path(Toy()).exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)"),
    ],
)
def test_libraries_that_only_speak_of_a_full_disk_are_understood(tmp_path: Path, error: Exception) -> None:
    def compute(folder: Path) -> None:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("could not save") from cause

    with pytest.raises(UserError, match="disk full"):
        Store.at(tmp_path).obtain(Toy(), compute)


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    def compute(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "someone's data file")

    with pytest.raises(PermissionError, match="someone's data file"):
        Store.at(tmp_path).obtain(Toy(), compute)
