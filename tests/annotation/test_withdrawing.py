"""An ad that is forgotten: its entries go, with everything that was said of them, and no page brings them back."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from annotation.errors import NotPossibleError, WithdrawnError
from annotation.events import Choice, Vote
from annotation.outcomes import progress, reviews, round_status, verdicts
from annotation.rounds import Entry, entry_id
from annotation.store import Store, open_store
from tests.annotation.store_builders import (
    SHOWN,
    desk,
    entries,
    invite,
    key,
    open_round,
    reviewers,
    verifier_desk,
    vote_all,
)

FIVE: tuple[Choice, ...] = ("positive", "positive", "negative", "negative", "uncertain")


def test_nothing_of_a_withdrawn_ad_is_read_any_more(store: Store) -> None:
    gone, stays = entries(2)
    again = Entry(entry_id(0, "v0", again=True), "v0", gone.frame_ids, (), "repeat", gone.id)
    round_, people, (vera,) = open_round(store, 2, more=[again]), reviewers(store), invite(store, "V", role="verifier")
    for entry in (gone, stays):
        vote_all(store, round_, people, FIVE, entry.id)
    own, verifying = desk(store, people[0], round_), verifier_desk(store, vera, round_)
    assert len(verifying.queue()) == 2

    assert store.rounds.withdraw(["v0", "nosuch"]) == 2
    assert store.rounds.get(round_.id).n_entries == 1
    assert [each.entry_id for each in verifying.queue()] == [stays.id]
    assert own.upcoming() == []
    assert (own.progress().done, own.progress().total, own.last_judged()) == (1, 1, stays.id)
    assert round_status(store, round_.id).by_state == {"needs_verifier": 1}
    assert {review.video_id for review in reviews(store)} == {"v1"}
    assert {event.entry_id for event in store.events(round_.id)} == {stays.id}
    assert [each.done for each in progress(store, round_.id)] == [1] * 5 + [0]
    assert store.rounds.withdraw(["v0"]) == 0


def test_a_page_that_still_shows_it_is_refused(location: str, store: Store) -> None:
    (gone, _), round_, (ann,) = entries(2), open_round(store, 2), invite(store, "Ann")
    own = desk(store, ann, round_)
    assert own.upcoming(2)
    elsewhere = open_store(location)
    elsewhere.rounds.withdraw(["v0"])
    elsewhere.close()
    with pytest.raises(NotPossibleError, match="taken out of the catalog"):
        own.vote(gone.id, Vote("positive"), key=key(), shown_at=SHOWN)
    assert [each.video_id for each in own.upcoming(2)] == ["v1"]
    with pytest.raises(NotPossibleError, match="has no entry"):
        own.entry(gone.id)
    with pytest.raises(WithdrawnError, match="taken out of the catalog"):
        own.undo(gone.id, key=key(), shown_at=SHOWN)


def test_what_comes_after_is_counted_on_as_before(store: Store) -> None:
    (gone, stays), round_, people = entries(2), open_round(store, 2), reviewers(store)
    vote_all(store, round_, people, ("positive",) * 5, gone.id)
    before = store.events(round_.id)[-1].id
    store.rounds.withdraw(["v0"])
    vote_all(store, round_, people, ("negative",) * 5, stays.id)
    assert all(event.id > before for event in store.events(round_.id)), "no number is given again"
    assert [verdict.video_id for verdict in verdicts(store)] == ["v1"]


def test_the_database_removes_events_of_withdrawn_entries_alone(location: str, store: Store) -> None:
    (entry, _), round_, (ann,) = entries(2), open_round(store, 2), invite(store, "Ann")
    desk(store, ann, round_).vote(entry.id, Vote("positive"), key=key(), shown_at=SHOWN)
    store.rounds.withdraw(["v1"])
    url = location.replace("postgresql://", "postgresql+psycopg://") if "://" in location else f"sqlite:///{location}"
    engine = create_engine(url)
    for statement in ("DELETE FROM events", "UPDATE events SET kind = 'undo'"):
        with pytest.raises(DBAPIError, match="only ever added"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()
    assert len(store.events(round_.id)) == 1


def test_no_byte_of_it_is_left_in_the_file(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store.sqlite3")
    (entry, _), round_, (ann,) = entries(2), open_round(store, 2), invite(store, "Ann")
    vote = Vote("positive", "said of the ad that went", entry.frame_ids)
    desk(store, ann, round_).vote(entry.id, vote, key=key(), shown_at=SHOWN)
    store.rounds.withdraw(["v0"])
    store.close()
    for file in tmp_path.iterdir():
        assert b"said of the ad" not in file.read_bytes(), file.name
        assert b"v0:0" not in file.read_bytes(), file.name
