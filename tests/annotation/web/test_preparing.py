"""Before the first judgement: guidelines of the round, then its training."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from annotation.rounds import RoundOptions, RoundSettings, draw_round
from annotation.web.pages import guidelines_of
from tests.annotation.web.browser_steps import Enter, gone, judge, ready, shown
from tests.annotation.web.round_builders import body, entry_ids
from tests.annotation.web.site_builder import AT_ONCE, Site, log_in
from tests.annotation.web.test_dashboard import dashboard

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

TEXT = "# Rate it\n\n<script>alert(1)</script> **Loud** ads"
WITH_TRAINING = {"ad0": "positive", "ad1": "negative"}


def open_second(site: Site, options: RoundOptions, training: dict[str, str] | None = None) -> None:
    """A round with its own guidelines, of which nobody has seen anything."""
    site.store.rounds.close(1)
    settings = RoundSettings(options=options)
    site.store.rounds.open(draw_round(site.catalog, settings, training=training))  # type: ignore[arg-type]


def newcomer(site: Site, name: str = "New") -> TestClient:
    client = site.client()
    log_in(client, site.store.people.invite(name, "reviewer").token)
    return client


def version_of(client: TestClient) -> str:
    found = re.search(r'data-version="([^"]+)"', client.get("/guidelines").text)
    assert found is not None
    return found.group(1)


def test_guidelines_come_first_once_per_version(site: Site) -> None:
    client = newcomer(site)
    assert client.get("/review").headers["location"] == "/guidelines"
    refused = client.post("/review/vote", json=body(entry_ids(site)[0], choice="positive"))
    assert (refused.status_code, refused.json()["kind"]) == (409, "not_possible")
    assert client.post("/guidelines", json={"version": "sha256:of another text"}).status_code == 200
    assert client.get("/review").status_code == 303, "that was another version"
    for _ in range(2):
        assert client.post("/guidelines", json={"version": version_of(client)}).json() == {"to": "/review"}
    assert client.get("/review").status_code == 200
    open_second(site, RoundOptions())
    assert client.get("/review").status_code == 200, "the same text in another round"
    site.store.rounds.close(2)
    site.store.rounds.open(draw_round(site.catalog, RoundSettings(options=RoundOptions(guidelines=TEXT))))
    assert client.get("/review").headers["location"] == "/guidelines"


def test_a_round_has_its_own_guidelines_and_its_votes_say_which(site: Site) -> None:
    options = RoundOptions(guidelines=TEXT, question="Is it 100 % loud, or <b>not</b>?")
    open_second(site, options)
    client = newcomer(site)
    page = client.get("/guidelines").text
    assert "<strong>Loud</strong>" in page
    assert "<script>alert" not in page
    client.post("/guidelines", json={"version": version_of(client)})
    shown = client.get("/review").text
    assert "Is it 100 % loud, or &lt;b&gt;not&lt;/b&gt;?" in shown
    entry_id = re.findall(r'data-entry="(\w+)"', shown)[0]
    client.post("/review/vote", json=body(entry_id, choice="positive") | {"round": 2})
    assert [event.guideline for event in site.store.events(2)] == [guidelines_of(options).version]
    assert "Is it 100 % loud" in site.client("Verifier").get("/verify").text


@pytest.mark.slow
def test_the_key_that_answers_an_example_held_down_does_not_take_the_answer_away(site: Site, enter: Enter) -> None:
    open_second(site, RoundOptions(training_share=1.0, least_look_ms=0), WITH_TRAINING)
    page = enter("Reviewer 0").pages[0]
    ready(page)
    example = shown(page)
    page.get_by_role("button", name="Positive").focus()
    page.keyboard.down("Enter")
    page.locator("#feedback").wait_for()
    until = time.monotonic() + 1
    while time.monotonic() < until:
        page.keyboard.down("Enter")  # a key that is down already: the browser calls it a repeat
    assert (shown(page), page.locator("#feedback").is_visible()) == (example, True)
    page.keyboard.up("Enter")
    page.keyboard.press("Enter")  # now it means what it says
    gone(page, example)


def test_a_training_comes_before_the_round_and_says_what_is_right(site: Site) -> None:
    open_second(site, RoundOptions(training_share=1.0), WITH_TRAINING)
    client = newcomer(site)
    client.post("/guidelines", json={"version": version_of(client)})
    assert client.get("/review").headers["location"] == "/training"
    known = {entry.id: entry.known for entry in site.store.preparation.examples(2)}

    def answer(attempt: int, *, right: bool) -> str:
        page = client.get("/training", params={"again": "true"}).text
        (entry_id,) = re.findall(r'data-entry="(\w+)"', page)
        assert f'data-attempt="{attempt}"' in page
        assert not re.search("known|gold", page)
        choice = known[entry_id] if right else "uncertain"
        said = {"round": 2, "entry_id": entry_id, "attempt": attempt, "choice": choice}
        found = client.post("/training/answer", json=said).json()
        assert found["right"] == right
        return str(found["text"])

    assert answer(1, right=True) == "Right. 1 of 1 right so far."
    assert re.fullmatch(r"You said uncertain; the answer is \w+\. 1 of 2 right so far\.", answer(1, right=False))
    assert "2 are needed" in client.get("/training").text
    first = next(iter(site.store.rounds.entries(2)))
    refused = client.post("/review/vote", json=body(first, choice="positive") | {"round": 2})
    assert refused.status_code == 409
    for _ in range(2):
        answer(2, right=True)
    assert "You are ready" in client.get("/training").text
    assert client.get("/review").status_code == 200
    assert site.store.events(2) == []


def test_the_dashboard_says_how_far_everybodys_training_is(site: Site) -> None:
    assert "Training" not in dashboard(site)
    open_second(site, RoundOptions(), {"ad0": "positive"})
    assert "not begun" in dashboard(site, round_id=2)
    (example,) = site.store.preparation.examples(2)
    person = site.invitations["Reviewer 0"].person.id
    site.store.preparation.answer(2, person, example.id, 1, "positive", RoundOptions())
    assert "passed: 1 of 1 right, attempt 1" in dashboard(site, round_id=2)


def test_without_a_training_its_page_leads_to_the_ads(site: Site) -> None:
    assert site.client("Reviewer 0").get("/training").headers["location"] == "/review"
    site.store.rounds.close(1)
    for path in ("/guidelines", "/training"):
        assert site.client("Reviewer 0").get(path).headers["location"] == "/review"


def test_both_are_a_reviewers_alone(site: Site) -> None:
    for name in ("Verifier", "Admin"):
        for path in ("/guidelines", "/training"):
            assert site.client(name).get(path).status_code == 403


@pytest.mark.slow
def test_a_reviewer_reads_and_trains_in_a_browser(site: Site, enter: Enter) -> None:
    open_second(site, RoundOptions(guidelines=TEXT, least_look_ms=AT_ONCE.least_look_ms), {"ad0": "positive"})
    page = enter("Reviewer 0").pages[0]
    page.get_by_role("heading", name="Rate it").wait_for()
    page.get_by_role("button", name="I have read them").click()
    page.get_by_text("Example 1 of 1").wait_for()
    judge(page, "2")
    page.get_by_text("You said negative; the answer is positive.").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Not yet").wait_for()
    page.get_by_role("link", name="Try again").click()
    judge(page, "1")
    page.get_by_text("Right. 1 of 1 right so far.").wait_for()
    page.locator("#next").click()
    page.get_by_role("heading", name="You are ready").wait_for()
    page.get_by_role("link", name="Begin").click()
    page.locator("article.entry:visible").wait_for()
