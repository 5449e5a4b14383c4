"""The dashboard under /dashboard: how far a round is and how far its reviewers agree, for verifiers and admins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from annotation.store.round_store import Round
from annotation.verifying import VerifierDesk
from annotation.web.access import Session, role
from annotation.web.measurements import PICTURES
from annotation.web.pages import page
from annotation.web.panels import Part, coefficient_text, count_ads, panels
from annotation.web.state import Web, web_of
from annotation.web.verifying import STATES, RoundId

if TYPE_CHECKING:
    from annotation.reliability import Coefficient

router = APIRouter(prefix="/dashboard")

Overseer = Annotated[Session, Depends(role("verifier", "admin"))]
"""Not a reviewer: what is seen here says how the others vote."""

_WEB = Depends(web_of)
_KEPT = "private, max-age=86400, immutable"
"""A picture never changes under its version."""


@router.get("")
def show(request: Request, session: Overseer, round: RoundId | None = None, web: Web = _WEB) -> Response:
    """The page, of the round that is asked for, or of the newest."""
    rounds = web.store.rounds.all()
    if not rounds:
        text = "No round was opened yet. Reviewing begins with one: ytb-ads build --review human."
        return page(request, "message.html", title="Nothing to show", text=text)
    shown = web.store.rounds.get(round) if round is not None else rounds[-1]
    measured = web.measurements.now(shown.id)
    stands = measured.standing
    final = sum(
        count for state, count in stands.by_state.items() if state in ("agreed", "verified", "settled", "excluded")
    )
    return page(
        request,
        "dashboard.html",
        n_discussed=_discussed(web, session, rounds),
        rounds=rounds,
        round=shown,
        version=measured.version,
        standing=stands,
        final=Part(final, stands.n_entries),
        states=[(STATES[state], stands.by_state[state]) for state in STATES if stands.by_state.get(state)],
        alpha=measured.agreement.alpha,
        alpha_text=coefficient_text(measured.agreement.alpha),
        kappa=measured.agreement.kappa,
        kappa_text=_of_which(measured.agreement.kappa),
        panels=panels(measured),
    )


@router.get("/pictures/{round}/{name}.png")
def picture(_session: Overseer, round: RoundId, name: str, v: str = "", web: Web = _WEB) -> Response:
    """One plot."""
    if name not in PICTURES:
        raise HTTPException(404)
    measured = web.measurements.at(round, v)
    data = web.measurements.picture(measured, name)
    headers = {"Cache-Control": _KEPT if v == measured.version else "private, no-cache"}
    return Response(data, media_type="image/png", headers=headers)


def _of_which(kappa: Coefficient) -> str:
    return kappa.reason if kappa.value is None else f"of {count_ads(kappa.n_entries)} with all votes"


def _discussed(web: Web, session: Session, rounds: list[Round]) -> int:
    """How many ads are being discussed, for a verifier: an admin takes no part in it."""
    current = next((each for each in rounds if each.is_open), None)
    if current is None or session.person.role != "verifier":
        return 0
    return VerifierDesk(web.store, session.person, current.id, web.guidelines.version).count_discussions()
