"""When a round ends: all of it is judged, nobody holds it, and nobody has anything in hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from annotation.ending import HANDS_S, announce_ending, read_ending
from annotation.events import Remark, Ruling, Vote
from annotation.outcomes import round_status
from annotation.protocol import Rule
from annotation.rounds import Entry
from annotation.store import Store
from annotation.store.people import Person
from annotation.store.round_store import Round
from tests.annotation.store_builders import SHOWN, desk, entries, invite, key, open_round, verifier_desk

AGAIN = "0000000000000001"
QUIET_S = 60.0


@pytest.fixture
def judged(store: Store) -> tuple[Round, str, list[Person]]:
    """A round of one ad that comes twice, of which everybody has judged the original."""
    (original,) = entries(1)
    repeat = Entry(AGAIN, original.video_id, original.frame_ids, original.comment_ids, "repeat", original.id)
    round_ = open_round(store, 1, Rule(n_reviewers=2), [repeat])
    people = invite(store, "Ann", "Bob")
    for person in people:
        vote(store, round_, person, original.id)
    return round_, original.id, people


def vote(store: Store, round_: Round, person: Person, entry: str, choice: str = "positive") -> None:
    desk(store, person, round_).vote(entry, Vote(choice), key=key(), shown_at=SHOWN)  # type: ignore[arg-type]


def ends_at(store: Store, round_: Round) -> datetime | None:
    return read_ending(store, round_.id, quiet_s=QUIET_S).at


def complete(store: Store, round_: Round) -> bool:
    found = read_ending(store, round_.id, quiet_s=QUIET_S).complete
    assert round_status(store, round_.id).complete == found, "the dashboard says the same"
    return found


def test_a_round_waits_for_its_repeats(store: Store, judged: tuple[Round, str, list[Person]]) -> None:
    round_, _, (ann, bob) = judged
    assert not complete(store, round_)
    assert round_status(store, round_.id).repeats_left == 1
    vote(store, round_, ann, AGAIN)
    assert not complete(store, round_)
    vote(store, round_, bob, AGAIN)
    assert complete(store, round_)


def test_a_round_does_not_wait_for_whoever_was_shut_out(store: Store, judged: tuple[Round, str, list[Person]]) -> None:
    round_, _, (ann, bob) = judged
    vote(store, round_, ann, AGAIN)
    store.people.revoke(bob.id)
    assert complete(store, round_)


def test_a_round_does_not_wait_for_a_repeat_that_is_asked_of_nobody(
    store: Store, judged: tuple[Round, str, list[Person]]
) -> None:
    round_, original, (ann, _) = judged
    vote(store, round_, ann, original, "uncertain")
    (vera,) = invite(store, "Vera", role="verifier")
    own = verifier_desk(store, vera, round_)
    own.discuss(original, Remark(), seen=own.entry(original).revision, key=key(), shown_at=SHOWN)
    assert not complete(store, round_)
    own.settle(original, Ruling("positive"), seen=own.entry(original).revision, key=key(), shown_at=SHOWN)
    assert complete(store, round_)


@pytest.fixture
def done(store: Store, judged: tuple[Round, str, list[Person]]) -> Round:
    round_, _, people = judged
    for person in people:
        vote(store, round_, person, AGAIN)
    return round_


def test_the_end_comes_some_time_after_the_last_thing_and_its_announcement(store: Store, done: Round) -> None:
    last = store.events(done.id)[-1]
    assert ends_at(store, done) == last.submitted_at + timedelta(seconds=QUIET_S)
    later = last.submitted_at + timedelta(seconds=500)
    store.endings.announce(done.id, last.id, now=later)
    assert ends_at(store, done) == later + timedelta(seconds=QUIET_S)
    store.endings.announce(done.id, last.id - 1, now=later)
    assert ends_at(store, done) == last.submitted_at + timedelta(seconds=QUIET_S), "it was of what has changed since"


def test_it_is_announced_once_and_anew_when_something_was_done(
    store: Store, done: Round, judged: tuple[Round, str, list[Person]]
) -> None:
    announce_ending(store)
    first = store.endings.of(done.id)
    announce_ending(store)
    assert store.endings.of(done.id) == first
    ann = judged[2][0]
    desk(store, ann, done).undo(AGAIN, key=key(), shown_at=SHOWN)
    announce_ending(store)
    assert store.endings.of(done.id) == first, "there is something to judge again"
    vote(store, done, ann, AGAIN, "negative")
    announce_ending(store)
    assert store.endings.of(done.id).after_event == store.events(done.id)[-1].id


def test_a_verifier_holds_the_end_and_lets_it_go_on(store: Store, done: Round) -> None:
    (vera,) = invite(store, "Vera", role="verifier")
    store.endings.hold(done.id, vera.id)
    held = read_ending(store, done.id, quiet_s=QUIET_S)
    assert (held.complete, held.at, held.held_by) == (True, None, vera.id)
    later = datetime.now(UTC) + timedelta(hours=1)
    store.endings.resume(done.id, now=later)
    assert ends_at(store, done) == later + timedelta(seconds=QUIET_S)


def test_the_end_waits_for_whoever_has_something_in_hand(
    store: Store, done: Round, judged: tuple[Round, str, list[Person]]
) -> None:
    before = ends_at(store, done)
    later = datetime.now(UTC) + timedelta(hours=1)
    for person, at in zip(judged[2], (later, later - timedelta(minutes=5)), strict=True):
        store.endings.has_in_hand(done.id, person.id, now=at)
    assert ends_at(store, done) == later + timedelta(seconds=HANDS_S)
    store.endings.has_in_hand(done.id, judged[2][0].id, now=later - timedelta(hours=2))
    assert before is not None
    assert ends_at(store, done) == later - timedelta(minutes=5) + timedelta(seconds=HANDS_S)


def test_what_has_changed_since_the_look_is_not_closed(
    store: Store, done: Round, judged: tuple[Round, str, list[Person]]
) -> None:
    seen = read_ending(store, done.id, quiet_s=QUIET_S).last_event
    desk(store, judged[2][0], done).undo(AGAIN, key=key(), shown_at=SHOWN)
    assert store.rounds.close(done.id, after_event=seen).is_open
    (vera,) = invite(store, "Vera", role="verifier")
    store.endings.hold(done.id, vera.id)
    assert store.rounds.close(done.id, after_event=seen + 1).is_open, "somebody holds it"
    store.endings.resume(done.id)
    assert not store.rounds.close(done.id, after_event=seen + 1).is_open
