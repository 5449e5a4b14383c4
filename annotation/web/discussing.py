"""The discussions under /discussion: reviewers and verifiers write, a verifier records what comes of it.

A reviewer sees what was written and their own vote; how the others voted they learn from what those write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from annotation.errors import NotPossibleError, RoundClosedError, SubmissionError, WithdrawnError
from annotation.events import MAX_MESSAGE, MAX_NOTE, Remark, Ruling, Vote
from annotation.reviewing import ReviewerDesk, Thread
from annotation.threads import Said
from annotation.verifying import VerifierDesk, VerifierEntry
from annotation.web.access import Session, Verifier, role
from annotation.web.pages import page
from annotation.web.reviewing import Submitted
from annotation.web.state import Web, web_of
from annotation.web.verifying import (
    STATES,
    RoundId,
    Seen,
    SubmittedRemark,
    SubmittedRuling,
    in_round,
    of_another_round,
    shown_votes,
)

router = APIRouter(prefix="/discussion")

Discussing = Annotated[Session, Depends(role("reviewer", "verifier"))]

_WEB = Depends(web_of)
_LISTED = 50
"""Discussions on one page; when some are settled, others come up."""


class SubmittedMessage(Submitted):
    """Something that is said."""

    text: str


@dataclass(frozen=True)
class Talk:
    """A discussion as whoever looks may see it."""

    entry_id: str
    video_id: str
    frame_ids: tuple[str, ...]
    comment_ids: tuple[str, ...]
    messages: tuple[Said, ...]
    open: bool
    own: Vote | None
    """The reviewer's own vote."""
    entry: VerifierEntry | None
    """With votes and state: for a verifier's eyes."""

    @property
    def may_undo(self) -> bool:
        """There is something of one's own to take back."""
        if self.entry is not None:
            return self.entry.may_undo
        return self.open and any(message.own for message in self.messages)


@router.get("")
def show(request: Request, session: Discussing, web: Web = _WEB) -> Response:
    """All discussions that go on."""
    current = web.store.rounds.current()
    if current is None:
        text = "No round is open, so there is nothing to discuss."
        return page(request, "message.html", title="No discussion", text=text)
    desk = _desk(web, session, current.id)
    talks = [_as_talk(each) for each in desk.discussions()]
    shown = [(talk, web.contents.of(talk.video_id, talk.frame_ids, talk.comment_ids)) for talk in talks[:_LISTED]]
    more = len(talks) - len(shown)
    return page(request, "discussions.html", n_discussed=desk.count_discussions(), talks=shown, more=more)


@router.get("/{entry_id}")
def one(request: Request, entry_id: str, session: Discussing, web: Web = _WEB) -> Response:
    """One discussion beside what it is about."""
    current = web.store.rounds.current()
    if current is None:
        return show(request, session, web)
    desk = _desk(web, session, current.id)
    if not in_round(web, current.id, entry_id):
        return of_another_round(request, desk.count_discussions())
    talk = _talk(desk, entry_id)
    content = web.contents.of(talk.video_id, talk.frame_ids, talk.comment_ids)
    return page(
        request,
        "discussion.html",
        round=current.id,
        content=content,
        votes=shown_votes(talk.entry.votes, content) if talk.entry else [],
        guidelines=web.guidelines,
        max_note=MAX_NOTE,
        max_message=MAX_MESSAGE,
        **_thread_values(desk, talk),
    )


@router.get("/{entry_id}/thread")
def thread(request: Request, entry_id: str, round: RoundId, session: Discussing, web: Web = _WEB) -> Response:
    """What was said, and how it stands: a page asks again and again, and what is being typed stays."""
    desk = _desk(web, session, round)
    return page(request, "thread.html", **_thread_values(desk, _talk(desk, entry_id)))


@router.post("/message")
def message(given: SubmittedMessage, session: Discussing, web: Web = _WEB) -> dict[str, Any]:
    """Say something."""
    if not given.text.strip():
        raise SubmissionError("there is nothing in the message yet")
    desk = _desk(web, session, given.round)
    try:
        receipt = desk.write(given.entry_id, given.text, key=given.key, shown_at=given.shown)
    except NotPossibleError as error:
        raise _blind(error, "this ad is not discussed (any more); your message was not saved") from error
    return {"saved_at": receipt.submitted_at.isoformat()}


@router.post("/settle")
def settle(given: SubmittedRuling, session: Verifier, web: Web = _WEB) -> dict[str, Any]:
    """Record the consensus."""
    ruling = Ruling(given.label, given.note)  # type: ignore[arg-type]  # it checks itself
    desk = _verifier(web, session, given.round)
    receipt = desk.settle(given.entry_id, ruling, seen=given.seen, key=given.key, shown_at=given.shown)
    return {"saved_at": receipt.submitted_at.isoformat()}


@router.post("/exclude")
def exclude(given: SubmittedRemark, session: Verifier, web: Web = _WEB) -> dict[str, Any]:
    """Leave the ad out of the dataset."""
    desk = _verifier(web, session, given.round)
    receipt = desk.exclude(given.entry_id, Remark(given.text), seen=given.seen, key=given.key, shown_at=given.shown)
    return {"saved_at": receipt.submitted_at.isoformat()}


@router.post("/undo")
def undo(given: Seen, session: Verifier, web: Web = _WEB) -> dict[str, Any]:
    """Take back what the verifier did last: a message, the consensus, the exclusion, or calling the discussion."""
    desk = _verifier(web, session, given.round)
    receipt = desk.undo(given.entry_id, seen=given.seen, key=given.key, shown_at=given.shown)
    return {"saved_at": receipt.submitted_at.isoformat()}


@router.post("/unsay")
def unsay(given: Submitted, session: Discussing, web: Web = _WEB) -> dict[str, Any]:
    """Take back a reviewer's latest message."""
    desk = ReviewerDesk(web.store, session.person, given.round, web.guidelines.version)
    try:
        # outside a discussion the latest thing could be a vote, which is taken back where it was given
        if not desk.thread(given.entry_id).open:
            raise NotPossibleError("it is over")
        receipt = desk.undo(given.entry_id, key=given.key, shown_at=given.shown)
    except NotPossibleError as error:
        raise _blind(error, "this cannot be taken back any more") from error
    return {"saved_at": receipt.submitted_at.isoformat()}


def _verifier(web: Web, session: Session, round_id: int) -> VerifierDesk:
    return VerifierDesk(web.store, session.person, round_id, web.guidelines.version)


def _desk(web: Web, session: Session, round_id: int) -> ReviewerDesk | VerifierDesk:
    made = VerifierDesk if session.person.role == "verifier" else ReviewerDesk
    return made(web.store, session.person, round_id, web.guidelines.version)


def _talk(desk: ReviewerDesk | VerifierDesk, entry_id: str) -> Talk:
    """One discussion, going on or over.

    Raises:
        NotPossibleError: the ad was never discussed; how it stands instead is not said.
    """
    talk = _as_talk(desk.thread(entry_id) if isinstance(desk, ReviewerDesk) else desk.entry(entry_id))
    over = talk.messages or (talk.entry is not None and talk.entry.state.state in ("settled", "excluded"))
    if not talk.open and not over:
        raise NotPossibleError("this ad is not being discussed")
    return talk


def _as_talk(found: Thread | VerifierEntry) -> Talk:
    entry = found if isinstance(found, VerifierEntry) else None
    return Talk(
        entry_id=found.entry_id,
        video_id=found.video_id,
        frame_ids=found.frame_ids,
        comment_ids=found.comment_ids,
        messages=found.messages,
        open=found.open if isinstance(found, Thread) else found.state.state == "in_discussion",
        own=found.vote if isinstance(found, Thread) else None,
        entry=entry,
    )


def _thread_values(desk: ReviewerDesk | VerifierDesk, talk: Talk) -> dict[str, Any]:
    standing = STATES[talk.entry.state.state] if talk.entry else ""
    return {"talk": talk, "standing": standing, "n_discussed": desk.count_discussions()}


def _blind(error: NotPossibleError, text: str) -> NotPossibleError:
    """The refusal without the entry's state, which would say something about the others."""
    return error if isinstance(error, RoundClosedError | WithdrawnError) else NotPossibleError(text)
