"""Nobody judges an ad that they have not seen: input counts after the picture, and keys by their place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from annotation.rounds import RoundOptions
from tests.annotation.web.browser_steps import Enter, gone, judge, ready, saved, shown, state
from tests.annotation.web.round_builders import SPLIT, entry_ids, vote
from tests.annotation.web.site_builder import Site, make_site

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.slow

LOOK_MS = 1_000
"""Longer than this machine takes between two keys, however busy it is."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path, options=RoundOptions(least_look_ms=LOOK_MS))


@pytest.fixture
def page(enter: Enter) -> Page:
    """What reviewer 0 sees after logging in."""
    return enter("Reviewer 0").pages[0]


def choices(site: Site) -> list[str]:
    """What was said so far, and taken back."""
    return [getattr(event.payload, "choice", event.kind) for event in site.store.events(1)]


def too_early(page: Page) -> None:
    """Wait until the page says that something came too early."""
    page.locator("#early", has_text="Not counted").wait_for()


def press(page: Page, key: str, code: str, *, shift: bool = False) -> None:
    """Press a key of a layout that this machine does not have."""
    described = {"key": key, "code": code, "modifiers": 8 if shift else 0}
    browser = page.context.new_cdp_session(page)
    for kind in ("rawKeyDown", "keyUp"):
        browser.send("Input.dispatchKeyEvent", {"type": kind, **described})
    browser.detach()


def test_the_second_half_of_a_double_click_does_not_judge_the_next_ad(site: Site, page: Page) -> None:
    first = shown(page)
    ready(page)
    page.get_by_role("button", name="Positive").dblclick()
    gone(page, first)
    saved(page, "Positive saved.")
    too_early(page)
    assert choices(site) == ["positive"]
    assert page.get_by_role("button", name="Negative").get_attribute("aria-disabled") == "true"
    judge(page, "2")
    saved(page, "Negative saved.")
    assert choices(site) == ["positive", "negative"]


def test_a_key_before_the_picture_is_painted_judges_nothing(site: Site, page: Page) -> None:
    held: list[Route] = []
    is_held = True
    page.route("**/frames/**", lambda route: held.append(route) if is_held else route.continue_())
    page.reload(wait_until="domcontentloaded")
    page.locator("#judge.early").wait_for()
    page.wait_for_timeout(2 * LOOK_MS)
    page.keyboard.press("1")
    too_early(page)
    held_until = datetime.now(UTC)
    is_held = False
    for route in held:
        route.continue_()
    judge(page, "3")
    saved(page, "Uncertain saved.")
    (event,) = site.store.events(1)
    # the page's clock runs behind by the time that the page took to load
    assert event.shown_at > held_until - timedelta(milliseconds=LOOK_MS), "time counts from when the ad was to be seen"


def test_an_ad_whose_picture_does_not_load_can_be_judged_and_the_page_says_why(site: Site, page: Page) -> None:
    page.route("**/frames/**", lambda route: route.abort())
    page.reload()
    page.locator("#judge-hint", has_text="cannot be loaded").wait_for()
    judge(page, "3")
    saved(page, "Uncertain saved.")


def test_u_twice_takes_one_judgement_back(site: Site, page: Page) -> None:
    for key, said in (("1", "Positive saved."), ("2", "Negative saved.")):
        judge(page, key)
        saved(page, said)
    for _ in range(2):
        page.keyboard.press("u")
    saved(page, "Taken back")
    too_early(page)
    assert choices(site) == ["positive", "negative", "undo"]


def test_keys_go_by_their_place_where_the_layout_has_other_characters(site: Site, page: Page) -> None:
    ready(page)
    press(page, "!", "Digit1", shift=True)  # what is no digit with Shift is none of ours
    press(page, "End", "Numpad1")  # a number pad without its lock
    press(page, ";", "KeyZ")  # Dvorak has its own z elsewhere
    assert not page.locator("#zoom").is_visible()
    assert not page.locator("#early").is_visible()
    for number, (key, code) in enumerate((("&", "Digit1"), ('"', "Digit3"), ("2", "Numpad2")), start=1):  # AZERTY
        ready(page)
        press(page, key, code)
        page.locator("#progress-text", has_text=f"{number} of 3").wait_for()
    press(page, "г", "KeyU")  # a Cyrillic layout
    saved(page, "Taken back")
    assert choices(site) == ["positive", "uncertain", "negative", "undo"]
    press(page, "ื", "KeyN")  # Thai and Hindi have marks there, which are no letters
    assert page.evaluate("document.activeElement.id") == "note"
    page.keyboard.press("Escape")
    press(page, "ि", "KeyF")
    assert page.locator("#flag").is_visible()
    page.keyboard.press("Escape")
    press(page, "z", "KeyW")  # the z of AZERTY
    assert page.locator("#zoom").is_visible()


def test_a_verifier_decides_nothing_unseen_either(site: Site, enter: Enter) -> None:
    for entry_id in entry_ids(site):
        vote(site, entry_id, SPLIT)
    first, second, _ = entry_ids(site)
    page = enter("Verifier").pages[0]
    page.keyboard.press("1")
    too_early(page)
    judge(page, "1")
    saved(page, "Decided: positive.")
    page.keyboard.press("d")
    page.keyboard.press("d")
    too_early(page)
    assert (state(site, first), state(site, second)) == ("verified", "needs_verifier")
    assert page.locator("#note").input_value() == ""
