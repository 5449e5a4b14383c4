"""The end of the open round under /round: how long until then, who holds it, and who has something in hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from annotation.ending import read_ending
from annotation.web.forms import RoundId, require_open
from annotation.web.sessions import Session, SignedIn, role
from annotation.web.state import Server, Web

router = APIRouter(prefix="/round")

_Overseer = Annotated[Session, Depends(role("verifier", "admin"))]


class OfRound(BaseModel):
    """The round that a page means."""

    model_config = ConfigDict(extra="forbid")

    round: RoundId


@router.get("/end")
def end(session: SignedIn, web: Server) -> dict[str, Any]:
    """State of the open round's end."""
    return _told(web, session)


@router.post("/hands")
def hands(given: OfRound, session: SignedIn, web: Server) -> dict[str, Any]:
    """Somebody is in the middle of something: the round stays open for a little longer."""
    require_open(web, given.round)
    web.store.endings.has_in_hand(given.round, session.person.id)
    return _told(web, session)


@router.post("/hold")
def hold(given: OfRound, session: _Overseer, web: Server) -> dict[str, Any]:
    """Keep the round open."""
    require_open(web, given.round)
    web.store.endings.hold(given.round, session.person.id)
    return _told(web, session)


@router.post("/resume")
def resume(given: OfRound, session: _Overseer, web: Server) -> dict[str, Any]:
    """Let the round end after all."""
    require_open(web, given.round)
    web.store.endings.resume(given.round)
    return _told(web, session)


def _told(web: Web, session: Session) -> dict[str, Any]:
    current = web.store.rounds.current()
    if current is None:
        return {"round": None, "ends_in_s": None, "held": False, "holder": "", "may_hold": False}
    found = read_ending(web.store, current.id, quiet_s=web.settings.quiet_s)
    overseer = session.person.role != "reviewer"
    names = {person.id: person.name for person in web.store.people.all()} if found.held_by and overseer else {}
    return {
        "round": current.id,
        "ends_in_s": max(0.0, (found.at - datetime.now(UTC)).total_seconds()) if found.at else None,
        # that it is held says nothing while people judge
        "held": found.complete and found.held_by is not None,
        "holder": names.get(found.held_by or "", ""),
        "may_hold": overseer,
    }
