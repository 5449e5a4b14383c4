"""Log in by an invitation's link, log out, and the catalog's frames for whoever is logged in."""

from __future__ import annotations

import math
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from annotation.errors import AccessError
from annotation.store.people import JOIN_PATH
from annotation.web.guard import refuse
from annotation.web.pages import HOMES, page
from annotation.web.sessions import SignedIn, refuse_other_sites
from annotation.web.state import Server, Web
from annotation.web.texts import to_translate

router = APIRouter()

_KEPT = "private, max-age=86400, immutable"
"""A frame never changes under its digest; a day is what one sitting needs, and what is forgotten is soon gone."""


@router.get("/")
def home(session: SignedIn) -> Response:
    """To where the person's work is."""
    return RedirectResponse(HOMES[session.person.role], status_code=303)


class Invited(BaseModel):
    """The token of an invitation's link."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=200)


@router.get(JOIN_PATH)
def invitation(request: Request) -> Response:
    """A page with a button; looking at it does nothing, so that a mail program's preview does not log anybody in."""
    return page(request, "join.html")


@router.get(JOIN_PATH + "/{token}")
def invitation_of_before(token: str) -> Response:
    """A link of before, whose token stood in the path."""
    return RedirectResponse(f"{JOIN_PATH}#{quote(token, safe='')}", status_code=303)


@router.post(JOIN_PATH)
def join(request: Request, given: Invited, web: Server) -> Response:
    """Log in by an invitation's token.

    A valid one is let in whatever else came from its address: an office, or a proxy, has one address for many people,
    and one with a wrong link must not keep the others out. That gives nothing away: nobody finds a token of 32 random
    bytes by trying. The limit saves the server's work.
    """
    refuse_other_sites(request)
    try:
        person = web.store.people.admit(given.token)
    except AccessError as error:
        return _not_admitted(request, web, f"{error}.".capitalize())
    answer = JSONResponse({"to": HOMES[person.role]})
    web.sessions.begin(request, answer, person)
    return answer


@router.post("/logout")
def log_out(session: SignedIn, web: Server) -> Response:
    """End the session."""
    answer = JSONResponse({"to": "/goodbye"})
    web.sessions.end(answer, session)
    return answer


@router.get("/goodbye")
def goodbye(request: Request) -> Response:
    """The page after logging out."""
    text = to_translate("What was saved stays saved. Your invitation link lets you in again.")
    return page(request, "message.html", title=to_translate("You are logged out"), text=text)


@router.get("/frames/{frame_id:path}")
def frame(request: Request, frame_id: str, _session: SignedIn, web: Server, v: str = "") -> Response:
    """One frame's picture."""
    picture = web.contents.picture(frame_id)
    if picture is None or picture.media_type is None:
        raise HTTPException(404)
    same = bool(v) and v == picture.sha256[: len(v)] and len(v) >= 16
    headers = {"ETag": f'"{picture.sha256}"', "Cache-Control": _KEPT if same else "private, no-cache"}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(picture.data, media_type=picture.media_type, headers=headers)


def _not_admitted(request: Request, web: Web, text: str) -> Response:
    wait_s = web.attempts.failed(request.client.host if request.client else "unknown")
    if not wait_s:
        return refuse(request, 401, "not_invited", to_translate("This link does not work"), text)
    text = to_translate("Too many wrong invitation links came from your address. Wait a few minutes, then try again.")
    answer = refuse(request, 429, "too_many", to_translate("Too many attempts"), text)
    answer.headers["Retry-After"] = str(math.ceil(wait_s))
    return answer
