"""Refusals of the service: a status, a word for programs, and a sentence that says what to do."""

from __future__ import annotations

import math

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict


class ErrorDetail(BaseModel):
    """A fault of a request, or of the server."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: str
    """A word for programs, such as `busy`."""
    text: str
    """The fault and its remedy."""


class ErrorBody(BaseModel):
    """Body of every refusal."""

    error: ErrorDetail


class Refusal(Exception):  # noqa: N818  an answer, no fault of ours
    """A request that is answered with an error.

    Args:
        status: of the answer.
        kind: a word for programs.
        text: what is wrong and what to do; it names nothing of this machine and repeats nothing that was sent.
        retry_after_s: after which to try again, where that helps.
    """

    def __init__(self, status: int, kind: str, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.status, self.kind, self.text, self.retry_after_s = status, kind, text, retry_after_s

    def answer(self) -> Response:
        """The refusal as it is sent."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(max(1, math.ceil(self.retry_after_s)))}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        body = ErrorBody(error=ErrorDetail(kind=self.kind, text=self.text))
        return Response(body.model_dump_json(), self.status, headers, JSONResponse.media_type)


KINDS = {
    400: "malformed",
    404: "not_found",
    405: "method",
    408: "too_slow",
    413: "too_long",
    415: "media_type",
    421: "host",
    422: "malformed",
    500: "unexpected",
    503: "busy",
}
"""Words for the statuses that the framework gives."""


def of_status(status: int, text: str) -> Refusal:
    """A refusal that the framework or the guard made."""
    said = {
        404: "There is nothing at this address; / is the page, /docs says what there is.",
        405: "Not by this method.",
    }
    return Refusal(status, KINDS.get(status, "refused"), said.get(status, text))


def unexpected() -> Refusal:
    """Refusal for an unexpected error."""
    return Refusal(500, "unexpected", "The server failed at this request; its log says why. Try again in a moment.")
