"""The dashboard in a real browser: its numbers come into the page, and everything fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.annotation.web.browser_steps import fits, is_named
from tests.annotation.web.round_builders import AGREED, entry_ids, vote
from tests.annotation.web.site_builder import Site

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    Enter = Callable[..., BrowserContext]

pytestmark = pytest.mark.slow


def test_numbers_that_were_not_ready_come_into_the_page_and_stay(site: Site, enter: Enter, address: str) -> None:
    vote(site, entry_ids(site)[0], AGREED)
    page = enter("Admin").pages[0]
    page.get_by_text("reviewers agree").wait_for()
    assert page.locator("#news").inner_text() in ("", "Newer numbers are shown.")
    page.goto(f"{address}/dashboard")
    settled = page.locator(".tile .figure").first
    assert settled.inner_text() == "1 of 3"
    vote(site, entry_ids(site)[1], AGREED)
    page.reload()
    page.locator(".tile .figure", has_text="2 of 3").wait_for()
    assert page.locator("[data-behind]").count() == 0
    page.get_by_text("The numbers").first.click()
    assert page.get_by_role("region", name="Agreement beyond chance: the numbers").is_visible()
    assert is_named(page)
    for picture in page.locator("img.plot").all():
        assert picture.evaluate("each => each.naturalWidth") > 0
    for width in (390, 820, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert fits(page, width), width
