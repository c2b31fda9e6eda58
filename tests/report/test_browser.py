"""The page in a real browser, offline: everything opens, filters and links work, nothing hostile runs."""

import csv
import io
import json
import re
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.report.browsing import PAGES, check, contrasts, go, opened, seen, visit
from tests.report.hostile import CORPUS
from tests.report.making import Made, small
from tests.report.reading import Page
from w2s_lightning.report.__main__ import main

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
        texts = "cells => cells.map(cell => [cell.dataset.cell, cell.querySelector('b').innerText])"
        shown = dict(seen(tab, ".matrix a").evaluate_all(texts))
    assert len(shown) == 12
    for group in groups:
        name = f"{group['weak']} → {group['strong']} · {group['paradigm']}"
        pgr = group["pgr"]
        value = f"{pgr['value']:.2f}".replace("-", "−") if pgr["defined"] else "undefined"
        assert shown[name] == (value if group["n"] else "failed")


def test_a_cell_tells_its_story_to_pointer_and_keyboard_and_leads_to_its_examples(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path) as tab:
        tip = tab.locator("#tip")
        seen(tab, ".matrix td.failed a").hover()
        check(tip).to_contain_text("no room", use_inner_text=True)
        tab.keyboard.press("Escape")
        check(tip).to_be_hidden()
        cell = seen(tab, ".matrix td.defined a").nth(2)
        name = cell.get_attribute("data-cell")
        cell.focus()
        check(tip).to_contain_text("PGR", use_inner_text=True)
        tab.keyboard.press("Enter")
        check(seen(tab, "[data-f=cell]")).to_have_value(name)
        check(seen(tab, ".cards li").first).to_be_visible()


def test_the_story_of_a_focused_cell_stays_when_the_page_scrolls_to_it(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path, width=390) as tab:
        tab.set_viewport_size({"width": 390, "height": 240})
        cell, tip = seen(tab, ".matrix td.defined a").last, tab.locator("#tip")
        cell.focus()
        tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        check(cell).to_be_in_viewport()
        check(tip).to_be_visible()
        beside = "([cell, tip]) => tip.getBoundingClientRect().bottom <= cell.getBoundingClientRect().top"
        beside += " || tip.getBoundingClientRect().top >= cell.getBoundingClientRect().bottom"
        assert tab.evaluate(beside, [cell.element_handle(), tip.element_handle()])


def test_the_inspector_filters_searches_and_its_link_restores_it(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path, "examples") as tab:
        count, cards = seen(tab, ".found"), seen(tab, ".cards li")
        check(count).to_have_text("6,000 of 6,000 rows")
        seen(tab, "[data-outcome=overruled_wrong]").click()
        seen(tab, "[data-f=seed]").select_option("1")
        seen(tab, "[data-f=paradigm]").select_option("distillation")
        seen(tab, "[data-f=difficulty]").select_option("hard third")
        seen(tab, "[data-f=q]").fill("tea1 HAT")
        check(cards.locator("mark").first).to_have_text("tea1")
        check(tab).to_have_url(re.compile("q=tea1.HAT"))
        found, address = count.inner_text(), tab.evaluate("location.hash")
        texts = "cards => cards.map(one => [one.innerText, one.querySelector('.question').innerText])"
        told = cards.evaluate_all(texts)
        assert 0 < len(told) <= 20
        for text, question in told:
            assert "seed 1" in text
            assert "overruled a wrong supervisor" in text
            assert "tea1" in question
        go(tab, page.path, address.removeprefix("#"))
        check(count).to_have_text(found)
        check(seen(tab, "[data-f=q]")).to_have_value("tea1 HAT")
        check(seen(tab, "[data-outcome=overruled_wrong]")).to_have_attribute("aria-pressed", "true")
        seen(tab, "[data-do=clear]").click()
        check(count).to_have_text("6,000 of 6,000 rows")
        check(cards).to_have_count(20)
        seen(tab, "[data-do=more]").click()
        check(cards).to_have_count(40)


def test_outcome_shares_are_over_all_examples_not_only_those_in_the_page(chromium: Any, page: Page) -> None:
    cells = page.cells
    share = sum(cell["counts"]["imitated_error"] for cell in cells) / sum(cell["total"] for cell in cells)
    with opened(chromium, page.path, "examples") as tab:
        check(seen(tab, "[data-outcome=imitated_error] b")).to_have_text(f"{100 * share:.1f} %")


def test_a_figures_view_data_csv_and_link_belong_together(chromium: Any, page: Page) -> None:
    figure = page.sections[0]["figures"]["agreement/calibration"]
    view = figure["views"][3]
    with opened(chromium, page.path, "agreement") as tab:
        place = seen(tab, "[data-figure='agreement/calibration']")
        place.locator("select").select_option(view["label"])
        check(place.locator(".reading")).to_have_text(view["reading"])
        place.locator("[data-do=table]").click()
        check(place.locator(".data tbody tr")).to_have_count(len(view["rows"]))
        with tab.expect_download() as download:
            place.locator("[data-do=csv]").click()
        rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text())))
        assert rows[0] == figure["columns"]
        assert [float(row[5]) for row in rows[1:]] == [row[5] for row in view["rows"]]
        link = place.locator(".anchor").get_attribute("href")
        go(tab, page.path, link.removeprefix("#"))
        check(place.locator(".reading")).to_have_text(view["reading"])
        check(seen(tab, "[data-figure='agreement/difficulty'] select")).to_have_value(view["label"])
        check(place).to_have_class(re.compile(r"\baimed\b"))
        check(place.locator("h2")).to_be_in_viewport()
        assert -100 < place.bounding_box()["y"] < 700


def test_a_spreadsheet_runs_no_cell_of_a_csv(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path) as tab:
        content = tab.evaluate("rows => csv(['text'], rows)", [[text] for text in CORPUS])
    rows = list(csv.reader(io.StringIO(content.replace("\u0000", ""))))[1:]
    assert len(rows) == len(CORPUS)
    assert not [row for row in rows if row[0][:1] in ("=", "+", "-", "@")]


def test_a_pair_brings_its_own_rows_and_tests(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path, "paradigms") as tab:
        blocks = seen(tab, ".blocks:not([hidden])")
        before = blocks.inner_text()
        seen(tab, "select[data-choose=pair]").select_option("micro → small")
        check(blocks).not_to_have_text(before, use_inner_text=True)
        check(blocks).to_have_count(1)


def test_curves_of_picked_stages_are_overlaid_and_kept_in_the_link(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path, "training") as tab:
        names, buttons = seen(tab, ".curves .legendtext"), seen(tab, ".picker button")
        check(names).to_have_count(3)
        every = buttons.count()
        seen(tab, "[data-f=find]").fill("student s2 small")
        check(buttons).not_to_have_count(every)
        buttons.first.click()
        seen(tab, "[data-f=metric]").select_option("validation_agreement")
        check(names).to_have_count(4)
        check(tab).to_have_url(re.compile("curve=validation_agreement"))
        go(tab, page.path, tab.evaluate("location.hash.slice(1)"))
        check(seen(tab, "[data-f=metric]")).to_have_value("validation_agreement")
        check(names).to_have_count(4)


def test_the_runs_sort_search_and_open(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path, "runs") as tab:
        for order in ("ascending", "descending"):  # the table sorts after the click has returned
            seen(tab, "[data-table=jobs] th:has-text('PGR')").click()
            seen(tab, f"[data-table=jobs] th[aria-sort={order}]:has-text('PGR')").wait_for()
        cells = seen(tab, "[data-table=jobs] td:nth-child(5)")
        values = cells.evaluate_all("cells => cells.map(cell => Number(cell.dataset.order))")
        assert len(values) == 25
        assert values == sorted(values, reverse=True)
        find, job = seen(tab, ".dt-search input").first, seen(tab, ".job")
        find.fill("failed")
        check(seen(tab, "[data-table=jobs] td:first-child")).to_have_text(["failed"] * 4)
        check(tab).to_have_url(re.compile("find-jobs=failed"))
        seen(tab, "[data-table=jobs] [data-job='0']").click()
        for text in ("the loss is nan", "Traceback: it blew up", "python train.py model@weak=nano"):
            check(job).to_contain_text(text, use_inner_text=True)
        go(tab, page.path, tab.evaluate("location.hash.slice(1)"))
        check(job).to_contain_text("the loss is nan", use_inner_text=True)
        check(find).to_have_value("failed")
        check(seen(tab, "[data-table=jobs] td:first-child")).to_have_text(["failed"] * 4)


def test_the_page_is_used_by_keyboard_alone(chromium: Any, page: Page) -> None:
    with opened(chromium, page.path) as tab:
        tab.keyboard.press("Tab")
        check(tab.locator(":focus")).to_have_text("Skip to the page")
        for _ in range(3):
            tab.keyboard.press("Tab")
        check(tab.locator(":focus")).to_have_text("Scaling")
        tab.keyboard.press("Enter")
        check(seen(tab, "h1")).to_have_text("Scaling")
        controls = "[...document.querySelectorAll('.page.shown :is(button, select, input, a)')]"
        unnamed = f"{controls}.filter(e => !(e.textContent || e.ariaLabel || e.labels?.length))"
        assert tab.evaluate(f"{unnamed}.length") == 0


def test_the_theme_follows_the_system_and_the_readers_choice(chromium: Any, page: Page) -> None:
    light, dark = {"paper": "rgb(250, 249, 246)", "ink": "rgb(29, 31, 35)"}, {"paper": "rgb(20, 22, 26)"}
    with opened(chromium, page.path, dark=True) as tab:
        body, ticks = tab.locator("body"), seen(tab, ".plot .xtick text").first
        check(body).to_have_css("background-color", dark["paper"])
        check(ticks).not_to_have_css("fill", light["ink"])
        tab.locator("#theme").click()
        check(body).to_have_css("background-color", light["paper"])
        check(ticks).to_have_css("fill", light["ink"])
        go(tab, page.path, "overview")
        check(body).to_have_css("background-color", light["paper"])


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_the_contrast_that_wcag_aa_asks_for(chromium: Any, page: Page, dark: bool) -> None:
    with opened(chromium, page.path, dark=dark) as tab:
        for name in PAGES:
            visit(tab, name)
            if name == "runs":
                seen(tab, "[data-job='0']").click()
                check(seen(tab, ".job")).to_be_visible()
            tab.evaluate("document.querySelectorAll('.page.shown details').forEach((one) => { one.open = true; })")
            found = contrasts(tab)
            assert len(found) > 30, name
            assert [one for one in found if one[0] < one[1]] == [], name


def test_sections_are_chosen_and_kept_in_links(chromium: Any, tmp_path: Path) -> None:
    for name, task in (("a", "fact_pairs"), ("b", "stories")):
        small(tmp_path, name=name, task=task)
    assert main(["--outputs", str(tmp_path / "outputs"), "--store", str(tmp_path / "store")]) == 0
    with opened(chromium, tmp_path / "outputs" / "report.html") as tab:
        kicker = seen(tab, ".kicker")
        first = kicker.inner_text()
        tab.locator("#scope").select_option(index=1)
        check(kicker).not_to_have_text(first)
        other = kicker.inner_text()
        assert other.split(" · ")[1] != first.split(" · ")[1]
        tab.locator(".rail nav a").nth(5).click()
        check(seen(tab, "h1")).to_have_text("Examples")
        check(kicker).to_have_text(other)
        check(tab).to_have_url(re.compile("#examples.*s="))


FOREIGN = {"iframe", "object", "embed", "img", "video", "math", "base", "link", "form", "body2", "u", "marquee", "use"}
FOREIGN |= {"template", "textarea", "xmp", "animate", "foreignobject", "foreignObject", "x"}


def test_nothing_hostile_runs_or_renders(chromium: Any, hostile_page: Page) -> None:
    with opened(chromium, hostile_page.path) as tab:
        tags = set(tab.evaluate("[...document.querySelectorAll('*')].map(e => e.localName)"))
        for name in (*PAGES, "rewardbench"):
            visit(tab, name)
            tags |= set(tab.evaluate("[...document.querySelectorAll('.page.shown *')].map(e => e.localName)"))
            inside = ":is(a, img, script, b, i, sup, foreignObject)"
            assert seen(tab, f".plot svg {inside}").count() == 0, name
        assert not tags & FOREIGN
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
        check(seen(tab, ".job")).to_contain_text(CORPUS[1], use_inner_text=True)
        check(seen(tab, ".job .log")).to_contain_text(CORPUS[40], use_inner_text=True)
        keys = ("s", "q", "cell", "outcome", "curve", "stages", "job", "find-jobs", "pair")
        for name, text in zip(cycle(("examples", "overview", "training", "runs")), map(quote, CORPUS), strict=False):
            visit(tab, f"{name}/{text}?" + "&".join(f"{key}={text}" for key in keys))
        tags |= set(tab.evaluate("[...document.querySelectorAll('*')].map(e => e.localName)"))
        assert not tags & FOREIGN
        assert tab.evaluate("document.body.checkVisibility()")
