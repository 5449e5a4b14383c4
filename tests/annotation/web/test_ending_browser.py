"""The end of a round in a real browser: announced, held, never under somebody's hands; and decisions taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from annotation.ending import announce_ending, read_ending
from tests.annotation.web.browser_steps import Enter, saved, state
from tests.annotation.web.round_builders import AGREED, decide, entry_ids, vote
from tests.annotation.web.site_builder import Site, make_site

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

QUIET_S = 300.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Everything is judged: reviewers agreed on one ad, the verifier decided two."""
    made = make_site(tmp_path, quiet_s=QUIET_S)
    first, *others = entry_ids(made)
    vote(made, first, AGREED)
    for entry_id in others:
        vote(made, entry_id)
        decide(made, entry_id)
    announce_ending(made.store)
    yield made
    made.store.close()


def countdown(page: Page) -> int:
    """Seconds that the page counts down."""
    page.locator("#ending-timer", has_text=":").wait_for()
    minutes, _, seconds = page.locator("#ending-timer").inner_text().partition(":")
    return 60 * int(minutes) + int(seconds)


def test_the_end_is_counted_down_held_and_let_go_on_every_page(site: Site, enter: Enter) -> None:
    reviewer, admin = (enter(name).pages[0] for name in ("Reviewer 0", "Admin"))
    assert 0 < countdown(reviewer) <= QUIET_S
    reviewer.get_by_role("status").get_by_text("the round ends soon").wait_for()
    assert not reviewer.get_by_role("button", name="Hold").is_visible(), "that is a verifier's or an admin's"
    admin.get_by_role("button", name="Hold").click()
    admin.get_by_text("Admin holds the round open").wait_for()
    reviewer.get_by_text("A verifier or admin holds the round open").wait_for()
    assert read_ending(site.store, 1, quiet_s=QUIET_S).at is None
    admin.get_by_role("button", name="Let it end").click()
    assert countdown(admin) > QUIET_S - 30
    countdown(reviewer)
    site.store.rounds.close(1)
    reviewer.get_by_text("The round is closed; nothing in it changes").wait_for()


def test_who_types_something_keeps_the_round_open_for_a_moment(site: Site, enter: Enter, address: str) -> None:
    page = enter("Verifier").pages[0]
    page.goto(f"{address}/verify?entry={entry_ids(site)[1]}")
    countdown(page)
    with page.expect_response("**/round/hands"):
        page.keyboard.press("ArrowRight")
    assert site.store.endings.of(1).hands_at is not None


def test_any_decision_can_be_taken_back_until_the_end(site: Site, enter: Enter, address: str) -> None:
    _, second, third = entry_ids(site)
    page = enter("Verifier").pages[0]
    page.get_by_role("link", name="My decisions").click()
    assert page.locator(".talks a").count() == 2
    page.locator(f"a[href='/verify?entry={second}']").click()
    page.locator(f"article[data-entry='{second}']").wait_for()
    page.get_by_role("button", name="Undo").click()
    saved(page, "Taken back")
    assert (state(site, second), state(site, third)) == ("needs_verifier", "verified"), "not the latest, but this one"
    page.locator("#ending").wait_for(state="hidden")
    page.goto(f"{address}/verify/decided")
    assert page.locator(".talks a").count() == 1
