"""The discussions under /discussion: everybody sees the votes, writes and says what they think now; a verifier records
what comes of it.

A discussion can be read while it goes on, and afterwards by those who took part in it, when its round is closed, too.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from annotation.desks import Desk, Thread
from annotation.errors import NotPossibleError, SubmissionError
from annotation.events import CHOICES, MAX_MESSAGE, MAX_NOTE, Remark, Ruling, Stance
from annotation.web.content import Content
from annotation.web.forms import (
    FLAGS,
    STATES,
    RoundId,
    Seen,
    Submitted,
    SubmittedMark,
    SubmittedMessage,
    SubmittedRemark,
    SubmittedRuling,
    SubmittedStance,
    blind,
    content_of,
    in_round,
    of_another_round,
    own_desk,
    reviewer_desk,
    saved,
    saved_and_told,
    shown_position,
    verifier_desk,
)
from annotation.web.pages import guidelines_of, page
from annotation.web.sessions import Session, Verifier, role
from annotation.web.state import Server
from annotation.web.texts import to_translate

router = APIRouter(prefix="/discussion")

Discussing = Annotated[Session, Depends(role("reviewer", "verifier"))]

_LISTED = 50
"""Discussions on one page; when some are settled, others come up."""


@router.get("")
def show(request: Request, session: Discussing, web: Server) -> Response:
    """All discussions of the open round that one may read; without one, those of the newest."""
    rounds = web.store.rounds.all()
    if not rounds:
        return page(request, "message.html", title="No discussion", text="No round was opened yet.")
    shown = web.store.rounds.current() or rounds[-1]
    desk = own_desk(web, session, shown.id)
    # one that the round's end cut off is judged again, alone, and stays shut until then
    talks = [talk for talk in desk.discussions() if shown.is_open or not talk.open]
    listed = [(talk, content_of(web, talk)) for talk in talks[:_LISTED]]
    return page(
        request,
        "discussions.html",
        round=shown,
        talks=listed,
        more=len(talks) - len(listed),
    )


@router.get("/{entry_id}")
def one(request: Request, entry_id: str, session: Discussing, web: Server) -> Response:
    """One discussion beside what it is about, of the open round or of an earlier one."""
    found = next((each for each in reversed(web.store.rounds.all()) if in_round(web, each.id, entry_id)), None)
    if found is None:
        return of_another_round(request)
    desk = own_desk(web, session, found.id)
    talk = desk.thread(entry_id)
    if talk.open and not found.is_open:
        return of_another_round(request)
    content = content_of(web, talk)
    return page(
        request,
        "discussion.html",
        round=found.id,
        is_over=not found.is_open,
        content=content,
        guidelines=guidelines_of(found.options),
        max_note=MAX_NOTE,
        max_message=MAX_MESSAGE,
        **_thread_values(desk, talk, content),
    )


@router.get("/{entry_id}/thread")
def thread(request: Request, entry_id: str, round: RoundId, session: Discussing, web: Server) -> Response:
    """The messages and the state: a page asks again and again, and what is being typed stays."""
    desk = own_desk(web, session, round)
    talk = desk.thread(entry_id)
    return page(request, "thread.html", **_thread_values(desk, talk, content_of(web, talk)))


@router.post("/read")
def read(given: SubmittedMark, session: Discussing, web: Server) -> dict[str, Any]:
    """Remember how far the discussion was read, on whatever device."""
    desk = own_desk(web, session, given.round)
    desk.mark_read(given.entry_id, given.said)
    return {"unread": desk.count_unread()}


@router.post("/message")
def message(given: SubmittedMessage, session: Discussing, web: Server) -> dict[str, Any]:
    """Say something."""
    if not given.text.strip():
        raise SubmissionError(to_translate("There is nothing in the message yet."))
    try:
        return saved_and_told(web, given, own_desk(web, session, given.round).write(text=given.text, **given.told()))
    except NotPossibleError as error:
        raise blind(error, to_translate("This ad is not discussed any more; your message was not saved.")) from error


@router.post("/stance")
def stance(given: SubmittedStance, session: Discussing, web: Server) -> dict[str, Any]:
    """Say what one thinks now."""
    taken = Stance(given.choice)  # type: ignore[arg-type]  # it checks itself
    try:
        return saved_and_told(web, given, own_desk(web, session, given.round).take_stance(stance=taken, **given.told()))
    except NotPossibleError as error:
        raise blind(error, to_translate("This ad is not discussed any more; nothing was saved.")) from error


@router.post("/settle")
def settle(given: SubmittedRuling, session: Verifier, web: Server) -> dict[str, Any]:
    """Record the consensus."""
    ruling = Ruling(given.label, given.note)  # type: ignore[arg-type]  # it checks itself
    return saved_and_told(web, given, verifier_desk(web, session, given.round).settle(ruling=ruling, **given.told()))


@router.post("/exclude")
def exclude(given: SubmittedRemark, session: Verifier, web: Server) -> dict[str, Any]:
    """Leave the ad out of the dataset, for a reason."""
    return saved_and_told(
        web, given, verifier_desk(web, session, given.round).exclude(remark=Remark(given.text), **given.told())
    )


@router.post("/undo")
def undo(given: Seen, session: Verifier, web: Server) -> dict[str, Any]:
    """Take back the verifier's last action: a message, the consensus, the exclusion, or calling the discussion."""
    return saved(verifier_desk(web, session, given.round).undo(**given.told()))


@router.post("/unsay")
def unsay(given: Submitted, session: Discussing, web: Server) -> dict[str, Any]:
    """Take back a reviewer's latest message or stance."""
    desk = reviewer_desk(web, session, given.round)
    try:
        # outside a discussion the latest thing could be a vote, which is taken back where it was given
        if not desk.thread(given.entry_id).open:
            raise NotPossibleError("it is over")
        return saved(desk.undo(**given.told()))
    except NotPossibleError as error:
        raise blind(error, to_translate("This cannot be taken back any more.")) from error


def _thread_values(desk: Desk, talk: Thread, content: Content) -> dict[str, Any]:
    now = Counter(position.now for position in talk.positions)
    return {
        "talk": talk,
        "flag_texts": FLAGS,
        "positions": [shown_position(position, content) for position in talk.positions],
        "tally": [(choice, now[choice]) for choice in CHOICES if now[choice]],
        "own": next((position.now for position in talk.positions if position.own), None),
        "choices": CHOICES,
        "state_text": STATES[talk.state],
        "n_discussed": desk.count_discussions(),
        "n_unread": desk.count_unread(),
    }
