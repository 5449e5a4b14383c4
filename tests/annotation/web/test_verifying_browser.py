"""The verifier's page and the discussion in a real browser: keys, what changed meanwhile, lost connections, drafts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from annotation.events import Vote
from tests.annotation.store_builders import key, states
from tests.annotation.web.browser_steps import (
    Enter,
    TroubledServer,
    fits,
    gone,
    is_named,
    judge,
    note,
    ready,
    saved,
    sent_on,
    shown,
    state,
)
from tests.annotation.web.round_builders import decide, discuss, entry_ids, now, reviewer, say, vote
from tests.annotation.web.site_builder import AT_ONCE, Site, make_site, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

SCREENS = ((820, 1180), (390, 800), (280, 653))
"""A tablet, a phone, a folded one: width and height in pixels."""

pytestmark = pytest.mark.slow


@pytest.fixture
def site(site: Site) -> Site:
    """Three ads wait for the verifier."""
    for entry_id in entry_ids(site):
        vote(site, entry_id, note="a reason")
    return site


@pytest.fixture
def page(enter: Enter) -> Page:
    """What the verifier sees after logging in."""
    return enter("Verifier").pages[0]


def test_keys_decide_skip_discuss_and_take_back(site: Site, page: Page) -> None:
    first, second, third = entry_ids(site)
    assert page.locator("#waiting-count").inner_text() == "3 wait"
    assert shown(page) == first
    page.keyboard.press("s")
    page.locator(f"article[data-entry='{second}']").wait_for()
    page.keyboard.press("n")
    page.keyboard.type("1 2 d u")
    page.keyboard.press("Escape")
    judge(page, "2")
    saved(page, "Decided: negative.")
    assert shown(page) == third, "it goes on behind the one that was decided"
    assert page.locator("#note").input_value() == ""
    assert states(site.store)[second].decisions.popitem()[1].note == "1 2 d u"  # type: ignore[attr-defined]
    judge(page, "d")
    assert state(site, third) == "needs_verifier", "an empty remark is asked for once"
    page.locator("#judge-hint").get_by_text("what the discussion is to be about").wait_for()
    page.keyboard.press("n")
    page.keyboard.type("12 sud? Is it irony?")  # keys that would decide, skip and undo
    page.keyboard.press("Control+Enter")
    saved(page, "Sent to the discussion.")
    assert [message.text for message in states(site.store)[third].messages] == ["12 sud? Is it irony?"]
    assert page.get_by_role("link", name="Discussion 1 open").is_visible()
    page.keyboard.press("u")
    saved(page, "Taken back")
    assert shown(page) == third
    assert page.locator("#note").input_value() == "12 sud? Is it irony?", "what was written is there again"
    assert state(site, third) == "needs_verifier"
    page.keyboard.press("u")
    page.locator(f"article[data-entry='{second}']").wait_for()
    assert state(site, second) == "needs_verifier"
    assert page.locator("#waiting-count").inner_text() == "3 wait"


def test_the_last_decision_ends_at_an_empty_desk_and_undo_comes_back(site: Site, page: Page) -> None:
    for _ in range(3):
        last = shown(page)
        judge(page, "1")
        gone(page, last)
    page.get_by_role("heading", name="Nothing waits for you").wait_for()
    page.reload()
    page.get_by_role("button", name="Take the last decision back").click()
    saved(page, "Taken back")
    assert shown(page) == last
    assert [event.kind for event in site.store.events(1)][-4:] == ["decision", "decision", "decision", "undo"]


def test_a_decision_on_what_has_changed_is_refused_with_the_note_kept(site: Site, page: Page) -> None:
    first = shown(page)
    note(page, "a long thought")
    reviewer(site, 4).vote(first, Vote("uncertain", "I see it now"), key=key(), shown_at=now())
    judge(page, "1")
    page.get_by_role("alert").get_by_text("has changed since you looked").wait_for()
    saved(page, "Not saved.")
    assert state(site, first) == "needs_verifier"
    assert shown(page) == first
    assert page.locator(".votes").get_by_text("I see it now").is_visible(), "the entry is shown anew"
    assert page.locator("#note").input_value() == "a long thought"
    judge(page, "1")
    saved(page, "Decided: positive.")
    assert state(site, first) == "verified"
    assert not page.get_by_role("alert").is_visible()


def test_an_entry_that_waits_for_votes_again_cannot_be_decided(site: Site, page: Page) -> None:
    first = shown(page)
    note(page, "kept")
    reviewer(site, 0).undo(first, key=key(), shown_at=now())
    judge(page, "2")
    page.get_by_role("alert").get_by_text("does not wait for you any more").wait_for()
    assert page.get_by_role("button", name="Positive").is_disabled()
    assert page.locator("#note").input_value() == "kept"
    page.keyboard.press("s")
    gone(page, first)
    ready(page)
    assert page.get_by_role("button", name="Positive").is_enabled()


def test_a_lost_answer_is_asked_for_again_and_a_lost_connection_waited_for(site: Site, page: Page) -> None:
    first = shown(page)
    server = TroubledServer()
    page.route("**/verify/decide", server.answer)
    judge(page, "1")
    saved(page, "No connection: not saved yet")
    page.keyboard.press("2")
    server.is_mended = True
    saved(page, "Decided: positive.")
    assert len(server.keys) >= 3
    assert len(set(server.keys)) == 1
    assert [event.kind for event in site.store.events(1)][15:] == ["decision"]
    assert state(site, first) == "verified"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("1", "The round is closed; this came too late and was not saved."),
        ("s", "The round is closed; nothing in it changes any more."),
        ("u", "The round is closed; this came too late and was not saved."),
    ],
)
def test_a_round_that_closes_under_the_page_ends_it_with_the_note_kept(
    site: Site, page: Page, key: str, said: str
) -> None:
    decide(site, entry_ids(site)[2])
    page.reload()
    note(page, "a long thought")
    site.store.rounds.close(1)
    judge(page, key)
    page.get_by_role("alert").get_by_text(f"{said} Your note was: “a long thought”").wait_for()
    assert page.get_by_role("heading", name="The round is closed").is_visible()
    assert page.locator("article.entry:visible, #judge:visible, .queue:visible").count() == 0
    page.get_by_role("link", name="Is there a new one?").click()
    page.get_by_text("No round is open").wait_for()


def test_a_decision_that_was_saved_before_the_round_closed_is_not_called_too_late(site: Site, page: Page) -> None:
    first = shown(page)

    def close(route: Route) -> None:
        site.store.rounds.close(1)
        route.continue_()

    page.route("**/verify/desk?*", close)
    judge(page, "1")
    page.get_by_role("heading", name="The round is closed").wait_for()
    saved(page, "Decided: positive.")
    assert "not saved" not in page.get_by_role("alert").inner_text()
    assert state(site, first) == "verified"


def test_a_message_to_a_round_that_has_closed_says_so_and_stays(site: Site, enter: Enter, address: str) -> None:
    first = entry_ids(site)[0]
    discuss(site, first)
    page = enter("Reviewer 0").pages[0]
    page.goto(f"{address}/discussion/{first}")
    site.store.rounds.close(1)
    page.locator("#text").fill("one more thing")
    page.keyboard.press("Control+Enter")
    page.get_by_role("alert").get_by_text("The round is closed; this came too late").wait_for()
    assert page.locator("#text").input_value() == "one more thing"


def test_what_is_typed_survives_a_reload_and_another_entry(site: Site, page: Page) -> None:
    note(page, "half a thought")
    first = shown(page)
    page.keyboard.press("s")
    gone(page, first)
    assert page.locator("#note").input_value() == ""
    page.reload()
    assert shown(page) == first
    assert page.locator("#note").input_value() == "half a thought"


def test_an_ended_session_says_so_and_keeps_the_note(site: Site, page: Page) -> None:
    page.context.clear_cookies()
    note(page, "kept")
    judge(page, "1")
    page.get_by_role("alert").get_by_text("Your session has ended").wait_for()
    assert page.locator("#note").input_value() == "kept"
    assert len(site.store.events(1)) == 15


def test_messages_appear_while_one_types_and_nothing_typed_is_lost(site: Site, enter: Enter, address: str) -> None:
    first = entry_ids(site)[0]
    discuss(site, first, "What says so?")
    page = enter("Reviewer 0").pages[0]
    page.goto(f"{address}/discussion/{first}")
    text = page.locator("#text")
    text.fill("I am still thi")
    say(site, first, 3, "the music does")
    page.get_by_role("log").get_by_text("the music does").wait_for()
    assert text.input_value() == "I am still thi"
    page.reload()
    assert text.input_value() == "I am still thi"
    text.press("End")
    text.press_sequentially("nking")
    page.keyboard.press("Control+Enter")
    saved(page, "Message saved.")
    page.get_by_role("log").get_by_text("I am still thinking").wait_for()
    assert text.input_value() == ""
    page.get_by_role("button", name="Take back my last step").click()
    saved(page, "Taken back.")
    page.get_by_role("log").get_by_text("I am still thinking").wait_for(state="detached")


def test_a_message_sent_again_after_a_reload_is_there_once(site: Site, enter: Enter, address: str) -> None:
    first = entry_ids(site)[0]
    discuss(site, first)
    page = enter("Reviewer 1").pages[0]
    page.goto(f"{address}/discussion/{first}")

    def lose(route: Route) -> None:
        sent_on(route)
        route.abort()

    page.route("**/discussion/message", lose)
    page.locator("#text").fill("only once")
    page.get_by_role("button", name="Send").click()
    saved(page, "not saved yet")
    page.unroute_all(behavior="ignoreErrors")
    page.reload()
    assert page.locator("#text").input_value() == "only once"
    page.get_by_role("button", name="Send").click()
    saved(page, "Message saved.")
    assert [each.text for each in states(site.store)[first].messages] == ["Why?", "only once"]


def test_a_consensus_on_what_others_went_on_with_is_refused_and_kept(site: Site, page: Page, address: str) -> None:
    first = entry_ids(site)[0]
    discuss(site, first)
    page.goto(f"{address}/discussion/{first}")
    outcome = page.get_by_role("region", name="What comes of it")
    page.locator("#note").fill("all agree")
    # the page must not have seen it by itself when the button is pressed
    page.route("**/thread?*", lambda route: route.abort())
    say(site, first, 2, "no, I do not")
    outcome.get_by_role("button", name="Positive").click()
    page.get_by_role("alert").get_by_text("has written meanwhile").wait_for()
    assert state(site, first) == "in_discussion"
    assert page.locator("#note").input_value() == "all agree"
    page.unroute_all(behavior="ignoreErrors")
    page.get_by_role("log").get_by_text("no, I do not").wait_for()
    page.locator("#note").fill(" ")
    outcome.get_by_role("button", name="Exclude").click()
    page.get_by_role("alert").get_by_text("An exclusion needs a reason").wait_for()
    page.locator("#note").fill("all agree")
    outcome.get_by_role("button", name="Exclude").click()
    saved(page, "Excluded.")
    assert states(site.store)[first].note == "all agree"
    page.get_by_role("button", name="Take it back").click()
    saved(page, "Taken back.")
    assert state(site, first) == "in_discussion"


def test_a_discussion_that_ends_while_one_types_takes_nothing_away(site: Site, enter: Enter, address: str) -> None:
    first = entry_ids(site)[0]
    discuss(site, first)
    page = enter("Reviewer 0").pages[0]
    page.goto(f"{address}/discussion/{first}")
    page.locator("#text").fill("my best argument")
    verifier = enter("Verifier").pages[0]
    verifier.goto(f"{address}/discussion/{first}")
    verifier.get_by_role("region", name="What comes of it").get_by_role("button", name="Negative").click()
    saved(verifier, "Settled: negative.")
    page.get_by_text("This discussion is over").wait_for()
    assert page.locator("#text").input_value() == "my best argument"
    assert page.get_by_role("button", name="Send").is_disabled()


def test_nothing_sticks_out_and_a_finger_decides(site: Site, enter: Enter, address: str) -> None:
    first, second, _ = entry_ids(site)
    decide(site, first)
    discuss(site, second)
    page = enter("Verifier", has_touch=True, is_mobile=True).pages[0]
    for path in ("/dashboard", "/discussion", f"/discussion/{second}", "/verify"):
        page.goto(address + path)
        for width, height in SCREENS:
            page.set_viewport_size({"width": width, "height": height})
            assert fits(page, width), (path, width)
    page.get_by_role("button", name="Negative").tap()
    saved(page, "Decided: negative.")


def test_a_screen_reader_finds_its_way(site: Site, page: Page, address: str) -> None:
    discuss(site, entry_ids(site)[1])
    for path in ("/verify", f"/discussion/{entry_ids(site)[1]}", "/dashboard"):
        page.goto(address + path)
        assert is_named(page), path
        assert page.get_by_role("heading", level=1).count() == 1, path


def test_d_twice_opens_one_discussion_without_a_remark(site: Site, page: Page) -> None:
    first = shown(page)
    judge(page, "d")
    page.locator("#judge-hint", has_text="Discuss again sends the ad without a remark").wait_for()
    page.keyboard.press("d")
    gone(page, first)
    assert state(site, first) == "in_discussion"


def test_minds_change_in_sight_of_everybody_and_what_is_new_is_marked(site: Site, enter: Enter, address: str) -> None:
    first = entry_ids(site)[0]
    discuss(site, first)
    one, other = (enter(f"Reviewer {number}").pages[0] for number in (0, 1))
    assert one.get_by_role("link", name="Discussion 1 open 1 new").is_visible()
    for page in (one, other):
        page.goto(f"{address}/discussion/{first}")
        page.locator("#unread").wait_for(state="hidden")
    stances = one.get_by_role("region", name="What you say now")
    assert stances.get_by_role("button", name="Positive").get_attribute("aria-pressed") == "true", "as they voted"
    stances.get_by_role("button", name="Negative").click()
    saved(one, "You say now: negative.")
    stances.get_by_role("button", name="Negative", pressed=True).wait_for()
    other.get_by_role("log").get_by_text("Reviewer 0 now says").wait_for()
    other.get_by_text("3 negative").wait_for()
    one.get_by_role("button", name="Take back my last step").click()
    saved(one, "Taken back.")
    other.get_by_role("log").get_by_text("Reviewer 0 now says").wait_for(state="detached")
    verifier = enter("Verifier").pages[0]
    verifier.goto(f"{address}/discussion/{first}")
    verifier.locator("#note").fill("the music decides")
    verifier.get_by_role("region", name="What comes of it").get_by_role("button", name="Negative").click()
    saved(verifier, "Settled: negative.")
    for page in (one, other):
        page.get_by_role("region", name="Outcome").get_by_text("the music decides").wait_for()
    assert stances.is_hidden()


def test_who_decides_first_sees_the_votes_then_and_goes_on(browser: Browser, tmp_path: Path) -> None:
    site = make_site(tmp_path / "first", options=replace(AT_ONCE, verifier_first=True))
    first, second, _ = entry_ids(site)
    for each in (first, second):
        vote(site, each, note="a reason")
    with serving(site) as address:
        context = browser.new_context()
        context.request.post(f"{address}/join", data={"token": site.invitations["Verifier"].token})
        page = context.new_page()
        page.goto(f"{address}/verify")
        page.get_by_role("heading", name="Decide first").wait_for()
        page.get_by_role("button", name="Negative").click()
        saved(page, "Decided: negative. These are the votes")
        assert page.locator(".votes").get_by_text("a reason").count() == 5
        assert shown(page) == first
        page.get_by_role("button", name="Skip").click()
        page.locator(f"article[data-entry='{second}']").wait_for()
        page.get_by_role("button", name="Positive").click()
        saved(page, "Decided: positive. These are the votes")
        page.get_by_role("button", name="Skip").click()
        page.get_by_role("heading", name="Nothing waits for you").wait_for()
        context.close()
