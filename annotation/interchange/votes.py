"""Votes outside the store, one row each in any file format, and their import into a round."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from annotation.errors import AnnotationError
from annotation.events import Event, Vote
from annotation.protocol import by_entry, votes_that_count
from annotation.rounds import Entry
from annotation.store import Store, Submission
from annotation.store.people import Person

_AT_ONCE = 100
"""Votes stored in one go: whoever judges on the page meanwhile waits for them."""


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
    """Position in the file: line of a CSV, row of a Parquet file, task of a Label Studio file; 0 for the store."""


@dataclass(frozen=True)
class Refused:
    """A row that was not taken, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class Ignored:
    """Something in a file that is no vote and does no harm, such as a model's prediction."""

    line: int
    kind: str
    """In words, as a plural."""


Row = Judgement | Refused | Ignored
"""A row of a file."""


def judgements(events: Iterable[Event], entries: Mapping[str, Entry], people: Mapping[str, str]) -> Iterator[Judgement]:
    """The votes that count, entry by entry.

    Args:
        events: a round's log, in its order.
        entries: the round's entries.
        people: names by id; whoever is not there goes by the id.
    """
    for entry_id, log in by_entry(events).items():
        for event in votes_that_count(log).values():
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


@dataclass(frozen=True)
class Imported:
    """Counts of an import, and the rows that it refused."""

    taken: int
    """Votes that were stored."""
    known: int
    """Votes that stood already."""
    refused: tuple[Refused, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    """Rows that are not votes, by kind."""


def import_judgements(
    store: Store,
    round_id: int,
    rows: Iterable[Row],
    *,
    now: datetime | None = None,
    advance: Callable[[int], None] = lambda n_rows: None,
) -> Imported:
    """Put votes into a round as its reviewers' own events, with the times of the file.

    A person's last word stands: a vote supersedes theirs if it was submitted later. An older one that differs from it
    is refused, and so is one older than their taking it back. A file may be imported again: what stands already is not
    stored once more.

    Args:
        store: where the round is.
        round_id: which round.
        rows: of a file.
        now: no vote may be later.
        advance: told how many more rows were looked at.

    Raises:
        RoundError: there is no such round.
        StoreError: the store cannot be written; what was taken so far stays, and the file can be imported again.
    """
    going_in = _Import(store, round_id, now or datetime.now(UTC))
    for row in rows:
        going_in.take(row)
        advance(1)
    going_in.store_waiting()
    refused = tuple(sorted(going_in.refused, key=lambda each: each.line))
    return Imported(going_in.taken, going_in.known, refused, dict(going_in.ignored))


class _Import:
    def __init__(self, store: Store, round_id: int, now: datetime) -> None:
        self._store, self._round_id, self._now = store, round_id, now
        self._entries = store.rounds.entries(round_id)
        pseudonyms = store.people.names(pseudonyms=True)
        self._people = {
            key: person
            for person in store.people.all()
            for key in (pseudonyms[person.id], _called(person.name), person.id)
        }
        log = store.events(round_id)
        self._current = {(row.entry_id, row.reviewer): row.vote for row in judgements(log, self._entries, {})}
        self._last_word: dict[tuple[str, str], datetime] = {}
        for event in log:
            if event.kind in ("vote", "undo"):  # a flag and what is said in a discussion stand beside the vote
                self._heard((event.entry_id, event.person_id), event.submitted_at)
        self._waiting: dict[tuple[str, str], tuple[Judgement, Person]] = {}
        self.taken, self.known = 0, 0
        self.refused: list[Refused] = []
        self.ignored = Counter[str]()

    def take(self, row: Row) -> None:
        """Take a row; it is counted as stored (now or later), already known, refused or ignored."""
        if isinstance(row, Ignored):
            self.ignored[row.kind] += 1
            return
        problem = row.reason if isinstance(row, Refused) else self._problem(row)
        if isinstance(row, Refused) or problem is not None:
            self.refused.append(Refused(row.line, str(problem)))
            return
        person = self._people[_called(row.reviewer)]
        key = (row.entry_id, person.id)
        if key in self._waiting:  # what becomes of that decides about this one
            self.store_waiting()
        if key not in self._last_word or row.submitted_at > self._last_word[key]:
            # the same said again later is stored, too: what was said between the two must not take its place
            self._waiting[key] = (row, person)
            if len(self._waiting) == _AT_ONCE:
                self.store_waiting()
        elif self._current.get(key) == row.vote:
            self.known += 1
        else:
            self.refused.append(Refused(row.line, self._too_late(row, person, key)))

    def store_waiting(self) -> None:
        """Store what has been held back."""
        waiting, self._waiting = self._waiting, {}
        answers = self._store.submit_all(
            (person, self._submission(row, person), row.submitted_at) for row, person in waiting.values()
        )
        for (key, (row, _)), answer in zip(waiting.items(), answers, strict=True):
            if isinstance(answer, AnnotationError):
                self.refused.append(Refused(row.line, str(answer)))
            else:
                self.taken += 1
                self._current[key] = row.vote
                self._heard(key, row.submitted_at)

    def _heard(self, key: tuple[str, str], at: datetime) -> None:
        self._last_word[key] = max(at, self._last_word.get(key, at))

    def _problem(self, row: Judgement) -> str | None:
        round_id, entry, person = (
            self._round_id,
            self._entries.get(row.entry_id),
            self._people.get(_called(row.reviewer)),
        )
        if row.round_id not in (None, round_id):
            return f"it belongs to round {row.round_id}, and this is round {round_id}"
        if entry is None:
            return f"round {round_id} has no entry {row.entry_id[:40]!r}"
        if row.video_id not in ("", entry.video_id):
            return f"entry {entry.id} shows another ad than {row.video_id[:40]!r}"
        if person is None:
            return f"nobody is called {row.reviewer[:80]!r}; invite them first, as a reviewer"
        if person.role != "reviewer":
            return f"{person.name} has the role {person.role}, and votes are a reviewer's"
        if not row.shown_at <= row.submitted_at <= self._now:
            return f"shown at {row.shown_at} and submitted at {row.submitted_at}: expected this order, and no future"
        if not person.may_enter(row.submitted_at):
            return f"{person.name} is shut out, or their link has run out: `ytb-ads annotate invite --renew`"
        return None

    def _too_late(self, row: Judgement, person: Person, key: tuple[str, str]) -> str:
        said = "said something else" if key in self._current else "took their vote back"
        last = self._last_word[key].astimezone(UTC)
        return f"submitted at {row.submitted_at}, and {person.name} {said} here at {last}: the last word stands"

    def _submission(self, row: Judgement, person: Person) -> Submission:
        return Submission(
            round_id=self._round_id,
            entry_id=row.entry_id,
            kind="vote",
            payload=row.vote,
            key=_key(self._round_id, row, person),
            shown_at=row.shown_at,
            guideline=row.guideline,
        )


def _called(name: str) -> str:
    """A name as it is looked up: some programs take letters and their accents apart, or leave spaces."""
    return unicodedata.normalize("NFC", name.strip()).casefold()


def _key(round_id: int, row: Judgement, person: Person) -> str:
    """The same for the same vote, so that two imports at once store it once."""
    told = (round_id, row.entry_id, person.id, row.vote, row.shown_at.isoformat(), row.submitted_at.isoformat())
    return "import-" + hashlib.sha256(repr(told).encode()).hexdigest()[:40]
