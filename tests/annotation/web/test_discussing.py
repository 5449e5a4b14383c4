"""Discussions: who may write, what each role sees of them, and how they end."""

from __future__ import annotations

import re

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
from tests.annotation.web.site_builder import Site


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


def test_a_reviewer_sees_what_is_written_and_their_own_vote_alone(site: Site, discussed: str) -> None:
    reviewer_3 = site.client("Reviewer 3")
    say(site, discussed, 1, "because of the irony")
    for path in (f"/discussion/{discussed}", f"/discussion/{discussed}/thread?round=1", "/discussion"):
        text = without_guidelines(reviewer_3.get(path).text)
        assert "because of the irony" in text
        assert "data-revision" not in text, "how often the others did something"
        assert not {"Reviewer 0", "Reviewer 2", "Reviewer 4"} & set(re.findall(r"Reviewer \d", text))
        assert "uncertain" not in text
        assert "positive" not in text
    assert text.count("private reason") == 0
    own = without_guidelines(reviewer_3.get(f"/discussion/{discussed}").text)
    assert "You said" in own
    assert own.count("private reason") == 1
    assert re.findall(r'chip (\w+)"', own) == ["negative"]


def test_a_verifier_sees_all_votes_beside_it(site: Site, discussed: str) -> None:
    text = site.client("Verifier").get(f"/discussion/{discussed}").text
    assert text.count("private reason") == 5
    assert "What says so?" in text


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
    assert discussed not in client.get("/discussion").text
    assert "all saw it in the end" in client.get(path).text
    assert client.post("/discussion/undo", json=body(discussed, seen=revision(client, path))).status_code == 200
    assert states(site.store)[discussed].state == "in_discussion"
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


def test_after_the_end_reviewers_read_what_was_said_and_not_what_came_of_it(site: Site, discussed: str) -> None:
    client = site.client("Verifier")
    seen = revision(client, f"/discussion/{discussed}")
    client.post("/discussion/settle", json=body(discussed, seen=seen, label="positive", note="my own reason"))
    own = site.client("Reviewer 2")
    text = without_guidelines(own.get(f"/discussion/{discussed}").text)
    assert "This discussion is over" in text
    assert "What says so?" in text
    assert "my own reason" not in text
    assert "positive" not in text
    assert own.post("/discussion/message", json=body(discussed, text="too late")).status_code == 409


def test_a_reviewers_vote_is_not_changed_by_a_discussion(site: Site, discussed: str) -> None:
    with pytest.raises(Exception, match="cannot vote"):
        reviewer(site, 0).vote(discussed, Vote("negative"), key=key(), shown_at=now())
    assert site.client("Reviewer 0").post("/discussion/unsay", json=body(discussed)).status_code == 409
    assert len(states(site.store)[discussed].votes) == 5


def test_without_a_round_there_is_nothing_to_discuss(site: Site, discussed: str) -> None:
    site.store.rounds.close(1)
    client = site.client("Reviewer 0")
    for path in ("/discussion", f"/discussion/{discussed}"):
        assert "No round is open" in client.get(path).text
    answer = client.post("/discussion/message", json=body(discussed, text="late"))
    assert answer.json()["kind"] == "round_closed"
