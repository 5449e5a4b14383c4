"""What the reviewer's page asks of the server, and what it is never told."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from annotation.assignment import parse_quota
from annotation.events import Vote
from annotation.web.pages import guidelines_of
from tests.annotation.store_builders import states
from tests.annotation.web.round_builders import JSON, body, discuss, entry_ids
from tests.annotation.web.round_builders import vote as vote_all
from tests.annotation.web.site_builder import Site, make_site


def vote(entry_id: str, choice: str = "positive", **more: Any) -> dict[str, Any]:
    return body(entry_id, choice=choice, **more)


def entries(client: TestClient) -> list[str]:
    return ids(client.get("/review").text)


def ids(page: str) -> list[str]:
    return re.findall(r'data-entry="(\w+)"', page)


def test_the_page_shows_an_entry_and_holds_the_next(site: Site) -> None:
    client = site.client("Reviewer 0")
    page = client.get("/review").text
    assert len(entries(client)) == 2
    assert "Feel the morning new" in page
    assert "love this one" in page
    assert "0 of 3" in page


def test_a_vote_is_saved_and_the_next_entry_follows(site: Site) -> None:
    client = site.client("Reviewer 0")
    first, second = entries(client)
    answer = client.post("/review/vote", json=vote(first, note="a reason"))
    assert answer.status_code == 200
    assert answer.json()["progress"]["done"] == 1
    assert answer.json()["last_judged"] == first
    (third,) = ids(client.get("/review/next", params={"round": 1, "held": [second]}).text)
    assert third not in (first, second)
    assert client.get("/review/next", params={"round": 1, "held": [second, third]}).status_code == 204
    (event,) = site.store.events(1)
    assert (event.entry_id, event.payload) == (first, Vote("positive", "a reason"))


def test_an_undo_gives_the_entry_back(site: Site) -> None:
    client = site.client("Reviewer 0")
    first = entries(client)[0]
    for choice in ("positive", "negative"):
        client.post("/review/vote", json=vote(first, choice))
    assert client.post("/review/undo", json=body(first)).json()["choice"] == "positive"
    assert client.post("/review/undo", json=body(first)).json()["choice"] is None
    assert entries(client)[0] == first
    refused = client.post("/review/undo", json=body(first))
    assert (refused.status_code, refused.json()["kind"]) == (409, "not_possible")


def test_a_refusal_does_not_tell_how_the_entry_stands(tmp_path: Path) -> None:
    site = make_site(tmp_path, ads=1, reviewers=1)
    late = site.store.people.invite("Late", "reviewer")
    first = entries(site.client("Reviewer 0"))[0]
    site.client("Reviewer 0").post("/review/vote", json=vote(first))
    site.invitations["Late"] = late
    answer = site.client("Late").post("/review/vote", json=vote(first))
    assert answer.status_code == 409
    assert not {"agreed", "positive", "verifi"} & set(re.findall(r"\w+", answer.text.lower()))


def test_a_page_says_nothing_of_the_others(site: Site) -> None:
    lonely = site.client("Reviewer 0")
    first = entries(lonely)[0]
    token = re.compile(r'csrf-token" content="\w+"|name="now" content="[^"]+"')
    before = token.sub("", lonely.get("/review").text)
    for number in range(1, 5):
        other = site.client(f"Reviewer {number}")
        for entry_id in (first, *entries(other)):
            other.post("/review/vote", json=vote(entry_id, "negative"))
    assert token.sub("", lonely.get("/review").text) == before


def test_a_closed_round_takes_no_vote_and_still_answers_for_one_it_took(site: Site) -> None:
    client = site.client("Reviewer 0")
    first, second = entries(client)
    given = vote(first)
    saved = [client.post("/review/vote", json=given).json()["saved_at"] for _ in range(2)]
    site.store.rounds.close(1)
    assert [client.post("/review/vote", json=given).json()["saved_at"]] * 2 == saved
    assert client.post("/review/vote", json={**given, "choice": "negative"}).json()["kind"] == "key_reused"
    assert len(site.store.events(1)) == 1
    refused = client.post("/review/vote", json=vote(second))
    assert (refused.status_code, refused.json()["kind"]) == (409, "round_closed")
    assert client.get("/review/next?round=1", headers=JSON).json()["kind"] == "round_closed"
    assert "No round is open" in client.get("/review").text


def test_a_saved_vote_tells_how_many_ads_are_being_discussed(site: Site) -> None:
    first, second, third = entry_ids(site)
    client = site.client("Reviewer 0")
    assert re.search(r'id="discussed" class="count" hidden', client.get("/review").text)
    vote_all(site, first)
    vote_all(site, second)
    discuss(site, first)
    assert client.post("/review/vote", json=vote(third)).json()["discussed"] == 1
    discuss(site, second)
    assert client.post("/review/undo", json=body(third)).json()["discussed"] == 2
    assert 'data-discussed="2"' in client.get(f"/discussion/{first}/thread?round=1").text
    for path in ("/review", "/discussion", f"/discussion/{first}"):
        text = re.sub(r"<[^>]+>", "", client.get(path).text.partition("<nav")[2].partition("</nav>")[0])
        assert "Discussion 2 open" in text, path


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"[" * 30_000, b'{"note": "\\ud800"}', b"\xff\xfe", b"NaN", b'"x"']
)
def test_what_is_no_json_object_is_refused(site: Site, content: bytes) -> None:
    client = site.client("Reviewer 0")
    answer = client.post("/review/vote", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert site.store.events(1) == []


def test_an_entry_or_a_round_that_is_not_there_is_refused(site: Site) -> None:
    client = site.client("Reviewer 0")
    assert client.post("/review/vote", json=vote("nothing")).status_code == 409
    assert client.post("/review/vote", json=vote("nothing", round=7)).status_code == 409
    for path in ("/review/entries/nothing?round=1", "/review/next?round=7"):
        assert client.get(path, headers=JSON).status_code == 409


def test_a_clock_that_is_ahead_does_not_make_a_vote_from_the_future(site: Site) -> None:
    client = site.client("Reviewer 0")
    ahead = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    client.post("/review/vote", json=vote(entries(client)[0], shown_at=ahead))
    (event,) = site.store.events(1)
    assert event.shown_at <= event.submitted_at


def test_the_vote_carries_the_guidelines_that_the_page_offers(site: Site) -> None:
    client = site.client("Reviewer 0")
    version = guidelines_of(site.round.options).version
    assert version in client.get("/review").text
    client.post("/review/vote", json=vote(entries(client)[0]))
    assert site.store.events(1)[0].guideline == version


def test_the_hostile_texts_of_a_catalog_are_only_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'>{{ 7*7 }}\x00\x1b\u202e"
    site = make_site(tmp_path, ads=1, words=hostile, comments=(hostile, "\U0001f605" * 3, "x" * 100_000, ""))
    page = site.client("Reviewer 0").get("/review").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "{{ 7*7 }}" in page
    assert not {"\x00", "\x1b", "\u202e"} & set(page)
    assert "(cut)" in page


def test_what_was_forgotten_is_gone_from_the_page(site: Site) -> None:
    client = site.client("Reviewer 0")
    assert client.get("/frames/ad0:0").status_code == 200
    numbers = range(3)
    gone = {"frames": [f"ad0:{n}" for n in numbers], "comments": [f"ad0-c{n}" for n in numbers], "ads": ["ad0"]}
    for table, keys in gone.items():
        site.catalog.delete(table, [(key,) for key in keys])
        site.catalog.purge(table)
    assert client.get("/frames/ad0:0").status_code == 404
    shown = "".join(client.get(f"/review/entries/{entry_id}?round=1").text for entry_id in states(site.store))
    assert "no longer in the catalog" in shown
    assert "(ad1, 0)" in shown


def test_a_picture_that_is_none_is_not_sent_as_one(site: Site) -> None:
    row = site.catalog.read("frames", where="frame_id = 'ad0:0'").to_pylist()[0]
    row["image"]["bytes"], row["image_sha256"] = b"<html><script>alert(1)</script>", "f" * 64
    site.catalog.merge("frames", pa.Table.from_pylist([row], schema=site.catalog.read("frames").schema))
    assert site.client("Reviewer 0").get("/frames/ad0:0").status_code == 404


def test_a_judgement_of_an_ad_that_was_forgotten_says_so(site: Site) -> None:
    client, other = site.client("Reviewer 0"), site.client("Reviewer 1")
    shown, _ = entries(client)
    other.post("/review/vote", json=vote(shown), headers=JSON)
    site.store.rounds.withdraw([site.store.rounds.entries(1)[shown].video_id])
    for who, address, sent in (
        (client, "/review/vote", vote(shown)),
        (other, "/review/undo", body(shown)),
    ):
        answer = who.post(address, json=sent, headers=JSON)
        assert (answer.status_code, answer.json()["kind"]) == (409, "not_possible")
        assert "taken out of the catalog" in answer.json()["text"]
    assert shown not in entries(client)
    assert "0 of 2" in client.get("/review").text


def test_a_deadline_stands_on_the_page_and_only_ones_own_entries_are_asked(site: Site) -> None:
    ids = [site.invitations[f"Reviewer {number}"].person.id for number in range(2)]
    quotas = {ids[0]: parse_quota("1", "2026-12-15"), ids[1]: parse_quota("all")}
    site.store.assignments.assign(1, quotas, incomplete=True)
    page = site.client("Reviewer 0").get("/review").text
    assert "until 15 Dec" in page
    assert "0 of 1" in page
    assert page.count('data-entry="') == 1
    other = site.client("Reviewer 1").get("/review").text
    assert "until" not in re.findall(r'<div class="progress">.*?</div>', other, flags=re.S)[0]
    assert "0 of 3" in other
