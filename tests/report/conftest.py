"""A made sweep that several tests read, and Chromium for those that need it."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.report.hostile import hostile
from tests.report.making import Made, written
from tests.report.reading import Page

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Six pairs, two paradigms, three seeds; one job failed, one runs, one waits, one cell has no result at all."""
    root = tmp_path_factory.mktemp("made")
    reasons = {0: "the loss is nan", **dict.fromkeys((6, 7, 8), "no room")}
    made = Made(
        root,
        strong=("micro", "mini", "small"),
        paradigms=("weak_to_strong", "distillation"),
        states={4: "running", 5: "waiting", **dict.fromkeys(reasons, "failed")},
        reasons=reasons,
        logs={0: "step 1\nTraceback: it blew up\n"},
        num_examples=240,
    )
    made.write()
    return made


@pytest.fixture(scope="session")
def page(made: Made) -> Page:
    """Its page."""
    return written(made)


@pytest.fixture(scope="session")
def hostile_sweep(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Every text of it wants to run code."""
    return hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def hostile_page(hostile_sweep: Made) -> Page:
    """Its page."""
    return written(hostile_sweep)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A running Chromium, or the reason why there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    if shutil.which(CHROMIUM) is None:
        pytest.skip("there is no chromium: apt-get install -y chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
