"""Outcomes of a round: its status, verdicts and reviews, for the flow, the dashboard and the export.

Nothing here asks who looks: whoever calls it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from annotation.desks import median_seconds
from annotation.events import Event, Flag, Ruling, Stance, Vote
from annotation.protocol import Decision, State, allowed, is_blind, live_events
from annotation.store import Store
from annotation.store.ledger import Book
from annotation.store.people import Person
from annotation.training import Standing


@dataclass(frozen=True)
class Verdict:
    """The outcome of one ad."""

    video_id: str
    entry_id: str
    round_id: int
    state: State
    decision: Decision | None
    """None: the ad is excluded."""
    excluded_frames: tuple[str, ...]
    at: datetime
    """When the last thing was done to it."""
    decided_blind: bool | None = None
    """A verifier's decision was made before seeing the votes; None where no verifier has decided."""


@dataclass(frozen=True)
class Review:
    """One row of the table `reviews`: one person's word on one ad."""

    review_id: str
    video_id: str
    reviewer: str
    """The person's id."""
    verdict: str
    """A choice, `flagged:REASON`, stance's `now:CHOICE`; a verifier's `decided:LABEL`, `settled:LABEL`, `excluded`."""
    excluded_frames: tuple[str, ...]
    note: str
    at: datetime


@dataclass(frozen=True)
class RoundStatus:
    """The progress of a round; repeats are not counted."""

    n_entries: int
    by_state: Mapping[State, int]
    repeats_left: int
    """Repeats that somebody who may judge is still asked."""
    complete: bool
    """Every entry has come to its end and no repeat is asked any more: the round can be closed."""
    last_at: datetime | None
    """When anything was last done; None if nothing was."""


@dataclass(frozen=True)
class PersonProgress:
    """One person's progress: a reviewer's votes, or what a verifier decided, settled and excluded."""

    person: Person
    done: int
    total: int
    median_s: float | None
    last_at: datetime | None
    deadline: datetime | None = None
    training: Standing | None = None
    """A reviewer's, of a round that has a training."""


def verdicts(store: Store, round_id: int | None = None) -> list[Verdict]:
    """The entries that have come to their end; of all rounds if None, where a later round's word goes first."""
    found: dict[str, Verdict] = {}
    for each in _rounds(store, round_id):
        with store.ledger.reading(each) as book:
            for entry_id in _counted(book):
                state = book.state(entry_id)
                if state.final:
                    found[book.entries[entry_id].video_id] = Verdict(
                        video_id=book.entries[entry_id].video_id,
                        entry_id=entry_id,
                        round_id=each,
                        state=state.state,
                        decision=state.decision,
                        excluded_frames=state.excluded_frames,
                        at=book.events[entry_id][-1].submitted_at,
                        decided_blind=_decided_blind(book, entry_id) if state.state == "verified" else None,
                    )
    return list(found.values())


def reviews(store: Store, round_id: int | None = None) -> list[Review]:
    """Everybody's word that counts, on ordinary and gold entries; of all rounds if None.

    A review's id is the same however often its person changed their mind, so that the newest takes the others' place.
    """
    found = []
    for each in _rounds(store, round_id):
        with store.ledger.reading(each) as book:
            for entry_id in _counted(book):
                latest: dict[tuple[str, str, str], Event] = {}
                for event in live_events(book.events.get(entry_id, [])):
                    if event.kind in ("vote", "flag", "decision", "stance", "settle", "exclude"):
                        latest[event.entry_id, event.person_id, event.kind] = event
                found += [_review(event, book.entries[entry_id].video_id) for event in latest.values()]
    return found


def round_status(store: Store, round_id: int) -> RoundStatus:
    """Count a round's entries by state."""
    asked = active_reviewers(store)
    with store.ledger.reading(round_id) as book:
        counted = [book.state(entry_id) for entry_id in _counted(book)]
        repeats_left = len(book.repeats_due(asked))
        last_at = max((of_entry[-1].submitted_at for of_entry in book.events.values() if of_entry), default=None)
    return RoundStatus(
        n_entries=len(counted),
        by_state=dict(Counter(state.state for state in counted)),
        repeats_left=repeats_left,
        complete=all(state.final for state in counted) and not repeats_left,
        last_at=last_at,
    )


def active_reviewers(store: Store) -> list[str]:
    """Ids of the reviewers who may judge now: a round does not wait for those who were shut out."""
    now = datetime.now(UTC)
    return [each.id for each in store.people.all() if each.role == "reviewer" and each.may_enter(now)]


def progress(store: Store, round_id: int) -> list[PersonProgress]:
    """The progress of everybody who may judge, or has judged."""
    deadlines = store.assignments.deadlines(round_id)
    people = store.people.all()
    reviewers = [person.id for person in people if person.role == "reviewer"]
    trained = store.preparation.standings(round_id, reviewers, store.ledger.options(round_id))
    with store.ledger.reading(round_id) as book:
        log = [event for events in book.events.values() for event in live_events(events)]
        found = []
        for person in people:
            own = [event for event in log if event.person_id == person.id]
            kinds = ("vote",) if person.role == "reviewer" else ("decision", "settle", "exclude")
            latest = {event.entry_id: event for event in own if event.kind in kinds}
            done = sorted(latest.values(), key=lambda event: event.id)
            if person.role == "admin" or (person.revoked_at is not None and not done):
                continue
            found.append(
                PersonProgress(
                    person=person,
                    done=len(done),
                    total=len(done) + _to_do(book, person),
                    median_s=median_seconds(done),
                    last_at=max((event.submitted_at for event in own), default=None),
                    deadline=deadlines.get(person.id),
                    training=_with_examples(trained.get(person.id)),
                )
            )
    return found


def _with_examples(own: Standing | None) -> Standing | None:
    return own if own and own.total else None


def _rounds(store: Store, round_id: int | None) -> list[int]:
    return [each.id for each in store.rounds.all()] if round_id is None else [round_id]


def _decided_blind(book: Book, entry_id: str) -> bool:
    events = book.events[entry_id]
    decisions = [event for event in live_events(events) if event.kind == "decision"]
    return book.options.verifier_first and all(is_blind(events, decision) for decision in decisions)


def _counted(book: Book) -> list[str]:
    return [entry.id for entry in book.entries.values() if entry.kind != "repeat"]


def _to_do(book: Book, person: Person) -> int:
    if person.role == "reviewer":
        return len(book.due(person.id))
    kinds = (allowed(book.state(each), person.id, person.role, book.rule) for each in _counted(book))
    return sum("decision" in each or "settle" in each for each in kinds)


def _review(event: Event, video_id: str) -> Review:
    payload = event.payload
    if isinstance(payload, Vote):
        verdict, frames, note = str(payload.choice), payload.excluded_frames, payload.note
    elif isinstance(payload, Flag):
        verdict, frames, note = f"flagged:{payload.reason}", (), payload.remark
    elif isinstance(payload, Stance):
        verdict, frames, note = f"now:{payload.choice}", (), ""
    elif isinstance(payload, Ruling):
        prefix = "decided" if event.kind == "decision" else "settled"
        verdict, frames, note = f"{prefix}:{payload.label}", (), payload.note
    else:
        verdict, frames, note = "excluded", (), getattr(payload, "text", "")
    return Review(
        review_id=f"{event.round_id}:{event.entry_id}:{event.person_id}:{event.kind}",
        video_id=video_id,
        reviewer=event.person_id,
        verdict=verdict,
        excluded_frames=frames,
        note=note,
        at=event.submitted_at,
    )
