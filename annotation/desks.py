"""Desks: everything that a reviewer's or a verifier's page may ask for and do in one round.

A reviewer's desk tells nothing of what the others think. No method of it gives another's vote, an entry's state, or
which entries are repeats or gold. The exception is an entry that is discussed: everybody in the discussion sees its
votes and notes, which cannot change any more, and where it is repeated, the repeat is asked of nobody. Where there are
more reviewers than the rule asks for, an entry that has its votes is asked of nobody else. That an entry takes no
judgement is all that can be told of either. The list of a reviewer's own judgements holds what they did and nothing
else; an ad that came twice is in it twice. A verifier sees all votes, notes and flags.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from statistics import median
from typing import Any, ClassVar

from annotation.errors import NotPossibleError
from annotation.events import Choice, Event, Flag, Kind, Nothing, Payload, Remark, Ruling, Stance, Vote
from annotation.protocol import (
    EntryState,
    Message,
    Role,
    State,
    allowed,
    flag_that_counts,
    has_seen_votes,
    live_events,
    undoable,
)
from annotation.rounds import RoundOptions
from annotation.store import Receipt, Store, Submission
from annotation.store.ledger import Book
from annotation.store.people import Person, require_role
from annotation.threads import THREAD_STATES, count_said, is_unread, may_read, shown_name
from data_catalog.schemas import Label

_LONGEST_S = 600.0
"""Longer on one entry is taken for a pause, and left out of the pace."""
_RECENT = 50
_DECIDED: tuple[State, ...] = ("needs_verifier", "verified", "settled", "excluded")
"""States of entries that a verifier may have decided."""


@dataclass(frozen=True)
class Said:
    """One message of a discussion, a stance, or what came of it, as a page shows it."""

    name: str
    role: Role
    text: str
    at: datetime
    own: bool
    """By whoever looks."""
    choice: Choice | None = None
    """Of a stance."""


@dataclass(frozen=True)
class Position:
    """Position of a person in a discussion."""

    name: str
    role: Role
    own: bool
    vote: Vote | None
    """A reviewer's, as it was before the discussion."""
    stance: Choice | None
    """Their latest stance; None if they have taken none."""
    flag: Flag | None = None
    """Their flag on the ad."""

    @property
    def now(self) -> Choice | None:
        """Their present choice: the stance, or else the vote."""
        return self.stance or (self.vote.choice if self.vote else None)


@dataclass(frozen=True)
class NamedVote:
    """A vote with the name of its reviewer."""

    name: str
    person_id: str
    vote: Vote


@dataclass(frozen=True)
class NamedFlag:
    """A flag with the name of its reviewer."""

    name: str
    person_id: str
    flag: Flag


@dataclass(frozen=True)
class ShownEntry:
    """Ids of the parts of an entry that a page shows."""

    round_id: int
    options: RoundOptions
    """Of its round."""
    entry_id: str
    video_id: str
    frame_ids: tuple[str, ...]
    comment_ids: tuple[str, ...]


@dataclass(frozen=True)
class ReviewerEntry(ShownEntry):
    """One entry as its reviewer sees it."""

    vote: Vote | None
    """The reviewer's own."""
    flag: Flag | None
    """The reviewer's own."""


@dataclass(frozen=True)
class OwnEntry(ReviewerEntry):
    """An entry that a reviewer judged or flagged."""

    at: datetime
    """When they first did either."""


@dataclass(frozen=True)
class VerifierEntry(ShownEntry):
    """One entry as a verifier sees it."""

    state: EntryState
    votes: tuple[NamedVote, ...]
    flags: tuple[NamedFlag, ...]
    messages: tuple[Said, ...]
    revision: int
    """To be given back as `seen`: whoever decides has seen the entry as it is."""
    may: frozenset[Kind]
    may_undo: bool
    blind: bool
    """Votes, notes and others' decisions are hidden until this verifier has decided: none of them is in here."""


@dataclass(frozen=True)
class Thread(ShownEntry):
    """A discussion as its reader may see it."""

    state: State
    label: Label | None
    positions: tuple[Position, ...]
    """Of all who voted or took a stance; one's own first."""
    messages: tuple[Said, ...]
    outcome: Said | None
    """Who recorded the consensus or the exclusion, and why."""
    unread: bool
    """Somebody else has said something since one looked."""
    said: int
    """Marks the place up to which this shows it."""
    may: frozenset[Kind]
    may_undo: bool
    """There is something of one's own in it to take back."""
    revision: int | None = None
    """To be given back as `seen`; for a verifier alone, as it tells how much everybody does."""

    @property
    def open(self) -> bool:
        """Messages are taken."""
        return self.state == "in_discussion"


@dataclass(frozen=True)
class Progress:
    """A reviewer's progress and pace."""

    done: int
    total: int
    """Done, and those still to come."""
    median_s: float | None
    """Of the newest votes from shown to submitted, without pauses; None where no vote's time is known."""
    deadline: datetime | None = None
    """Until when it is to be done."""


class Desk(ABC):
    """One person's view of one round, and what they can do in it.

    Args:
        store: where it is kept.
        person: who it is; asked for anew on every request.
        round_id: of which round.
        guideline: version of the guidelines that the page offers.

    Raises:
        RoleError: the person has another role.
    """

    role: ClassVar[Role]

    def __init__(self, store: Store, person: Person, round_id: int, guideline: str) -> None:
        require_role(person, self.role)
        self._store, self._person, self._round_id, self._guideline = store, person, round_id, guideline

    def count_discussions(self) -> int:
        """The number of entries being discussed."""
        with self._store.ledger.reading(self._round_id) as book:
            return len(book.in_state("in_discussion"))

    def count_unread(self) -> int:
        """The number of discussions, going on or over, in which somebody else has said something since one looked."""
        seen = self._seen()
        with self._store.ledger.reading(self._round_id) as book:
            readable = self._readable(book)
            return sum(is_unread(book.events[each], self._person.id, seen.get(each, 0)) for each in readable)

    def discussions(self) -> list[Thread]:
        """The discussions that one may read, those that go on first, each in the round's order."""
        people, seen = self._people(), self._seen()
        with self._store.ledger.reading(self._round_id) as book:
            return [self._thread(book, each, people, seen) for each in self._readable(book)]

    def thread(self, entry_id: str) -> Thread:
        """One discussion, going on or over.

        Raises:
            NotPossibleError: there is none that one may read; why is not said.
        """
        self._refuse(entry_id)
        people, seen = self._people(), self._seen()
        with self._store.ledger.reading(self._round_id) as book:
            book.entry(entry_id)
            if not may_read(book.state(entry_id), self._person):
                raise NotPossibleError("this ad is not being discussed")
            return self._thread(book, entry_id, people, seen)

    def mark_read(self, entry_id: str, said: int) -> None:
        """Remember that one has seen a discussion as far as `Thread.said` says.

        Raises:
            NotPossibleError: there is no such discussion.
        """
        reached = min(said, self.thread(entry_id).said)
        if reached > self._seen().get(entry_id, 0):
            self._store.read_marks.set(self._person.id, self._round_id, entry_id, reached)

    def write(self, entry_id: str, text: str, *, key: str, shown_at: datetime) -> Receipt:
        """Say something in an entry's discussion.

        Raises:
            NotPossibleError: it is not being discussed.
        """
        return self._submit(entry_id, "message", Remark(text), key, shown_at)

    def take_stance(self, entry_id: str, stance: Stance, *, key: str, shown_at: datetime) -> Receipt:
        """Say what one thinks now; the latest counts, and a vote stays as it was. Raises as `write` does."""
        return self._submit(entry_id, "stance", stance, key, shown_at)

    def _thread(self, book: Book, entry_id: str, people: Mapping[str, Person], seen: Mapping[str, int]) -> Thread:
        state, events = book.state(entry_id), book.events[entry_id]
        last = undoable(events, self._person.id, book.rule)
        return Thread(
            **self._shown(book, entry_id),
            state=state.state,
            label=state.label,
            positions=self._positions(book, state, people),
            messages=self._said(book, state.messages, people),
            outcome=next(iter(self._said(book, [state.outcome] if state.outcome else [], people)), None),
            unread=is_unread(events, self._person.id, seen.get(entry_id, 0)),
            said=count_said(events),
            may=allowed(state, self._person.id, self.role, book.rule),
            may_undo=last is not None and last.kind != "vote",
            revision=self._revision(events),
        )

    @abstractmethod
    def _revision(self, events: Sequence[Event]) -> int | None:
        """The number of an entry's last event, if this role may know it."""

    def _refuse(self, entry_id: str) -> None:  # noqa: B027 (a reviewer is refused nothing)
        """Raise NotPossibleError of an entry that is not for this role."""

    def _people(self) -> dict[str, Person]:
        return {person.id: person for person in self._store.people.all()}

    def _shown(self, book: Book, entry_id: str) -> dict[str, Any]:
        entry = book.entry(entry_id)
        return {
            "round_id": book.round_id,
            "options": book.options,
            "entry_id": entry.id,
            "video_id": entry.video_id,
            "frame_ids": entry.frame_ids,
            "comment_ids": entry.comment_ids,
        }

    def _readable(self, book: Book) -> list[str]:
        """The discussions that one may read, those that go on first."""
        threads = [each for state in THREAD_STATES for each in book.in_state(state)]
        return [each for each in threads if may_read(book.state(each), self._person)]

    def _seen(self) -> dict[str, int]:
        return self._store.read_marks.of(self._person.id, self._round_id)

    def _name(self, book: Book, person: Person) -> str:
        return shown_name(person, book.round_id, book.seed, book.options)

    def _said(self, book: Book, messages: Iterable[Message], people: Mapping[str, Person]) -> tuple[Said, ...]:
        """Messages with names, in the order in which they were written."""
        authors = [(people[message.person_id], message) for message in messages]
        return tuple(
            Said(self._name(book, by), by.role, each.text, each.at, by.id == self._person.id, each.choice)
            for by, each in authors
        )

    def _positions(self, book: Book, state: EntryState, people: Mapping[str, Person]) -> tuple[Position, ...]:
        found = [
            Position(
                name=self._name(book, people[each]),
                role=people[each].role,
                own=each == self._person.id,
                vote=state.votes.get(each),
                stance=state.stances.get(each),
                flag=state.flags.get(each),
            )
            for each in dict.fromkeys([*state.votes, *state.stances, *state.flags])
        ]
        return tuple(sorted(found, key=lambda each: (not each.own, each.role, each.name.casefold())))

    def _submit(
        self, entry_id: str, kind: Kind, payload: Payload, key: str, shown_at: datetime, seen: int | None = None
    ) -> Receipt:
        self._refuse(entry_id)
        submission = Submission(self._round_id, entry_id, kind, payload, key, shown_at, self._guideline, seen)
        return self._store.submit(self._person, submission)


class ReviewerDesk(Desk):
    """A reviewer's votes, the entries still to judge, and what is written in discussions."""

    role = "reviewer"

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
        """The entry that the reviewer judged last; an undo without an entry applies to it."""
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

    def annotate(self, entry_id: str, note: str, *, key: str, shown_at: datetime) -> Receipt:
        """Give the reviewer's judgement of an entry another note; this is the judgement anew, and raises as it does.

        Raises:
            NotPossibleError: besides, they have not judged it.
        """
        vote = self.entry(entry_id).vote
        if vote is None:
            raise NotPossibleError("a note stands beside a judgement, and this ad has none of yours")
        return self.vote(entry_id, replace(vote, note=note), key=key, shown_at=shown_at)

    def flag(self, entry_id: str, flag: Flag, *, key: str, shown_at: datetime) -> Receipt:
        """Say that something is wrong with an entry, so that a verifier looks at it; in place of an earlier flag.

        Raises:
            SubmissionError: malformed.
            NotPossibleError: a verifier has acted, or the round is closed.
        """
        return self._submit(entry_id, "flag", flag, key, shown_at)

    def unflag(self, entry_id: str, *, key: str, shown_at: datetime) -> Receipt:
        """Take the reviewer's flag back.

        Raises:
            NotPossibleError: there is none, a verifier has acted, or the round is closed.
        """
        return self._submit(entry_id, "unflag", Nothing(), key, shown_at)

    def own(self) -> list[OwnEntry]:
        """Entries that the reviewer judged or flagged, the latest first."""
        with self._store.ledger.reading(self._round_id) as book:
            first: dict[str, Event] = {}
            for entry_id, events in book.events.items():
                acts = (each for each in events if each.person_id == self._person.id and each.entry_id == entry_id)
                if (act := next((each for each in acts if each.kind in ("vote", "flag")), None)) is not None:
                    first[entry_id] = act
            latest_first = sorted(first.values(), key=lambda event: event.id, reverse=True)
            found = [OwnEntry(**vars(self._entry(book, act.entry_id)), at=act.submitted_at) for act in latest_first]
        return [entry for entry in found if entry.vote or entry.flag]

    def undo(self, entry_id: str, *, key: str, shown_at: datetime) -> Receipt:
        """Take back the reviewer's latest action on an entry: it is then as it was before. A flag stays.

        Raises:
            NotPossibleError: there is nothing to take back, or the entry has gone on since.
        """
        return self._submit(entry_id, "undo", Nothing(), key, shown_at)

    def progress(self) -> Progress:
        """The reviewer's progress and pace."""
        with self._store.ledger.reading(self._round_id) as book:
            votes = sorted(book.voted[self._person.id].values(), key=lambda event: event.id)
            due = len(book.due(self._person.id))
        deadline = self._store.assignments.deadlines(self._round_id).get(self._person.id)
        return Progress(len(votes), len(votes) + due, median_seconds(votes[-_RECENT:]), deadline)

    def _entry(self, book: Book, entry_id: str) -> ReviewerEntry:
        flag = flag_that_counts(book.events.get(entry_id, ()), entry_id, self._person.id)
        return ReviewerEntry(
            **self._shown(book, entry_id),
            vote=book.state(entry_id).votes.get(self._person.id),
            flag=flag.payload if flag and isinstance(flag.payload, Flag) else None,
        )

    def _revision(self, _events: Sequence[Event]) -> None:
        return None


class VerifierDesk(Desk):
    """Entries that wait for a verifier's decision, with all votes and notes, and the discussions.

    Where the round says `verifier_first`, an entry comes without them until this verifier has decided on it, or it was
    discussed. Every act names the `revision` of the entry that it rests on; OutdatedError when the entry has changed
    since, by a reviewer who took a vote back, a new message, or another verifier. Nothing is stored then.
    """

    role = "verifier"

    def queue(self, limit: int | None = None) -> list[VerifierEntry]:
        """The entries that wait for this verifier's decision, in the round's order."""
        people, own = self._people(), self._person.id
        with self._store.ledger.reading(self._round_id) as book:
            ids = [
                entry_id
                for entry_id in book.in_state("needs_verifier")
                if "decision" in allowed(book.state(entry_id), own, "verifier", book.rule)
            ]
            return [self._entry(book, entry_id, people) for entry_id in ids[:limit]]

    def entry(self, entry_id: str) -> VerifierEntry:
        """One entry, in whatever state.

        Raises:
            NotPossibleError: there is no such entry, or it is shown only to see whether reviewers repeat themselves.
        """
        self._refuse(entry_id)
        people = self._people()
        with self._store.ledger.reading(self._round_id) as book:
            return self._entry(book, entry_id, people)

    def decided(self) -> list[VerifierEntry]:
        """The entries that have a decision, consensus or exclusion of this verifier which can be taken back."""
        people, own = self._people(), self._person.id
        with self._store.ledger.reading(self._round_id) as book:
            ids = [each for state in _DECIDED for each in book.in_state(state)]
            found = [each for each in ids if _is_decided_by(book.state(each), own)]
            entries = [self._entry(book, each, people) for each in found]
        return [each for each in entries if each.may_undo]

    def last_acted(self) -> str | None:
        """The entry that this verifier acted on last; an undo without an entry applies to it."""
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
        """Send an entry to the discussion; the remark begins it. Raises as `decide` does."""
        return self._submit(entry_id, "discuss", remark, key, shown_at, seen)

    def settle(self, entry_id: str, ruling: Ruling, *, seen: int, key: str, shown_at: datetime) -> Receipt:
        """Record the consensus of a discussion. Raises as `decide` does."""
        return self._submit(entry_id, "settle", ruling, key, shown_at, seen)

    def exclude(self, entry_id: str, remark: Remark, *, seen: int, key: str, shown_at: datetime) -> Receipt:
        """Leave a discussed entry out of the dataset, for the reason remarked.

        Raises:
            SubmissionError: no reason is given.
            NotPossibleError: as `decide` does.
        """
        return self._submit(entry_id, "exclude", remark, key, shown_at, seen)

    def undo(self, entry_id: str, *, seen: int, key: str, shown_at: datetime) -> Receipt:
        """Take back the verifier's latest action on an entry: it is then as it was before. Raises as `decide` does."""
        return self._submit(entry_id, "undo", Nothing(), key, shown_at, seen)

    def _entry(self, book: Book, entry_id: str, people: Mapping[str, Person]) -> VerifierEntry:
        shown, state, events = self._shown(book, entry_id), book.state(entry_id), book.events.get(entry_id, [])
        may = allowed(state, self._person.id, "verifier", book.rule)
        blind = book.options.verifier_first and not has_seen_votes(events, self._person.id)
        if blind:
            state = _hidden(state)
        votes = [NamedVote(self._name(book, people[each]), each, vote) for each, vote in state.votes.items()]
        return VerifierEntry(
            **shown,
            state=state,
            votes=tuple(sorted(votes, key=lambda vote: (vote.name.casefold(), vote.person_id))),
            flags=tuple(NamedFlag(self._name(book, people[each]), each, flag) for each, flag in state.flags.items()),
            messages=self._said(book, state.messages, people),
            revision=self._revision(events),
            may=may,
            may_undo=undoable(events, self._person.id, book.rule) is not None,
            blind=blind,
        )

    def _revision(self, events: Sequence[Event]) -> int:
        return events[-1].id if events else 0

    def _refuse(self, entry_id: str) -> None:
        if self._store.ledger.entry(self._round_id, entry_id).kind == "repeat":
            raise NotPossibleError(f"entry {entry_id} shows another one once more; there is nothing to verify")


def _hidden(state: EntryState) -> EntryState:
    """The state as shown to a verifier who decides first: that the entry waits, and its flags."""
    flags = {person_id: replace(flag, remark="") for person_id, flag in state.flags.items()}
    return replace(state, votes={}, decisions={}, messages=(), label=None, excluded_frames=(), flags=flags)


def _is_decided_by(state: EntryState, person_id: str) -> bool:
    if state.outcome is not None:
        return state.outcome.person_id == person_id
    return person_id in state.decisions


def median_seconds(votes: Iterable[Event]) -> float | None:
    """Median seconds of votes from shown to submitted, without pauses and times that are not known; None of none.

    What was imported from a tool that knows one moment alone seems to have taken no time.
    """
    taken = [(vote.submitted_at - vote.shown_at).total_seconds() for vote in votes]
    counted = [seconds for seconds in taken if 0 < seconds <= _LONGEST_S]
    return median(counted) if counted else None
