"""Runs the embedded sweeps and keeps pictures of their pages here: `make gallery`, or `... make.py --outputs DIR`.

What the store already holds is not computed again. Needs playwright (an extra: dev) and Chromium.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from w2s_lightning.report.sources import Library, Wanted
from w2s_lightning.report.writing import write_page

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CHROMIUM = "/usr/bin/chromium"
SWEEPS = {
    "size_pairs": ("overview", "scaling", "agreement"),
    "paradigms": ("paradigms", "training", "examples", "runs"),
    "reward_models": ("rewardbench",),
}
WIDTHS = {1280: 1500, 390: 1700}  # and the most that a picture is high


def main() -> None:
    """Run, write, take pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outputs", type=Path, help="an outputs folder that has the sweeps: run nothing")
    parser.add_argument("--sweeps", nargs=len(SWEEPS), default=list(SWEEPS), metavar="NAME", help="whose pages to show")
    given = parser.parse_args()
    outputs = given.outputs or run_sweeps()
    newest: dict[str, Path] = {}
    for file in sorted(outputs.glob("sweeps/*/sweep.json"), key=lambda file: file.stat().st_mtime):
        newest[file.parent.name.rpartition("-")[0]] = file.parent
        newest[file.parent.name] = file.parent
    with browser() as running:
        for name, pages in zip(given.sweeps, SWEEPS.values(), strict=True):
            report = outputs / "gallery.html"
            write_page(Library(), Wanted((newest[name],), None, None), report, {})
            for page in pages:
                take(running, report, page)


def run_sweeps() -> Path:
    """All embedded sweeps that the pictures are about, into the usual folders."""
    for name in SWEEPS:
        python("train.py", "-m", f"sweeps={name}")
    return ROOT / "outputs"


def python(*arguments: str) -> None:
    """A command of the project's, in its folder."""
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True)


@contextmanager
def browser() -> Iterator[Any]:
    """A running Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


def take(running: Any, report: Path, page: str) -> None:
    """One picture a width, and a dark one of the overview."""
    for width, most in WIDTHS.items():
        picture(running, report, page, width, most, dark=False)
    if page == "overview":
        picture(running, report, page, 1280, WIDTHS[1280], dark=True)


def picture(running: Any, report: Path, page: str, width: int, most: int, *, dark: bool) -> None:
    """A picture of the top of a page."""
    scheme = "dark" if dark else "light"
    context = running.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    tab = context.new_page()
    tab.goto(f"{report.absolute().as_uri()}#{page}")
    tab.wait_for_timeout(1500)
    height = min(most, tab.evaluate("document.documentElement.scrollHeight"))
    tab.set_viewport_size({"width": width, "height": height})
    tab.wait_for_timeout(500)
    name = f"{page}-dark.png" if dark else f"{page}-{width}.png"
    tab.screenshot(path=HERE / name)
    context.close()
    print(HERE / name)


if __name__ == "__main__":
    main()
