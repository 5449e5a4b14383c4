"""Faults of the crawl in one vocabulary, and the Data API's answers classified by it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from data_catalog.schemas import DropKind
from data_catalog.tables.drops import Drop
from flows.errors import CrawlError

FaultKind = Literal["terminal", "transient", "pause", "abort"]
"""`terminal`: no later attempt at this item can succeed; `transient`: a later attempt may.

Two are not the item's fault. `pause`: nothing more may be requested for a while (a spent quota, a robot check);
`abort`: waiting does not cure it (a refused key, a full disk).
"""

DETAIL_LENGTH = 300
_LONGEST = 4000
"""Characters of a server's message that are read."""
PAGE_TOKEN = "page_token"  # noqa: S105 - a reason
"""Reason of the fault of a page token that is not accepted: the list is read again from its first page."""


@dataclass(frozen=True)
class Fault:
    """One failed request; `reason` is the word that a drop carries, `detail` what was said, as plain text."""

    kind: FaultKind
    reason: str
    detail: str = ""

    def drop(self, stage: str, key: str, video_id: str | None, *, about: str = "", fingerprint: str = "") -> Drop:
        """The row of `drops`: `filtered` for a terminal fault, `failed` for one that a later run tries again."""
        kind: DropKind = "filtered" if self.kind == "terminal" else "failed"
        detail = f"{about}: {self.detail}" if about else self.detail
        return Drop(stage, key, video_id, kind, self.reason, detail, fingerprint)


class FaultError(CrawlError):
    """A request failed and could not be cured within this run; `request` names it."""

    def __init__(self, fault: Fault, request: str) -> None:
        super().__init__(fault, request)  # both, so that it can be pickled
        self.fault = fault
        self.request = request

    def __str__(self) -> str:
        return f"{self.request}: {self.fault.reason}" + (f" ({self.fault.detail})" if self.fault.detail else "")


class AnswerTooLargeError(httpx.TransportError):
    """An answer is larger than any honest one."""


# Both the old words, in `errors[0].reason`, and the new ones, in `details[].reason` and `status`.
_QUOTA = {
    "quotaExceeded", "quotaExceeded402", "dailyLimitExceeded", "dailyLimitExceeded402",
    "variableTermLimitExceeded", "variableTermExpiredDailyExceeded",
}  # fmt: skip
_RATE = {
    "rateLimitExceeded", "userRateLimitExceeded", "limitExceeded", "servingLimitExceeded",
    "concurrentLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED",
}  # fmt: skip
_SERVER_ERROR = {
    "backendError", "backendNotConnected", "internalError", "internalServerError", "serviceUnavailable",
    "notReady", "aborted", "deadlineExceeded", "ABORTED", "CANCELLED", "DATA_LOSS", "DEADLINE_EXCEEDED",
    "INTERNAL", "UNAVAILABLE", "UNKNOWN",
}  # fmt: skip
_KEY_REFUSED = {
    "keyInvalid", "keyExpired", "accessNotConfigured", "billingNotEnabled", "ipRefererBlocked",
    "dailyLimitExceededUnreg", "rateLimitExceededUnreg", "userRateLimitExceededUnreg", "authError",
    "BILLING_DISABLED", "CONSUMER_INVALID", "CONSUMER_SUSPENDED", "CREDENTIALS_MISSING",
    "RESOURCE_PROJECT_INVALID", "SERVICE_DISABLED", "UNAUTHENTICATED", "USER_PROJECT_DENIED",
}  # fmt: skip
# These come with no more of a reason than `forbidden` or `badRequest`, as faults of a video do.
_KEY_REFUSED_WORDS = re.compile(
    r"\bAPI key\b|unregistered callers|Consumer .* (has been suspended|is invalid)|has not been used in project"
    r"|Enable it by visiting|not enabled for your project|Access Not Configured|enable billing|billing to be enabled"
    r"|\bproject\b.* ((has been|is|was) (deleted|suspended|disabled|shut down)|not found)"
    r"|(referer|IP address|client application|Android|iOS|method) .*\b(is|are) blocked",
    re.IGNORECASE | re.DOTALL,
)
_TERMINAL = {
    "channelClosed", "channelForbidden", "channelNotFound", "channelSuspended", "commentNotFound",
    "commentThreadNotFound", "commentsDisabled", "incompatibleParameters", "invalidChannelId", "invalidCriteria",
    "invalidFilters", "invalidLocation", "invalidParameter", "invalidRegionCode", "invalidRelevanceLanguage",
    "invalidSearchFilter", "missingRequiredParameter", "operationNotSupported", "playlistForbidden",
    "playlistItemsNotAccessible", "playlistNotFound", "playlistOperationUnsupported", "unexpectedParameter",
    "unknownPart", "unsupportedLanguageCode", "unsupportedRegionCode", "videoNotFound",
    "watchHistoryNotAccessible", "watchLaterNotAccessible",
}  # fmt: skip
"""The reasons that developers.google.com/youtube/v3/docs/errors gives for the item or the request itself."""
_PER_DAY = re.compile(r"\bper day\b|PerDay|^1/d\b", re.IGNORECASE)
_NAMES_PAGE_TOKEN = re.compile(r"page ?token", re.IGNORECASE)
_COMMENT_DOMAIN = re.compile(r"youtube\.comment", re.IGNORECASE)

_MARKUP = re.compile(r"<[^<>]*>")
_REASON = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,60}")


@dataclass(frozen=True)
class _Error:
    """The parts of an error's body that tell one fault from another."""

    reason: str
    codes: frozenset[str]
    message: str
    domain: str
    location: str
    limits: tuple[str, ...]


def classify_answer(status: int, body: bytes, scrub: Callable[[str], str] = str) -> Fault:
    """Classify an answer other than a good one.

    An answer that is not in the API's own shape, as a proxy's page, says nothing about the video that was asked for:
    it is transient.

    Args:
        status: its HTTP status.
        body: its body, in whatever state.
        scrub: removes secrets from the server's words.
    """
    error = _read_error(body, scrub)
    if error is None:
        return _classify_foreign(status, plain_text(scrub(body.decode("utf-8", "replace"))))
    detail = plain_text(error.message)
    if status == 401 or error.codes & _KEY_REFUSED or any(code.startswith("API_KEY_") for code in error.codes):
        return Fault("abort", "key_refused", detail)
    if error.codes & _QUOTA:
        return Fault("pause", "quota", detail)
    if status == 429 or error.codes & _RATE:
        # A spent day has been seen under the name of a rate; only its limit tells them apart.
        if any(_PER_DAY.search(limit) for limit in (error.message, *error.limits)):
            return Fault("pause", "quota", detail)
        return Fault("transient", "rate_limited", detail)
    if status >= 500 or error.codes & _SERVER_ERROR:
        return Fault("transient", "server_error", detail)
    is_of_youtube = error.domain.startswith("youtube.")
    if not is_of_youtube and _KEY_REFUSED_WORDS.search(error.message):
        return Fault("abort", "key_refused", detail)
    if "processingFailure" in error.codes:
        return Fault("transient", "processing_failure", detail)
    if "invalidPageToken" in error.codes or (
        status == 400 and (error.location == "pageToken" or _NAMES_PAGE_TOKEN.search(error.message))
    ):
        return Fault("transient", PAGE_TOKEN, detail)
    if status >= 400 and error.reason == "forbidden" and is_of_youtube:
        return Fault("terminal", "members_only" if _COMMENT_DOMAIN.match(error.domain) else "forbidden", detail)
    if status >= 400 and error.reason in _TERMINAL:
        return Fault("terminal", snake_case(error.reason), detail)
    # an error that is not known may pass: it is tried again so many times, and condemns nothing
    said = f"{error.message} ({error.reason})" if error.reason else error.message
    return Fault("transient", f"http_{status}", plain_text(said))


def classify_exception(error: Exception, scrub: Callable[[str], str] = str) -> Fault:
    """Classify the error that a call ended with instead of an answer that could be read."""
    detail = plain_text(scrub(f"{type(error).__name__}: {error}"))
    if isinstance(error, AnswerTooLargeError):
        return Fault("transient", "answer_too_large", detail)
    return Fault("transient", "connection" if isinstance(error, httpx.HTTPError) else "not_json", detail)


def read_object(body: bytes) -> dict[str, Any]:
    """Parse the body of an answer.

    Raises:
        ValueError: it is empty, cut off, no JSON or no object.
        RecursionError: it is nested deeper than any honest answer.
    """
    if not body.strip():
        raise ValueError("the answer is empty")
    answer = json.loads(body, parse_constant=_refuse_constant)
    if not isinstance(answer, dict):
        raise ValueError(f"the answer is JSON, but a {type(answer).__name__} and no object")
    return answer


def plain_text(text: str) -> str:
    """A server's words on one line, at most `DETAIL_LENGTH` characters: no markup, no control characters."""
    text = html.unescape(text[:_LONGEST])
    while (without := _MARKUP.sub("", text)) != text:
        text = without
    text = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(text.split())
    return text if len(text) <= DETAIL_LENGTH else text[: DETAIL_LENGTH - 1] + "…"


def snake_case(reason: str) -> str:
    """`commentsDisabled` as `comments_disabled`; empty when it is no word."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", reason).lower() if _REASON.fullmatch(reason) else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _classify_foreign(status: int, detail: str) -> Fault:
    if status == 401:
        return Fault("abort", "key_refused", detail)
    if status == 429:
        return Fault("transient", "rate_limited", detail)
    if status >= 500:
        return Fault("transient", "server_error", detail)
    if 200 <= status < 300:
        return Fault("transient", "not_json", detail)
    return Fault("transient", f"http_{status}", detail)


def _read_error(body: bytes, scrub: Callable[[str], str]) -> _Error | None:
    """The error that a body describes in the API's shape; None where it describes none."""

    def text(holder: dict[str, Any], name: str) -> str:
        value = holder.get(name)
        return scrub(value)[:_LONGEST] if isinstance(value, str) else ""

    try:
        error = read_object(body).get("error")
    except (ValueError, RecursionError):
        return None
    if not isinstance(error, dict):
        return None
    first = next(iter(_objects(error.get("errors"))), {})
    details = _objects(error.get("details"))
    codes = [text(first, "reason"), *(text(detail, "reason") for detail in details), text(error, "status")]
    metadata = _objects([detail.get("metadata") for detail in details])
    return _Error(
        reason=next(filter(None, codes), ""),
        codes=frozenset(filter(None, codes)),
        message=text(error, "message") or text(first, "message"),
        domain=text(first, "domain"),
        location=text(first, "location"),
        limits=tuple(text(data, name) for data in metadata for name in ("quota_limit", "quota_unit")),
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
