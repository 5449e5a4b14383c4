"""Votes on their way out of the store and into it: one row per vote, whatever the file's format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from annotation.errors import AnnotationError, StoreError
from annotation.events import Event, Vote
from annotation.people import Person
from annotation.protocol import live_events
from annotation.rounds import Entry
from annotation.store import Store, Submission


@dataclass(frozen=True)
class Judgement:
    """One reviewer's vote that counts, with where it came from."""

    round_id: int | None
    """None: the file does not say."""
    entry_id: str
    video_id: str
    reviewer: str
    """Name, or id."""
    vote: Vote
    shown_at: datetime
    submitted_at: datetime
    guideline: str
    line: int = 0
    """Where in the file it stood: line of a CSV, row of a Parquet file, task of a Label Studio file; 0 of the store."""


@dataclass(frozen=True)
class Refused:
    """A row that was not taken, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class Imported:
    """What became of a file."""

    taken: int
    """Votes that are in the store now; those that it had already are among them."""
    refused: tuple[Refused, ...]


def judgements(events: Iterable[Event], entries: Mapping[str, Entry], people: Mapping[str, str]) -> Iterator[Judgement]:
    """The votes that count, entry by entry.

    Args:
        events: a round's log, in its order.
        entries: the round's entries.
        people: names by id; whoever is not there goes by the id.
    """
    of_entry: dict[str, list[Event]] = {}
    for event in events:
        of_entry.setdefault(event.entry_id, []).append(event)
    for entry_id, log in of_entry.items():
        for event in {event.person_id: event for event in live_events(log) if event.kind == "vote"}.values():
            if isinstance(event.payload, Vote):
                yield Judgement(
                    round_id=event.round_id,
                    entry_id=entry_id,
                    video_id=entries[entry_id].video_id,
                    reviewer=people.get(event.person_id, event.person_id),
                    vote=event.payload,
                    shown_at=event.shown_at,
                    submitted_at=event.submitted_at,
                    guideline=event.guideline,
                )


def import_judgements(
    store: Store, round_id: int, rows: Iterable[Judgement | Refused], *, now: datetime | None = None
) -> Imported:
    """Put votes into a round as its reviewers' own events, with the times of the file.

    A file may be imported again: where a person's vote says the same already, nothing is added. One that differs from
    it supersedes it, as on the page.

    Raises:
        RoundError: there is no such round.
        StoreError: the store cannot be written; what was taken so far stays, and the file can be imported again.
    """
    now = now or datetime.now(UTC)
    entries = store.rounds.entries(round_id)
    people = {key: person for person in store.people.all() for key in (person.name.casefold(), person.id)}
    present = {(row.entry_id, row.reviewer): row.vote for row in judgements(store.events(round_id), entries, {})}
    taken, refused = 0, []
    for row in rows:
        problem = row.reason if isinstance(row, Refused) else _problem(row, round_id, entries, people, now)
        if problem is None and isinstance(row, Judgement):
            person = people[row.reviewer.casefold()]
            if present.get((row.entry_id, person.id)) != row.vote:
                problem = _submit(store, round_id, row, person)
            if problem is None:
                present[row.entry_id, person.id] = row.vote
        if problem is None:
            taken += 1
        else:
            refused.append(Refused(row.line, problem))
    return Imported(taken, tuple(refused))


def _problem(
    row: Judgement, round_id: int, entries: Mapping[str, Entry], people: Mapping[str, Person], now: datetime
) -> str | None:
    entry, person = entries.get(row.entry_id), people.get(row.reviewer.casefold())
    if row.round_id not in (None, round_id):
        return f"it belongs to round {row.round_id}, and this is round {round_id}"
    if entry is None:
        return f"round {round_id} has no entry {row.entry_id[:40]!r}"
    if row.video_id not in ("", entry.video_id):
        return f"entry {entry.id} shows another ad than {row.video_id[:40]!r}"
    if person is None:
        return f"nobody is called {row.reviewer[:80]!r}; invite them first, as a reviewer"
    if person.role != "reviewer":
        return f"{person.name} is a {person.role}, and votes are a reviewer's"
    if not row.shown_at <= row.submitted_at <= now:
        return f"shown at {row.shown_at} and submitted at {row.submitted_at}: expected this order, and no future"
    return None


def _submit(store: Store, round_id: int, row: Judgement, person: Person) -> str | None:
    submission = Submission(
        round_id=round_id,
        entry_id=row.entry_id,
        kind="vote",
        payload=row.vote,
        key=_key(round_id, row, person),
        shown_at=row.shown_at,
        guideline=row.guideline,
    )
    try:
        store.submit(person, submission, now=row.submitted_at)
    except StoreError:
        raise
    except AnnotationError as error:
        return str(error)
    return None


def _key(round_id: int, row: Judgement, person: Person) -> str:
    """The same for the same vote, so that a second import stores nothing."""
    told = (round_id, row.entry_id, person.id, row.vote, row.shown_at.isoformat(), row.submitted_at.isoformat())
    return "import-" + hashlib.sha256(repr(told).encode()).hexdigest()[:40]
