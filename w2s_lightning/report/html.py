"""Pages -> one HTML file: templates, one style sheet, scripts and data inlined, and a policy that runs nothing else.

The Content-Security-Policy names every script and style sheet by its sha256 and allows no request at all. Data stands
in an `application/json` block in which no character can end a script.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from w2s_lightning.errors import UserError
from w2s_lightning.report.compared import SEEN
from w2s_lightning.report.figures import STYLE
from w2s_lightning.report.inspector import MOST
from w2s_lightning.report.theme import css_variables
from w2s_lightning.report.views import Pages
from w2s_lightning.results.pooled import OUTCOMES
from w2s_lightning.show.words import interval, seconds, size

HERE = Path(__file__).parent
SCRIPTS = ("dom.js", "route.js", "figures.js", "curves.js", "inspector.js", "runs.js", "start.js")
EMPTY_STYLE = ""  # plotly makes an empty style element and fills it by rules
TITLES = {
    "overview": "Overview",
    "paradigms": "Paradigms",
    "scaling": "Scaling",
    "agreement": "Agreement",
    "training": "Training",
    "examples": "Examples",
    "rewardbench": "RewardBench",
    "runs": "Runs",
}


def render(views: Sequence[Pages], *, rows_file: str | None, made: str, title: str, there: str) -> str:
    """The whole page; `there` says what a page without sections found."""
    head, style = _asset("head.js"), css_variables() + _asset("report.css")
    scripts, module = [_plotly(), "\n".join(_asset(name) for name in SCRIPTS)], _tables()
    data = {
        "outcomes": OUTCOMES,
        "style": STYLE,
        "sections": {view.section.key: _section(view) for view in views},
    }
    inlined = {
        "head": Markup(head),
        "style": Markup(style),
        "scripts": list(map(Markup, scripts)),
        "module": Markup(module),
        "data": Markup(as_json(data)),
        "policy": policy([head, *scripts, module], [style, EMPTY_STYLE]),
        # Plotly adds style sheets (for maps) unless elements of their ids are there.
        "unstyled": sorted(set(re.findall(r'getElementById\("([0-9a-f]{32,})"\)', _plotly()))),
    }
    judged = any(view.rewardbench for view in views)
    titles = {page: title for page, title in TITLES.items() if page != "rewardbench" or judged}
    words = {"titles": titles, "title": title, "made": made, "rows_file": rows_file, "most": MOST, "there": there}
    return _environment().get_template("page.html").render(views=views, seen=SEEN, **words, **inlined)


def _section(view: Pages) -> dict[str, Any]:
    figures = {}
    for place, figure in view.figures().items():
        views = [
            # The page draws the matrix by itself, as a table of links.
            {"label": one.label, "plot": None if figure.key == "matrix" else one.plot, "reading": one.reading}
            | {"rows": figure.table(one)}
            for one in figure.views
        ]
        figures[place] = {"columns": figure.columns, "choose": figure.choose, "views": views}
    return {
        "title": view.section.title,
        "figures": figures,
        "curves": view.training.curves if view.training else {"stages": [], "metrics": []},
        "inspector": view.inspector,
        "runs": view.runs.details,
    }


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(HERE / "templates")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"interval": interval, "seconds": seconds, "size": size, "order": _order}
    return made


def _order(part: Mapping[str, Any] | None) -> float:
    """What a figure is sorted by: none comes last."""
    return -9.0 if part is None or part["value"] is None else float(part["value"])


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """A Content-Security-Policy that runs these scripts, applies these style sheets, and asks nobody for anything."""
    run, applied = " ".join(map(_hash, scripts)), " ".join(map(_hash, styles))
    return (
        f"default-src 'none'; script-src {run}; style-src-elem {applied}; "
        "style-src-attr 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


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


@cache
def _asset(name: str) -> str:
    return _closed((HERE / "assets" / name).read_text())


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
    return (Path(found.origin).parent / name).read_text()


def _closed(text: str) -> str:
    """A script that cannot end its element early."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
