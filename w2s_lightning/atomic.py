"""Files that a reader finds whole, old or new, and never half: written beside their place and then renamed.

Everything that others may read while it is rewritten goes through here; whole folders are the store's `publish`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A scratch file to write; at the end it takes the place of `path`, on an error it is gone and `path` as before."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")  # beside it: a rename works within one file system only
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file by `replacing`; its folder must be there."""
    with replacing(path) as scratch:
        scratch.write_bytes(content.encode() if isinstance(content, str) else content)
