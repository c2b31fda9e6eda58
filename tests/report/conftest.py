"""A made sweep that several tests read, and Chromium for those that need it."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.report.making import Made
from tests.report.reading import Page
from w2s_lightning.report.writing import Reporter

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Six pairs, two paradigms, three seeds; one job failed, one runs, one waits, one cell has no result at all."""
    root = tmp_path_factory.mktemp("made")
    log = root / "log.txt"
    log.write_text("step 1\nTraceback: it blew up\n")
    states = {0: "failed", 4: "running", 5: "waiting", 6: "failed", 7: "failed", 8: "failed"}
    reasons = {0: "the loss is nan", 6: "no room", 7: "no room", 8: "no room"}
    made = Made(
        root,
        strong=("micro", "mini", "small"),
        paradigms=("weak_to_strong", "distillation"),
        states=states,
        reasons=reasons,
        logs={0: str(log)},
        num_examples=240,
    )
    made.write()
    return made


@pytest.fixture(scope="session")
def page(made: Made) -> Page:
    """Its page."""
    return Page(Reporter(made.folder).write().page)


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
