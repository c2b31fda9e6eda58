"""What a written page holds: its visible text, its elements, its data."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


def without_wandb(home: Path, **more: str) -> dict[str, str]:
    """This environment without wandb's settings and without a login."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return {**kept, "HOME": str(home), "NETRC": str(home / ".netrc"), **more}


def inspect(folder: str, *options: str) -> str:
    """What wandb's own tool reads of an offline run, as JSON."""
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", *options, folder]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def summary_of(folder: str) -> dict[str, Any]:
    """An offline run's summary, by `figures/fact_pairs/matrix`."""
    return _flat(json.loads(inspect(folder, "--summary"))["summary"])


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, dict) and "_type" not in value
        found |= _flat(value, f"{prefix}{key}/") if nested else {f"{prefix}{key}": value}
    return found


VOID = {"meta", "input", "br", "link", "img", "hr"}


@dataclass
class Page(HTMLParser):
    """A parsed page: `elements` as (tag, attributes), `scripts` and `styles` by content, `text` what people read."""

    path: Path
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.html = self.path.read_text()
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag in ("script", "style"):
            (self.scripts if tag == "script" else self.styles).append("")

    def handle_endtag(self, tag: str) -> None:
        while self.stack and self.stack.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] == "script":
            self.scripts[-1] += data
        elif self.stack and self.stack[-1] == "style":
            self.styles[-1] += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    @property
    def data(self) -> dict[str, Any]:
        place = [attrs.get("id") for tag, attrs in self.elements if tag == "script"].index("data")
        content: dict[str, Any] = json.loads(self.scripts[place])
        return content

    @property
    def sections(self) -> list[dict[str, Any]]:
        return list(self.data["sections"].values())

    def rows(self, place: str) -> list[dict[str, Any]]:
        """The data behind all views of a figure of the first section, by column."""
        figure = self.sections[0]["figures"][place]
        return [dict(zip(figure["columns"], row, strict=True)) for view in figure["views"] for row in view["rows"]]

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The inspector's, of the first section."""
        cells: list[dict[str, Any]] = self.sections[0]["inspector"]["cells"]
        return cells

    @property
    def shown(self) -> dict[str, Any]:
        """The examples of the inspector's one set."""
        (shown,) = self.sections[0]["inspector"]["sets"]
        return dict(shown)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        named = {key.rstrip("_").replace("_", "-"): value for key, value in wanted.items()}
        return [a for t, a in self.elements if t == tag and all(a.get(key) == value for key, value in named.items())]
