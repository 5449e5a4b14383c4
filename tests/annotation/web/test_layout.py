"""The pages' layout in a browser: one legend of keys, fields as high as their text, and ads for a lost connection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.annotation.web.browser_steps import Enter, gone, judge, ready, saved, shown
from tests.annotation.web.round_builders import discuss, entry_ids, say, vote
from tests.annotation.web.site_builder import Site, make_site

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.slow

AHEAD = 20
WRAPPED = "one long line without a break, as people write them when they are in a hurry " * 3


def height(part: Locator) -> float:
    box = part.bounding_box()
    assert box is not None
    return box["height"]


def keys_on(page: Page) -> list[str]:
    """The keys that a page shows where one looks, in the order of the page."""
    return [text for text in page.locator("kbd:visible").all_inner_texts() if text]


@pytest.mark.parametrize(("name", "keys"), [("Reviewer 0", list("ZX123NUFG")), ("Verifier", list("Z12DNSUG"))])
def test_every_key_stands_once_and_where_it_acts(site: Site, enter: Enter, name: str, keys: list[str]) -> None:
    if name == "Verifier":
        vote(site, entry_ids(site)[0])
    page = enter(name).pages[0]
    ready(page)
    assert keys_on(page) == keys
    page.locator("#note").focus()
    assert "Esc" in keys_on(page)
    assert "N" not in keys_on(page)


@pytest.mark.parametrize("width", [1440, 390])
def test_the_note_grows_with_wrapped_lines_and_shrinks_again(enter: Enter, width: int) -> None:
    page = enter("Reviewer 0", viewport={"width": width, "height": 844}).pages[0]
    note = page.locator("#note")
    empty = height(note)
    note.fill(WRAPPED)
    assert height(note) > empty + 20
    note.fill(WRAPPED * 8)
    assert height(note) < 844 / 4, "the ad stays on the screen"
    judge_with_key(page)
    assert height(note) == empty


def judge_with_key(page: Page) -> None:
    first = shown(page)
    page.keyboard.press("Escape")
    judge(page, "1")
    gone(page, first)


def test_the_message_box_of_a_phone_is_within_reach_wherever_one_reads(site: Site, enter: Enter, address: str) -> None:
    first = entry_ids(site)[0]
    vote(site, first, note="a reason")
    discuss(site, first)
    for number in range(5):
        say(site, first, number, "The music says so. " * 10)
    page = enter("Reviewer 0", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).pages[0]
    page.goto(f"{address}/discussion/{first}")
    text = page.locator("#text")
    for position in (0, 500, 10_000):
        page.evaluate("position => scrollTo(0, position)", position)
        box = text.bounding_box()
        assert box is not None
        assert 844 / 2 < box["y"] < box["y"] + box["height"] <= 844
    last = page.locator(".comments li").last.bounding_box()
    bar = page.locator("#write").bounding_box()
    assert last is not None
    assert bar is not None
    assert last["y"] + last["height"] <= bar["y"], "it covers nothing for good"
    text.fill(WRAPPED)
    page.get_by_role("button", name="Send").tap()
    saved(page, "Message saved.")
    page.set_viewport_size({"width": 844, "height": 390})
    page.evaluate("scrollTo(0, 0)")
    assert text.evaluate("each => getComputedStyle(each.form).position") == "static", "too low to give so much away"


class TestWithoutAConnection:
    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        return make_site(tmp_path, ads=AHEAD + 5, frames=1)

    def test_twenty_ads_ahead_can_be_judged(self, site: Site, enter: Enter) -> None:
        page = enter("Reviewer 0").pages[0]
        page.locator("article.entry").nth(AHEAD).wait_for(state="attached")
        page.wait_for_load_state("networkidle")
        page.context.set_offline(True)
        for _ in range(AHEAD + 1):
            ready(page)
            assert page.locator("article.entry:visible .frame img").evaluate("image => image.naturalWidth") == 960
            first = shown(page)
            page.keyboard.press("1")
            gone(page, first)
        saved(page, f"{AHEAD + 1} judgements kept on this device")
        page.context.set_offline(False)
        page.locator("#progress-text", has_text=f"{AHEAD + 1} of {AHEAD + 5}").wait_for()
        assert len(site.store.events(1)) == AHEAD + 1
        page.keyboard.press("u")
        saved(page, "Taken back")
