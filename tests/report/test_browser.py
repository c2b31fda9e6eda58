"""The page in a real browser, offline: everything opens, filters and links work, nothing hostile runs."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.browsing import PAGES, go, opened, seen, visit
from tests.report.hostile import CORPUS, hostile
from tests.report.making import Made
from tests.report.reading import Page
from w2s_lightning.report.__main__ import main
from w2s_lightning.report.writing import Reporter

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (390, True)])
def test_every_page_opens_without_error_request_or_sideways_scrolling(
    chromium: Any, page: Page, width: int, dark: bool
) -> None:
    with opened(chromium, page.path, width=width, dark=dark) as tab:
        for name in PAGES:
            visit(tab, name)
            assert seen(tab, "h1").inner_text()
            assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
            assert tab.locator(".page.shown").count() == 1


def test_the_matrix_shows_the_numbers_of_sweep_json(chromium: Any, page: Page, made: Made) -> None:
    groups = json.loads((made.folder / "sweep.json").read_text())["groups"]
    with opened(chromium, page.path) as tab:
        cells = seen(tab, ".matrix a")
        shown = {cell.get_attribute("data-cell"): cell.locator("b").inner_text() for cell in cells.all()}
    assert len(shown) == 12
    for group in groups:
        name = f"{group['weak']} → {group['strong']} · {group['paradigm']}"
        pgr = group["pgr"]
        value = f"{pgr['value']:.2f}".replace("-", "−") if pgr["defined"] else "undefined"
        assert shown[name] == (value if group["n"] else "failed")


def test_a_cell_tells_its_story_to_pointer_and_keyboard_and_leads_to_its_examples(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path) as tab:
        seen(tab, ".matrix td.failed a").hover()
        assert "no room" in tab.locator("#tip").inner_text()
        tab.keyboard.press("Escape")
        assert tab.locator("#tip").is_hidden()
        cell = seen(tab, ".matrix td.defined a").nth(2)
        name = cell.get_attribute("data-cell")
        cell.focus()
        assert "PGR" in tab.locator("#tip").inner_text()
        tab.keyboard.press("Enter")
        seen(tab, ".cards li").first.wait_for()
        assert seen(tab, "[data-f=cell]").input_value() == name


def test_the_inspector_filters_searches_and_its_link_restores_it(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path, "examples") as tab:
        assert seen(tab, ".found").inner_text() == "6,000 of 6,000 rows"
        seen(tab, "[data-outcome=overruled_wrong]").click()
        seen(tab, "[data-f=seed]").select_option("1")
        seen(tab, "[data-f=paradigm]").select_option("distillation")
        seen(tab, "[data-f=difficulty]").select_option("hard third")
        seen(tab, "[data-f=q]").fill("tea1 HAT3")
        found, address = seen(tab, ".found").inner_text(), tab.evaluate("location.hash")
        cards = seen(tab, ".cards li")
        assert 0 < cards.count() <= 20
        for card in cards.all():
            assert "seed 1" in card.inner_text()
            assert "overruled a wrong supervisor" in card.inner_text()
            assert "tea1" in card.locator(".question").inner_text()
        assert seen(tab, ".cards mark").first.inner_text() == "tea1"
        go(tab, page.path, address.removeprefix("#"))
        assert seen(tab, ".found").inner_text() == found
        assert seen(tab, "[data-f=q]").input_value() == "tea1 HAT3"
        assert seen(tab, "[data-outcome=overruled_wrong]").get_attribute("aria-pressed") == "true"
        seen(tab, "[data-do=clear]").click()
        assert seen(tab, ".found").inner_text() == "6,000 of 6,000 rows"
        seen(tab, "[data-do=more]").click()
        assert cards.count() == 40


def test_outcome_shares_are_over_all_examples_not_only_those_in_the_page(chromium: Any, page: Page) -> None:
    cells = page.sections[0]["inspector"]["cells"]
    share = sum(cell["counts"]["imitated_error"] for cell in cells) / sum(cell["total"] for cell in cells)
    with opened(chromium, page.path, "examples") as tab:
        assert seen(tab, "[data-outcome=imitated_error] b").inner_text() == f"{100 * share:.1f} %"


def test_a_figures_view_data_csv_and_link_belong_together(chromium: Any, page: Page) -> None:
    figure = page.sections[0]["figures"]["agreement/calibration"]
    view = figure["views"][3]
    with opened(chromium, page.path, "agreement") as tab:
        place = seen(tab, "[data-figure='agreement/calibration']")
        place.locator("select").select_option(view["label"])
        assert place.locator(".reading").inner_text() == view["reading"]
        place.locator("[data-do=table]").click()
        assert place.locator(".data tbody tr").count() == len(view["rows"])
        with tab.expect_download() as download:
            place.locator("[data-do=csv]").click()
        rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text())))
        assert rows[0] == figure["columns"]
        assert [float(row[5]) for row in rows[1:]] == [row[5] for row in view["rows"]]
        link = place.locator(".anchor").get_attribute("href")
        go(tab, page.path, link.removeprefix("#"))
        assert seen(tab, "[data-figure='agreement/calibration'] .reading").inner_text() == view["reading"]
        assert seen(tab, "[data-figure='agreement/difficulty'] select").input_value() == view["label"]
        assert "aimed" in seen(tab, "[data-figure='agreement/calibration']").get_attribute("class")
        top = seen(tab, "[data-figure='agreement/calibration']").bounding_box()["y"]
        assert -100 < top < 700


def test_a_pair_brings_its_own_rows_and_tests(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path, "paradigms") as tab:
        before = seen(tab, ".blocks:not([hidden])").inner_text()
        seen(tab, "select[data-choose=pair]").select_option("micro → small")
        assert seen(tab, ".blocks:not([hidden])").count() == 1
        assert seen(tab, ".blocks:not([hidden])").inner_text() != before


def test_curves_of_picked_stages_are_overlaid_and_kept_in_the_link(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path, "training") as tab:
        assert seen(tab, ".curves .legendtext").count() == 3
        seen(tab, "[data-f=find]").fill("student s2 small")
        seen(tab, ".picker button").first.click()
        seen(tab, "[data-f=metric]").select_option("validation_agreement")
        assert seen(tab, ".curves .legendtext").count() == 4
        go(tab, page.path, tab.evaluate("location.hash.slice(1)"))
        assert seen(tab, "[data-f=metric]").input_value() == "validation_agreement"
        assert seen(tab, ".curves .legendtext").count() == 4


def test_the_runs_sort_search_and_open(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path, "runs") as tab:
        for order in ("ascending", "descending"):  # the table sorts after the click has returned
            seen(tab, "[data-table=jobs] th:has-text('PGR')").click()
            seen(tab, f"[data-table=jobs] th[aria-sort={order}]:has-text('PGR')").wait_for()
        cells = seen(tab, "[data-table=jobs] td:nth-child(5)")
        values = cells.evaluate_all("cells => cells.map(cell => Number(cell.dataset.order))")
        assert len(values) == 25
        assert values == sorted(values, reverse=True)
        seen(tab, ".dt-search input").first.fill("failed")
        assert {cell.inner_text() for cell in seen(tab, "[data-table=jobs] td:first-child").all()} == {"failed"}
        seen(tab, "[data-table=jobs] [data-job='0']").click()
        job = seen(tab, ".job").inner_text()
        assert "the loss is nan" in job
        assert "Traceback: it blew up" in job
        assert "python train.py model@weak=nano" in job
        go(tab, page.path, tab.evaluate("location.hash.slice(1)"))
        assert "the loss is nan" in seen(tab, ".job").inner_text()
        assert seen(tab, ".dt-search input").first.input_value() == "failed"


def test_the_page_is_used_by_keyboard_alone(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path) as tab:
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.textContent") == "Skip to the page"
        for _ in range(3):
            tab.keyboard.press("Tab")
        tab.keyboard.press("Enter")
        assert seen(tab, "h1").inner_text() == "Scaling"
        controls = "[...document.querySelectorAll('.page.shown :is(button, select, input, a)')]"
        unnamed = f"{controls}.filter(e => !(e.textContent || e.ariaLabel || e.labels?.length))"
        assert tab.evaluate(f"{unnamed}.length") == 0


def test_the_theme_follows_the_system_and_the_readers_choice(chromium: Any, page: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    ink = "document.querySelector('.page.shown .plot .xtick text').style.fill"
    with opened(chromium, page.path, dark=True) as tab:
        assert tab.evaluate(paper) == "rgb(20, 22, 26)"
        dark = tab.evaluate(ink)
        tab.locator("#theme").click()
        assert tab.evaluate(paper) == "rgb(250, 249, 246)"
        assert tab.evaluate(ink) != dark
        go(tab, page.path, "overview")
        assert tab.evaluate(paper) == "rgb(250, 249, 246)"


def test_sections_are_chosen_and_kept_in_links(chromium: Any, tmp_path: Path) -> None:
    for name, task in (("a", "facts"), ("b", "stories")):
        Made(tmp_path, name=name, task=task, weak=("nano",), num_examples=40).write()
    assert main(["--outputs", str(tmp_path / "outputs"), "--store", str(tmp_path / "store")]) == 0
    with opened(chromium, tmp_path / "outputs" / "report.html") as tab:
        first = seen(tab, ".kicker").inner_text()
        tab.locator("#scope").select_option(index=1)
        assert seen(tab, ".kicker").inner_text() != first
        tab.locator(".rail nav a").nth(5).click()
        other = seen(tab, ".kicker").inner_text()
        assert other.split(" · ")[1] != first.split(" · ")[1]
        assert "s=" in tab.evaluate("location.hash")


def test_nothing_hostile_runs_or_renders(chromium: Any, tmp_path: Path) -> None:
    made = hostile(tmp_path / "hostile")
    page = Reporter(made.folder).write().page
    with opened(chromium, page) as tab:
        tags = set(tab.evaluate("[...document.querySelectorAll('*')].map(e => e.localName)"))
        for name in (*PAGES, "rewardbench"):
            visit(tab, name)
            tags |= set(tab.evaluate("[...document.querySelectorAll('.page.shown *')].map(e => e.localName)"))
            inside = ":is(a, img, script, b, i, sup, foreignObject)"
            assert seen(tab, f".plot svg {inside}").count() == 0, name
        assert not tags & {"iframe", "object", "embed", "img", "video", "math", "base", "link", "form", "body2", "u"}
        visit(tab, "examples")
        tab.evaluate("""() => {
            const more = document.querySelector(".page.shown .more");
            while (!more.hidden) more.firstElementChild.click();
        }""")
        questions = {text.strip() for text in seen(tab, ".question").all_text_contents()}
        for text in CORPUS:
            assert text.strip() in questions
        visit(tab, "runs")
        seen(tab, "[data-job='0']").click()
        assert CORPUS[1] in seen(tab, ".job").inner_text()
        assert tab.evaluate("document.body.checkVisibility()")
