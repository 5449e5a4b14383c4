"""What the verifier's page asks of the server, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from annotation.events import Vote
from annotation.interchange.round_rows import round_rows
from annotation.interchange.table_files import decisions_table
from annotation.outcomes import verdicts
from tests.annotation.store_builders import key, states
from tests.annotation.web.round_builders import (
    AGREED,
    JSON,
    SPLIT,
    body,
    decide,
    discuss,
    entry_ids,
    now,
    reviewer,
    revision,
    say,
    verifier,
    vote,
)
from tests.annotation.web.site_builder import AT_ONCE, Site, make_site


def test_the_queue_is_what_the_reviewers_did_not_settle(site: Site) -> None:
    first, second, third = entry_ids(site)
    vote(site, first, AGREED)
    vote(site, second)
    vote(site, third, SPLIT[:4])
    page = site.client("Verifier").get("/verify").text
    assert re.findall(r'data-open="(\w+)"', page) == [second]
    assert 'data-waiting="1"' in page
    tallies = re.findall(r"""(\d)<span aria-hidden="true">.</span><span class="unseen"> (\w+)""", page)
    assert tallies == [("2", "positive"), ("2", "negative"), ("1", "uncertain")]


def test_an_entry_comes_with_votes_notes_frames_words_and_comments(site: Site) -> None:
    first = entry_ids(site)[0]
    vote(site, first, note="the <b>smile</b> is staged")
    frames = reviewer(site, 0).entry(first).frame_ids
    reviewer(site, 0).vote(first, Vote("negative", "", frames[1:]), key=key(), shown_at=now())
    page = site.client("Verifier").get("/verify").text
    for number in range(5):
        assert f"Reviewer {number}" in page
    assert "the &lt;b&gt;smile&lt;/b&gt; is staged" in page
    assert "leaves out frames 2, 3" in page
    assert "Feel the morning new" in page
    assert "love this one" in page
    assert page.count("data-thumbnail") == 3


def test_the_comments_label_is_not_on_the_page(tmp_path: Path) -> None:
    site = make_site(tmp_path, ads=1, words="Feel it", comments=("so so",))
    vote(site, entry_ids(site)[0], ("uncertain",) * 5)
    page = site.client("Verifier").get("/verify").text
    shown = re.sub(r"<section id=\"judge\".*", "", page, flags=re.S)
    assert "positive" not in shown.replace("0 positive", "").lower(), "the ad's comments are positive"


def test_a_decision_on_an_outdated_view_is_refused_and_nothing_stored(site: Site) -> None:
    first = entry_ids(site)[0]
    vote(site, first)
    client = site.client("Verifier")
    seen = revision(client, "/verify")
    reviewer(site, 4).vote(first, Vote("negative", "I looked again"), key=key(), shown_at=now())
    before = len(site.store.events(1))
    for path, more in (("decide", {"label": "positive"}), ("discuss", {"text": "why?"})):
        answer = client.post(f"/verify/{path}", json=body(first, seen=seen, **more))
        assert (answer.status_code, answer.json()["kind"]) == (409, "outdated")
    assert len(site.store.events(1)) == before
    assert "waits for votes" not in client.get(f"/verify/desk?round=1&entry={first}").text
    reviewer(site, 4).undo(first, key=key(), shown_at=now())
    reviewer(site, 4).undo(first, key=key(), shown_at=now())
    again = client.get(f"/verify/desk?round=1&entry={first}").text
    assert "4 votes" in again
    assert 'data-may=""' in again


def test_undo_goes_back_to_what_was_done_last(site: Site) -> None:
    first, second, _ = entry_ids(site)
    for each in (first, second):
        vote(site, each)
    client = site.client("Verifier")
    assert "data-back=" not in client.get("/verify").text
    decide(site, first)
    back = re.search(r'data-back="(\w+)" data-back-revision="(\d+)"', client.get("/verify").text)
    assert back is not None
    assert back.group(1) == first
    given = body(first, seen=int(back.group(2)))
    assert client.post("/verify/undo", json=given).status_code == 200
    assert states(site.store)[first].state == "needs_verifier"
    assert client.post("/verify/undo", json=body(first, seen=int(back.group(2)))).json()["kind"] == "outdated"


def test_a_discussion_that_goes_on_is_not_taken_back_from_here(site: Site) -> None:
    first = entry_ids(site)[0]
    vote(site, first)
    discuss(site, first)
    client = site.client("Verifier")
    assert f'data-back="{first}"' in client.get("/verify").text
    say(site, first, 2, "because of the irony")
    assert "data-back=" not in client.get("/verify").text


def test_the_kept_address_of_an_ad_of_another_round_leads_on(site: Site) -> None:
    for name, path in (
        ("Verifier", "/verify?entry=gone"),
        ("Verifier", "/discussion/gone"),
        ("Reviewer 0", "/discussion/gone"),
    ):
        answer = site.client(name).get(path)
        assert answer.status_code == 404
        assert "It belongs to a round that is over" in answer.text
        assert 'class="button" href="/discussion"' in answer.text


def test_what_is_not_there_is_refused(site: Site) -> None:
    client = site.client("Verifier")
    assert client.get("/verify/desk?round=1&entry=nothing", headers=JSON).status_code == 409
    assert client.get("/verify/desk?round=7", headers=JSON).status_code == 409
    assert client.get("/verify/desk?round=0", headers=JSON).status_code == 422
    given = body(entry_ids(site)[0], seen=0, label="positive")
    assert client.post("/verify/decide", json=given).json()["kind"] == "not_possible"


def test_a_closed_round_takes_no_decision_and_still_answers_for_one_it_took(site: Site) -> None:
    first, second, _ = entry_ids(site)
    for each in (first, second):
        vote(site, each)
    client = site.client("Verifier")
    given = body(first, seen=revision(client, f"/verify?entry={first}"), label="positive")
    late = body(second, seen=revision(client, f"/verify?entry={second}"), label="positive")
    saved = [client.post("/verify/decide", json=given).json() for _ in range(2)]
    state = states(site.store)[first]
    assert (state.state, state.label, len(site.store.events(1))) == ("verified", "positive", 11)
    site.store.rounds.close(1)
    assert [client.post("/verify/decide", json=given).json()] * 2 == saved
    assert client.post("/verify/decide", json=late).json()["kind"] == "round_closed"
    assert client.get("/verify/desk?round=1", headers=JSON).json()["kind"] == "round_closed"
    assert "No round is open" in client.get("/verify").text


def test_a_verifier_who_decides_first_sees_the_votes_when_the_decision_is_recorded(tmp_path: Path) -> None:
    site = make_site(tmp_path, options=replace(AT_ONCE, verifier_first=True))
    first, second, agreed = entry_ids(site)
    for each, choices in ((first, SPLIT), (second, SPLIT), (agreed, AGREED)):
        vote(site, each, choices, note="a private reason")
    client = site.client("Verifier")

    def shown(entry_id: str) -> str:
        text = client.get(f"/verify?entry={entry_id}").text
        return text.partition('id="desk"')[2].partition('id="closed"')[0]

    for each in (first, second, agreed):
        hidden = shown(each)
        assert "Decide first" in hidden
        assert not [
            word for word in ("private reason", "Reviewer", "positive", "negative", "uncertain") if word in hidden
        ]
    decide(site, first)
    assert re.search(r"You decided.*positive.*5 votes", shown(first), re.S)
    assert shown(first).count("private reason") == 5
    assert "private reason" not in shown(second)
    verifier(site).undo(first, seen=verifier(site).entry(first).revision, key=key(), shown_at=now())
    assert shown(first).count("private reason") == 5, "what was seen was seen"
    decide(site, first, "negative")
    decide(site, second)
    names = {each.id: each.name for each in site.store.people.all()}
    table = decisions_table(site.store.events(1), site.store.rounds.entries(1), names, verifier_first=True)
    assert {row["entry_id"]: row["blind"] for row in table.to_pylist()} == {first: False, second: True}
    assert {each.entry_id: each.decided_blind for each in verdicts(site.store, 1)} == {
        first: False,
        second: True,
        agreed: None,
    }
    told = {row.entry.id: row.decisions for row in round_rows(site.store, site.catalog, 1)}
    assert [each["blind"] for each in told[second]] == [True]
    assert told[agreed] == ()


def test_a_discussion_shows_the_votes_to_a_verifier_who_decides_first(tmp_path: Path) -> None:
    site = make_site(tmp_path, options=replace(AT_ONCE, verifier_first=True))
    first = entry_ids(site)[0]
    vote(site, first, note="a private reason")
    discuss(site, first)
    assert site.client("Verifier").get(f"/discussion/{first}").text.count("private reason") == 5
    verifier(site).undo(first, seen=verifier(site).entry(first).revision, key=key(), shown_at=now())
    decide(site, first)
    assert [each.decided_blind for each in verdicts(site.store, 1)] == [False]
