"""The discussions under /discussion: reviewers and verifiers write, a verifier records what comes of it.

A reviewer sees what was written and their own vote; how the others voted they learn from what those write.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from annotation.desks import Desk, Thread
from annotation.errors import NotPossibleError, SubmissionError
from annotation.events import MAX_MESSAGE, MAX_NOTE, Remark, Ruling
from annotation.web.forms import (
    FLAGS,
    STATES,
    RoundId,
    Seen,
    Submitted,
    SubmittedMessage,
    SubmittedRemark,
    SubmittedRuling,
    blind,
    content_of,
    in_round,
    of_another_round,
    own_desk,
    reviewer_desk,
    saved,
    shown_votes,
    verifier_desk,
)
from annotation.web.pages import page
from annotation.web.sessions import Session, Verifier, role
from annotation.web.state import Server

router = APIRouter(prefix="/discussion")

Discussing = Annotated[Session, Depends(role("reviewer", "verifier"))]

_LISTED = 50
"""Discussions on one page; when some are settled, others come up."""


@router.get("")
def show(request: Request, session: Discussing, web: Server) -> Response:
    """All discussions that go on."""
    current = web.store.rounds.current()
    if current is None:
        text = "No round is open, so there is nothing to discuss."
        return page(request, "message.html", title="No discussion", text=text)
    desk = own_desk(web, session, current.id)
    talks = desk.discussions()
    shown = [(talk, content_of(web, talk)) for talk in talks[:_LISTED]]
    more = len(talks) - len(shown)
    return page(request, "discussions.html", n_discussed=desk.count_discussions(), talks=shown, more=more)


@router.get("/{entry_id}")
def one(request: Request, entry_id: str, session: Discussing, web: Server) -> Response:
    """One discussion beside what it is about."""
    current = web.store.rounds.current()
    if current is None:
        return show(request, session, web)
    desk = own_desk(web, session, current.id)
    if not in_round(web, current.id, entry_id):
        return of_another_round(request, desk.count_discussions())
    talk = _discussed(desk, entry_id)
    content = content_of(web, talk)
    return page(
        request,
        "discussion.html",
        round=current.id,
        content=content,
        flag_texts=FLAGS,
        flags=talk.entry.flags if talk.entry else (),
        votes=shown_votes(talk.entry.votes, content) if talk.entry else [],
        guidelines=web.guidelines,
        max_note=MAX_NOTE,
        max_message=MAX_MESSAGE,
        **_thread_values(desk, talk),
    )


@router.get("/{entry_id}/thread")
def thread(request: Request, entry_id: str, round: RoundId, session: Discussing, web: Server) -> Response:
    """The messages and the state: a page asks again and again, and what is being typed stays."""
    desk = own_desk(web, session, round)
    return page(request, "thread.html", **_thread_values(desk, _discussed(desk, entry_id)))


@router.post("/message")
def message(given: SubmittedMessage, session: Discussing, web: Server) -> dict[str, Any]:
    """Say something."""
    if not given.text.strip():
        raise SubmissionError("there is nothing in the message yet")
    try:
        return saved(own_desk(web, session, given.round).write(text=given.text, **given.told()))
    except NotPossibleError as error:
        raise blind(error, "this ad is not discussed (any more); your message was not saved") from error


@router.post("/settle")
def settle(given: SubmittedRuling, session: Verifier, web: Server) -> dict[str, Any]:
    """Record the consensus."""
    ruling = Ruling(given.label, given.note)  # type: ignore[arg-type]  # it checks itself
    return saved(verifier_desk(web, session, given.round).settle(ruling=ruling, **given.told()))


@router.post("/exclude")
def exclude(given: SubmittedRemark, session: Verifier, web: Server) -> dict[str, Any]:
    """Leave the ad out of the dataset."""
    return saved(verifier_desk(web, session, given.round).exclude(remark=Remark(given.text), **given.told()))


@router.post("/undo")
def undo(given: Seen, session: Verifier, web: Server) -> dict[str, Any]:
    """Take back the verifier's last action: a message, the consensus, the exclusion, or calling the discussion."""
    return saved(verifier_desk(web, session, given.round).undo(**given.told()))


@router.post("/unsay")
def unsay(given: Submitted, session: Discussing, web: Server) -> dict[str, Any]:
    """Take back a reviewer's latest message."""
    desk = reviewer_desk(web, session, given.round)
    try:
        # outside a discussion the latest thing could be a vote, which is taken back where it was given
        if not desk.thread(given.entry_id).open:
            raise NotPossibleError("it is over")
        return saved(desk.undo(**given.told()))
    except NotPossibleError as error:
        raise blind(error, "this cannot be taken back any more") from error


def _discussed(desk: Desk, entry_id: str) -> Thread:
    """One discussion, going on or over.

    Raises:
        NotPossibleError: the ad was never discussed; how it stands instead is not said.
    """
    talk = desk.thread(entry_id)
    over = talk.messages or (talk.entry is not None and talk.entry.state.state in ("settled", "excluded"))
    if not talk.open and not over:
        raise NotPossibleError("this ad is not being discussed")
    return talk


def _thread_values(desk: Desk, talk: Thread) -> dict[str, Any]:
    state_text = STATES[talk.entry.state.state] if talk.entry else ""
    return {"talk": talk, "state_text": state_text, "n_discussed": desk.count_discussions()}
