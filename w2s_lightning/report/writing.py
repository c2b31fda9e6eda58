"""Pages -> one HTML file: what the command line and the sweep call.

Templates, one style sheet, scripts and data are inlined. The Content-Security-Policy names every script and style sheet
by its sha256 and allows no request at all. Data stands in an `application/json` block in which no character can end a
script.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from w2s_lightning.atomic import replacing, write_whole
from w2s_lightning.errors import UserError
from w2s_lightning.report.compared import SEEN
from w2s_lightning.report.figures import STYLE
from w2s_lightning.report.inspector import MOST
from w2s_lightning.report.sources import Library, Wanted
from w2s_lightning.report.theme import css_variables
from w2s_lightning.report.views import Pages, mirrored, pages_of
from w2s_lightning.results.claim_file import read_claims
from w2s_lightning.results.pooled import OUTCOMES
from w2s_lightning.results.stored import StoreReader
from w2s_lightning.show.numbers import counted, interval, seconds, size
from w2s_lightning.store import is_ours

HERE = Path(__file__).parent
SCRIPTS = ("dom.js", "route.js", "figures.js", "curves.js", "inspector.js", "runs.js", "start.js")
EMPTY_STYLE = ""  # plotly makes an empty style element and fills it by rules
CLAIMS = Path("docs/claims.yaml")
TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"interval": interval, "seconds": seconds, "size": size}


@dataclass(frozen=True)
class Written:
    """What was written: the page, the file of all rows beside it (None without a finished job), and their sizes."""

    page: Path
    rows: Path | None
    size: int
    num_rows: int


class Reporter:
    """Writes the page of one sweep again and again while it grows; what was read and computed before is kept."""

    def __init__(self, sweep: Path, store: Path | None = None) -> None:
        self._wanted, self._library = Wanted((sweep,), None, store), Library()

    @property
    def reader(self) -> StoreReader:
        """The reader of the sweep's store, which must have been given: whoever else needs it reads nothing twice."""
        assert self._wanted.store is not None
        return self._library.pooled(self._wanted.store).reader

    def mirrored(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The page's figures and tables, for wandb."""
        return mirrored(self._library, self._wanted)

    def write(self) -> Written:
        """Write the page as things are now; raise UserError for a folder that is no sweep or cannot be written."""
        return write_page(self._library, self._wanted, self._wanted.sweeps[0] / "report.html", claim_texts(CLAIMS))


def write_page(library: Library, wanted: Wanted, out: Path, claims: Mapping[str, str]) -> Written:
    """Write page and rows, each atomically; raise UserError, and write nothing, where there is nothing to show."""
    pages, tables = shown_pages(library, wanted, claims)
    rows = out.with_suffix(".examples.parquet")
    made = f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    names = list(dict.fromkeys(one.section.sweep for one in pages))
    title = f"{', '.join(names[:3])} · weak to strong"
    content = render(pages, rows_file=rows.name if tables else None, made=made, title=title).encode()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if tables:
            with replacing(rows) as scratch:
                pq.write_table(pa.concat_tables(tables), scratch, compression="zstd")
        write_whole(out, content)
    except OSError as error:
        raise UserError(f"cannot write {out} ({error.strerror}): name another place with --out FILE") from None
    return Written(out, rows if tables else None, len(content), sum(table.num_rows for table in tables))


def shown_pages(library: Library, wanted: Wanted, claims: Mapping[str, str]) -> tuple[list[Pages], list[pa.Table]]:
    """As `pages_of`; raise UserError where there is none, which says where was looked and what lies there."""
    pages, tables = pages_of(library, wanted, claims)
    if pages:
        return pages, tables
    place = wanted.outputs or wanted.sweeps[0]
    root, looked = wanted.store or Path("store"), f"no finished job and no sweep in {place}"
    if not place.is_dir():
        looked += ", which is not there"
    told = [f"{fault.where}: {fault.detail}" for fault in library.faults[:1]]
    if root.exists():
        is_ours(root)
        stages = counted(len(StoreReader(root).digests()), "finished stage")
        told.append(f"the store {root} holds {stages}, but no result there names them: --outputs names another folder")
    raise UserError(
        f"nothing to show: {'; '.join([looked, *told])}\n"
        "Run `python train.py` or `python train.py -m sweeps=size_pairs`, and this again"
    )


def claim_texts(file: Path) -> dict[str, str]:
    """Claims' sentences by id, empty without the file."""
    return {claim.id: claim.claim for claim in read_claims(file)} if file.is_file() else {}


# ---------------------------------------------------------------- one file


def render(views: Sequence[Pages], *, rows_file: str | None, made: str, title: str) -> str:
    """The whole page."""
    head, style = _asset("head.js"), css_variables() + _asset("report.css")
    scripts, module = [_plotly(), "\n".join(_asset(name) for name in SCRIPTS)], _tables()
    data = {"outcomes": OUTCOMES, "style": STYLE, "sections": {view.section.key: _section(view) for view in views}}
    page = TEMPLATES.get_template("page.html")
    return page.render(
        views=views,
        judged=any(view.figures.get("rewardbench") for view in views),
        seen=SEEN,
        most=MOST,
        rows_file=rows_file,
        made=made,
        title=title,
        head=Markup(head),
        style=Markup(style),
        scripts=list(map(Markup, scripts)),
        module=Markup(module),
        data=Markup(as_json(data)),
        policy=policy([head, *scripts, module], [style, EMPTY_STYLE]),
        # Plotly adds style sheets (for maps) unless elements of their ids are there.
        unstyled=sorted(set(re.findall(r'getElementById\("([0-9a-f]{32,})"\)', _plotly()))),
    )


def _section(view: Pages) -> dict[str, Any]:
    figures = {}
    for place, figure in view.placed().items():
        views = [
            # The page draws the matrix by itself, as a table of links.
            {"label": one.label, "plot": None if figure.key == "matrix" else one.plot, "reading": one.reading}
            | {"rows": figure.table(one)}
            for one in figure.views
        ]
        figures[place] = {"columns": figure.columns, "choose": figure.choose, "views": views}
    scripts_read = {"curves": view.curves, "inspector": view.inspector, "runs": view.runs.details}
    return {"title": view.section.title, "figures": figures, **scripts_read}


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """A Content-Security-Policy that runs these scripts, applies these style sheets, and asks nobody for anything."""

    def hashes(texts: Sequence[str]) -> str:
        digests = (hashlib.sha256(text.encode()).digest() for text in texts)
        return " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in digests)

    return (
        f"default-src 'none'; script-src {hashes(scripts)}; style-src-elem {hashes(styles)}; "
        "style-src-attr 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def as_json(value: Any) -> str:
    """JSON that may stand inside a script element, whatever its strings hold; numbers that are none become null."""
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---------------------------------------------------------------- what is inlined


def _asset(name: str) -> str:
    return _closed((HERE / "assets" / name).read_text("utf-8"))


@cache
def _plotly() -> str:
    return _closed(_packaged("plotly", "package_data/plotly.min.js"))


@cache
def _tables() -> str:
    """itables' bundle of DataTables as a module that hands out its class."""
    bundle = _packaged("itables", "html/dt_bundle.js")
    exported = re.search(r"export\s*\{([^}]*)\}", bundle)
    pairs = [part.split(" as ") for part in exported[1].split(",")] if exported else []
    names = {outside: inside for inside, outside in pairs}
    if exported is None or "default" not in names:
        raise UserError("this version of itables has another layout: pip install 'itables>=2.9,<3'")
    handed = f'globalThis.w2sTable={names["default"]};globalThis.dispatchEvent(new Event("w2s-tables"));'
    return _closed(bundle[: exported.start()] + handed + bundle[exported.end() :])


def _packaged(package: str, name: str) -> str:
    """A file of an installed package, which is not imported."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise UserError(f"the report needs {package}: pip install {package}")
    return (Path(found.origin).parent / name).read_text("utf-8")


def _closed(text: str) -> str:
    """A script that cannot end its element early."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
