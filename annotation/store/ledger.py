"""The folded state of every entry of a round, kept in memory and brought up to date from the log on every look.

The log's last number is all that has to be compared, and writers come one after the other (`database.py`), so what
another process added is seen by the next look, and nothing below that number can still appear. Where an entry was
withdrawn, or the store was put back to an earlier state, the book is begun anew.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, func, select

from annotation.errors import NotPossibleError, WithdrawnError
from annotation.events import Event
from annotation.protocol import FINAL, EntryState, Rule, State, allowed, fold, live_events
from annotation.rounds import Entry, RoundOptions, concerned, order_for
from annotation.store import schema
from annotation.store.assignments import assignments_of
from annotation.store.database import Database
from annotation.store.round_store import Rounds
from annotation.store.schema import event_of

_EVENTS = schema.events.c
_SOMEBODY_ELSE = ""
"""Id of nobody: who has not voted."""


@dataclass
class Book:
    """One round as the log has it: read it only while `Ledger.reading` holds it."""

    round_id: int
    rule: Rule
    seed: int
    options: RoundOptions
    n_withdrawn: int
    """Entries that were taken out of the round before this was begun."""
    entries: dict[str, Entry]
    """In the order in which they were drawn."""
    last: int = 0
    """Number of the newest event that is in here."""
    last_key: str = ""
    """Its key."""
    events: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    """By entry. Flags on a repeat stand at the entry that it repeats, too: they are about the same ad."""
    states: dict[str, EntryState] = field(default_factory=dict)
    """Of the entries that anything was done to."""
    voted: dict[str, dict[str, Event]] = field(default_factory=lambda: defaultdict(dict))
    """By person: their vote on each entry that counts."""
    orders: dict[str, list[str]] = field(default_factory=dict)
    assigned: dict[str, frozenset[str]] = field(default_factory=dict)
    """By person: entries that are theirs; whoever is not in it judges all."""
    drawn_at: dict[str, datetime] = field(default_factory=dict)
    """By person: when their entries were drawn."""

    def __post_init__(self) -> None:
        self.untouched = fold((), self.rule)
        self.taking = set(self.entries)
        """Entries that take the vote of somebody who has not voted on them yet."""
        self.repeats: dict[str, list[str]] = defaultdict(list)
        """By entry: those that show it once more."""
        for entry in self.entries.values():
            if entry.repeats is not None:
                self.repeats[entry.repeats].append(entry.id)
        self._places = {entry.id: place for place, entry in enumerate(self.entries.values()) if entry.kind != "repeat"}
        self._by_state: dict[State, set[str]] = defaultdict(set, {self.untouched.state: set(self._places)})

    def state(self, entry_id: str) -> EntryState:
        """The state of an entry."""
        return self.states.get(entry_id, self.untouched)

    def in_state(self, wanted: State) -> list[str]:
        """The entries in a state, in the order in which they were drawn; a repeat is in none, as it settles nothing."""
        return sorted(self._by_state[wanted], key=self._places.__getitem__)

    def is_settled(self) -> bool:
        """Every entry but the repeats has come to its end."""
        return sum(len(self._by_state[state]) for state in FINAL) == len(self._places)

    def repeats_due(self, person_ids: Iterable[str]) -> set[str]:
        """The repeats that still wait for the vote of one of these reviewers."""
        waiting = self.taking - self._places.keys()
        return {each for person_id in person_ids for each in waiting & self.due(person_id)} if waiting else set()

    def entry(self, entry_id: str) -> Entry:
        """One entry.

        Raises:
            NotPossibleError: the round has none of that id.
        """
        found = self.entries.get(entry_id)
        if found is None:
            raise unknown(self.round_id, entry_id)
        return found

    def is_asked(self, entry_id: str) -> bool:
        """Not of a repeat whose original was discussed: whoever has read the others' reasons no longer judges alone."""
        original = self.entries[entry_id].repeats
        return original is None or not self.state(original).revealed

    def order(self, person_id: str) -> list[str]:
        """The entries' ids as one person goes through them."""
        if person_id not in self.orders:
            self.orders[person_id] = order_for(person_id, self.seed, self.entries.values())
        return self.orders[person_id]

    def due(self, person_id: str) -> set[str]:
        """The entries that wait for this reviewer's vote."""
        due = self.taking - self.voted[person_id].keys()
        own = self.assigned.get(person_id)
        return due if own is None else {each for each in due if (self.entries[each].repeats or each) in own}

    def add(self, events: list[Event]) -> None:
        """Bring the states up to date with newer events."""
        touched: list[str] = []
        for event in events:
            about = concerned(event, self.entries)
            for entry_id in about:
                self.events[entry_id].append(event)
            touched += about
            self.last, self.last_key = event.id, event.key
        for entry_id in dict.fromkeys(touched):
            self._by_state[self.state(entry_id).state].discard(entry_id)
            self.states[entry_id] = state = fold(self.events[entry_id], self.rule)
            if entry_id in self._places:
                self._by_state[state.state].add(entry_id)
            for each in (entry_id, *self.repeats.get(entry_id, ())):
                takes = "vote" in allowed(self.state(each), _SOMEBODY_ELSE, "reviewer", self.rule)
                (self.taking.add if takes and self.is_asked(each) else self.taking.discard)(each)
        for entry_id, person_id in dict.fromkeys((event.entry_id, event.person_id) for event in events):
            own = [each for each in live_events(self.events[entry_id]) if each.person_id == person_id]
            votes = [each for each in own if each.kind == "vote"]
            self.voted[person_id].pop(entry_id, None)
            if votes:
                self.voted[person_id][entry_id] = votes[-1]


class Ledger:
    """The books of a store's rounds; one per process, shared by its threads."""

    def __init__(self, database: Database, rounds: Rounds) -> None:
        self._database = database
        self._rounds = rounds
        self._books: dict[int, Book] = {}
        self._lock = threading.RLock()

    @contextmanager
    def reading(self, round_id: int) -> Iterator[Book]:
        """The book of a round, up to date, for as long as the block runs.

        Raises:
            RoundError: there is no such round.
        """
        with self._lock:
            book = self._book(round_id)
            if not self._is_current(book):
                del self._books[round_id]
                book = self._book(round_id)
            self._assign(book)
            book.add(self._newer(round_id, book.last))
            yield book

    def entry(self, round_id: int, entry_id: str) -> Entry:
        """One entry, which never changes: the log is not looked at.

        Raises:
            WithdrawnError: its ad was taken out of the catalog.
            NotPossibleError: the round has none of that id.
        """
        with self._lock:
            found = self._book(round_id).entries.get(entry_id)
        if found is None:
            with self._database.read() as connection:
                if is_withdrawn(connection, round_id, entry_id):
                    raise withdrawn()
            raise unknown(round_id, entry_id)
        return found

    def options(self, round_id: int) -> RoundOptions:
        """Options of the round's pages; from memory, as in `entry`.

        Raises:
            RoundError: there is no such round.
        """
        with self._lock:
            return self._book(round_id).options

    def repeats_of(self, round_id: int, entry_id: str) -> Sequence[str]:
        """The entries that show this one once more; as `entry`, from memory."""
        with self._lock:
            return self._book(round_id).repeats.get(entry_id, ())

    def _book(self, round_id: int) -> Book:
        if round_id not in self._books:
            found = self._rounds.get(round_id)
            # counted first: what is withdrawn between the two looks is found by the next one
            with self._database.read() as connection:
                withdrawn = _count_withdrawn(connection, round_id)
            entries = self._rounds.entries(round_id)
            self._books[round_id] = Book(round_id, found.rule, found.seed, found.options, withdrawn, entries)
        return self._books[round_id]

    def _assign(self, book: Book) -> None:
        held = schema.assignments.c
        query = select(held.person_id, held.drawn_at).where(held.round_id == book.round_id)
        with self._database.read() as connection:
            drawn_at = {row.person_id: row.drawn_at for row in connection.execute(query)}
            if drawn_at != book.drawn_at:
                found = assignments_of(connection, book.round_id)
                book.assigned = {who: each.entry_ids for who, each in found.items() if each.entry_ids is not None}
                book.drawn_at = drawn_at

    def _is_current(self, book: Book) -> bool:
        """Whether nothing in the book was removed since, by a withdrawal or by a store restored from a backup."""
        key = select(_EVENTS.key).where(_EVENTS.round_id == book.round_id, _EVENTS.id == book.last)
        with self._database.read() as connection:
            gone = _count_withdrawn(connection, book.round_id)
            return gone == book.n_withdrawn and (not book.last or connection.scalar(key) == book.last_key)

    def _newer(self, round_id: int, last: int) -> list[Event]:
        query = select(schema.events).where(_EVENTS.round_id == round_id, _EVENTS.id > last).order_by(_EVENTS.id)
        with self._database.read() as connection:
            return [event_of(row) for row in connection.execute(query)]


def _count_withdrawn(connection: Connection, round_id: int) -> int:
    query = select(func.count()).where(schema.withdrawn.c.round_id == round_id)
    return connection.scalar(query) or 0


def is_withdrawn(connection: Connection, round_id: int, entry_id: str) -> bool:
    """The entry was there, and its ad was taken out of the catalog."""
    held = schema.withdrawn.c
    # no id holds a NUL, which PostgreSQL would not even compare
    known = entry_id.isascii() and entry_id.isprintable()
    query = select(held.at).where(held.round_id == round_id, held.entry_id == entry_id)
    return known and connection.execute(query).first() is not None


def withdrawn() -> WithdrawnError:
    """The refusal of an entry that is withdrawn."""
    return WithdrawnError(
        "this ad was taken out of the catalog, and what was said of it with it; go on to the next one"
    )


def unknown(round_id: int, entry_id: str) -> NotPossibleError:
    """The refusal of an entry that never was."""
    return NotPossibleError(f"round {round_id} has no entry {entry_id[:40]!r}")
