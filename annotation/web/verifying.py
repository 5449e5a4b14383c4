"""The verifier's page under /verify: what reviewers did not settle, with all their votes and notes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from annotation.desks import VerifierDesk, VerifierEntry
from annotation.events import MAX_NOTE, Remark, Ruling
from annotation.web.forms import (
    FLAGS,
    STATES,
    RoundId,
    Seen,
    SubmittedRemark,
    SubmittedRuling,
    content_of,
    in_round,
    of_another_round,
    require_open,
    saved,
    saved_and_told,
    shown_votes,
    verifier_desk,
)
from annotation.web.pages import guidelines_of, page
from annotation.web.sessions import Verifier
from annotation.web.state import Server, Web

router = APIRouter(prefix="/verify")

_DECISIONS = 200
"""Decisions on one page."""
_LISTED = 40
"""Entries of the queue that are counted and listed; behind them it goes on."""
_EntryId = Annotated[str | None, Query(max_length=64)]


@router.get("")
def show(request: Request, session: Verifier, web: Server, entry: _EntryId = None) -> Response:
    """The page: the queue, and its first entry or the one that is asked for."""
    current = web.store.rounds.current()
    if current is None:
        text = "No round is open. When reviewers disagree in the next one, this page shows where."
        return page(request, "message.html", title="Nothing to verify", text=text)
    own = verifier_desk(web, session, current.id)
    if entry and not in_round(web, current.id, entry):
        return of_another_round(request)
    values = _desk_values(own, web, current.id, entry)
    return page(
        request,
        "verify.html",
        options=current.options,
        guidelines=guidelines_of(current.options),
        max_note=MAX_NOTE,
        **values,
    )


@router.get("/decided")
def decided(request: Request, session: Verifier, web: Server) -> Response:
    """Decisions, consensuses and exclusions of this verifier, which can be taken back until the round is closed."""
    current = web.store.rounds.current()
    if current is None:
        text = "No round is open, and what was decided in a closed one stays."
        return page(request, "message.html", title="Nothing to take back", text=text)
    own = verifier_desk(web, session, current.id)
    entries = own.decided()
    shown = [(entry, content_of(web, entry)) for entry in entries[:_DECISIONS]]
    more = len(entries) - len(shown)
    return page(request, "decided.html", entries=shown, more=more)


@router.get("/desk")
def desk(request: Request, session: Verifier, round: RoundId, web: Server, entry: _EntryId = None) -> Response:
    """The same without what is around it, as it stands now."""
    require_open(web, round)
    return page(request, "desk.html", **_desk_values(verifier_desk(web, session, round), web, round, entry))


@router.post("/decide")
def decide(given: SubmittedRuling, session: Verifier, web: Server) -> dict[str, Any]:
    """Give an entry its label; once this answers, it is saved."""
    ruling = Ruling(given.label, given.note)  # type: ignore[arg-type]  # it checks itself
    return saved_and_told(web, given, verifier_desk(web, session, given.round).decide(ruling=ruling, **given.told()))


@router.post("/discuss")
def discuss(given: SubmittedRemark, session: Verifier, web: Server) -> dict[str, Any]:
    """Send an entry to the discussion; the remark begins it."""
    return saved_and_told(
        web, given, verifier_desk(web, session, given.round).discuss(remark=Remark(given.text), **given.told())
    )


@router.post("/undo")
def undo(given: Seen, session: Verifier, web: Server) -> dict[str, Any]:
    """Take back the verifier's last action on an entry."""
    return saved(verifier_desk(web, session, given.round).undo(**given.told()))


def _desk_values(own: VerifierDesk, web: Web, round_id: int, entry_id: str | None) -> dict[str, Any]:
    queue = own.queue(_LISTED)
    entry = own.entry(entry_id) if entry_id else next(iter(queue), None)
    content = content_of(web, entry) if entry else None
    return {
        "round": round_id,
        "queue": queue,
        "more": len(queue) == _LISTED,
        "entry": entry,
        "content": content,
        "flag_texts": FLAGS,
        "flags": entry.flags if entry else (),
        "votes": shown_votes(entry.votes, content) if entry and content else [],
        "state_text": STATES[entry.state.state] if entry else "",
        "back": entry if entry and _can_be_taken_back(entry) else _back(own),
    }


def _can_be_taken_back(entry: VerifierEntry) -> bool:
    """The entry that is shown has a decision of the verifier's own, however long ago it was made."""
    return entry.may_undo and entry.state.state in ("needs_verifier", "verified")


def _back(own: VerifierDesk) -> VerifierEntry | None:
    """The entry that an undo on this page goes back to: the last action, unless it was done in a discussion."""
    last = own.last_acted()
    if last is None:
        return None
    entry = own.entry(last)
    # a discussion that goes on is taken back there, where one sees what the others wrote
    elsewhere = entry.state.state == "in_discussion" and len(entry.messages) > 1
    closed = entry.state.state in ("settled", "excluded")
    return entry if entry.may_undo and not elsewhere and not closed else None
