"""How a refusal is said: as a page to whoever looks, as JSON to a page's script; never with what was sent."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

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
from annotation.web.access import ForgedError
from annotation.web.pages import page
from data_catalog.errors import YtbAdsError

log = logging.getLogger("ytb_ads")

_STATUS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (ForgedError, 403, "forged", "That did not come from this page"),
    (RoleError, 403, "role", "This is not yours to see"),
    (AccessError, 401, "stranger", "You are not logged in"),
    (KeyReusedError, 409, "key_reused", "That was something else"),
    (SubmissionError, 422, "malformed", "That cannot be kept"),
    (OutdatedError, 409, "outdated", "It has changed meanwhile"),
    (RoundClosedError, 409, "round_closed", "The round is over"),
    (NotPossibleError, 409, "not_possible", "That is not possible any more"),
    (RoundError, 409, "round", "There is no such round"),
    (StoreError, 503, "store", "It could not be saved just now"),
    (YtbAdsError, 500, "catalog", "The catalog cannot be read"),
)
"""Kinds of refusal, the narrow before the wide: status, a word for scripts, a title for people."""


def install(app: FastAPI) -> None:
    """Make the app say its refusals so."""

    async def ours(request: Request, error: Exception) -> Response:
        status, kind, title = next(
            (status, kind, title) for each, status, kind, title in _STATUS if isinstance(error, each)
        )
        if status >= 500:
            log.error("%s %s: %s", request.method, request.url.path, error)
        # what a database or a file system says is for the log
        text = "The server has a difficulty; try again in a moment." if status >= 500 else _sentence(str(error))
        answer = refuse(request, status, kind, title, text)
        if status == 503:
            answer.headers["Retry-After"] = "2"
        return answer

    async def malformed(request: Request, error: Exception) -> Response:
        names = {str(each["loc"][-1])[:40] for each in getattr(error, "errors", list)()}
        text = f"Malformed: {', '.join(sorted(names))}."
        return refuse(request, 422, "malformed", "That cannot be read", text)

    async def plain(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        title = {404: "There is nothing here", 405: "Not this way", 413: "Too long"}.get(status, "Refused")
        text = "The address may be old or misspelt." if status == 404 else str(getattr(error, "detail", ""))
        return refuse(request, status, "refused", title, text)

    app.add_exception_handler(YtbAdsError, ours)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, plain)


def refuse(request: Request, status: int, kind: str, title: str, text: str) -> Response:
    """A refusal for whoever asks: JSON for scripts, a page for people."""
    accepted = request.headers.get("accept", "")
    looking = request.method in ("GET", "HEAD")
    if "application/json" in accepted or (not looking and "text/html" not in accepted):
        said = {"kind": kind, "title": title, "text": text}
        return JSONResponse(said, status_code=status)
    return page(request, "message.html", status=status, title=title, text=text)


def _sentence(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()[:500]
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
