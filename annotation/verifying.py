"""A verifier's desk: what waits for a decision with all votes and notes, and what is being discussed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from annotation.errors import NotPossibleError
from annotation.events import Kind, Nothing, Payload, Remark, Ruling, Vote
from annotation.protocol import EntryState, State, allowed, live_events, undoable
from annotation.store import Receipt, Store, Submission
from annotation.store.ledger import Book
from annotation.store.people import Person, require_role
from annotation.threads import Said, said


@dataclass(frozen=True)
class NamedVote:
    """A vote with whose it is."""

    name: str
    person_id: str
    vote: Vote


@dataclass(frozen=True)
class VerifierEntry:
    """One entry as a verifier sees it."""

    entry_id: str
    video_id: str
    frame_ids: tuple[str, ...]
    comment_ids: tuple[str, ...]
    state: EntryState
    votes: tuple[NamedVote, ...]
    messages: tuple[Said, ...]
    revision: int
    """To be given back as `seen`: whoever decides has seen the entry as it is."""
    may: frozenset[Kind]
    may_undo: bool


class VerifierDesk:
    """What one verifier sees and does in one round.

    Every act names the `revision` of the entry that it rests on; OutdatedError when the entry has changed since, by
    a reviewer who took a vote back, a new message, or another verifier. Nothing is stored then.

    Args:
        store: where it is kept.
        person: who it is; asked for anew on every request.
        round_id: of which round.
        guideline: version of the guidelines that the page offers.

    Raises:
        RoleError: the person is no verifier.
    """

    def __init__(self, store: Store, person: Person, round_id: int, guideline: str) -> None:
        require_role(person, "verifier")
        self._store, self._person, self._round_id, self._guideline = store, person, round_id, guideline

    def queue(self, limit: int | None = None) -> list[VerifierEntry]:
        """The entries that wait for this verifier's decision, in the round's order."""
        return self._in_state("needs_verifier", limit, needing="decision")

    def discussions(self, limit: int | None = None) -> list[VerifierEntry]:
        """The entries that are being discussed, in the round's order."""
        return self._in_state("in_discussion", limit, needing="settle")

    def count_discussions(self) -> int:
        """How many entries are being discussed."""
        with self._store.ledger.reading(self._round_id) as book:
            return len(book.in_state("in_discussion"))

    def entry(self, entry_id: str) -> VerifierEntry:
        """One entry, in whatever state.

        Raises:
            NotPossibleError: there is no such entry, or it is shown only to see whether reviewers repeat themselves.
        """
        self._refuse_a_repeat(entry_id)
        people = self._people()
        with self._store.ledger.reading(self._round_id) as book:
            return self._entry(book, entry_id, people)

    def last_acted(self) -> str | None:
        """The entry that this verifier last did something to: what an undo without a name means."""
        with self._store.ledger.reading(self._round_id) as book:
            own = [
                event
                for events in book.events.values()
                if any(event.person_id == self._person.id for event in events)
                for event in live_events(events)
                if event.person_id == self._person.id
            ]
        return max(own, key=lambda event: event.id).entry_id if own else None

    def decide(self, entry_id: str, ruling: Ruling, *, seen: int, key: str, shown_at: datetime) -> Receipt:
        """Give an entry its label.

        Raises:
            OutdatedError: the entry has changed since it was shown.
            NotPossibleError: it does not wait for this verifier, or the round is closed.
        """
        return self._submit(entry_id, "decision", ruling, key, shown_at, seen)

    def discuss(self, entry_id: str, remark: Remark, *, seen: int, key: str, shown_at: datetime) -> Receipt:
        """Send an entry to the discussion; what is remarked begins it. Raises as `decide` does."""
        return self._submit(entry_id, "discuss", remark, key, shown_at, seen)

    def settle(self, entry_id: str, ruling: Ruling, *, seen: int, key: str, shown_at: datetime) -> Receipt:
        """Record the consensus of a discussion. Raises as `decide` does."""
        return self._submit(entry_id, "settle", ruling, key, shown_at, seen)

    def exclude(self, entry_id: str, remark: Remark, *, seen: int, key: str, shown_at: datetime) -> Receipt:
        """Leave a discussed entry out of the dataset, for the reason remarked. Raises as `decide` does."""
        return self._submit(entry_id, "exclude", remark, key, shown_at, seen)

    def undo(self, entry_id: str, *, seen: int, key: str, shown_at: datetime) -> Receipt:
        """Take back the verifier's latest doing on an entry: it is then as it was before. Raises as `decide` does."""
        return self._submit(entry_id, "undo", Nothing(), key, shown_at, seen)

    def write(self, entry_id: str, text: str, *, key: str, shown_at: datetime) -> Receipt:
        """Say something in an entry's discussion.

        Raises:
            NotPossibleError: it is not being discussed.
        """
        return self._submit(entry_id, "message", Remark(text), key, shown_at, None)

    def _in_state(self, wanted: State, limit: int | None, *, needing: Kind) -> list[VerifierEntry]:
        people, own = self._people(), self._person.id
        with self._store.ledger.reading(self._round_id) as book:
            ids = [
                entry_id
                for entry_id in book.in_state(wanted)
                if needing in allowed(book.state(entry_id), own, "verifier", book.rule)
            ]
            return [self._entry(book, entry_id, people) for entry_id in ids[:limit]]

    def _entry(self, book: Book, entry_id: str, people: dict[str, Person]) -> VerifierEntry:
        entry, state, events = book.entry(entry_id), book.state(entry_id), book.events.get(entry_id, [])
        votes = [NamedVote(people[person_id].name, person_id, vote) for person_id, vote in state.votes.items()]
        return VerifierEntry(
            entry_id=entry.id,
            video_id=entry.video_id,
            frame_ids=entry.frame_ids,
            comment_ids=entry.comment_ids,
            state=state,
            votes=tuple(sorted(votes, key=lambda vote: (vote.name.casefold(), vote.person_id))),
            messages=said(state.messages, people, self._person.id),
            revision=events[-1].id if events else 0,
            may=allowed(state, self._person.id, "verifier", book.rule),
            may_undo=undoable(events, self._person.id, book.rule) is not None,
        )

    def _people(self) -> dict[str, Person]:
        return {person.id: person for person in self._store.people.all()}

    def _submit(
        self, entry_id: str, kind: Kind, payload: Payload, key: str, shown_at: datetime, seen: int | None
    ) -> Receipt:
        self._refuse_a_repeat(entry_id)
        submission = Submission(self._round_id, entry_id, kind, payload, key, shown_at, self._guideline, seen)
        return self._store.submit(self._person, submission)

    def _refuse_a_repeat(self, entry_id: str) -> None:
        if self._store.ledger.entry(self._round_id, entry_id).kind == "repeat":
            raise NotPossibleError(f"entry {entry_id} shows another one once more; there is nothing to verify")
