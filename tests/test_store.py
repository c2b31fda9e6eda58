"""The store looks up, verifies, quarantines and computes again."""

import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from w2s_lightning.identity import Stage
from w2s_lightning.store import Artifact, Damaged, Missing, Store


@dataclass(frozen=True)
class Toy(Stage):
    kind = "toy"
    version = 1

    value: int
    scale: float = 0.1

    @property
    def label(self) -> str:
        return f"toy{self.value}"


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


def damage(path: Path, *, keep_time: bool) -> None:
    """Flip one bit."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


def quarantined(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / ".quarantine").glob("*"))


def test_a_stage_is_computed_once_and_then_found(store: Store, compute: Counted) -> None:
    assert not store.has(TOY)
    first = store.obtain(TOY, compute)
    second = again(store).obtain(TOY, compute)
    assert (first.cached, second.cached, compute.runs) == (False, True, 1)
    assert first.path == second.path == store.path(TOY) == store.root / "toy" / TOY.folder
    assert store.has(TOY)
    assert again(store).open(TOY) == first.path
    assert store.read_json(TOY, "metrics.json") == {"accuracy": 0.5}


def test_the_seconds_of_a_hit_are_those_of_its_computation(store: Store, compute: Counted) -> None:
    made = store.obtain(TOY, compute)
    assert again(store).obtain(TOY, compute) == Artifact(made.path, True, made.seconds)


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
    damage(renamed / "metrics.json", keep_time=True)
    assert again(store).obtain(TOY, compute).path == made, "a new artifact has the name of today"
    assert compute.runs == 2
    assert quarantined(store)


def test_the_manifest_lists_every_file_and_where_it_was_made(store: Store, compute: Counted) -> None:
    store.obtain(TOY, compute, {"device": "cpu", "threads": 2})
    manifest = store.manifest(TOY)
    assert sorted(manifest.files) == ["metrics.json", "model/weights.bin", "stage.json"]
    assert manifest.files["model/weights.bin"].size == 10240
    assert manifest.digest == TOY.digest
    told = {"versions", "python", "host", "processor", "seconds", "peak_memory_bytes", "finished_at"}
    assert told <= manifest.provenance.keys()
    assert manifest.provenance["processor"]
    assert manifest.provenance["device"] == "cpu"
    assert manifest.provenance["threads"] == 2
    assert "torch" in manifest.provenance["versions"]
    assert json.loads((store.path(TOY) / "stage.json").read_text()) == TOY.record()


def test_a_finished_stage_leaves_no_work_and_no_lease(store: Store, compute: Counted) -> None:
    (store.checkpoints(TOY) / "step_10.ckpt").write_text("state")
    store.obtain(TOY, compute)
    assert not list((store.root / ".work").iterdir())
    assert not list((store.root / ".lease").iterdir())


def test_a_failing_computation_leaves_its_checkpoints_and_nothing_else(store: Store) -> None:
    def fail(folder: Path) -> None:
        (folder / "half.bin").write_text("half")
        (store.checkpoints(TOY) / "step_10.ckpt").write_text("state")
        raise RuntimeError("NaN")

    with pytest.raises(RuntimeError, match="NaN"):
        store.obtain(TOY, fail)
    assert not store.path(TOY).exists()
    assert not list((store.root / ".lease").iterdir())
    assert [p.name for p in (store.root / ".work" / TOY.digest).rglob("*")] == ["ckpt", "step_10.ckpt"]


def test_ctrl_c_leaves_nothing_under_the_final_name(store: Store) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half.bin").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.obtain(TOY, interrupted)
    assert not store.path(TOY).exists()
    assert not list((store.root / ".work" / TOY.digest).iterdir())


@pytest.mark.parametrize("keep_time", [True, False])
def test_a_flipped_bit_is_noticed_quarantined_and_recomputed(
    store: Store, compute: Counted, keep_time: bool, caplog: pytest.LogCaptureFixture
) -> None:
    weights = store.obtain(TOY, compute).path / "model" / "weights.bin"
    damage(weights, keep_time=keep_time)
    assert again(store).has(TOY) is keep_time, "at plan time only the time gives it away"
    with caplog.at_level(logging.WARNING):
        assert again(store).obtain(TOY, compute).cached is False
    assert compute.runs == 2
    assert "DAMAGED" in caplog.text
    assert "weights.bin" in caplog.text
    assert len(quarantined(store)) == 1
    assert quarantined(store)[0].startswith(f"toy-{TOY.folder}-")
    assert again(store).open(TOY)


def test_loading_a_damaged_artifact_says_so_and_moves_it_away(store: Store, compute: Counted) -> None:
    damage(store.obtain(TOY, compute).path / "model" / "weights.bin", keep_time=True)
    with pytest.raises(Damaged, match=r"weights\.bin"):
        again(store).open(TOY)
    with pytest.raises(Missing):
        store.open(TOY)


def test_one_file_is_verified_without_reading_the_others(store: Store, compute: Counted) -> None:
    folder = store.obtain(TOY, compute).path
    damage(folder / "model" / "weights.bin", keep_time=True)
    assert again(store).read_json(TOY, "metrics.json") == {"accuracy": 0.5}
    damage(folder / "metrics.json", keep_time=True)
    with pytest.raises(Damaged, match=r"metrics\.json"):
        again(store).read_json(TOY, "metrics.json")
    with pytest.raises(Missing):
        store.read_json(TOY, "metrics.json")


def test_an_output_that_was_never_written_is_named(store: Store, compute: Counted) -> None:
    store.obtain(TOY, compute)
    with pytest.raises(FileNotFoundError, match=r"no loss\.json"):
        store.read_json(TOY, "loss.json")


@pytest.mark.parametrize("kind", ["truncated", "removed", "added", "no manifest", "broken manifest", "a file"])
def test_a_changed_folder_is_no_hit_and_is_recomputed(store: Store, compute: Counted, kind: str) -> None:
    folder = store.obtain(TOY, compute).path
    if kind == "truncated":
        weights = folder / "model" / "weights.bin"
        before = weights.stat()
        with weights.open("r+b") as stream:
            stream.truncate(100)
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))  # its size alone tells
    elif kind == "removed":
        (folder / "metrics.json").unlink()
    elif kind == "added":
        (folder / "model" / "adapter_config.json").write_text("{}")
    elif kind == "no manifest":
        (folder / "manifest.json").unlink()
    elif kind == "broken manifest":
        (folder / "manifest.json").write_text('{"files": {}')
    else:
        shutil.rmtree(folder)
        folder.write_text("in the way")
    assert not again(store).has(TOY)
    assert not again(store).obtain(TOY, compute).cached
    assert compute.runs == 2
    assert len(quarantined(store)) == 1
    assert again(store).has(TOY)


def test_another_identity_under_the_same_name_is_no_hit(store: Store, compute: Counted) -> None:
    folder = store.obtain(TOY, compute).path
    other = store.obtain(Toy(4), compute).path
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


def test_the_store_is_not_made_by_looking(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "store", create=False)
    assert not store.has(TOY)
    assert not store.root.exists()


def test_the_winner_of_a_race_is_kept(store: Store, compute: Counted) -> None:
    def beaten(folder: Path) -> None:
        compute(folder)
        shutil.rmtree(store.root / ".lease")  # as if the lease had been lost
        assert not again(store).obtain(TOY, compute).cached

    made = store.obtain(TOY, beaten)
    assert compute.runs == 2
    assert made.cached
    assert store.open(TOY)
    assert not quarantined(store)
    assert not list((store.root / ".work").iterdir())


def test_a_damaged_winner_is_replaced(store: Store, compute: Counted) -> None:
    def beaten(folder: Path) -> None:
        compute(folder)
        shutil.rmtree(store.root / ".lease")
        damage(again(store).obtain(TOY, compute).path / "metrics.json", keep_time=True)

    assert not store.obtain(TOY, beaten).cached
    assert store.open(TOY)
    assert len(quarantined(store)) == 1


def test_whoever_fails_while_somebody_else_finished_takes_theirs(store: Store, compute: Counted) -> None:
    def overtaken(folder: Path) -> None:
        checkpoints = store.checkpoints(TOY)
        shutil.rmtree(store.root / ".lease")
        again(store).obtain(TOY, compute)
        (checkpoints / "step_20.ckpt").write_text("the winner has removed this folder")

    assert store.obtain(TOY, overtaken).cached
    assert compute.runs == 1


def test_ten_lookups_hash_nothing(store: Store, compute: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    store.obtain(TOY, compute)
    hashed: list[Path] = []
    monkeypatch.setattr("w2s_lightning.store.manifest.file_sha256", hashed.append)
    other = again(store)
    assert all(other.has(TOY) for _ in range(10))
    assert not hashed
    store.open(TOY)
    assert not hashed, "what this process wrote or verified is not hashed again"
