"""Nothing that a model, a data set or a configuration wrote becomes markup, script, formula or template."""

import base64
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.report.hostile import CORPUS
from tests.report.making import Made, small, written
from tests.report.reading import Page
from w2s_lightning.report.__main__ import main
from w2s_lightning.report.figures import plain
from w2s_lightning.report.writing import Reporter, as_json
from w2s_lightning.show.mirror import media_key


@pytest.fixture
def made(hostile_sweep: Made) -> Made:
    return hostile_sweep


@pytest.fixture
def page(hostile_page: Page) -> Page:
    return hostile_page


def test_the_corpus_is_large_enough() -> None:
    assert len(set(CORPUS)) >= 60


def test_the_page_has_no_element_that_a_harmless_sweep_does_not_have(page: Page, tmp_path: Path) -> None:
    held = {"claim": "c", "text": "t", "verdict": "above", "value": 1, "low": 0, "high": 2, "per_seed": []}
    harmless = small(tmp_path, weak=("nano", "micro"), subsets=("chat",), states={0: "failed"}, verdicts=[held])
    known = {tag for tag, _ in written(harmless).elements}
    found = Counter(tag for tag, _ in page.elements)
    assert set(found) <= known
    assert found["script"] == 5
    assert found["style"] == 1


def test_no_attribute_is_an_event_handler_and_no_link_leaves_the_page(page: Page) -> None:
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    links = [a["href"] for tag, a in page.elements if "href" in a]
    assert links
    assert all((link or "").startswith("#") for link in links)
    assert not {"src", "srcdoc", "action", "style"} & names


def test_texts_arrive_as_they_were_written(page: Page) -> None:
    (section,) = page.sections
    questions = {question for shown in section["inspector"]["sets"] for question in shown["questions"]}
    for text in CORPUS:
        assert text.strip() in questions
        assert re.sub(r"\s+", " ", text.replace("\u0000", "\ufffd")) in page.text.replace("\u0000", "\ufffd")


def test_no_data_can_end_its_script_element() -> None:
    for text in CORPUS:
        assert not set("<>&\u2028\u2029") & set(as_json({text: text}))


def test_only_the_scripts_and_styles_of_the_page_are_allowed(page: Page) -> None:
    (policy,) = [a["content"] or "" for a in page.all("meta", http_equiv="Content-Security-Policy")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    run = [s for s, a in zip(page.scripts, page.all("script"), strict=True) if a.get("type") != "application/json"]
    assert [digest_of(script) for script in run] == rules["script-src"].split()
    assert digest_of(page.styles[0]) in rules["style-src-elem"].split()
    assert rules["default-src"] == "'none'"
    assert not re.search(r"https?:|\*|unsafe-eval|script-src[^;]*unsafe", policy)


def digest_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_names_in_plots_hold_neither_markup_nor_templates() -> None:
    for text in CORPUS:
        assert not set("<>{") & set(plain(text))


MARKUP = re.compile(r"<(?!br>)|>(?<!<br>)|\{")


def test_every_name_in_a_plot_is_plain(page: Page) -> None:
    for place, figure in page.sections[0]["figures"].items():
        for view in figure["views"]:
            if view["plot"]:
                assert not [text for text in strings(view["plot"]) if MARKUP.search(text)], place


def test_figures_and_tables_for_wandb_hold_texts_and_no_markup(made: Made) -> None:
    plots, tables = Reporter(made.folder).mirrored()
    assert len(plots) > 10
    for name, plot in plots.items():
        assert [text for text in strings(plot) if MARKUP.search(text)] in ([], ["%{text}"]), name  # its own template
    for name in (*plots, *tables):
        assert re.fullmatch(r"[A-Za-z0-9/_-]+", media_key(name))
    cells = {cell for table in tables.values() for row in table[1] for cell in row if isinstance(cell, str)}
    assert set(CORPUS) <= cells


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


def test_the_terminal_prints_texts_as_they_are(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sweep", str(made.folder), "--text"]) == 0
    assert "[bold]markup of the terminal[/bold]" in re.sub(r"\s+", " ", capsys.readouterr().out)
