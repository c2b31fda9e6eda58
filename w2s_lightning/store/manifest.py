"""What an artifact's folder must hold: sha256, size and time of every file, and where it was made.

The manifest is written last, so a folder without one is unfinished or broken. It ends with the sha256 of all that it
says before, so that a changed bit is seen wherever it is; those written before 2026-11-30 lack that and are believed
without it: of them the provenance is not covered. Hidden files (an editor's, a network file system's) do not count.
Bit-equality is promised only between equal provenances.
"""

import hashlib
import json
import math
import os
import platform
import resource
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from w2s_lightning.atomic import parse_json, read_bytes, read_json
from w2s_lightning.content import file_sha256
from w2s_lightning.identity import digest
from w2s_lightning.store.disk import sync

MANIFEST = "manifest.json"
STAGE = "stage.json"


class Damaged(Exception):
    """An artifact that is not what it claims to be; the text names the file."""


@dataclass(frozen=True)
class FileEntry:
    """One file as it was when the artifact was finished."""

    sha256: str
    size: int
    mtime_ns: int

    def glance(self, path: Path, found: os.stat_result) -> None:
        """Compare size and modification time; raises Damaged.

        A file with another time is hashed and, if sound, gets its time back: copying a store costs one hashing.
        """
        if found.st_size != self.size:
            raise Damaged(f"{path.name} has {found.st_size} bytes, its manifest says {self.size}")
        if found.st_mtime_ns != self.mtime_ns:
            self.verify(path)
            with suppress(OSError):
                os.utime(path, ns=(self.mtime_ns, self.mtime_ns))

    def verify(self, path: Path) -> None:
        """Compare the sha256; raises Damaged."""
        try:
            if not path.is_file():  # opening a pipe would wait for ever
                raise Damaged(f"{path.name} is missing, or no file")
            found = file_sha256(path)
        except OSError as error:
            raise Damaged(f"{path.name} cannot be read: {error.strerror or error}") from None
        if found != self.sha256:
            raise Damaged(f"{path.name} has sha256 {found[:16]}..., its manifest says {self.sha256[:16]}...")


@dataclass(frozen=True)
class Manifest:
    """Every file of an artifact except the manifest itself, by path relative to the folder."""

    digest: str
    files: Mapping[str, FileEntry]
    provenance: Mapping[str, Any]

    @classmethod
    def write(cls, folder: Path, digest: str, provenance: Mapping[str, Any]) -> Self:
        """Hash what lies in `folder`, and write `manifest.json` after everything that it lists has reached the disk."""
        found = sorted(files_in(folder).items())
        files = {name: FileEntry(file_sha256(folder / name), s.st_size, s.st_mtime_ns) for name, s in found}
        for place, _, names in os.walk(folder):
            sync(*(Path(place, name) for name in names), Path(place))
        content = {"digest": digest, "files": {name: asdict(f) for name, f in files.items()}, "provenance": provenance}
        (folder / MANIFEST).write_bytes(_sealed(json.dumps(content, indent=1).removesuffix("\n}").encode()))
        sync(folder / MANIFEST, folder)
        return cls(digest, files, provenance)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `folder`'s manifest; raises Damaged when there is none, or one that is not as it was written."""
        try:
            text = read_bytes(folder / MANIFEST)
            content = parse_json(text)
            made = cls.of(content)
            if "sha256" in content and text != _sealed(text[: -len(_sealed(b""))]):
                raise ValueError("it was changed after it was written")
        except FileNotFoundError:
            raise Damaged(f"there is no {MANIFEST}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(f"{MANIFEST} is damaged: {error}") from None
        return made

    @classmethod
    def of(cls, content: Any) -> Self:
        """The manifest that a JSON object holds; raises an exception where a part is missing, surplus or of another
        type."""
        given, parts = content["provenance"], {"digest", "files", "provenance"}
        entries = {name: FileEntry(**entry) for name, entry in content["files"].items()}
        numbers = [number for entry in entries.values() for number in (entry.size, entry.mtime_ns)]
        texts = [content["digest"], *(entry.sha256 for entry in entries.values())]
        if not all(type(number) is int for number in numbers) or not all(type(text) is str for text in texts):
            raise ValueError("a part of it is of another type")
        if content.keys() - {"sha256"} != parts or not math.isfinite(given["seconds"]):
            raise ValueError("it holds something else than it should")
        return cls(content["digest"], entries, given)

    def glance(self, folder: Path) -> None:
        """Check identity, names, sizes and modification times without reading the outputs; raises Damaged."""
        found = files_in(folder)
        for name, entry in self.files.items():
            if name not in found:
                raise Damaged(f"{name} is missing")
            entry.glance(folder / name, found[name])
        for name in found.keys() - self.files.keys() - {MANIFEST}:
            raise Damaged(f"{name} is not in its manifest")
        try:
            identity = digest(read_json(folder / STAGE))
        except (FileNotFoundError, ValueError, TypeError, RecursionError) as error:
            raise Damaged(f"{STAGE} cannot be read: {error}") from None
        if identity != self.digest:
            raise Damaged(f"{STAGE} and {MANIFEST} hold different identities")

    @property
    def size(self) -> int:
        """Bytes of all listed files."""
        return sum(entry.size for entry in self.files.values())

    @property
    def seconds(self) -> float:
        """How long the computation took."""
        return float(self.provenance["seconds"])


def _sealed(said: bytes) -> bytes:
    """A manifest's text: what it says, still open at its end, and the sha256 of exactly that."""
    return b'%s,\n "sha256": "%s"\n}\n' % (said, hashlib.sha256(said).hexdigest().encode())


def files_in(folder: Path) -> dict[str, os.stat_result]:
    """Every visible file below `folder` by relative path; links to folders are not followed. Raises Damaged."""
    return dict(_walk(str(folder), ""))


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            else:
                yield f"{prefix}{entry.name}", entry.stat()
    except FileNotFoundError:
        raise Damaged(f"{prefix or 'it'} vanished while it was read, or holds a link to nothing") from None
    except OSError as error:
        raise Damaged(f"{prefix or 'it'} cannot be read: {error.strerror or error}") from None


# ---------------------------------------------------------------- provenance

_PACKAGES = (
    *("w2s-lightning", "torch", "pytorch-lightning", "transformers", "tokenizers"),
    *("safetensors", "datasets", "peft", "numpy", "pyarrow"),
)


def provenance(seconds: float, more: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, machine and cost of a computation that ends now; `more` adds to it or overrides it."""
    versions = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    # OpenMP itself takes any text.
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip().lstrip("0")
    # The process's own, which in a job of its own is the stage's.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "host": socket.gethostname(),
        "threads": int(threads) if threads.isdecimal() else cores,
        "seconds": round(seconds, 3),
        "peak_memory_bytes": peak if sys.platform == "darwin" else peak * 1024,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }


@cache
def _processor() -> str:
    """What libraries choose their kernels by, which round differently: vendor, family and model number.

    A name is none of that: a virtual machine says "AMD EPYC" of processors with and without AVX-512. Which instructions
    torch's kernels then use is its own to say (`models.device.provenance`).
    """
    lines = list[str]()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0].splitlines()
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "vendor_id" in told:
        return f"{told['vendor_id']} family {told.get('cpu family')} model {told.get('model')}"
    return platform.processor() or platform.machine()
