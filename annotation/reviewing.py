"""A reviewer's desk: everything that a reviewer's page may ask for, and nothing of what the others think.

No method gives another's vote, how an entry stands, or which entries are repeats or gold. What others *wrote* is
shown once an entry is discussed, which is what the discussion is for. Where there are more reviewers than the rule
asks for, an entry that has its votes is asked of nobody else: that it has them is all that can be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from statistics import median

from annotation.events import Event, Kind, Nothing, Payload, Remark, Vote
from annotation.protocol import Message, allowed, undoable
from annotation.store import Receipt, Store, Submission
from annotation.store.ledger import Book
from annotation.store.people import Person, require_role
from annotation.threads import Said, said

_LONGEST_S = 600.0
"""Longer on one entry is taken for a pause, and left out of the pace."""
_RECENT = 50


@dataclass(frozen=True)
class ReviewerEntry:
    """One entry as its reviewer sees it."""

    entry_id: str
    video_id: str
    frame_ids: tuple[str, ...]
    comment_ids: tuple[str, ...]
    vote: Vote | None
    """The reviewer's own."""
    may_vote: bool
    may_undo: bool


@dataclass(frozen=True)
class Thread:
    """A discussion as a reviewer sees it."""

    entry_id: str
    video_id: str
    frame_ids: tuple[str, ...]
    comment_ids: tuple[str, ...]
    messages: tuple[Said, ...]
    vote: Vote | None
    """The reviewer's own."""
    open: bool
    """Messages are taken."""


@dataclass(frozen=True)
class Progress:
    """How far one reviewer is, and how fast."""

    done: int
    total: int
    """Done, and those still to come."""
    seconds: tuple[float, ...]
    """From shown to submitted, of the newest votes in their order, without pauses."""
    median_s: float | None
    last_at: datetime | None


class ReviewerDesk:
    """What one reviewer sees and does in one round.

    Args:
        store: where it is kept.
        person: who it is; asked for anew on every request.
        round_id: of which round.
        guideline: version of the guidelines that the page offers.

    Raises:
        RoleError: the person is no reviewer.
    """

    def __init__(self, store: Store, person: Person, round_id: int, guideline: str) -> None:
        require_role(person, "reviewer")
        self._store, self._person, self._round_id, self._guideline = store, person, round_id, guideline

    def upcoming(self, count: int = 2) -> list[ReviewerEntry]:
        """The next entries to judge, in the reviewer's own order: the first to be shown, the second to be loaded."""
        with self._store.ledger.reading(self._round_id) as book:
            due = book.due(self._person.id)
            ids = islice((each for each in book.order(self._person.id) if each in due), count)
            return [self._entry(book, entry_id) for entry_id in ids]

    def entry(self, entry_id: str) -> ReviewerEntry:
        """One entry, judged or not.

        Raises:
            NotPossibleError: there is no such entry.
        """
        with self._store.ledger.reading(self._round_id) as book:
            return self._entry(book, entry_id)

    def last_judged(self) -> str | None:
        """The entry that the reviewer judged last: what an undo without a name means."""
        with self._store.ledger.reading(self._round_id) as book:
            votes = book.voted[self._person.id]
            return max(votes, key=lambda entry_id: votes[entry_id].id, default=None)

    def vote(self, entry_id: str, vote: Vote, *, key: str, shown_at: datetime) -> Receipt:
        """Judge an entry, or judge it anew: the later vote counts, and both are kept.

        Raises:
            SubmissionError: malformed, or a frame is not the entry's.
            NotPossibleError: a verifier has acted, enough others have voted, or the round is closed.
        """
        return self._submit(entry_id, "vote", vote, key, shown_at)

    def undo(self, entry_id: str, *, key: str, shown_at: datetime) -> Receipt:
        """Take back the reviewer's latest doing on an entry: it is then as it was before.

        Raises:
            NotPossibleError: there is nothing to take back, or the entry has gone on since.
        """
        return self._submit(entry_id, "undo", Nothing(), key, shown_at)

    def write(self, entry_id: str, text: str, *, key: str, shown_at: datetime) -> Receipt:
        """Say something in an entry's discussion.

        Raises:
            NotPossibleError: it is not being discussed.
        """
        return self._submit(entry_id, "message", Remark(text), key, shown_at)

    def discussions(self) -> list[Thread]:
        """The entries that are being discussed, in the round's order."""
        people = {person.id: person for person in self._store.people.all()}
        with self._store.ledger.reading(self._round_id) as book:
            return [self._thread(book, each, people) for each in book.in_state("in_discussion")]

    def count_discussions(self) -> int:
        """How many entries are being discussed."""
        with self._store.ledger.reading(self._round_id) as book:
            return len(book.in_state("in_discussion"))

    def thread(self, entry_id: str) -> Thread:
        """One discussion; without messages where the entry was never discussed."""
        people = {person.id: person for person in self._store.people.all()}
        with self._store.ledger.reading(self._round_id) as book:
            return self._thread(book, entry_id, people)

    def progress(self) -> Progress:
        """How far the reviewer is, and how fast."""
        with self._store.ledger.reading(self._round_id) as book:
            votes = sorted(book.voted[self._person.id].values(), key=lambda event: event.id)
            due = len(book.due(self._person.id))
        seconds = seconds_of(votes[-2 * _RECENT :])[-_RECENT:]
        return Progress(
            done=len(votes),
            total=len(votes) + due,
            seconds=tuple(seconds),
            median_s=median(seconds) if seconds else None,
            last_at=votes[-1].submitted_at if votes else None,
        )

    def _entry(self, book: Book, entry_id: str) -> ReviewerEntry:
        entry, state, own = book.entry(entry_id), book.state(entry_id), self._person.id
        return ReviewerEntry(
            entry_id=entry.id,
            video_id=entry.video_id,
            frame_ids=entry.frame_ids,
            comment_ids=entry.comment_ids,
            vote=state.votes.get(own),
            may_vote="vote" in allowed(state, own, "reviewer", book.rule),
            may_undo=undoable(book.events.get(entry_id, []), own, book.rule) is not None,
        )

    def _thread(self, book: Book, entry_id: str, people: dict[str, Person]) -> Thread:
        entry, state = book.entry(entry_id), book.state(entry_id)
        discussed = state.state in ("in_discussion", "settled", "excluded")
        messages: tuple[Message, ...] = state.messages if discussed else ()
        return Thread(
            entry_id=entry.id,
            video_id=entry.video_id,
            frame_ids=entry.frame_ids,
            comment_ids=entry.comment_ids,
            messages=said(messages, people, self._person.id),
            vote=state.votes.get(self._person.id),
            open=state.state == "in_discussion",
        )

    def _submit(self, entry_id: str, kind: Kind, payload: Payload, key: str, shown_at: datetime) -> Receipt:
        submission = Submission(self._round_id, entry_id, kind, payload, key, shown_at, self._guideline)
        return self._store.submit(self._person, submission)


def seconds_of(votes: list[Event]) -> list[float]:
    """How long each vote took from shown to submitted; pauses and clocks that went backwards are left out."""
    taken = [(vote.submitted_at - vote.shown_at).total_seconds() for vote in votes]
    return [seconds for seconds in taken if 0 <= seconds <= _LONGEST_S]
