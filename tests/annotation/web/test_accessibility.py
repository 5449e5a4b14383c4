"""Every state of the page, as axe-core finds it, and as somebody who enlarges it four times does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from annotation.ending import announce_ending
from annotation.events import Flag, Vote
from annotation.rounds import RoundOptions
from tests.annotation.store_builders import key
from tests.annotation.web.axe_steps import flawless, hidden_when_focused, out_of_reach, sticks
from tests.annotation.web.browser_steps import Enter, fits, gone, judge, note, ready, saved, shown
from tests.annotation.web.round_builders import AGREED, decide, discuss, now, reviewer, say, vote
from tests.annotation.web.site_builder import AT_ONCE, Site, make_site
from tests.annotation.web.test_preparing import open_second

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

WORDS = "Feel the morning new " * 6
COMMENTS = ("a comment longer than all others " * 10, "short")
"""So long that their places would scroll."""
GUIDELINES = "# Rate it\n\nLook at [all](https://example.org) of it.\n\n| a | b |\n|---|---|\n| c | d |\n"
ENLARGED = {"width": 320, "height": 256}
"""What is left of a screen of 1280 x 1024 pixels that is enlarged four times."""


@pytest.fixture
def options() -> RoundOptions:
    return AT_ONCE


@pytest.fixture
def site(tmp_path: Path, options: RoundOptions) -> Iterator[Site]:
    """Three ads, of which one comes twice."""
    made = make_site(
        tmp_path, words=WORDS, comments=COMMENTS, frames=5, repeat_share=0.3, options=options, quiet_s=300.0
    )
    yield made
    made.store.close()


def of_kind(site: Site, *kinds: str) -> list[str]:
    """Ids of the round's entries."""
    return [each.id for each in site.store.rounds.entries(1).values() if each.kind in kinds]


class TestEveryState:
    """Nothing that axe-core knows of is wrong, in light and dark, on a desk and on a phone."""

    def test_from_the_invitation_to_the_first_ad(self, site: Site, enter: Enter, address: str) -> None:
        open_second(site, RoundOptions(least_look_ms=0, guidelines=GUIDELINES), {"ad0": "positive"})
        page = enter("Reviewer 0").pages[0]
        flawless(page)
        page.get_by_role("button", name="I have read them").click()
        page.get_by_text("Example 1 of 1").wait_for()
        ready(page)
        flawless(page)
        judge(page, "2")
        page.get_by_text("You said negative; the answer is positive.").wait_for()
        flawless(page)
        page.locator("#next").click()
        page.get_by_role("heading", name="Not yet").wait_for()
        flawless(page)
        page.get_by_role("link", name="Try again").click()
        judge(page, "1")
        page.get_by_text("Right. 1 of 1 right so far.").wait_for()
        flawless(page)
        page.locator("#next").click()
        page.get_by_role("heading", name="You are ready").wait_for()
        flawless(page)
        page.goto(f"{address}/join")
        page.get_by_text("Open your personal invitation link").wait_for()
        flawless(page)
        page.goto(f"{address}/join#{site.invitations['Reviewer 1'].token}")
        page.locator("#begin:enabled").wait_for()
        flawless(page)

    def test_judging(self, site: Site, enter: Enter) -> None:
        page = enter("Reviewer 0").pages[0]
        ready(page)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("x")
        note(page, "a note " * 40)
        flawless(page)
        for opening in ("z", "g", "f"):
            page.keyboard.press(opening)
            page.locator("dialog[open]").wait_for()
            flawless(page)
            page.keyboard.press("Escape")
        page.context.set_offline(True)
        saved(page, "No connection")
        judge(page, "1")
        saved(page, "1 judgement kept")
        flawless(page)
        page.context.set_offline(False)
        saved(page, "Positive saved.")
        page.keyboard.press("u")
        saved(page, "Taken back")
        page.keyboard.press("u")
        page.locator("#early", has_text="Not counted").or_(page.locator("#saved", has_text="nothing")).wait_for()
        flawless(page)
        page.context.clear_cookies()
        judge(page, "1")
        page.get_by_role("alert").get_by_text("Your session has ended").wait_for()
        flawless(page)

    def test_a_repeat_the_last_ad_and_ones_own_judgements(self, site: Site, enter: Enter, address: str) -> None:
        first, *_ = others = of_kind(site, "ordinary")
        for entry_id in others:
            reviewer(site, 0).vote(entry_id, Vote("positive", "a note"), key=key(), shown_at=now())
        reviewer(site, 0).flag(first, Flag("broken_picture", "torn"), key=key(), shown_at=now())
        page = enter("Reviewer 0").pages[0]
        assert [shown(page)] == of_kind(site, "repeat")
        ready(page)
        flawless(page)
        page.route("**/review/next?*", lambda route: route.abort())
        page.reload()
        judge(page, "3")
        page.get_by_role("heading", name="Fetching the next ad").wait_for()
        flawless(page)
        page.unroute("**/review/next?*")
        page.get_by_role("heading", name="All done").wait_for()
        flawless(page)
        page.goto(f"{address}/mine")
        flawless(page)
        for name in ("Note", "Flag"):
            page.locator("#own").get_by_role("button", name=name).first.click()
            flawless(page)
            page.keyboard.press("Escape")
        page.get_by_label("Words on the frames").fill("nothing like this")
        page.get_by_role("button", name="Search").click()
        page.get_by_text("Nothing here").wait_for()
        flawless(page)

    @pytest.mark.parametrize("options", [replace(AT_ONCE, verifier_first=True)])
    def test_verifying(self, site: Site, enter: Enter, address: str) -> None:
        first, second, _ = ads = of_kind(site, "ordinary")
        reviewer(site, 1).flag(first, Flag("not_an_ad", "a film"), key=key(), shown_at=now())
        for entry_id in ads[:2]:
            vote(site, entry_id, note="a reason " * 20)
        page = enter("Verifier").pages[0]
        page.get_by_role("heading", name="Decide first").wait_for()
        ready(page)
        flawless(page)
        judge(page, "2")
        saved(page, "These are the votes")
        flawless(page)
        page.keyboard.press("s")
        page.locator(f"article[data-entry='{second}']").wait_for()
        judge(page, "d")
        page.locator("#judge-hint", has_text="Discuss again").wait_for()
        flawless(page)
        judge(page, "d")
        gone(page, second)
        page.get_by_role("heading", name="Nothing waits for you").wait_for()
        flawless(page)
        page.goto(f"{address}/verify/decided")
        flawless(page)

    def test_discussing(self, site: Site, enter: Enter, address: str) -> None:
        first = of_kind(site, "ordinary")[0]
        vote(site, first, note="a reason " * 20)
        discuss(site, first)
        for number in range(4):
            say(site, first, number, "The music says so. " * 20)
        page, verifier = (enter(name).pages[0] for name in ("Reviewer 0", "Verifier"))
        page.goto(f"{address}/discussion")
        flawless(page)
        page.goto(f"{address}/discussion/{first}")
        page.get_by_role("region", name="What you say now").get_by_role("button", name="Negative").click()
        page.get_by_role("log").get_by_text("now says").wait_for()
        flawless(page)
        verifier.goto(f"{address}/discussion/{first}")
        verifier.get_by_role("button", name="Exclude").click()
        verifier.get_by_role("alert").get_by_text("needs a reason").wait_for()
        flawless(verifier)
        verifier.locator("#note").fill("no ad at all")
        verifier.get_by_role("button", name="Exclude").click()
        saved(verifier, "Excluded.")
        flawless(verifier)
        saved(page, "The discussion has ended.")
        flawless(page)
        page.goto(f"{address}/discussion")
        flawless(page)

    def test_the_dashboard_and_the_end_of_a_round(self, site: Site, enter: Enter, address: str) -> None:
        first, *others = of_kind(site, "ordinary")
        vote(site, first)
        for entry_id in others:
            vote(site, entry_id, AGREED)
        decide(site, first)
        for number in range(5):
            for entry_id in of_kind(site, "repeat"):
                reviewer(site, number).vote(entry_id, Vote("positive"), key=key(), shown_at=now())
        announce_ending(site.store)
        page = enter("Admin").pages[0]
        page.locator("#ending-timer", has_text=":").wait_for()
        page.get_by_text("reviewers agree").wait_for()
        for summary in page.get_by_text("The numbers").all():
            summary.click()
        flawless(page)
        page.get_by_role("button", name="Hold").click()
        verifier = enter("Verifier").pages[0]
        verifier.goto(f"{address}/verify?entry={first}")
        verifier.locator("#ending-text", has_text="holds").wait_for()
        flawless(verifier)
        site.store.rounds.close(1)
        verifier.keyboard.press("u")
        verifier.get_by_role("heading", name="The round is closed").wait_for()
        flawless(verifier)

    def test_pages_that_only_say_something(self, site: Site, enter: Enter, address: str) -> None:
        page = enter("Reviewer 0").pages[0]
        for path, title in (("/nothing", "404"), ("/dashboard", "403")):
            assert page.goto(address + path).status == int(title)
            flawless(page)
        site.store.rounds.close(1)
        page.goto(f"{address}/review")
        page.get_by_text("No round is open").wait_for()
        flawless(page)
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="You are logged out").wait_for()
        flawless(page)
        page.goto(f"{address}/review")
        page.get_by_role("heading", name="You are not logged in").wait_for()
        flawless(page)


class TestEnlarged:
    """On what is left of a screen that is enlarged four times, and on others that are narrow or low."""

    @pytest.fixture
    def at_work(self, site: Site) -> Site:
        """Something for everybody."""
        first, second, _ = of_kind(site, "ordinary")
        for entry_id in (first, second):
            vote(site, entry_id, note="a reason")
        discuss(site, first)
        return site

    @pytest.mark.parametrize(
        ("name", "paths"),
        [
            ("Reviewer 0", ("/review", "/mine", "/discussion", "/discussion/{}", "/guidelines")),
            ("Verifier", ("/verify", "/discussion/{}", "/dashboard")),
        ],
    )
    def test_four_times_everything_is_within_reach(
        self, at_work: Site, enter: Enter, address: str, name: str, paths: tuple[str, ...]
    ) -> None:
        page = enter(name, viewport=ENLARGED).pages[0]
        for path in paths:
            page.goto(address + path.format(of_kind(at_work, "ordinary")[0]))
            page.wait_for_load_state("networkidle")
            assert fits(page, ENLARGED["width"]), path
            assert sticks(page) == [], path
            assert out_of_reach(page) == [], path
            assert hidden_when_focused(page) == [], path

    def test_four_times_dialogs_can_be_used_to_their_end(self, at_work: Site, enter: Enter) -> None:
        page = enter("Reviewer 0", viewport=ENLARGED).pages[0]
        ready(page)
        for opening in ("z", "g", "f"):
            page.keyboard.press(opening)
            dialog = page.locator("dialog[open]")
            assert dialog.evaluate("each => each.scrollWidth <= each.clientWidth"), opening
            for button in dialog.locator("button:visible").all():
                button.click(trial=True)
            page.keyboard.press("Escape")

    def test_the_link_over_an_ad_leads_to_its_judgement(self, site: Site, enter: Enter) -> None:
        page = enter("Reviewer 0", viewport=ENLARGED).pages[0]
        first = shown(page)
        ready(page)
        page.get_by_role("link", name="Your judgement").click()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        saved(page, "Positive saved.")
        gone(page, first)

    @pytest.mark.parametrize("size", [(1280, 1024), (640, 512), (390, 844), (844, 390)])
    def test_what_has_the_focus_is_never_behind_the_bar(
        self, at_work: Site, enter: Enter, size: tuple[int, int]
    ) -> None:
        page = enter("Reviewer 0", viewport=dict(zip(("width", "height"), size, strict=True))).pages[0]
        ready(page)
        assert hidden_when_focused(page) == []


HEAR = """
  window.heard = [];
  const last = new Map();
  const hear = () => document.querySelectorAll("[role=status], [role=alert]").forEach((each) => {
    const text = each.checkVisibility() ? each.innerText.trim() : "";
    if (text && text !== last.get(each)) heard.push(`${each.role} "${text.replace(/\\s+/g, " ")}"`);
    last.set(each, text);
  });
  const facts = { subtree: true, childList: true, characterData: true, attributes: true };
  document.addEventListener("DOMContentLoaded", () => new MutationObserver(hear).observe(document.body, facts));
"""
"""Notes what live regions say, as a screen reader hears it."""
DOCUMENTED = Path(__file__).parents[3] / "docs" / "annotation.md"


class TestRead:
    """By a screen reader."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        return make_site(tmp_path, frames=2)

    def test_one_judgement_sounds_as_it_is_documented(self, site: Site, enter: Enter) -> None:
        page = enter("Reviewer 0").pages[0]
        page.add_init_script(HEAR)
        page.reload()
        ready(page)
        said = [f"the page opens: {focused(page)}"]
        for _ in range(12):
            page.keyboard.press("Tab")
            said.append(f"Tab: {focused(page)}")
        for pressed, answer in (("1", "Positive saved."), ("u", "Taken back"), ("u", "nothing to take back")):
            ready(page)
            page.evaluate("document.querySelector('article:not([hidden])').focus(), heard.splice(0)")
            page.keyboard.press(pressed)
            saved(page, answer)
            said.append("; ".join([f"{pressed}: {focused(page)}", *page.evaluate("heard")]))
        page.context.clear_cookies()
        page.evaluate("heard.splice(0)")
        judge(page, "2")
        page.get_by_role("alert").get_by_text("session has ended").wait_for()
        said.append("; ".join([f"2, logged out meanwhile: {focused(page)}", *page.evaluate("heard")]))
        block = DOCUMENTED.read_text("utf-8").partition("```text\nthe page opens")[2].partition("\n```")[0]
        assert said == ("the page opens" + block).splitlines()


def focused(page: Page) -> str:
    """Role and name of what has the focus, without what tells one ad of the test from another."""
    line = page.locator(":focus").aria_snapshot().splitlines()[0].removeprefix("- ")
    line = re.sub(": [←→]$", "", line).strip("':")
    return re.sub(r"T ad\d", "TITLE", re.sub(r"Feel.*?\(ad\d, \d\)", "WORDS", re.sub("[\u2066-\u2069]", "", line)))
