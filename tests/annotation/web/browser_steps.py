"""Steps that tests of the pages in a browser share: who is shown, what was saved, and what every page must have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.annotation.store_builders import states
from tests.annotation.web.site_builder import Site

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, BrowserContext, Page, Route

Enter = Callable[..., "BrowserContext"]
"""Log somebody in by name; the fixture `enter`."""


def shown(page: Page) -> str:
    """Id of the entry that is to be seen."""
    return str(page.locator("article.entry:visible").get_attribute("data-entry"))


def ready(page: Page) -> None:
    """Wait until the ad that is shown counts as seen, so that keys and clicks judge it."""
    page.locator("#judge:not(.early)").wait_for(state="attached")


def judge(page: Page, key: str) -> None:
    """Press a key that judges, once the ad counts as seen."""
    ready(page)
    page.keyboard.press(key)


def saved(page: Page, text: str) -> None:
    """Wait until the page says so."""
    page.locator("#saved", has_text=text).wait_for()


def gone(page: Page, entry_id: str) -> None:
    """Wait until that entry is no longer shown."""
    page.locator(f"article[data-entry='{entry_id}']").wait_for(state="hidden")


def state(site: Site, entry_id: str) -> str:
    """The entry's state in the store."""
    return states(site.store)[entry_id].state


def note(page: Page, text: str) -> None:
    """Write a note and leave its field, so that keys judge again."""
    page.locator("#note").fill(text)
    page.keyboard.press("Escape")


def sent_on(route: Route) -> APIResponse:
    """The server's answer to a request that the test holds back; a connection that it closed meanwhile is no answer."""
    return route.fetch(max_retries=3)


class TroubledServer:
    """Loses its first answer, refuses the second request, and every further one until it is mended."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        """The key of every submission that the page sent."""
        self.is_mended = False
        """Set it when the test has read what the page says meanwhile, however slow the machine is."""

    def answer(self, route: Route) -> None:
        """Handle a request of the page."""
        self.keys.append((route.request.post_data_json or {})["key"])
        if len(self.keys) == 1:
            sent_on(route)  # it arrives, and its answer does not
            route.abort()
        elif len(self.keys) == 2 or not self.is_mended:
            route.fulfill(status=503, json={"kind": "store", "text": "busy"})
        else:
            route.continue_()


def fits(page: Page, width: int, selector: str = "button, textarea, nav a, .button") -> bool:
    """Tell whether nothing sticks out at the side, and everything is large enough for a finger."""
    small = page.evaluate(
        "selector => [...document.querySelectorAll(selector)].filter(each => each.checkVisibility())"
        ".filter(each => each.getBoundingClientRect().height < 44).map(each => each.outerHTML)",
        selector,
    )
    assert small == [], width
    return bool(page.evaluate("document.documentElement.scrollWidth") <= width)


def is_named(page: Page) -> bool:
    """Tell whether a screen reader finds its way: one main part, names for everything, ids that are there once."""
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, textarea, a')].filter(each => !each.ariaLabel &&"
        " !each.innerText?.trim() && !each.labels?.length && each.checkVisibility()).map(each => each.outerHTML)"
    )
    assert unnamed == [], page.url
    ids = Counter(page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)"))
    assert [each for each, count in ids.items() if count > 1] == [], page.url
    undescribed = page.evaluate("[...document.images].filter(each => each.getAttribute('alt') === null).length")
    return undescribed == 0 and page.get_by_role("main").count() == 1
