"""Five reviewers, one verifier, one discussion: from events to an entry's state. Pure, no I/O.

An entry's state is a fold over its events. What was undone counts as never done, of a person's votes the last one
counts, and the votes of different people may come in any order. `open` and `voted` wait for votes; when all are in,
the rule either settles the entry (`agreed`) or hands it to the verifier (`needs_verifier`). The verifier decides
(`verified`) or sends it to the discussion (`in_discussion`), from where it comes back `settled` or `excluded`.
An entry that a reviewer flags goes to the verifier even where the votes agree. A discussion shows everybody the votes:
from then on they stay as they are, and its entry is not asked once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from annotation.events import Choice, Event, Flag, Kind, Remark, Ruling, Stance, Vote
from data_catalog.schemas import Label

DecidedBy = Literal["comments", "reviewers", "verifier", "discussion"]
"""Who decided the label; `comments` means that nobody reviewed it."""

State = Literal["open", "voted", "agreed", "needs_verifier", "verified", "in_discussion", "settled", "excluded"]
FINAL: frozenset[State] = frozenset({"agreed", "verified", "settled", "excluded"})
"""States of which nothing more is expected."""

Role = Literal["reviewer", "verifier", "admin"]

_DECIDED_BY: dict[State, DecidedBy] = {"agreed": "reviewers", "verified": "verifier", "settled": "discussion"}
FLAG_KINDS: frozenset[Kind] = frozenset({"flag", "unflag"})
"""Events that say whether something is wrong with an entry; an undo does not concern them."""
_TAKES_BACK: frozenset[Kind] = frozenset({"undo", "unflag"})
_BEFORE_THE_VERIFIER: frozenset[State] = frozenset({"open", "voted", "agreed", "needs_verifier"})


@dataclass(frozen=True)
class Decision:
    """The settled label of one ad and how it came about."""

    label: Label
    decided_by: DecidedBy
    n_reviewers: int
    agreement: float | None
    """Share of the reviewers who chose the label; None where nobody reviewed it."""


@dataclass(frozen=True)
class Rule:
    """The numbers of people, and when reviewers agree; the defaults are the paper's.

    Under both rules a single `uncertain` goes to the verifier. `majority`: more votes for one label than for the
    other; a tie goes to the verifier. `unanimity`: all votes for one label.
    """

    n_reviewers: int = 5
    n_verifiers: int = 1
    """Decisions that an entry needs. Verifiers who decide differently send it to the discussion."""
    agreement: Literal["majority", "unanimity"] = "majority"

    def __post_init__(self) -> None:
        if self.n_reviewers < 1 or self.n_verifiers < 1:
            raise ValueError(f"{self.n_reviewers} reviewers and {self.n_verifiers} verifiers; at least one of each")
        if self.agreement not in ("majority", "unanimity"):
            raise ValueError(f"agreement {self.agreement!r}; expected majority or unanimity")


@dataclass(frozen=True)
class Message:
    """A message in the discussion, a stance, the reason for sending the entry there, or what came of it."""

    person_id: str
    text: str
    at: datetime
    choice: Choice | None = None
    """Of a stance."""


@dataclass(frozen=True)
class EntryState:
    """The state of an entry; equal states are equal whatever the order of the votes."""

    state: State
    votes: Mapping[str, Vote]
    """Each reviewer's vote that counts, by person."""
    flags: Mapping[str, Flag]
    """Flags that reviewers did not take back, by person."""
    decisions: Mapping[str, Ruling]
    """Each verifier's decision that counts, by person."""
    messages: tuple[Message, ...]
    """Messages and stances, in their order."""
    stances: Mapping[str, Choice]
    """Latest stances in the discussion, by person; people without a stance are left out."""
    label: Label | None
    """The label it comes to; None while that is open, and when it is excluded."""
    excluded_frames: tuple[str, ...]
    """Frames that more than half of its reviewers excluded; half of the rule's number while votes are missing."""
    outcome: Message | None = None
    """Who recorded the consensus or the exclusion, when, and with which note or reason."""
    revealed: bool = field(default=False, compare=False)
    """Reviewers were shown each other's votes. Taking the discussion back does not undo that."""

    @property
    def note(self) -> str:
        """The verifier's note on the consensus or the exclusion."""
        return self.outcome.text if self.outcome else ""

    @property
    def final(self) -> bool:
        """Nothing more is expected."""
        return self.state in FINAL

    @property
    def decision(self) -> Decision | None:
        """The label with how it came about; None without one."""
        if self.label is None:
            return None
        return Decision(
            label=self.label,
            decided_by=_DECIDED_BY[self.state],
            n_reviewers=len(self.votes),
            agreement=sum(vote.choice == self.label for vote in self.votes.values()) / len(self.votes)
            if self.votes
            else None,
        )


def accept_comments(label: Label) -> Decision:
    """Policy `auto`: the label that the comments' scores give stands, and nobody reviewed it."""
    return Decision(label=label, decided_by="comments", n_reviewers=0, agreement=None)


def fold(events: Iterable[Event], rule: Rule) -> EntryState:
    """Fold one entry's events, in the order of the log, into its state."""
    events = list(events)
    live = live_events(events)
    votes = {event.person_id: event.payload for event in live if isinstance(event.payload, Vote)}
    flags = {event.person_id: event.payload for event in live if isinstance(event.payload, Flag)}
    decisions: dict[str, Ruling] = {}
    messages: list[Message] = []
    stances: dict[str, Choice] = {}
    closing: Event | None = None
    for event in live:
        if event.kind == "decision" and isinstance(event.payload, Ruling):
            decisions[event.person_id] = event.payload
        elif event.kind in ("settle", "exclude"):
            closing = event
        elif isinstance(event.payload, Stance):
            stances[event.person_id] = event.payload.choice
            messages.append(Message(event.person_id, "", event.submitted_at, event.payload.choice))
        elif isinstance(event.payload, Remark) and event.payload.text:
            messages.append(Message(event.person_id, event.payload.text, event.submitted_at))
    state, label = _after_votes(votes, rule)
    if state == "agreed" and flags:
        state, label = "needs_verifier", None
    if decisions:
        state, label = _after_decisions(decisions, rule)
    if any(event.kind == "discuss" for event in live):
        state, label = "in_discussion", None
    outcome = None
    if closing is not None:
        ruling = closing.payload if isinstance(closing.payload, Ruling) else None
        state, label = ("settled", ruling.label) if ruling else ("excluded", None)
        note = ruling.note if ruling else getattr(closing.payload, "text", "")
        outcome = Message(closing.person_id, note, closing.submitted_at)
    return EntryState(
        state=state,
        votes=votes,
        flags=flags,
        decisions=decisions,
        messages=tuple(messages),
        stances=stances,
        label=label,
        excluded_frames=_excluded_frames(votes, rule),
        outcome=outcome,
        revealed=_was_discussed(events),
    )


def by_entry(events: Iterable[Event]) -> dict[str, list[Event]]:
    """The events of each entry, in their order."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.entry_id, []).append(event)
    return found


def live_events(events: Iterable[Event]) -> list[Event]:
    """The events that were not taken back, without those that take something back."""
    events = list(events)
    # of votes that replace each other all stay, so that an undo brings back the one before; of flags the last
    gone = {event.supersedes for event in events if event.kind in _TAKES_BACK or event.kind == "flag"}
    return [event for event in events if event.kind not in _TAKES_BACK and event.id not in gone]


def flag_that_counts(events: Iterable[Event], entry_id: str, person_id: str) -> Event | None:
    """The person's flag on that very entry; None if there is none, or it was taken back."""
    own = (event for event in live_events(events) if event.kind == "flag" and event.person_id == person_id)
    return next((event for event in own if event.entry_id == entry_id), None)


def votes_that_count(events: Iterable[Event]) -> dict[str, Event]:
    """Of each person who voted on an entry the vote that counts, by its events."""
    return {event.person_id: event for event in live_events(events) if event.kind == "vote"}


def allowed(state: EntryState, person_id: str, role: Role, rule: Rule) -> frozenset[Kind]:
    """The kinds of events that a person may add to an entry next; for `undo` ask `undoable`, which needs the events."""
    kinds: set[Kind] = set()
    if role == "reviewer":
        # a verifier's decision ends the voting; until then a vote may be changed, and one too many is not taken
        missing = person_id in state.votes or len(state.votes) < rule.n_reviewers
        if _takes_votes(state):
            if missing:
                kinds |= {"vote", "flag"}
            if person_id in state.flags:
                kinds.add("unflag")
    if role == "verifier":
        if state.state == "needs_verifier":
            kinds.add("discuss")
            if person_id not in state.decisions:
                kinds.add("decision")
        if state.state == "in_discussion":
            kinds |= {"settle", "exclude"}
    if role in ("reviewer", "verifier") and state.state == "in_discussion":
        kinds |= {"message", "stance"}
    return frozenset(kinds)


def undoable(events: Iterable[Event], person_id: str, rule: Rule) -> Event | None:
    """The event that an undo of this person would take back: their latest, if the entry has not gone on since.

    A vote can be taken back until a verifier has acted, from `agreed` and `needs_verifier` too: the entry then waits
    for votes again, as before it. A decision can be taken back until the discussion was called, calling it until it
    is settled, a message and a stance while it goes on; the consensus and an exclusion until the round is closed.
    """
    events = list(events)
    live = live_events(events)
    own = [event for event in live if event.person_id == person_id and event.kind not in FLAG_KINDS]
    if not own:
        return None
    state = fold(events, rule)
    gone_on = {
        "vote": not _takes_votes(state),
        "decision": state.state in ("settled", "excluded") or any(event.kind == "discuss" for event in live),
        "discuss": state.state != "in_discussion",
        "message": state.state != "in_discussion",
        "stance": state.state != "in_discussion",
    }
    return None if gone_on.get(own[-1].kind, False) else own[-1]


def has_seen_votes(events: Iterable[Event], person_id: str) -> bool:
    """Whether a verifier who has to decide before seeing the votes has seen them, by deciding or in a discussion.

    Taking a decision back does not undo that.
    """
    events = list(events)
    own = any(event.kind == "decision" and event.person_id == person_id for event in events)
    return own or _was_discussed(events)


def is_blind(events: Iterable[Event], decision: Event) -> bool:
    """Whether a decision was made before its verifier could see the votes, in a round that hides them until then."""
    return not has_seen_votes([event for event in events if event.id < decision.id], decision.person_id)


def _takes_votes(state: EntryState) -> bool:
    """Votes may come, change and be taken back: no verifier has acted, and nobody has seen the others' votes."""
    return state.state in _BEFORE_THE_VERIFIER and not state.decisions and not state.revealed


def _was_discussed(events: list[Event]) -> bool:
    """Whether the discussion was ever open, even if that was taken back."""

    def opened(count: int) -> bool:
        live = live_events(events[:count])
        decisions = {event.person_id: event.payload for event in live if event.kind == "decision"}
        labels = {each.label for each in decisions.values() if isinstance(each, Ruling)}
        return len(labels) > 1 or any(event.kind == "discuss" for event in live)

    return any(opened(count) for count, event in enumerate(events, 1) if event.kind in ("discuss", "decision"))


def _after_votes(votes: Mapping[str, Vote], rule: Rule) -> tuple[State, Label | None]:
    if len(votes) < rule.n_reviewers:
        return ("voted" if votes else "open"), None
    counts = Counter(vote.choice for vote in votes.values())
    positive, negative = counts["positive"], counts["negative"]
    split = positive == negative if rule.agreement == "majority" else bool(positive and negative)
    if counts["uncertain"] or split:
        return "needs_verifier", None
    return "agreed", "positive" if positive > negative else "negative"


def _after_decisions(decisions: Mapping[str, Ruling], rule: Rule) -> tuple[State, Label | None]:
    labels = {ruling.label for ruling in decisions.values()}
    if len(labels) > 1:
        return "in_discussion", None
    if len(decisions) < rule.n_verifiers:
        return "needs_verifier", None
    return "verified", labels.pop()


def _excluded_frames(votes: Mapping[str, Vote], rule: Rule) -> tuple[str, ...]:
    counts = Counter(frame for vote in votes.values() for frame in vote.excluded_frames)
    reviewers = max(len(votes), rule.n_reviewers)
    return tuple(sorted(frame for frame, count in counts.items() if 2 * count > reviewers))
