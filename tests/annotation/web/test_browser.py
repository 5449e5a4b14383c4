"""The reviewer's page in a real browser: keys, zoom, lost connections, reloads, two tabs, hostile texts, a tablet."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from annotation.events import Vote
from annotation.rounds import RoundSettings, draw_round
from tests.annotation.store_builders import states
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
)
from tests.annotation.web.round_builders import discuss, entry_ids, vote
from tests.annotation.web.site_builder import AT_ONCE, Site, acknowledge, make_site

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser, Page, Route

pytestmark = pytest.mark.slow


@pytest.fixture
def page(enter: Enter) -> Page:
    """What reviewer 0 sees after logging in."""
    return enter("Reviewer 0").pages[0]


def votes(site: Site) -> dict[str, Vote]:
    """What reviewer 0 said of each entry, as the store has it."""
    person = site.invitations["Reviewer 0"].person.id
    return {each: state.votes[person] for each, state in states(site.store).items() if person in state.votes}


def only_two(page: Page) -> None:
    """The page holds two ads and gets no more."""
    page.route("**/review/next?*", lambda route: route.abort())
    page.reload()


def test_keys_judge_and_the_next_ad_is_there_at_once(site: Site, page: Page) -> None:
    waiting = page.locator("article.entry:not(:visible) .frame img")
    waiting.nth(5).wait_for(state="attached")
    assert all(waiting.nth(n).evaluate("image => image.decode().then(() => image.naturalWidth)") for n in range(6))
    order = []
    for key, choice in (("1", "Positive"), ("2", "Negative"), ("3", "Uncertain")):
        order.append(shown(page))
        judge(page, key)
        saved(page, f"{choice} saved.")
    page.get_by_role("heading", name="All done").wait_for()
    assert page.locator("#progress-text").inner_text() == "3 of 3"
    assert {each: vote.choice for each, vote in votes(site).items()} == dict(
        zip(order, ("positive", "negative", "uncertain"), strict=True)
    )


def test_u_takes_back_and_the_note_is_still_there(site: Site, page: Page) -> None:
    first = shown(page)
    page.keyboard.press("n")
    page.keyboard.type("because 1 of 2 smiles")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    judge(page, "1")
    saved(page, "Positive saved.")
    assert votes(site)[first].note == "because 1 of 2 smiles"
    assert len(votes(site)[first].excluded_frames) == 1
    page.keyboard.press("u")
    saved(page, "Taken back")
    assert votes(site) == {}
    assert shown(page) == first
    assert page.locator("#note").input_value() == "because 1 of 2 smiles"
    assert page.locator("article.entry:visible .thumbnails .out").count() == 1
    judge(page, "2")
    saved(page, "Negative saved.")
    assert votes(site)[first].choice == "negative"
    assert [event.kind for event in site.store.events(1)] == ["vote", "undo", "vote"]


def test_undo_goes_back_after_a_reload_and_from_the_end(site: Site, page: Page) -> None:
    for _ in range(3):
        last = shown(page)
        judge(page, "1")
        saved(page, "Positive saved.")
        page.wait_for_function("!document.querySelector('#saved').textContent.includes('Saving')")
    page.reload()
    page.get_by_role("heading", name="All done").wait_for()
    page.keyboard.press("u")
    saved(page, "Taken back")
    assert shown(page) == last
    assert len(votes(site)) == 2
    judge(page, "1")
    saved(page, "Positive saved.")
    page.get_by_role("button", name="Take the last judgement back").click()  # a tablet has no keys
    saved(page, "Taken back")
    assert shown(page) == last
    assert len(votes(site)) == 2


def test_an_ad_judged_while_more_are_asked_for_does_not_come_again(page: Page) -> None:
    for _ in range(3):
        judged = shown(page)
        judge(page, "1")
        gone(page, judged)
    page.get_by_role("heading", name="All done").wait_for()
    saved(page, "Positive saved.")
    page.reload()
    page.get_by_role("heading", name="All done").wait_for()
    held: dict[str, tuple[Route, APIResponse]] = {}

    def hold(route: Route) -> None:
        name = "next" if "/review/next?" in route.request.url else "entry"
        if name in held:
            route.continue_()
        else:
            held[name] = route, sent_on(route)

    page.route("**/review/next?*", hold)
    page.route("**/review/entries/*", hold)
    page.keyboard.press("u")
    saved(page, "Taken back")
    while len(held) < 2:
        page.wait_for_timeout(20)
    route, answer = held["entry"]
    route.fulfill(response=answer)
    last = shown(page)
    judge(page, "1")
    saved(page, "Positive saved.")
    route, answer = held["next"]
    assert f'data-entry="{last}"' in answer.text(), "the server did not know yet that it was judged again"
    route.fulfill(response=answer)
    page.get_by_role("heading", name="All done").wait_for()


def test_arrows_thumbnails_and_zoom(page: Page) -> None:
    entry = page.locator("article.entry:visible")
    current = entry.locator("[aria-current=true]")
    words = entry.locator("[data-words].current")
    page.keyboard.press("ArrowRight")
    assert current.get_attribute("aria-label") == "Frame 2 of 3"
    assert ", 1)" in words.inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert current.get_attribute("aria-label") == "Frame 3 of 3"
    entry.get_by_role("button", name="Frame 1 of 3").click()
    assert ", 0)" in words.inner_text()
    zoom = page.locator("#zoom")
    ready(page)
    page.keyboard.press("z")
    assert zoom.is_visible()
    assert zoom.locator("img").bounding_box()["width"] == 1440  # type: ignore[index]
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    assert "Frame 2 of 3" in (zoom.locator("img").get_attribute("alt") or "")
    zoom.locator("img").click(position={"x": 1200, "y": 700})
    assert zoom.locator("img").bounding_box()["width"] > 3000  # type: ignore[index]
    assert zoom.locator(".pan").evaluate("pan => pan.scrollLeft") > 1000
    page.keyboard.press("x")
    assert entry.locator(".thumbnails .out").get_attribute("aria-label") == "Frame 2 of 3, left out"
    page.keyboard.press("z")
    assert not zoom.is_visible()
    entry.get_by_role("button", name="Frame 2 of 3, at").click()
    page.keyboard.press("Escape")
    assert not zoom.is_visible()
    assert page.locator("#progress-text").inner_text() == "0 of 3", "1 judges nothing behind the enlarged frame"


def test_keys_do_nothing_behind_the_guidelines_and_in_the_note_and_can_be_turned_off(site: Site, page: Page) -> None:
    guidelines = page.get_by_role("dialog", name="Guidelines")
    ready(page)
    for key in ("g", "?"):
        page.keyboard.press(key)
        assert guidelines.is_visible()
        page.keyboard.press("1")
        page.keyboard.press("Escape" if key == "?" else "g")
        assert not guidelines.is_visible()
    page.get_by_role("button", name="Guidelines G").click()
    page.get_by_role("button", name="Close Esc").click()
    assert not guidelines.is_visible()
    page.locator("#note").click()
    page.keyboard.type("123uzxg?")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+1")
    page.get_by_role("button", name="Keys are on").click()
    page.locator("article.entry:visible").focus()
    page.keyboard.press("1")
    page.reload()
    judge(page, "1")
    assert page.get_by_role("button", name="Keys are off").is_visible()
    assert page.locator("#note").input_value() == "123uzxg?", "what was written is there after a reload"
    assert votes(site) == {}


def test_without_a_connection_a_vote_waits_and_arrives_once(site: Site, page: Page) -> None:
    only_two(page)
    first = shown(page)
    page.context.set_offline(True)
    judge(page, "1")
    saved(page, "No connection: 1 judgement kept on this device")
    second = shown(page)
    assert second != first
    judge(page, "2")
    saved(page, "2 judgements kept on this device")
    page.get_by_role("heading", name="Fetching the next ad").wait_for()
    assert votes(site) == {}
    page.unroute("**/review/next?*")
    page.context.set_offline(False)
    saved(page, "saved.")
    page.locator("article.entry:visible").wait_for()
    page.wait_for_function("document.querySelector('#progress-text').textContent === '2 of 3'")
    assert {each: vote.choice for each, vote in votes(site).items()} == {first: "positive", second: "negative"}


def test_a_lost_answer_and_a_server_in_trouble_are_asked_again_under_the_same_key(site: Site, page: Page) -> None:
    server = TroubledServer()
    page.route("**/review/vote", server.answer)
    judge(page, "1")
    saved(page, "1 judgement kept")
    assert "saved" not in page.locator("#saved").inner_text()
    server.is_mended = True
    saved(page, "Positive saved.")
    assert len(server.keys) >= 3
    assert (len(set(server.keys)), len(site.store.events(1))) == (1, 1)


def test_a_reload_without_a_connection_loses_nothing(site: Site, page: Page) -> None:
    page.route("**/review/vote", lambda route: route.abort())
    first = shown(page)
    judge(page, "1")
    saved(page, "kept on this device")
    page.unroute("**/review/vote")
    page.reload()
    saved(page, "Positive saved.")
    assert shown(page) != first
    assert list(votes(site)) == [first]


def test_a_vote_of_an_ended_session_is_sent_by_the_next(site: Site, page: Page, address: str) -> None:
    first = shown(page)
    page.context.clear_cookies()
    judge(page, "3")
    page.get_by_role("alert").get_by_text("Open your invitation link again").wait_for()
    page.goto(site.invitations["Reviewer 0"].link(address))
    page.get_by_role("button", name="Begin").click()
    saved(page, "Uncertain saved.")
    assert list(votes(site)) == [first]


def test_going_back_after_logging_out_lets_nobody_in(site: Site, browser: Browser, address: str) -> None:
    """On a shared computer neither the address, nor the page that a browser kept, holds the link's token."""
    token = site.invitations["Reviewer 0"].token
    with closing(browser.new_context()) as context:
        asked: list[str] = []
        context.on("request", lambda each: asked.append(each.url))
        page = context.new_page()
        page.goto("about:blank")
        page.goto(site.invitations["Reviewer 0"].link(address))
        page.get_by_role("button", name="Begin").click()
        shown(page)
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="You are logged out").wait_for()
        for _ in range(3):
            if page.url == "about:blank":
                break
            page.go_back()
            assert token not in page.url
            assert token not in page.content()
            if begin := page.query_selector("#begin"):
                assert begin.is_disabled()
        assert context.request.get(f"{address}/review").status == 401
        assert not [url for url in asked if token in url.partition("#")[0]]


def test_two_tabs_lose_nothing(site: Site, enter: Enter, address: str) -> None:
    context = enter("Reviewer 0")
    one, two = context.pages[0], context.new_page()
    two.goto(f"{address}/review")
    first = shown(one)
    assert shown(two) == first
    judge(one, "1")
    saved(one, "Positive saved.")
    two.get_by_text("You said Positive in another tab").wait_for()
    judge(two, "2")
    saved(two, "Negative saved.")
    assert votes(site)[first].choice == "negative"
    assert [event.kind for event in site.store.events(1)] == ["vote", "vote"]


def test_a_round_that_closes_under_the_page_ends_it_with_the_note_kept(site: Site, page: Page) -> None:
    page.wait_for_load_state("networkidle")  # it has all its ads, and asks for no more
    site.store.rounds.close(1)
    note(page, "a long thought")
    judge(page, "1")
    alert = page.get_by_role("alert")
    alert.get_by_text("The round is closed; this came too late and was not saved. Your note was: “a long").wait_for()
    saved(page, "Not saved.")
    assert votes(site) == {}
    assert page.get_by_role("heading", name="The round is closed").is_visible()
    assert page.locator("article.entry:visible, #judge:visible, #waiting:visible, #done:visible").count() == 0
    page.keyboard.press("u")
    saved(page, "There is nothing to take back.")
    page.get_by_role("link", name="Is there a new one?").click()
    page.get_by_text("No round is open").wait_for()


def test_votes_that_wait_while_the_round_closes_are_all_told_of(site: Site, page: Page) -> None:
    only_two(page)
    page.context.set_offline(True)
    for thought in ("one thought", "another"):
        note(page, thought)
        judge(page, "1")
    page.get_by_role("heading", name="Fetching the next ad").wait_for()
    site.store.rounds.close(1)
    page.context.set_offline(False)
    page.get_by_role("heading", name="The round is closed").wait_for()
    for thought in ("one thought", "another"):
        page.get_by_role("alert").get_by_text(thought).wait_for()


@pytest.mark.parametrize(("done", "key", "said"), [(2, "1", "came too late"), (3, "u", "Undo: The round is closed")])
def test_a_last_vote_or_an_undo_that_comes_too_late_is_not_called_done(
    site: Site, page: Page, done: int, key: str, said: str
) -> None:
    for number in range(1, done + 1):
        judge(page, "1")
        page.locator("#progress-text", has_text=f"{number} of 3").wait_for()
        page.locator("article.entry:visible, #done:visible").wait_for()
    site.store.rounds.close(1)
    judge(page, key)
    page.get_by_role("alert").get_by_text(said).wait_for()
    assert page.get_by_role("heading", name="The round is closed").is_visible()
    assert not page.get_by_role("heading", name="All done").is_visible()
    assert len(votes(site)) == done


@pytest.mark.parametrize("ahead_ms", [-300_000, 300_000])
def test_a_clock_that_is_set_while_the_page_is_open_changes_the_time_of_one_vote_at_most(
    site: Site, page: Page, ahead_ms: int
) -> None:
    page.evaluate(f"() => {{ const real = Date.now; Date.now = () => real.call(Date) + {ahead_ms} }}")
    for number in range(1, 4):
        judge(page, "1")
        page.locator("#progress-text", has_text=f"{number} of 3").wait_for()
    last = site.store.events(1)[-1]
    assert 0.005 < (last.submitted_at - last.shown_at).total_seconds() < 60


def test_a_vote_left_over_from_a_closed_round_does_not_shut_the_next_one(site: Site, page: Page, address: str) -> None:
    page.context.set_offline(True)
    judge(page, "1")
    page.locator("#saved", has_text="kept on this device").wait_for()
    site.store.rounds.close(1)
    site.store.rounds.open(draw_round(site.catalog, RoundSettings(seed=7, options=AT_ONCE)))
    page.close()
    page = page.context.new_page()
    page.context.set_offline(False)
    page.goto(f"{address}/review")
    page.locator("#notice-text", has_text="Positive: The round is closed").wait_for()
    assert not page.locator("#closed").is_visible()
    judge(page, "2")
    saved(page, "Negative saved.")
    assert [event.payload for event in site.store.events(2)] == [Vote("negative")]


def test_the_page_tells_that_ads_are_being_discussed(site: Site, page: Page) -> None:
    assert page.get_by_role("link", name="Discussion", exact=True).is_visible()
    others = [each for each in entry_ids(site) if each != shown(page)]
    for count, entry_id in enumerate(others, start=1):
        vote(site, entry_id)
        discuss(site, entry_id)
        judge(page, "1")
        page.get_by_role("link", name=f"Discussion {count} open").wait_for()
        page.keyboard.press("u")
        saved(page, "Taken back")
    page.goto(page.url)
    judge(page, "1")
    page.get_by_text("2 ads are being discussed").wait_for()
    page.get_by_role("link", name="read what the others say").click()
    page.wait_for_url("**/discussion")


class TestHostile:
    """Everything that a stranger can write tries to be a script."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        script = '"><script>document.title="owned"</script><img src="https://evil.example/x.png" onerror="alert(1)">'
        comments = (script, "</li></article><h1>owned</h1>", "\u202eowned\u202c", "<svg/onload=alert(1)>")
        made = make_site(tmp_path, words=script, comments=comments)
        made.invitations["Reviewer 0"] = made.store.people.invite("<b onmouseover=alert(1)>Eve", "reviewer")
        acknowledge(made.store, made.invitations["Reviewer 0"])
        return made

    def test_nothing_of_it_acts(self, page: Page) -> None:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        judge(page, "1")
        saved(page, "Positive saved.")
        assert page.title() == "Review · YTB-ADS"
        assert page.locator(".entry script, .entry svg, .entry h1, .who b, img[src^=https]").count() == 0
        assert page.locator("article.entry:visible").get_by_text("<svg/onload=alert(1)>").is_visible()
        assert page.locator(".who").inner_text() == "<b onmouseover=alert(1)>Eve"
        assert "\u202e" not in page.content()


def test_on_a_small_screen_everything_is_within_reach_of_a_finger(site: Site, enter: Enter) -> None:
    page = enter("Reviewer 0", has_touch=True, is_mobile=True).pages[0]
    choice, undo = page.get_by_role("button", name="Negative"), page.get_by_role("button", name="Undo")
    for width, height in ((820, 1180), (1180, 820), (390, 800), (280, 653)):
        page.set_viewport_size({"width": width, "height": height})
        assert fits(page, width)
        box = choice.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= height, "the judgement is on the screen without scrolling"
        choice.tap()
        saved(page, "Negative saved.")
        undo.tap()
        saved(page, "Taken back")
        assert votes(site) == {}
    site.store.rounds.close(1)
    choice.tap()
    page.get_by_role("heading", name="The round is closed").wait_for()
    understood = page.get_by_role("button", name="Understood")
    assert understood.evaluate("button => button.scrollWidth <= button.clientWidth"), "its word is within it"
    understood.tap()
    assert not page.get_by_role("alert").is_visible()


def test_a_screen_reader_finds_its_way(page: Page) -> None:
    assert [page.get_by_role(landmark).count() for landmark in ("banner", "navigation")] == [1, 1]
    pictures = page.locator("article.entry:visible .frame:visible img")
    assert "Feel the morning new" in (pictures.get_attribute("alt") or "")
    assert is_named(page)
    assert page.get_by_role("status").count() == 4, "they are there before they say something"
    judge(page, "1")
    saved(page, "Positive saved.")
    assert page.evaluate("document.activeElement.matches('article.entry')"), "the new ad has the focus"
    page.keyboard.press("Tab")
    assert str(page.locator(":focus img").get_attribute("alt")) in page.locator(":focus").aria_snapshot()


def test_logging_out_leaves_nothing_open(page: Page, address: str) -> None:
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="You are logged out").wait_for()
    page.goto(f"{address}/review")
    assert page.get_by_role("heading", name="You are not logged in").is_visible()
    page.go_back()
    assert page.locator("article.entry").count() == 0
