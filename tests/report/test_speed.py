"""How large the page is, how long it takes to write, to paint and to filter: figures for the record (`-s` prints them).

Sizes are held exactly, seconds (of this process, whoever shares the machine) by their growth; the targets of ten
seconds a page, two a first paint and 0.2 a filter are for docs/LOG.md.
"""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.report.browsing import check, go, opened, seen
from tests.report.making import Made
from w2s_lightning.report.writing import Reporter, Written

pytestmark = pytest.mark.slow

PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
TIMED = (
    "() => {{ const began = performance.now(); {act}; document.body.offsetHeight; return performance.now() - began; }}"
)
FILTERED = TIMED.format(act="document.querySelector('.page.shown [data-outcome=overruled_wrong]').click()")
SEARCHED = TIMED.format(
    act="const field = document.querySelector('.page.shown [data-f=q]'); field.value = 'tea1 hat3'; "
    "field.dispatchEvent(new Event('input', {bubbles: true}))"
)


def of_jobs(root: Path, count: int) -> tuple[Written, float]:
    """A sweep of `count` jobs of 2000 test examples each, written once."""
    strong, arms = ("micro", "mini", "small", "base", "large"), max(1, count // 50)
    made = Made(
        root,
        weak=("nano",) if count < 50 else ("nano", "micro"),
        strong=strong[: 2 if count < 50 else 5],
        axes=[{"objective": f"o{number}"} for number in range(arms)],
        seeds=range(5),
        num_examples=2000,
    )
    made.write()
    reporter = Reporter(made.folder)
    started = time.process_time()
    return reporter.write(), time.process_time() - started


def test_the_page_of_100_jobs_is_small_and_its_cost_grows_with_the_jobs(tmp_path: Path) -> None:
    written = {count: of_jobs(tmp_path / str(count), count) for count in (10, 100, 300)}
    for count, (page, seconds) in written.items():
        print(f"{count} jobs: {page.size / 1e6:.2f} MB, {page.num_rows:,} rows, {seconds:.1f} s of work")
    assert [page.num_rows for page, _ in written.values()] == [20_000, 200_000, 600_000]
    assert written[100][0].size <= 12e6
    per_job = {
        count: (page.size - written[10][0].size) / (count - 10) for count, (page, _) in written.items() if count > 10
    }
    assert per_job[300] <= 1.2 * per_job[100]
    assert written[300][1] <= 3 * 2 * written[100][1]


@pytest.mark.browser
def test_the_page_of_100_jobs_paints_and_filters_at_once(chromium: Any, tmp_path: Path) -> None:
    written, _ = of_jobs(tmp_path, 100)
    with opened(chromium, written.page) as tab:
        painted = tab.evaluate(PAINTED)
        go(tab, written.page, "examples")
        filtered, searched = (min(tab.evaluate(what) for _ in range(3)) for what in (FILTERED, SEARCHED))
        check(seen(tab, ".cards li")).to_have_count(20)
    print(f"first paint after {painted:.0f} ms, a filter takes {filtered:.0f} ms, a search {searched:.0f} ms")
    assert painted > 0
