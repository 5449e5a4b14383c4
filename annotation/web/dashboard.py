"""The dashboard under /dashboard: how far a round is and how far its reviewers agree, for verifiers and admins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from annotation.outcomes import PersonProgress
from annotation.protocol import FINAL
from annotation.store.round_store import Round
from annotation.web.background import Measured
from annotation.web.forms import STATES, RoundId
from annotation.web.measurements import Numbers
from annotation.web.pages import duration, page
from annotation.web.sessions import Session, role
from annotation.web.state import Server

if TYPE_CHECKING:
    from annotation.agreement_tables import AgreementTable

router = APIRouter(prefix="/dashboard")

Overseer = Annotated[Session, Depends(role("verifier", "admin"))]
"""Not a reviewer: what is seen here says how the others vote."""

_KEPT = "private, max-age=86400, immutable"
"""A picture never changes under its version."""


@router.get("")
def show(request: Request, session: Overseer, web: Server, round: RoundId | None = None) -> Response:
    """The page, of the round that is asked for, or of the newest; newer numbers come into it when they are ready."""
    rounds = web.store.rounds.all()
    if not rounds:
        text = "No round was opened yet. Reviewing begins with one: ytb-ads build --review human."
        return page(request, "message.html", title="Nothing to show", text=text)
    shown = web.store.rounds.get(round) if round is not None else rounds[-1]
    numbers = web.measurements.look(shown.id)
    return page(request, "dashboard.html", rounds=rounds, **_numbers(shown, numbers, session))


@router.get("/numbers")
def newer(request: Request, session: Overseer, round: RoundId, web: Server, v: str = "") -> Response:
    """The numbers in place of those that a page shows; 204 while there are no newer ones."""
    numbers = web.measurements.peek(round)
    if numbers.behind or (not numbers.failed and (numbers.measured is None or numbers.measured.version == v)):
        return Response(status_code=204)
    return page(request, "numbers.html", **_numbers(web.store.rounds.get(round), numbers, session))


@router.get("/pictures/{round}/{name}.svg")
def picture(_session: Overseer, round: RoundId, name: str, web: Server, v: str = "") -> Response:
    """One plot."""
    measured = web.measurements.at(round, v)
    if measured is None or name not in measured.pictures:
        raise HTTPException(404)
    headers = {"Cache-Control": _KEPT if v == measured.version else "private, no-cache"}
    return Response(measured.pictures[name], media_type="image/svg+xml", headers=headers)


def _numbers(shown: Round, numbers: Numbers, session: Session) -> dict[str, Any]:
    """Values of a round for the templates."""
    # who decides before seeing the votes on an ad does not find them here
    blind = shown.is_open and shown.options.verifier_first and session.person.role == "verifier"
    return {"round": shown, "numbers": numbers, **(_figures(numbers.measured, blind) if numbers.measured else {})}


def _figures(measured: Measured, blind: bool) -> dict[str, Any]:
    # with what measures, this takes a while to load, and a server that nobody asks for it needs none of it
    from annotation.agreement_tables import coefficient_text, count_ads

    by_state, alpha, kappa = measured.status.by_state, measured.agreement.alpha, measured.agreement.kappa
    return {
        "measured": measured,
        "n_final": sum(count for state, count in by_state.items() if state in FINAL),
        "states": [(STATES[state], by_state[state]) for state in STATES if by_state.get(state)],
        "alpha": alpha,
        "alpha_text": coefficient_text(alpha),
        "kappa": kappa,
        "kappa_text": kappa.reason if kappa.value is None else f"of {count_ads(kappa.n_entries)} with all votes",
        "panels": _panels(measured, blind),
    }


def _panels(measured: Measured, blind: bool) -> list[AgreementTable]:
    from annotation import agreement_tables as tables

    found, names = measured.agreement, measured.names
    return [
        _progress(measured),
        tables.coefficients(found),
        tables.by_entries(found),
        tables.pairs(found, names),
        tables.choices(found, names),
        tables.people(found, names),
        tables.levels(found),
        tables.fast(found, names),
        *([] if blind else [tables.slow(found), tables.estimated(found)]),
        tables.confusion(found),
    ]


def _progress(measured: Measured) -> AgreementTable:
    from annotation.agreement import Share
    from annotation.agreement_tables import AgreementTable, until

    trains = any(each.training for each in measured.progress)
    rows: list[tuple[str | Share, ...]] = [
        (
            each.person.name,
            each.person.role,
            Share(each.done, each.total),
            duration(each.median_s) if each.median_s is not None else "–",
            f"{each.last_at:%d %b, %H:%M}" if each.last_at else "–",
            until(each),
            *([_training(each)] if trains else []),
        )
        for each in measured.progress
    ]
    return AgreementTable(
        "Progress",
        "What is done of what is theirs to do; a verifier's is what waits for them now and what they have decided.",
        ("Who", "Role", "Done", "Median", "Last (UTC)", "Until", *(["Training"] if trains else [])),
        rows,
        nothing="Nobody was invited yet.",
    )


def _training(each: PersonProgress) -> str:
    own = each.training
    if own is None:
        return "–"
    outcome = "passed" if own.passed else "under way" if own.next_id else "not passed"
    return f"{outcome}: {own.right} of {own.answered} right, attempt {own.attempt}" if own.answered else "not begun"
