"""A real embedded sweep, from the command line to pictures of its page."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.composing import ROOT
from tests.report.browsing import PAGES, opened, seen, visit
from tests.report.reading import Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_the_page_of_a_real_sweep_shows_its_numbers_and_its_texts(chromium: Any, tmp_path: Path) -> None:
    run(tmp_path, str(ROOT / "train.py"), "-m", "sweeps=smoke")
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    run(tmp_path, "-m", "w2s_lightning.report", "--sweep", str(folder))
    content = json.loads((folder / "sweep.json").read_text())
    page = Page(folder / "report.html")
    assert "Does a sweep work at all?" in page.text
    assert f"All {content['counts']['jobs']} jobs done" in page.text
    rows = page.sections[0]["figures"]["overview/matrix"]["views"][0]["rows"]
    assert [row[4] for row in rows] == [group["pgr"]["value"] for group in content["groups"]]
    with opened(chromium, page.path) as tab:
        for name in PAGES:
            visit(tab, name)
            tab.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        visit(tab, "examples")
        assert " . " in seen(tab, ".question").first.inner_text(), "a distractor, and how both claims begin"
    assert len(list(tmp_path.glob("*.png"))) == len(PAGES)


def run(folder: Path, *command: str) -> None:
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
