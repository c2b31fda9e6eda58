"""The store looks up, verifies, quarantines and computes again; a folder that is not ours or is full gets one message.

What several processes do at once is in `test_store_processes.py`, the command in `test_store_command.py`.
"""

import errno
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.toy_stage import Toy, write_output
from w2s_lightning.errors import UserError
from w2s_lightning.store import Artifact, Damaged, Missing, Store
from w2s_lightning.store.__main__ import damage_of

TOY = Toy(3)


class Counted:
    """A computation that knows how often it ran."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, folder: Path) -> None:
        self.runs += 1
        (folder / "model").mkdir()
        (folder / "model" / "weights.bin").write_bytes(bytes(range(256)) * 40)
        (folder / "metrics.json").write_text(json.dumps({"accuracy": 0.5}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "store")


@pytest.fixture
def compute() -> Counted:
    return Counted()


def again(store: Store) -> Store:
    """The store as another process sees it: nothing verified yet."""
    return Store.at(store.root)


def damage(path: Path, later: int = 0) -> None:
    """Flip one bit; the file's time is `later` by as many nanoseconds."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + later))


def inside(store: Store, folder: str) -> list[str]:
    """What lies in one of the store's own folders."""
    return sorted(path.name for path in (store.root / folder).glob("*"))


# ---------------------------------------------------------------- look up, compute, publish


def test_a_stage_is_computed_once_and_then_found(store: Store, compute: Counted) -> None:
    assert not store.has(TOY)
    (store.checkpoints(TOY) / "step_10.ckpt").write_text("state")
    first = store.obtain(TOY, compute)
    assert first.path == store.path(TOY) == store.root / "toy" / TOY.folder
    assert again(store).obtain(TOY, compute) == Artifact(first.path, True, first.seconds), "its computation's seconds"
    assert (first.cached, compute.runs) == (False, 1)
    assert store.has(TOY)
    assert again(store).open(TOY) == first.path
    assert store.read_json(TOY, "metrics.json") == {"accuracy": 0.5}
    with pytest.raises(FileNotFoundError, match=r"no loss\.json"):
        store.read_json(TOY, "loss.json")
    assert not inside(store, ".work") + inside(store, ".lease"), "nothing is left of the work"


def test_another_identity_is_another_artifact(store: Store, compute: Counted) -> None:
    store.obtain(TOY, compute)
    assert not store.has(Toy(3, scale=0.2))
    store.obtain(Toy(3, scale=0.2), compute)
    assert compute.runs == 2


def test_a_stage_is_found_by_its_digest_whatever_it_was_called(store: Store, compute: Counted) -> None:
    made = store.obtain(TOY, compute).path
    renamed = made.rename(made.with_name(f"another name-{TOY.digest[:16]}"))
    assert again(store).has(TOY)
    assert again(store).obtain(TOY, compute).path == renamed == store.open(TOY)
    damage(renamed / "metrics.json")
    assert again(store).obtain(TOY, compute).path == made, "a new artifact has the name of today"
    assert compute.runs == 2
    assert inside(store, ".quarantine")


def test_the_manifest_lists_every_file_and_where_it_was_made(store: Store, compute: Counted) -> None:
    store.obtain(TOY, compute, {"device": "cpu", "threads": 2})
    manifest = store.manifest(TOY)
    assert sorted(manifest.files) == ["metrics.json", "model/weights.bin", "stage.json"]
    assert manifest.files["model/weights.bin"].size == 10240
    assert manifest.digest == TOY.digest
    told = {"versions", "python", "host", "processor", "seconds", "peak_memory_bytes", "finished_at"}
    assert told <= manifest.provenance.keys()
    assert manifest.provenance["processor"]
    assert (manifest.provenance["device"], manifest.provenance["threads"]) == ("cpu", 2)
    assert "torch" in manifest.provenance["versions"]
    assert json.loads((store.path(TOY) / "stage.json").read_text()) == TOY.record()


@pytest.mark.parametrize("error", [RuntimeError("NaN"), KeyboardInterrupt(), PermissionError(errno.EACCES, "a file")])
def test_a_failing_computation_leaves_its_checkpoints_and_nothing_else(store: Store, error: BaseException) -> None:
    def fail(folder: Path) -> None:
        (folder / "half.bin").write_text("half")
        (store.checkpoints(TOY) / "step_10.ckpt").write_text("state")
        raise error

    with pytest.raises(type(error)) as caught:
        store.obtain(TOY, fail)
    assert caught.value is error, "it passes unchanged"
    assert not store.path(TOY).exists()
    assert not inside(store, ".lease")
    assert [p.name for p in (store.root / ".work" / TOY.digest).rglob("*")] == ["ckpt", "step_10.ckpt"]


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "damaged"])
def test_the_winner_of_a_race_is_kept_if_it_is_whole(store: Store, compute: Counted, whole: bool) -> None:
    def beaten(folder: Path) -> None:
        compute(folder)
        shutil.rmtree(store.root / ".lease")  # as if the lease had been lost
        theirs = again(store).obtain(TOY, compute)
        assert not theirs.cached
        if not whole:
            damage(theirs.path / "metrics.json")

    assert store.obtain(TOY, beaten).cached is whole
    assert compute.runs == 2
    assert store.open(TOY)
    assert len(inside(store, ".quarantine")) == (0 if whole else 1)
    assert not inside(store, ".work")


def test_whoever_fails_while_somebody_else_finished_takes_theirs(store: Store, compute: Counted) -> None:
    def overtaken(folder: Path) -> None:
        checkpoints = store.checkpoints(TOY)
        shutil.rmtree(store.root / ".lease")
        again(store).obtain(TOY, compute)
        (checkpoints / "step_20.ckpt").write_text("the winner has removed this folder")

    assert store.obtain(TOY, overtaken).cached
    assert compute.runs == 1


# ---------------------------------------------------------------- what is damaged is not believed


@pytest.mark.parametrize("later", [0, 1_000_000])
def test_a_flipped_bit_is_noticed_quarantined_and_recomputed(
    store: Store, compute: Counted, later: int, caplog: pytest.LogCaptureFixture
) -> None:
    damage(store.obtain(TOY, compute).path / "model" / "weights.bin", later)
    assert again(store).has(TOY) is (later == 0), "at plan time only the time gives it away"
    with caplog.at_level(logging.WARNING):
        assert again(store).obtain(TOY, compute).cached is False
    assert compute.runs == 2
    assert "DAMAGED" in caplog.text
    assert "weights.bin" in caplog.text
    (moved,) = inside(store, ".quarantine")
    assert moved.startswith(f"toy-{TOY.folder}-")
    assert again(store).open(TOY)


def test_one_file_is_verified_without_reading_the_others(store: Store, compute: Counted) -> None:
    folder = store.obtain(TOY, compute).path
    damage(folder / "model" / "weights.bin")
    assert again(store).read_json(TOY, "metrics.json") == {"accuracy": 0.5}
    with pytest.raises(Damaged, match=r"weights\.bin"):
        again(store).open(TOY)
    with pytest.raises(Missing):
        store.open(TOY)
    damage(store.obtain(TOY, compute).path / "metrics.json")
    with pytest.raises(Damaged, match=r"metrics\.json"):
        again(store).read_json(TOY, "metrics.json")


def truncate(folder: Path) -> None:
    weights = folder / "model" / "weights.bin"
    before = weights.stat()
    os.truncate(weights, 100)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))  # its size alone tells


def replace_by_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("in the way")


CHANGES: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "removed": lambda folder: (folder / "metrics.json").unlink(),
    "added": lambda folder: (folder / "model" / "adapter_config.json").write_text("{}"),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "broken manifest": lambda folder: (folder / "manifest.json").write_text('{"files": {}'),
    "a file": replace_by_a_file,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_folder_is_no_hit_and_is_recomputed(
    store: Store, compute: Counted, change: Callable[[Path], object]
) -> None:
    change(store.obtain(TOY, compute).path)
    assert not again(store).has(TOY)
    assert not again(store).obtain(TOY, compute).cached
    assert compute.runs == 2
    assert len(inside(store, ".quarantine")) == 1
    assert again(store).has(TOY)


def test_a_changed_bit_anywhere_in_a_manifest_is_seen(store: Store, compute: Counted) -> None:
    manifest = store.obtain(TOY, compute).path / "manifest.json"
    content = manifest.read_bytes()
    for place in range(len(content)):
        changed = content[place] ^ (1 << place % 8)
        manifest.write_bytes(content[:place] + bytes([changed]) + content[place + 1 :])
        assert damage_of(manifest.parent) is not None, content[place - 20 : place + 20]
    manifest.write_bytes(content)
    assert damage_of(manifest.parent) is None


def test_a_manifest_of_before_it_covered_itself_is_believed(store: Store, compute: Counted) -> None:
    manifest = store.obtain(TOY, compute).path / "manifest.json"
    content = json.loads(manifest.read_bytes())
    del content["sha256"]
    manifest.write_text(json.dumps(content, indent=1) + "\n")
    assert damage_of(manifest.parent) is None
    assert again(store).obtain(TOY, compute).cached


def test_another_identity_under_the_same_name_is_no_hit(store: Store, compute: Counted) -> None:
    folder, other = store.obtain(TOY, compute).path, store.obtain(Toy(4), compute).path
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    assert not again(store).has(TOY)
    with pytest.raises(Damaged, match="identity"):
        again(store).open(TOY)
    assert not again(store).obtain(TOY, compute).cached


def test_a_copied_store_is_still_full_and_hashed_only_once(store: Store, compute: Counted, tmp_path: Path) -> None:
    recorded = store.obtain(TOY, compute).path / "model" / "weights.bin"
    shutil.copytree(store.root, tmp_path / "copy", copy_function=shutil.copyfile)
    copy = Store.at(tmp_path / "copy")
    copied = copy.path(TOY) / "model" / "weights.bin"
    assert copied.stat().st_mtime_ns != recorded.stat().st_mtime_ns
    assert copy.has(TOY)
    assert copied.stat().st_mtime_ns == recorded.stat().st_mtime_ns
    assert copy.obtain(TOY, compute).cached


def test_hidden_files_do_not_count(store: Store, compute: Counted) -> None:
    (store.obtain(TOY, compute).path / ".nfs0001").write_text("")
    assert again(store).open(TOY)


def test_ten_lookups_hash_nothing(store: Store, compute: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    store.obtain(TOY, compute)
    hashed: list[Path] = []
    monkeypatch.setattr("w2s_lightning.store.manifest.file_sha256", hashed.append)
    other = again(store)
    assert all(other.has(TOY) for _ in range(10))
    assert not hashed
    store.open(TOY)
    assert not hashed, "what this process wrote or verified is not hashed again"


# ---------------------------------------------------------------- folders that are not ours, or cannot be written to


@pytest.mark.parametrize(
    ("file", "content", "root", "message"),
    [
        ("thesis.tex", "mine", ".", r"not a store.*paths\.store="),
        ("w2s_store.json", '{"format": 99}', ".", r"format 99.*paths\.store="),
        ("store", "a file", "store", r"is a file.*paths\.store="),
        ("store", "a file", "store/below", r"store.*paths\.store="),
    ],
)
def test_a_folder_with_other_things_is_left_alone(
    tmp_path: Path, file: str, content: str, root: str, message: str
) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=message):
        Store.at(tmp_path / root)
    with pytest.raises(UserError, match=message):
        Store(tmp_path / root).obtain(TOY, write_output)
    assert os.listdir(tmp_path) == [file]


def test_an_empty_folder_becomes_a_store_but_not_by_looking(tmp_path: Path) -> None:
    assert not Store.at(tmp_path / "none", create=False).has(TOY)
    assert os.listdir(tmp_path) == []
    assert Store.at(tmp_path).root == Store.at(tmp_path).root == tmp_path
    assert os.listdir(tmp_path) == ["w2s_store.json"]


def test_a_file_named_like_a_kind_is_noticed_before_computing(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    (tmp_path / "toy").write_text("a file")
    with pytest.raises(UserError, match="cannot write to the store"):
        store.obtain(TOY, lambda folder: pytest.fail("computed in vain"))


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


def test_a_read_only_store_serves_hits_and_refuses_the_rest_before_computing(mounted: Path) -> None:
    Store.at(mounted / "store").obtain(TOY, write_output)
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    store = Store.at(mounted / "store")
    assert store.obtain(TOY, write_output).cached
    with pytest.raises(UserError, match=r"cannot write to the store.*Read-only"):
        store.obtain(Toy(2), lambda folder: pytest.fail("computed in vain"))
    with pytest.raises(UserError, match="cannot write to the store"):
        store.checkpoints(Toy(2))
    with pytest.raises(UserError, match="cannot write to the store"):
        Store.at(mounted / "other")


def write_too_much(folder: Path) -> None:
    (folder / "out.bin").write_bytes(b"x" * (4 << 20))


def fill_the_disk(folder: Path) -> None:
    """So that the manifest finds no room."""
    with (folder / "out.bin").open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(b"x" * 1000):
            pass


@pytest.mark.parametrize("work", [write_too_much, fill_the_disk])
def test_a_full_disk_is_said_with_the_free_space_and_leaves_nothing(
    mounted: Path, work: Callable[[Path], None]
) -> None:
    store = Store.at(mounted / "store")
    with pytest.raises(UserError, match=r"disk full while computing toy.*MB free.*gc"):
        store.obtain(TOY, work)
    assert not store.path(TOY).exists()
    assert not inside(store, ".lease")
    assert not [path for path in (store.root / ".work").rglob("*") if path.is_file()]
    assert not store.obtain(TOY, write_output).cached, "with room again it goes on"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)"),
    ],
)
def test_libraries_that_only_speak_of_a_full_disk_are_understood(store: Store, error: Exception) -> None:
    def fail(folder: Path) -> None:
        raise RuntimeError("could not save") from error

    with pytest.raises(UserError, match="disk full"):
        store.obtain(TOY, fail)
