"""The page of a real sweep while it runs."""

import signal
from pathlib import Path

from tests.report.reading import Page
from tests.sweep.programs import SLOTS, ledger, own_sweep_file, start, stopped, wait_for

# Three quick jobs; six that stand on a model whose pretraining never ends. So however fast the machine is, the sweep
# comes to where three are done, the pretraining runs on behalf of the fourth, and nothing else can start.
ENDLESS = {"model@strong": "micro", "strong.pretrain.steps": 10_000_000}
STUCK = {
    "params": {"model@weak": "nano", "seed": "range(3)"},
    "cases": [{"model@strong": "nano"}, ENDLESS, {**ENDLESS, "objective": "logconf"}],
}
WORDS = "3 done, 1 running, 5 to come of 9 jobs."


def test_the_page_written_after_job_3_of_9_shows_3_done_1_running_5_to_come(tmp_path: Path) -> None:
    process = start(tmp_path, *own_sweep_file(tmp_path, STUCK), "tracking=disabled", *SLOTS)
    pages = (tmp_path / "outputs" / "sweeps").glob
    try:
        assert wait_for(lambda: any(WORDS in file.read_text() for file in pages("*/report.html")), process)
    finally:
        stopped(process, signal.SIGINT)
    (page,) = map(Page, pages("*/report.html"))
    (section,) = page.sections
    states = ["done"] * 3 + ["running"] + ["waiting"] * 5
    assert [job["state"] for job in section["runs"]["jobs"]] == states
    assert [job["state"] for job in ledger(tmp_path)["jobs"]] == states
    parts = [(part["class"], part["data-grow"]) for part in page.all("span") if "data-grow" in part]
    assert parts == [("part done", "3"), ("part running", "1"), ("part waiting", "5")]
    assert len(page.cells) == 3
    rows = page.rows("overview/matrix")
    assert [row["seeds"] for row in rows] == [3, 0, 0]
    assert [row["state"] for row in rows][1:] == ["running", "waiting"]
