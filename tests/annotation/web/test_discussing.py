"""Discussions: who may write, what each role sees of them, and how they end."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from annotation.events import Vote
from tests.annotation.store_builders import key, states
from tests.annotation.web.round_builders import (
    AGREED,
    JSON,
    body,
    discuss,
    entry_ids,
    now,
    reviewer,
    revision,
    say,
    vote,
)
from tests.annotation.web.site_builder import AT_ONCE, Site, log_in, make_site, with_store_path


@pytest.fixture
def discussed(site: Site) -> str:
    """Id of an ad that is being discussed; the votes carry a note each."""
    first = entry_ids(site)[0]
    vote(site, first, note="a private reason")
    discuss(site, first, "What says so?")
    return first


def without_guidelines(page: str) -> str:
    """The guidelines name every choice."""
    return page.partition("<dialog")[0]


@pytest.mark.parametrize("name", ["Reviewer 3", "Verifier"])
def test_everybody_in_a_discussion_sees_the_votes_with_their_notes(site: Site, discussed: str, name: str) -> None:
    say(site, discussed, 1, "because of the irony")
    client = site.client(name)
    for path in (f"/discussion/{discussed}", f"/discussion/{discussed}/thread?round=1"):
        text = without_guidelines(client.get(path).text)
        assert "because of the irony" in text
        assert ("data-revision" in text) == (name == "Verifier"), "how often the others did something"
        assert set(re.findall(r"Reviewer \d", text)) == {f"Reviewer {number}" for number in range(5)}
        assert text.count("private reason") == 5
        assert re.findall(r'tally (\w+)">(\d)', text) == [("positive", "2"), ("negative", "2"), ("uncertain", "1")]


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("Reviewer 0", ("/review", "/mine", "/guidelines", "/discussion", "/review?entry=none", "/nothing")),
        ("Verifier", ("/verify", "/verify/decided", "/dashboard", "/discussion", "/verify?entry=none")),
    ],
)
def test_the_head_of_every_page_says_that_something_is_new(
    site: Site, discussed: str, name: str, paths: tuple[str, ...]
) -> None:
    client = site.client(name)
    say(site, discussed, 1, "because of the irony")
    for path in paths:
        text = client.get(path, headers={"Accept": "text/html"}).text
        assert ('id="unread-count">1<' in text) == (path != "/nothing"), path
    client.post("/discussion/read", json={"round": 1, "entry_id": discussed, "said": 99})
    assert all('id="unread-count">1<' not in client.get(path).text for path in paths)


def test_under_pseudonyms_no_page_of_a_discussion_has_a_name(tmp_path: Path) -> None:
    site = make_site(tmp_path, options=replace(AT_ONCE, discussion_names="pseudonyms"))
    first, second, _ = entry_ids(site)
    vote(site, first)
    vote(site, second)
    discuss(site, first, "What says so?")
    say(site, first, 1, "the music")
    seen = set()
    for name, paths in (
        ("Reviewer 3", ("/discussion", f"/discussion/{first}")),
        ("Verifier", ("/discussion", f"/discussion/{first}", "/verify")),
    ):
        for path in paths:
            main = without_guidelines(site.client(name).get(path).text).partition("<main")[2]
            assert not re.findall(r"Reviewer \d<|<bdi>Verifier<", main), path
            seen |= set(re.findall(r"<bdi>(Reviewer \w{3})</bdi>", main))
    assert len(seen) == 5, "each has one and the same pseudonym on every page"


def test_people_change_their_mind_and_their_votes_stay(site: Site, discussed: str) -> None:
    client = site.client("Reviewer 0")
    for choice in ("negative", "uncertain", "negative"):
        assert client.post("/discussion/stance", json=body(discussed, choice=choice)).status_code == 200
    path = f"/discussion/{discussed}/thread?round=1"
    text = client.get(path).text
    assert 'data-own="negative"' in text
    assert re.findall(r'tally (\w+)">(\d)', text) == [("positive", "1"), ("negative", "3"), ("uncertain", "1")]
    assert text.count("now says") == 3
    assert states(site.store)[discussed].votes[site.invitations["Reviewer 0"].person.id].choice == "positive"
    assert client.post("/discussion/unsay", json=body(discussed)).status_code == 200
    assert 'data-own="uncertain"' in client.get(path).text
    assert site.client("Verifier").post("/discussion/stance", json=body(discussed, choice="negative")).is_success
    assert client.post("/discussion/stance", json=body(discussed, choice="maybe")).status_code == 422
    other = entry_ids(site)[1]
    vote(site, other)
    assert client.post("/discussion/stance", json=body(other, choice="positive")).json()["kind"] == "not_possible"


def unread(site: Site, name: str) -> int:
    return len(re.findall("card unread", site.client(name).get("/discussion").text))


def test_what_others_said_is_unread_until_one_has_looked_on_any_device(site: Site, discussed: str) -> None:
    assert (unread(site, "Reviewer 0"), unread(site, "Verifier")) == (1, 0), "who asked knows what they asked"
    said = int(re.findall(r'data-said="(\d+)"', site.client("Reviewer 0").get(f"/discussion/{discussed}").text)[0])
    mark = {"round": 1, "entry_id": discussed, "said": said}
    assert site.client("Reviewer 0").post("/discussion/read", json=mark).json() == {"unread": 0}
    assert unread(with_store_path(site), "Reviewer 0") == 0, "after a restart, too"
    say(site, discussed, 0, "the music")
    assert [unread(site, name) for name in ("Reviewer 0", "Reviewer 1", "Verifier")] == [0, 1, 1]
    assert 'id="unread-count">1<' in site.client("Verifier").get("/verify").text
    late = {"round": 1, "entry_id": discussed, "said": 99}
    assert site.client("Verifier").post("/discussion/read", json=late).json() == {"unread": 0}
    say(site, discussed, 0, "and the colours")
    assert unread(site, "Verifier") == 1, "nobody has read what was not said yet"
    strange = {"round": 1, "entry_id": entry_ids(site)[1], "said": 1}
    assert site.client("Verifier").post("/discussion/read", json=strange).json()["kind"] == "not_possible"


def test_a_discussion_tells_a_reviewer_nothing_of_ads_that_are_not_discussed(site: Site, discussed: str) -> None:
    _, agreed, split = entry_ids(site)
    vote(site, agreed, AGREED)
    vote(site, split)
    client = site.client("Reviewer 0")
    assert re.findall(r'href="/discussion/(\w+)"', client.get("/discussion").text) == [discussed]
    answers = [client.get(f"/discussion/{each}", headers=JSON) for each in (agreed, split)]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[0].text == answers[1].text
    said = [client.post("/discussion/message", json=body(each, text="hm")) for each in (agreed, split)]
    assert [answer.status_code for answer in said] == [409, 409]
    assert said[0].text == said[1].text
    taken = [client.post("/discussion/unsay", json=body(each)) for each in (agreed, split)]
    assert [answer.status_code for answer in taken] == [409, 409]
    assert len(site.store.events(1)) == 16, "a vote is not taken back from here"


def test_everybody_writes_and_a_message_sent_twice_is_there_once(site: Site, discussed: str) -> None:
    for name in ("Reviewer 0", "Reviewer 4", "Verifier"):
        given = body(discussed, text=f"{name} & <i>co</i>\u202e\x00")
        assert [site.client(name).post("/discussion/message", json=given).status_code for _ in range(2)] == [200, 200]
    text = site.client("Reviewer 1").get(f"/discussion/{discussed}/thread?round=1").text
    assert text.count('class="message-said') == 4
    assert "Reviewer 4 &amp; &lt;i&gt;co&lt;/i&gt;" in text
    assert "<i>" not in text
    assert not {"\u202e", "\x00"} & set(text)


def test_ones_own_last_message_can_be_taken_back(site: Site, discussed: str) -> None:
    client = site.client("Reviewer 0")
    client.post("/discussion/message", json=body(discussed, text="too quick"))
    assert 'data-may-undo="yes"' in client.get(f"/discussion/{discussed}/thread?round=1").text
    assert client.post("/discussion/unsay", json=body(discussed)).status_code == 200
    text = client.get(f"/discussion/{discussed}/thread?round=1").text
    assert "too quick" not in text
    assert 'data-may-undo=""' in text
    assert client.post("/discussion/unsay", json=body(discussed)).status_code == 409


def test_the_verifier_settles_takes_it_back_and_excludes(site: Site, discussed: str) -> None:
    client = site.client("Verifier")
    path = f"/discussion/{discussed}/thread?round=1"
    given = body(discussed, seen=revision(client, path), label="negative", note="all saw it in the end")
    assert client.post("/discussion/settle", json=given).status_code == 200
    state = states(site.store)[discussed]
    assert (state.state, state.label, state.note) == ("settled", "negative", "all saw it in the end")
    assert "all saw it in the end" in client.get(path).text
    assert client.post("/discussion/undo", json=body(discussed, seen=revision(client, path))).status_code == 200
    assert states(site.store)[discussed].state == "in_discussion"
    for empty in ({}, {"text": " \n"}):
        answer = client.post("/discussion/exclude", json=body(discussed, seen=revision(client, path), **empty))
        assert (answer.status_code, answer.json()["kind"]) == (422, "malformed")
        assert "needs a reason" in answer.json()["text"]
    given = body(discussed, seen=revision(client, path), text="no ad at all")
    assert client.post("/discussion/exclude", json=given).status_code == 200
    assert states(site.store)[discussed].state == "excluded"


def test_an_end_that_rests_on_an_older_discussion_is_refused(site: Site, discussed: str) -> None:
    client = site.client("Verifier")
    seen = revision(client, f"/discussion/{discussed}")
    say(site, discussed, 2, "wait, there is one thing more")
    for path, more in (("settle", {"label": "positive"}), ("exclude", {"text": "x"}), ("undo", {})):
        answer = client.post(f"/discussion/{path}", json=body(discussed, seen=seen, **more))
        assert (answer.status_code, answer.json()["kind"]) == (409, "outdated")
    assert states(site.store)[discussed].state == "in_discussion"


def settle(site: Site, entry_id: str) -> None:
    client = site.client("Verifier")
    seen = revision(client, f"/discussion/{entry_id}")
    client.post("/discussion/settle", json=body(entry_id, seen=seen, label="positive", note="my own reason"))


def test_after_the_end_those_who_took_part_read_what_came_of_it_and_who_recorded_it(site: Site, discussed: str) -> None:
    site.store.people.invite("Reviewer 9", "reviewer")
    settle(site, discussed)
    own = site.client("Reviewer 2")
    assert unread(site, "Reviewer 2") == 1, "the outcome is news"
    text = without_guidelines(own.get(f"/discussion/{discussed}").text)
    assert "This discussion is over" in text
    assert "What says so?" in text
    assert re.search(r"Settled:.*positive.*my own reason.*Recorded by.*Verifier", text, re.S)
    assert own.post("/discussion/message", json=body(discussed, text="too late")).status_code == 409
    assert own.post("/discussion/stance", json=body(discussed, choice="positive")).status_code == 409


def test_a_discussion_that_is_over_is_shut_for_those_who_took_no_part(site: Site, discussed: str) -> None:
    invitation = site.store.people.invite("Late", "reviewer")
    late = site.client()
    log_in(late, invitation.token)
    assert discussed in late.get("/discussion").text, "while it goes on, everybody may take part"
    settle(site, discussed)
    assert discussed not in late.get("/discussion").text
    assert late.get(f"/discussion/{discussed}", headers=JSON).status_code == 409


def test_a_discussion_stays_readable_when_its_round_is_closed_if_it_came_to_its_end(site: Site, discussed: str) -> None:
    going_on = entry_ids(site)[1]
    vote(site, going_on)
    discuss(site, going_on)
    settle(site, discussed)
    site.store.rounds.close(1)
    own = site.client("Reviewer 2")
    assert re.findall(r'href="/discussion/(\w+)"', own.get("/discussion").text) == [discussed]
    assert "my own reason" in own.get(f"/discussion/{discussed}").text
    assert own.get(f"/discussion/{going_on}").status_code == 404, "it is judged again, alone"


def test_a_reviewers_vote_is_not_changed_by_a_discussion(site: Site, discussed: str) -> None:
    with pytest.raises(Exception, match="cannot vote"):
        reviewer(site, 0).vote(discussed, Vote("negative"), key=key(), shown_at=now())
    assert site.client("Reviewer 0").post("/discussion/unsay", json=body(discussed)).status_code == 409
    assert len(states(site.store)[discussed].votes) == 5


def test_without_an_open_round_there_is_nothing_to_discuss(site: Site, discussed: str) -> None:
    site.store.rounds.close(1)
    client = site.client("Reviewer 0")
    assert "Nothing was discussed" in client.get("/discussion").text
    answer = client.post("/discussion/message", json=body(discussed, text="late"))
    assert answer.json()["kind"] == "round_closed"
