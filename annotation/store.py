"""What people did, kept: a log of events that is only ever added to, checked against itself before every addition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, insert, select

from annotation import schema
from annotation.database import Database
from annotation.errors import KeyReusedError, NotPossibleError, OutdatedError, RoundClosedError, SubmissionError
from annotation.events import Event, Kind, Nothing, Payload, Vote, check_key, dump
from annotation.ledger import Ledger
from annotation.people import People, Person, still_there
from annotation.protocol import Rule, allowed, fold, live_events, undoable
from annotation.round_store import Rounds, round_of
from annotation.rounds import Entry
from annotation.schema import event_of

_EVENTS = schema.events.c


@dataclass(frozen=True)
class Submission:
    """What a page sends: one thing that a person did to an entry."""

    round_id: int
    entry_id: str
    kind: Kind
    payload: Payload
    key: str
    """Drawn by the client, anew for every submission and the same when it is sent again."""
    shown_at: datetime
    guideline: str
    seen: int | None = None
    """Number of the entry's last event when the page was shown; None where that does not matter."""


@dataclass(frozen=True)
class Receipt:
    """It is saved. The same submission gets the same receipt, however often it is sent."""

    entry_id: str
    kind: Kind
    submitted_at: datetime


class Store:
    """People, rounds and events of one database; threads share it, and every process opens its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.people = People(database)
        self.rounds = Rounds(database)
        self.ledger = Ledger(database, self.rounds)

    def submit(self, person: Person, submission: Submission, *, now: datetime | None = None) -> Receipt:
        """Add an event; once this returns it is on the disk.

        Raises:
            AccessError: the person was shut out meanwhile.
            SubmissionError: malformed, or its key belongs to another submission.
            OutdatedError: the entry has changed since the page was shown.
            NotPossibleError: the entry's state, or the round, does not allow it.
        """
        now = now or datetime.now(UTC)
        check_key(submission.key)
        if submission.shown_at.tzinfo is None:
            raise SubmissionError(f"shown at {submission.shown_at}, which does not say its time zone")
        # looked up before the writers' lock is held: whoever holds it waits for nothing else
        entry = self.ledger.entry(submission.round_id, submission.entry_id)
        with self._database.write() as connection:
            person = still_there(connection, person.id, now)
            if (stored := _by_key(connection, submission.key)) is not None:
                return _receipt_again(stored, person, submission)
            round_ = round_of(connection, submission.round_id)
            if not round_.is_open:
                raise RoundClosedError(f"round {round_.id} was closed; nothing in it changes any more")
            events = _events_of(connection, submission.round_id, submission.entry_id)
            supersedes = _superseded(person, submission, entry, round_.rule, events)
            row = {
                "key": submission.key,
                "round_id": submission.round_id,
                "entry_id": submission.entry_id,
                "person_id": person.id,
                "kind": submission.kind,
                "payload": dump(submission.payload),
                "shown_at": submission.shown_at,
                "submitted_at": now,
                "guideline": submission.guideline,
                "supersedes": supersedes,
            }
            connection.execute(insert(schema.events).values(row))
        return Receipt(submission.entry_id, submission.kind, now)

    def events(self, round_id: int) -> list[Event]:
        """A round's whole log, in its order."""
        query = select(schema.events).where(_EVENTS.round_id == round_id).order_by(_EVENTS.id)
        with self._database.read() as connection:
            return [event_of(row) for row in connection.execute(query)]

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


def open_store(location: str | Path, *, must_exist: bool = False) -> Store:
    """Open the annotation's store, and make it where there is none.

    Args:
        location: path of a SQLite file, or a `postgresql://` url.
        must_exist: refuse a SQLite file that is not there.

    Raises:
        StoreError: it cannot be reached, is no database, or was written by another version.
    """
    return Store(Database(location, must_exist=must_exist))


def default_location(catalog_root: str) -> str:
    """The SQLite file of a catalog on this machine."""
    return str(Path(catalog_root) / "annotation" / "store.sqlite3")


def _superseded(person: Person, submission: Submission, entry: Entry, rule: Rule, events: list[Event]) -> int | None:
    """What the new event supersedes; refuses what the entry's state does not allow."""
    last = events[-1].id if events else 0
    if submission.seen is not None and submission.seen != last:
        raise OutdatedError(f"entry {entry.id} has changed since it was shown; look at it again")
    if isinstance(submission.payload, Nothing):
        target = undoable(events, person.id, rule)
        if target is None:
            raise NotPossibleError(f"entry {entry.id}: nothing of yours to take back, or it has gone on since")
        return target.id
    state = fold(events, rule)
    if submission.kind not in allowed(state, person.id, person.role, rule):
        raise NotPossibleError(
            f"entry {entry.id} is {state.state.replace('_', ' ')}; a {person.role} cannot {submission.kind} there"
        )
    if not isinstance(submission.payload, Vote):
        return None
    strange = set(submission.payload.excluded_frames) - set(entry.frame_ids)
    if strange:
        raise SubmissionError(f"entry {entry.id} has no frame {min(strange)[:80]!r}")
    votes = [event.id for event in live_events(events) if event.person_id == person.id and event.kind == "vote"]
    return votes[-1] if votes else None


def _by_key(connection: Connection, key: str) -> Event | None:
    row = connection.execute(select(schema.events).where(_EVENTS.key == key)).first()
    return None if row is None else event_of(row)


def _events_of(connection: Connection, round_id: int, entry_id: str) -> list[Event]:
    query = select(schema.events).where(_EVENTS.round_id == round_id, _EVENTS.entry_id == entry_id)
    return [event_of(row) for row in connection.execute(query.order_by(_EVENTS.id))]


def _receipt_again(stored: Event, person: Person, submission: Submission) -> Receipt:
    asked = (person.id, submission.round_id, submission.entry_id, submission.kind, submission.payload)
    if asked != (stored.person_id, stored.round_id, stored.entry_id, stored.kind, stored.payload):
        raise KeyReusedError("this key belongs to a submission that says something else; draw a key for each")
    return Receipt(stored.entry_id, stored.kind, stored.submitted_at)
