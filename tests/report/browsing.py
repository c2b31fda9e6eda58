"""Opens a page in Chromium, offline, and notes everything that should not happen."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PAGES = ("overview", "paradigms", "scaling", "agreement", "training", "examples", "runs")


@contextmanager
def opened(browser: Any, page: Path, place: str = "", *, width: int = 1280, dark: bool = False) -> Iterator[Any]:
    """The page at `#place`; raises at the end for console errors, exceptions, dialogs and requests."""
    scheme = "dark" if dark else "light"
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, color_scheme=scheme)
    context.set_default_timeout(10_000)
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
    settle(tab)


def visit(tab: Any, place: str) -> None:
    """Follow a link inside the page."""
    tab.evaluate("place => { location.hash = place; }", place)
    settle(tab)


def settle(tab: Any) -> None:
    """Wait until what is in view is drawn."""
    tab.wait_for_function(
        "() => [...document.querySelectorAll('.page.shown .plot')].every(plot => plot.querySelector('.main-svg'))"
    )
    tab.wait_for_timeout(50)


def seen(tab: Any, selector: str) -> Any:
    """An element of the page in view."""
    return tab.locator(f".page.shown {selector}")
