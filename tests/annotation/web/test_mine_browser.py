"""A reviewer's own judgements in a real browser: going back, changing, noting, flagging."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from annotation.events import Flag
from tests.annotation.store_builders import states
from tests.annotation.web.browser_steps import Enter, fits, is_named, judge, saved, shown
from tests.annotation.web.site_builder import Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


@pytest.fixture
def page(enter: Enter) -> Page:
    """What reviewer 0 sees after logging in."""
    return enter("Reviewer 0").pages[0]


def test_a_judgement_is_found_again_changed_noted_and_flagged(site: Site, page: Page) -> None:
    me = site.invitations["Reviewer 0"].person.id
    first = shown(page)
    judge(page, "1")
    saved(page, "Positive saved.")
    page.get_by_role("link", name="My judgements").click()
    page.get_by_role("link", name="Open").click()
    assert shown(page) == first
    page.get_by_text("You said Positive").wait_for()
    judge(page, "2")
    saved(page, "Negative saved.")
    assert states(site.store)[first].votes[me].choice == "negative"

    page.goto(page.url.partition("/review")[0] + "/mine")
    page.get_by_role("button", name="Note").click()
    page.get_by_label("Kept beside your judgement").fill("<i>irony</i>")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("<i>irony</i>").wait_for()
    assert states(site.store)[first].votes[me].note == "<i>irony</i>"

    page.get_by_role("button", name="Flag").first.click()
    page.get_by_label("Broken picture").check()
    page.get_by_label("Remark (optional)").fill("torn")
    page.locator("#flag").get_by_role("button", name="Flag", exact=True).click()
    page.locator("#own").get_by_text("Broken picture").wait_for()
    assert states(site.store)[first].flags == {me: Flag("broken_picture", "torn")}
    page.locator("#own").get_by_role("button", name="Flag").click()
    assert page.get_by_label("Broken picture").is_checked()
    page.get_by_role("button", name="Take the flag back").click()
    page.locator("#own").get_by_text("Broken picture").wait_for(state="detached")
    assert states(site.store)[first].flags == {}


def test_f_flags_the_ad_that_is_judged_and_keys_rest_meanwhile(site: Site, page: Page) -> None:
    first = shown(page)
    page.keyboard.press("f")
    page.keyboard.press("2")
    assert shown(page) == first, "the dialog is open"
    page.get_by_label("Not an ad").check()
    page.keyboard.press("Enter")
    saved(page, "Flagged.")
    assert page.locator("#open-flag").get_attribute("aria-pressed") == "true"
    assert [event.kind for event in site.store.events(1)] == ["flag"]
    judge(page, "3")
    saved(page, "Uncertain saved.")
    assert page.locator("#open-flag").get_attribute("aria-pressed") == "false", "the next ad has none"


@pytest.mark.parametrize("width", [1440, 820, 390])
def test_the_list_fits_and_is_named(page: Page, width: int) -> None:
    judge(page, "1")
    saved(page, "Positive saved.")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(page.url.partition("/review")[0] + "/mine")
    assert fits(page, width)
    assert is_named(page)
    page.get_by_role("button", name="Flag").first.click()
    assert fits(page, width, "button, textarea, label.option")
