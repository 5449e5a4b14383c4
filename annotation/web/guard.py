"""Answers of refusals: what went wrong, in words and as a status.

A refusal is a page for whoever looks and JSON for a page's script; it never repeats what was sent.
"""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotation.errors import (
    AccessError,
    KeyReusedError,
    NotPossibleError,
    OutdatedError,
    RoleError,
    RoundClosedError,
    RoundError,
    StoreError,
    SubmissionError,
)
from annotation.web.pages import language_of, page
from annotation.web.sessions import ForgedError
from annotation.web.texts import texts, to_translate
from data_catalog.errors import YtbAdsError

log = logging.getLogger("ytb_ads")

_STATUS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (ForgedError, 403, "forged", to_translate("That did not come from this page")),
    (RoleError, 403, "role", to_translate("This is not yours to see")),
    (AccessError, 401, "logged_out", to_translate("You are not logged in")),
    (KeyReusedError, 409, "key_reused", to_translate("That was something else")),
    (SubmissionError, 422, "malformed", to_translate("That cannot be kept")),
    (OutdatedError, 409, "outdated", to_translate("It has changed meanwhile")),
    (RoundClosedError, 409, "round_closed", to_translate("The round is over")),
    (NotPossibleError, 409, "not_possible", to_translate("That is not possible any more")),
    (RoundError, 409, "round", to_translate("There is no such round")),
    (StoreError, 503, "store", to_translate("It could not be saved just now")),
    (YtbAdsError, 500, "catalog", to_translate("The catalog cannot be read")),
)
"""Kinds of refusal, the narrow before the wide: status, a word for scripts, a title for people."""
_TITLES = {
    404: to_translate("There is nothing here"),
    405: to_translate("Not this way"),
    413: to_translate("Too long"),
}
_NOT_THERE = to_translate("The address may be old or misspelt.")
_DIFFICULTY = to_translate("The server has a difficulty; try again in a moment.")
"""Shown instead of messages of a database, a file system or a traceback, which go to the log only."""


def install(app: FastAPI) -> None:
    """Install the handlers that answer refusals."""

    async def ours(request: Request, error: Exception) -> Response:
        status, kind, title = next(
            (status, kind, title) for each, status, kind, title in _STATUS if isinstance(error, each)
        )
        if status >= 500:
            log.error("%s: %s", _asked(request), error)
        text = _DIFFICULTY if status >= 500 else _sentence(str(error))
        answer = refuse(request, status, kind, title, text)
        if status == 503:
            answer.headers["Retry-After"] = "2"
        return answer

    async def malformed(request: Request, error: Exception) -> Response:
        places = [each["loc"][-1] for each in getattr(error, "errors", list)()]
        names = {place[:40] if isinstance(place, str) else "what was sent" for place in places}
        text = f"Malformed: {', '.join(sorted(names))}."
        return refuse(request, 422, "malformed", to_translate("That cannot be read"), text)

    async def plain(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        title = _TITLES.get(status, to_translate("Refused"))
        text = (
            to_translate("The address may be old or misspelt.") if status == 404 else str(getattr(error, "detail", ""))
        )
        return refuse(request, status, "refused", title, text)

    app.add_exception_handler(YtbAdsError, ours)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, plain)
    app.add_middleware(Unexpected)


class Unexpected:
    """Answers for an error that nobody foresaw, as for one that was; where the answer has begun, it ends there.

    Not an exception handler: Starlette would answer outside of all middleware, without the headers of `Guard`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, and see what becomes of it."""
        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            if begun or scope["type"] != "http":
                raise
            request = Request(scope)
            log.exception("%s: unexpected", _asked(request))
            answer = refuse(request, 500, "unexpected", to_translate("Something went wrong here"), _DIFFICULTY)
            await answer(scope, receive, send)


def refuse(request: Request, status: int, kind: str, title: str, text: str) -> Response:
    """A refusal for whoever asks: JSON for scripts, a page for people."""
    _ = texts(language_of(request)).gettext
    title, text = _(title), _(text)
    accepted = request.headers.get("accept", "")
    looking = request.method in ("GET", "HEAD")
    if "application/json" in accepted or (not looking and "text/html" not in accepted):
        said = {"kind": kind, "title": title, "text": text}
        return JSONResponse(said, status_code=status)
    return page(request, "message.html", status=status, title=title, text=text)


def _asked(request: Request) -> str:
    """The route that was asked for: an address may hold an invitation's token, which belongs in no log."""
    return f"{request.method} {getattr(request.scope.get('route'), 'path', 'no route')}"


def _sentence(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()[:500]
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
