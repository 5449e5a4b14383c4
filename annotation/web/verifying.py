"""The verifier's page under /verify: what reviewers did not settle, with all their votes and notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from annotation.errors import NotPossibleError
from annotation.events import MAX_NOTE, Choice, Remark, Ruling
from annotation.protocol import State
from annotation.verifying import NamedVote, VerifierDesk, VerifierEntry
from annotation.web.access import Session, Verifier
from annotation.web.content import Content
from annotation.web.pages import page
from annotation.web.reviewing import Submitted, require_open
from annotation.web.state import Web, web_of

router = APIRouter(prefix="/verify")

STATES: dict[State, str] = {
    "open": "has no vote yet",
    "voted": "waits for votes",
    "agreed": "reviewers agree",
    "needs_verifier": "waits for a verifier",
    "verified": "decided by a verifier",
    "in_discussion": "in discussion",
    "settled": "settled by discussion",
    "excluded": "excluded",
}
"""How an entry stands, for people."""

_WEB = Depends(web_of)
RoundId = Annotated[int, Field(ge=1, le=2**31 - 1)]
_LISTED = 40
"""Entries of the queue that are counted and listed; behind them it goes on."""


class Seen(Submitted):
    """A submission that rests on the entry as it was shown."""

    seen: int = Field(ge=0, le=2**63 - 1)


class SubmittedRuling(Seen):
    """A label."""

    label: str = Field(max_length=20)
    note: str = ""


class SubmittedRemark(Seen):
    """Why an entry goes into the discussion, or out of the dataset."""

    text: str = ""


@dataclass(frozen=True)
class ShownVote:
    """A vote as a verifier reads it."""

    name: str
    choice: Choice
    note: str
    left_out: tuple[int, ...]
    """Numbers of the frames that the reviewer would leave out."""


@router.get("")
def show(
    request: Request, session: Verifier, entry: Annotated[str | None, Query(max_length=64)] = None, web: Web = _WEB
) -> Response:
    """The page: the queue, and its first entry or the one that is asked for."""
    current = web.store.rounds.current()
    if current is None:
        text = "No round is open. When reviewers disagree in the next one, this page shows where."
        return page(request, "message.html", title="Nothing to verify", text=text)
    own = _desk(web, session, current.id)
    if entry and not in_round(web, current.id, entry):
        return of_another_round(request, own.count_discussions())
    values = _desk_values(own, web, current.id, entry)
    return page(request, "verify.html", guidelines=web.guidelines, max_note=MAX_NOTE, **values)


@router.get("/desk")
def desk(
    request: Request,
    session: Verifier,
    round: RoundId,
    entry: Annotated[str | None, Query(max_length=64)] = None,
    web: Web = _WEB,
) -> Response:
    """The same without what is around it, as it stands now."""
    require_open(web, round)
    return page(request, "desk.html", **_desk_values(_desk(web, session, round), web, round, entry))


@router.post("/decide")
def decide(given: SubmittedRuling, session: Verifier, web: Web = _WEB) -> dict[str, Any]:
    """Give an entry its label; once this answers, it is saved."""
    ruling = Ruling(given.label, given.note)  # type: ignore[arg-type]  # it checks itself
    own = _desk(web, session, given.round)
    receipt = own.decide(given.entry_id, ruling, seen=given.seen, key=given.key, shown_at=given.shown)
    return {"saved_at": receipt.submitted_at.isoformat()}


@router.post("/discuss")
def discuss(given: SubmittedRemark, session: Verifier, web: Web = _WEB) -> dict[str, Any]:
    """Send an entry to the discussion; the remark begins it."""
    own = _desk(web, session, given.round)
    receipt = own.discuss(given.entry_id, Remark(given.text), seen=given.seen, key=given.key, shown_at=given.shown)
    return {"saved_at": receipt.submitted_at.isoformat()}


@router.post("/undo")
def undo(given: Seen, session: Verifier, web: Web = _WEB) -> dict[str, Any]:
    """Take back what the verifier did last to an entry."""
    own = _desk(web, session, given.round)
    receipt = own.undo(given.entry_id, seen=given.seen, key=given.key, shown_at=given.shown)
    return {"saved_at": receipt.submitted_at.isoformat()}


def shown_votes(votes: tuple[NamedVote, ...], content: Content) -> list[ShownVote]:
    """The votes with the numbers of the frames they would leave out."""
    numbers = {frame.frame_id: frame.number for frame in content.frames}
    return [
        ShownVote(
            name=each.name,
            choice=each.vote.choice,
            note=each.vote.note,
            left_out=tuple(sorted(numbers[frame] for frame in each.vote.excluded_frames if frame in numbers)),
        )
        for each in votes
    ]


def in_round(web: Web, round_id: int, entry_id: str) -> bool:
    """The round has an entry of that id."""
    try:
        web.store.ledger.entry(round_id, entry_id)
    except NotPossibleError:
        return False
    return True


def of_another_round(request: Request, n_discussed: int) -> Response:
    """What somebody sees who kept the address of an ad for longer than its round lasted."""
    return page(
        request,
        "message.html",
        status=404,
        n_discussed=n_discussed,
        title="This ad is not in the present round",
        text="It belongs to a round that is over, or was taken out of the dataset.",
        link=("/discussion", "All discussions"),
    )


def _desk(web: Web, session: Session, round_id: int) -> VerifierDesk:
    return VerifierDesk(web.store, session.person, round_id, web.guidelines.version)


def _desk_values(own: VerifierDesk, web: Web, round_id: int, entry_id: str | None) -> dict[str, Any]:
    queue = own.queue(_LISTED)
    entry = own.entry(entry_id) if entry_id else next(iter(queue), None)
    content = web.contents.of(entry.video_id, entry.frame_ids, entry.comment_ids) if entry else None
    return {
        "round": round_id,
        "queue": queue,
        "more": len(queue) == _LISTED,
        "entry": entry,
        "content": content,
        "votes": shown_votes(entry.votes, content) if entry and content else [],
        "standing": STATES[entry.state.state] if entry else "",
        "back": _back(own),
        "n_discussed": own.count_discussions(),
    }


def _back(own: VerifierDesk) -> VerifierEntry | None:
    """The entry that an undo on this page goes back to: what was done last, unless that was done in a discussion."""
    last = own.last_acted()
    entry = own.entry(last) if last is not None else None
    # a discussion that goes on is taken back there, where one sees what the others wrote
    begun_here = entry is not None and (entry.state.state != "in_discussion" or len(entry.messages) <= 1)
    closed = entry is not None and entry.state.state in ("settled", "excluded")
    return entry if entry is not None and entry.may_undo and begun_here and not closed else None
