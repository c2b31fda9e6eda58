"""Opens a page in Chromium, offline, and notes everything that should not happen."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 60  # the longest that a check waits: a machine at ten times its load is no failure of the page
PAGES = ("overview", "paradigms", "scaling", "agreement", "training", "examples", "runs")


@contextmanager
def opened(browser: Any, page: Path, place: str = "", *, width: int = 1280, dark: bool = False) -> Iterator[Any]:
    """The page at `#place`; raises at the end for console errors, exceptions, dialogs and requests."""
    scheme = "dark" if dark else "light"
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, color_scheme=scheme)
    context.set_default_timeout(1000 * SECONDS)
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
    local = ("file:", "data:", "blob:")
    tab.on("request", lambda request: None if request.url.startswith(local) else wrong.append(request.url))
    tab.add_init_script("window.pwned = () => console.error('pwned')")
    go(tab, page, place)
    yield tab
    context.close()
    assert wrong == []


def go(tab: Any, page: Path, place: str) -> None:
    """Load the page anew at a place."""
    tab.goto("about:blank")
    tab.goto(f"{page.absolute().as_uri()}#{place}")
    settle(tab, place)


def visit(tab: Any, place: str) -> None:
    """Follow a link inside the page."""
    tab.evaluate("place => { location.hash = place; }", place)
    settle(tab, place)


def settle(tab: Any, place: str) -> None:
    """Wait until that page is in view, which it is some time after the address has changed, and all of it is drawn."""
    wanted = re.split("[/?]", place)[0] or PAGES[0]
    tab.wait_for_function(
        """wanted => {
            const page = document.querySelector(".page.shown"), plots = [...page.querySelectorAll(".plot")];
            return page.dataset.page === wanted && plots.every((plot) => plot.ariaBusy === "false");
        }""",
        arg=wanted,
    )


def seen(tab: Any, selector: str) -> Any:
    """An element of the page in view."""
    return tab.locator(f".page.shown {selector}")


def check(locator: Any) -> Any:
    """Playwright's assertions, which wait until they hold: what a click sets off may come after the click returns."""
    from playwright.sync_api import expect

    expect.set_options(timeout=1000 * SECONDS)
    return expect(locator)


AA, LARGE = 4.5, 3.0  # WCAG's least contrast of text, and of large text: 24 px, or 18.66 px and bold


def contrasts(tab: Any) -> list[tuple[float, float, str]]:
    """(contrast, the least that WCAG AA asks for, which text) of every text in view."""
    found = tab.evaluate(Path(__file__).with_name("contrast.js").read_text())
    return [(ratio, LARGE if large else AA, named) for ratio, large, named in found]
