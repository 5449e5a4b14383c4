"""Coming in by an invitation's link, being sent to one's work, going out."""

from __future__ import annotations

import math

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from annotation.errors import AccessError
from annotation.store.people import JOIN_PATH
from annotation.web.access import SignedIn, refuse_other_sites
from annotation.web.pages import HOMES, page
from annotation.web.state import Web, web_of

router = APIRouter()

_WEB = Depends(web_of)


@router.get("/")
def home(session: SignedIn) -> Response:
    """To where the person's work is."""
    return RedirectResponse(HOMES[session.person.role], status_code=303)


@router.get(JOIN_PATH + "{token}")
def invitation(request: Request, token: str) -> Response:
    """A page with a button; looking at it does nothing, so that a mail program's preview does not log anybody in."""
    return page(request, "join.html", action=f"{JOIN_PATH}{token}")


@router.post(JOIN_PATH + "{token}")
def join(request: Request, token: str, web: Web = _WEB) -> Response:
    """Log in by an invitation's token.

    A valid one is let in whatever else came from its address: an office, or a proxy, has one address for many people,
    and a stranger among them must not keep them out. That gives nothing away: a token is 32 random bytes, which nobody
    finds by trying. What the limit guards is the server's work, not the guess.
    """
    refuse_other_sites(request)
    try:
        person = web.store.people.admit(token)
    except AccessError as error:
        return _not_admitted(request, web, f"{error}.".capitalize())
    answer = RedirectResponse(HOMES[person.role], status_code=303)
    web.sessions.begin(request, answer, person)
    return answer


@router.post("/logout")
def log_out(session: SignedIn, web: Web = _WEB) -> Response:
    """End the session."""
    answer = JSONResponse({"to": "/goodbye"})
    web.sessions.end(answer, session)
    return answer


@router.get("/goodbye")
def goodbye(request: Request) -> Response:
    """What is seen after logging out."""
    text = "What was saved stays saved. Your invitation link lets you in again."
    return page(request, "message.html", title="You are logged out", text=text)


def _not_admitted(request: Request, web: Web, text: str) -> Response:
    wait_s = web.attempts.failed(request.client.host if request.client else "unknown")
    if not wait_s:
        return page(request, "message.html", status=401, title="This link does not work", text=text)
    text = "Too many wrong invitation links came from your address. Wait a few minutes, then try again."
    answer = page(request, "message.html", status=429, title="Too many attempts", text=text)
    answer.headers["Retry-After"] = str(math.ceil(wait_s))
    return answer
