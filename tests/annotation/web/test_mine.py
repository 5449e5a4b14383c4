"""A reviewer's own judgements: found, noted, flagged, and silent about the others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from annotation.events import Flag, Ruling, Vote
from annotation.outcomes import reviews
from annotation.protocol import Rule
from annotation.rounds import RoundSettings, draw_round
from annotation.store import Store, open_store
from tests.annotation.store_builders import (
    SHOWN,
    desk,
    entries,
    invite,
    key,
    open_round,
    reviewers,
    states,
    verifier_desk,
    vote_all,
)
from tests.annotation.web.round_builders import JSON, body, decide, entry_ids, reviewer, vote
from tests.annotation.web.site_builder import Site, make_site


def judge(client: TestClient, entry_id: str, choice: str = "positive", **more: Any) -> None:
    assert client.post("/review/vote", json=body(entry_id, choice=choice, **more)).status_code == 200


def listed(client: TestClient, **asked: str) -> list[str]:
    return re.findall(r'<li class="card" data-entry="(\w+)"', client.get("/mine", params=asked).text)


def test_the_list_holds_what_one_judged_the_latest_first_and_a_change_does_not_move_it(site: Site) -> None:
    client = site.client("Reviewer 0")
    assert "You have not judged an ad" in client.get("/mine").text
    first, second, _ = entry_ids(site)
    judge(client, first)
    judge(client, second, "negative")
    judge(client, first, "uncertain")
    assert listed(client) == [second, first]
    assert listed(site.client("Reviewer 1")) == []


def test_words_notes_choices_and_flags_are_searched_for(site: Site) -> None:
    client = site.client("Reviewer 0")
    by_ad = {entry.video_id: entry.id for entry in site.store.rounds.entries(1).values()}
    judge(client, by_ad["ad0"], note="The dog GRINS")
    judge(client, by_ad["ad1"], "negative")
    client.post("/mine/flag", json=body(by_ad["ad2"], reason="broken_picture", remark="half of it is grey"))
    found = {
        "words": [("MORNING (ad1,", ["ad1"]), ("dog grins", ["ad0"]), ("grey", ["ad2"]), ("dog ad1", []), (".*", [])],
        "choice": [("negative", ["ad1"]), ("uncertain", [])],
        "flag": [("any", ["ad2"]), ("broken_picture", ["ad2"]), ("not_an_ad", [])],
    }
    for name, cases in found.items():
        for asked, ads in cases:
            assert listed(client, **{name: asked}) == [by_ad[ad] for ad in ads], asked
    assert client.get("/mine", params={"choice": "nothing"}).status_code == 422


def test_a_long_list_comes_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.web.mine._LISTED", 2)
    site = make_site(tmp_path)
    client = site.client("Reviewer 0")
    for entry_id in entry_ids(site):
        judge(client, entry_id)
    assert [len(listed(client, page=page)) for page in ("1", "2", "99")] == [2, 1, 1]
    assert 'href="/mine?words=&amp;choice=&amp;flag=&amp;page=2"' in client.get("/mine").text


def test_going_back_shows_the_ad_with_what_one_said(site: Site) -> None:
    client = site.client("Reviewer 0")
    first = entry_ids(site)[0]
    judge(client, first, "negative", note="too loud")
    page = client.get("/review", params={"entry": first}).text
    assert re.findall(r'data-entry="(\w+)"', page)[0] == first
    assert 'data-choice="negative"' in page
    assert 'data-note="too loud"' in page
    judge(client, first, "positive")
    log = site.store.events(1)
    assert [event.supersedes for event in log] == [None, log[0].id], "both are kept"
    gone = client.get("/review", params={"entry": "0" * 16})
    assert gone.status_code == 404
    assert 'href="/mine"' in gone.text


def test_a_note_is_added_to_a_judgement_and_to_nothing_else(site: Site) -> None:
    client = site.client("Reviewer 0")
    first, second, _ = entry_ids(site)
    frame = site.store.rounds.entries(1)[first].frame_ids[0]
    judge(client, first, "negative", excluded_frames=[frame])
    assert client.post("/mine/note", json=body(first, note="irony")).status_code == 200
    assert states(site.store)[first].votes[_id(site, 0)] == Vote("negative", "irony", (frame,))
    refused = client.post("/mine/note", json=body(second, note="irony"))
    assert (refused.status_code, refused.json()["kind"]) == (409, "not_possible")


def test_a_flag_is_seen_by_the_verifier_and_by_no_other_reviewer(site: Site) -> None:
    first = entry_ids(site)[0]
    vote(site, first, ["positive"] * 5)
    assert states(site.store)[first].state == "agreed"
    client = site.client("Reviewer 0")
    said = body(first, reason="not_an_ad", remark="a <b>film</b> of a cat")
    assert [client.post("/mine/flag", json=said).status_code for _ in range(2)] == [200, 200], "sent twice, kept once"
    assert states(site.store)[first].state == "needs_verifier"
    shown = site.client("Verifier").get("/verify").text
    assert "Not an ad" in shown
    assert "a &lt;b&gt;film&lt;/b&gt; of a cat" in shown
    assert "Reviewer 0" in shown[shown.index('<ul class="flags">') :].partition("</ul>")[0]
    other = site.client("Reviewer 1")
    for path in ("/mine", f"/review?entry={first}"):
        assert "of a cat" not in other.get(path).text
    assert client.post("/mine/unflag", json=body(first)).status_code == 200
    assert states(site.store)[first].state == "agreed"
    assert client.post("/mine/unflag", json=body(first)).json()["kind"] == "not_possible"


def test_a_refused_flag_does_not_tell_how_the_entry_stands(site: Site) -> None:
    first = entry_ids(site)[0]
    vote(site, first)
    client = site.client("Reviewer 0")
    client.post("/mine/flag", json=body(first, reason="not_an_ad"))
    decide(site, first)
    acts = {"flag": {"reason": "not_an_ad"}, "unflag": {}, "note": {"note": "late"}}
    for address, more in acts.items():
        answer = client.post(f"/mine/{address}", json=body(first, **more))
        assert answer.status_code == 409
        assert not {"verif", "agree", "decid", "posit"} & set(
            re.findall("verif|agree|decid|posit", answer.text.lower())
        )
    assert client.post("/mine/flag", json=body(first, reason="ugly")).json()["kind"] == "malformed"


def test_the_list_says_nothing_of_the_others_nor_of_repeats_and_known_answers(tmp_path: Path) -> None:
    """The list of somebody who judged everything, before and after the others did and a verifier decided."""
    site = make_site(tmp_path)
    site.store.rounds.close(1)
    settings = RoundSettings(rule=Rule(n_reviewers=3), seed=3, repeat_share=0.7, gold_share=0.4)
    site.store.rounds.open(draw_round(site.catalog, settings, gold={"ad1": "negative"}))
    made = site.store.rounds.entries(2)
    assert {entry.kind for entry in made.values()} == {"ordinary", "repeat", "gold"}
    client = site.client("Reviewer 0")
    for entry_id in made:
        client.post("/review/vote", json=body(entry_id, choice="positive") | {"round": 2})

    def seen() -> str:
        text = client.get("/mine").text
        for told in (*made, *re.findall(r"\d+-\d+-\d+ [\d:]+ UTC|\d+-\d+-\d+T[^\"]+", text)):
            text = text.replace(told, "")
        return re.sub(r'content="[^"]+"', "", text)

    before = seen()
    assert not re.search(
        "repeat|gold|known|settled|closed|verif", before.lower().partition("<ol")[2].partition("</ol")[0]
    )
    rows = re.findall(r'<li class="card".*?</li>', before, re.DOTALL)
    assert len(rows) == len(made)
    by_ad = {re.sub(r"\s+", " ", row) for row in rows}
    assert len(by_ad) == 3, "an ad that came twice is listed twice, and the two look alike"
    people = [site.store.people.get(_id(site, number)) for number in (1, 2)]
    for entry in made.values():
        for person, choice in zip(people, ("negative", "uncertain"), strict=True):
            desk(site.store, person, site.store.rounds.get(2)).vote(entry.id, Vote(choice), key=key(), shown_at=SHOWN)  # type: ignore[arg-type]
    assert seen() == before


def test_a_flag_on_a_repeat_is_about_the_ad_and_reaches_the_verifier(store: Store) -> None:
    (original,) = entries(1)
    repeat = original.__class__("f" * 16, original.video_id, original.frame_ids, (), "repeat", repeats=original.id)
    round_ = open_round(store, rule=Rule(n_reviewers=2), more=[repeat])
    people = reviewers(store, 2)
    vote_all(store, round_, people, ["positive", "positive"], original.id)
    own = desk(store, people[0], round_)
    own.flag(repeat.id, Flag("broken_picture"), key=key(), shown_at=SHOWN)
    assert states(store)[original.id].state == "needs_verifier"
    assert [(entry.entry_id, entry.flag) for entry in own.own()] == [
        (repeat.id, Flag("broken_picture")),
        (original.id, None),
    ], "it stands where it was given"
    (verifier,) = invite(store, "Vera", role="verifier")
    hers = verifier_desk(store, verifier, round_)
    (waiting,) = hers.queue()
    hers.decide(waiting.entry_id, Ruling("positive"), seen=waiting.revision, key=key(), shown_at=SHOWN)
    assert states(store)[original.id].state == "verified"
    assert [review.verdict for review in reviews(store) if review.verdict.startswith("flag")] == [
        "flagged:broken_picture"
    ]


def test_another_process_sees_the_flag_on_a_repeat_too(site: Site) -> None:
    first = entry_ids(site)[0]
    vote(site, first, ["positive"] * 5)
    reviewer(site, 0).flag(first, Flag("not_an_ad"), key=key(), shown_at=SHOWN)
    other = open_store(site.settings.store)
    assert states(other)[first].state == "needs_verifier"
    other.close()


def test_after_the_round_nothing_is_listed_and_nothing_taken(site: Site) -> None:
    client = site.client("Reviewer 0")
    first = entry_ids(site)[0]
    judge(client, first)
    site.store.rounds.close(1)
    assert "No round is open" in client.get("/mine").text
    answer = client.post("/mine/flag", json=body(first, reason="not_an_ad"), headers=JSON)
    assert answer.json()["kind"] == "round_closed"


def _id(site: Site, number: int) -> str:
    return site.invitations[f"Reviewer {number}"].person.id
