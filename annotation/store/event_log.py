"""The log of events: only ever added to, and checked against itself before every addition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, insert, select

from annotation.errors import (
    AnnotationError,
    KeyReusedError,
    NotPossibleError,
    OutdatedError,
    RoundClosedError,
    StoreError,
    SubmissionError,
)
from annotation.events import Event, Kind, Payload, Vote, check_key, check_reason, dump
from annotation.protocol import FLAG_KINDS, Rule, allowed, flag_that_counts, fold, live_events, undoable
from annotation.rounds import Entry
from annotation.store import schema
from annotation.store.assignments import Assignments, assign
from annotation.store.database import Database
from annotation.store.endings import Endings
from annotation.store.ledger import Ledger, is_withdrawn, withdrawn
from annotation.store.logins import Lifetime, Logins
from annotation.store.people import Guest, Invitation, People, Person, invite, still_there
from annotation.store.preparation import Preparation
from annotation.store.read_marks import ReadMarks
from annotation.store.round_store import Rounds, open_round, round_of
from annotation.store.schema import event_of
from data_catalog.storage import place_of

_EVENTS = schema.events.c


@dataclass(frozen=True)
class Submission:
    """One action of a person on an entry, as a page sends it."""

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
        self.name = database.shown
        self.people = People(database)
        self.rounds = Rounds(database)
        self.assignments = Assignments(database)
        self.ledger = Ledger(database, self.rounds)
        self.read_marks = ReadMarks(database)
        self.endings = Endings(database)
        self.preparation = Preparation(database)

    def logins(self, lifetime: Lifetime) -> Logins:
        """Who is logged in, for as long as a login lasts."""
        return Logins(self._database, lifetime)

    def submit(self, person: Person, submission: Submission, *, now: datetime | None = None) -> Receipt:
        """Add an event; once this returns it is on the disk.

        Raises:
            AccessError: the person was shut out meanwhile.
            SubmissionError: malformed, or its key belongs to another submission.
            OutdatedError: the entry has changed since the page was shown.
            NotPossibleError: the entry's state, or the round, does not allow it.
        """
        now = now or datetime.now(UTC)
        entry, repeats = self._checked(submission)
        with self._database.write() as connection:
            return _add(connection, person, submission, entry, repeats, now)

    def submit_all(self, given: Iterable[tuple[Person, Submission, datetime]]) -> list[Receipt | AnnotationError]:
        """Add many events at once, each with its moment; once this returns they are on the disk.

        Returns:
            Of each its receipt, or why it was refused, as `submit` would; what is refused does not keep out the others.

        Raises:
            StoreError: the store could not be written, and none of them is in it.
        """
        answers: list[Receipt | AnnotationError] = []
        given = list(given)
        with self._database.write() as connection:
            for person, submission, now in given:
                try:
                    answers.append(_add(connection, person, submission, *self._checked(submission), now))
                except StoreError:
                    raise
                except AnnotationError as error:
                    answers.append(error)
        return answers

    def invite_all(
        self,
        guests: Sequence[Guest],
        keep: Callable[[list[Invitation]], None] = lambda invitations: None,
        *,
        incomplete: bool = False,
    ) -> list[Invitation]:
        """Invite many people and give those with a quota their part of the open round: all of them or nobody.

        Args:
            guests: who.
            keep: keeps their links; if it fails, nobody is invited.
            incomplete: take it although entries are left with too few reviewers.

        Raises:
            AnnotationError: somebody is invited already, or cannot be given their part; every such line is named.
        """
        problems = []
        with self._database.write() as connection:
            invitations, quotas = [], {}
            for guest in guests:
                try:
                    invitations.append(invite(connection, guest.name, guest.role, level=guest.level))
                    if guest.quota is not None:
                        quotas[invitations[-1].person.id] = guest.quota
                except AnnotationError as error:
                    problems.append(f"line {guest.line}: {error}")
            if problems:
                raise AnnotationError("nobody was invited; " + "; ".join(problems))
            if quotas:
                assign(connection, open_round(connection).id, quotas, incomplete=incomplete)
            keep(invitations)
        return invitations

    def events(self, round_id: int) -> list[Event]:
        """A round's whole log, in its order."""
        query = select(schema.events).where(_EVENTS.round_id == round_id).order_by(_EVENTS.id)
        with self._database.read() as connection:
            return [event_of(row) for row in connection.execute(query)]

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _checked(self, submission: Submission) -> tuple[Entry, Sequence[str]]:
        """The entry of a submission that is well-formed, and the ids of those that show it once more."""
        check_key(submission.key)
        check_reason(submission.kind, submission.payload)
        if submission.shown_at.tzinfo is None:
            raise SubmissionError(f"shown at {submission.shown_at}, which does not say its time zone")
        # from memory, so that a writer under the lock waits for nothing else
        entry = self.ledger.entry(submission.round_id, submission.entry_id)
        return entry, self.ledger.repeats_of(submission.round_id, entry.id)


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
    """The SQLite file of a catalog on this machine.

    Raises:
        StoreError: the catalog is on an object store, which cannot hold the file.
    """
    place = place_of(catalog_root)
    if not isinstance(place, Path):
        raise StoreError(
            f"{place}: what people do cannot be kept there; name a file or a PostgreSQL server as review.store"
        )
    return str(place / "annotation" / "store.sqlite3")


def _add(
    connection: Connection,
    person: Person,
    submission: Submission,
    entry: Entry,
    repeats: Sequence[str],
    now: datetime,
) -> Receipt:
    """Add an event in a writer's transaction; a refusal comes before anything is written."""
    person = still_there(connection, person.id, now)
    if (stored := _by_key(connection, submission.key)) is not None:
        return _receipt_again(stored, person, submission)
    round_ = round_of(connection, submission.round_id)
    if not round_.is_open:
        raise RoundClosedError(f"round {round_.id} was closed; nothing in it changes any more")
    if is_withdrawn(connection, submission.round_id, entry.id):
        raise withdrawn()
    if person.role == "reviewer" and entry.repeats is not None:
        original = _events_of(connection, submission.round_id, entry.repeats, (entry.id,))
        if fold(original, round_.rule).revealed:
            raise NotPossibleError(f"entry {entry.id} is not asked any more")
    events = _events_of(connection, submission.round_id, entry.id, repeats)
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
        "supersedes": _superseded(person, submission, entry, round_.rule, events),
    }
    connection.execute(insert(schema.events).values(row))
    return Receipt(submission.entry_id, submission.kind, now)


def _superseded(person: Person, submission: Submission, entry: Entry, rule: Rule, events: list[Event]) -> int | None:
    """The event that the new one supersedes; refuses what the entry's state does not allow."""
    last = events[-1].id if events else 0
    if submission.seen is not None and submission.seen != last:
        raise OutdatedError(f"entry {entry.id} has changed since it was shown; look at it again")
    if submission.kind == "undo":
        target = undoable(events, person.id, rule)
        if target is None:
            raise NotPossibleError(f"entry {entry.id}: nothing of yours to take back, or it has gone on since")
        return target.id
    state = fold(events, rule)
    if submission.kind not in allowed(state, person.id, person.role, rule):
        current = state.state.replace("_", " ")
        raise NotPossibleError(f"entry {entry.id} is at '{current}', where {person.role}s cannot {submission.kind}")
    if submission.kind in FLAG_KINDS:
        standing = flag_that_counts(events, entry.id, person.id)
        if standing is None and submission.kind == "unflag":
            raise NotPossibleError(f"entry {entry.id}: no flag of yours to take back")
        return standing.id if standing else None
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


def _events_of(connection: Connection, round_id: int, entry_id: str, repeats: Sequence[str]) -> list[Event]:
    """An entry's events, with the flags on those that show it once more: they are about the same ad."""
    ids = (entry_id, *repeats)
    query = select(schema.events).where(_EVENTS.round_id == round_id, _EVENTS.entry_id.in_(ids)).order_by(_EVENTS.id)
    found = [event_of(row) for row in connection.execute(query)]
    return [event for event in found if event.entry_id == entry_id or event.kind in FLAG_KINDS]


def _receipt_again(stored: Event, person: Person, submission: Submission) -> Receipt:
    asked = (person.id, submission.round_id, submission.entry_id, submission.kind, submission.payload)
    if asked != (stored.person_id, stored.round_id, stored.entry_id, stored.kind, stored.payload):
        raise KeyReusedError("this key belongs to a submission that says something else; draw a key for each")
    return Receipt(stored.entry_id, stored.kind, stored.submitted_at)
