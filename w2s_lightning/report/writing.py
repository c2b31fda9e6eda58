"""Writes the page: what the command line and the sweep call."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from w2s_lightning.atomic import replacing, write_whole
from w2s_lightning.errors import UserError
from w2s_lightning.report.html import render
from w2s_lightning.report.sources import Library, Wanted
from w2s_lightning.report.views import pages_of
from w2s_lightning.results.claims import read_claims
from w2s_lightning.results.stored import StoreReader
from w2s_lightning.show.words import counted
from w2s_lightning.store.root import is_ours

CLAIMS = Path("docs/claims.yaml")


@dataclass(frozen=True)
class Written:
    """What was written: the page, the file of all rows beside it (None without a finished job), and their sizes."""

    page: Path
    rows: Path | None
    size: int
    num_rows: int


class Reporter:
    """Writes the page of one sweep again and again while it grows; what was read and computed before is kept."""

    def __init__(self, sweep: Path, *, store: Path | None = None, out: Path | None = None) -> None:
        self._wanted = Wanted((sweep,), None, store)
        self._out = out or sweep / "report.html"
        self._library = Library()

    @property
    def reader(self) -> StoreReader:
        """The reader of the sweep's store, which must have been given: whoever else needs it reads nothing twice."""
        assert self._wanted.store is not None
        return self._library.pooled(self._wanted.store).reader

    def write(self) -> Written:
        """Write the page as things are now; raise UserError for a folder that is no sweep or cannot be written."""
        return write_page(self._library, self._wanted, self._out, claim_texts(CLAIMS))


def write_page(library: Library, wanted: Wanted, out: Path, claims: Mapping[str, str]) -> Written:
    """Write page and rows, each atomically."""
    pages, tables = pages_of(library, wanted, claims)
    rows = out.with_suffix(".examples.parquet")
    made = f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    names = list(dict.fromkeys(one.section.sweep for one in pages))
    title = f"{', '.join(names[:3])} · weak to strong" if names else "weak to strong"
    there = "" if pages else _what_is_there(wanted)
    content = render(pages, rows_file=rows.name if tables else None, made=made, title=title, there=there).encode()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if tables:
            with replacing(rows) as scratch:
                pq.write_table(pa.concat_tables(tables), scratch, compression="zstd")
        write_whole(out, content)
    except OSError as error:
        raise UserError(f"cannot write {out} ({error.strerror}): name another place with --out FILE") from None
    return Written(out, rows if tables else None, len(content), sum(table.num_rows for table in tables))


def _what_is_there(wanted: Wanted) -> str:
    """What to say of folders without any result: where was looked, how many stages the store holds all the same."""
    root, looked = wanted.store or Path("store"), f"Looked for jobs and sweeps in {wanted.outputs}"
    if wanted.outputs is not None and not wanted.outputs.is_dir():
        looked += ", which is not there"
    if not root.exists():
        return f"{looked}: --outputs names another folder."
    is_ours(root)
    stages = counted(len(StoreReader(root).digests()), "finished stage")
    return f"{looked}. The store {root} holds {stages}, but no result there names them: --outputs names another folder."


def claim_texts(file: Path) -> dict[str, str]:
    """Claims' sentences by id, empty without the file."""
    return {claim.id: claim.claim for claim in read_claims(file)} if file.is_file() else {}
