"""Refusals in the words of the Data API."""

from __future__ import annotations

from typing import Any

Refusal = tuple[int, dict[str, Any]]
"""Status and body."""


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def refusal(
    code: int,
    reason: str,
    message: str,
    *,
    domain: str = "global",
    location: str | None = None,
    location_type: str = "parameter",
    status: str | None = None,
    details: list[dict[str, Any]] | None = None,
    short: str | None = None,
) -> Refusal:
    """An error in the API's shape; `short` is the message of its first entry, where that differs."""
    entry = {"message": short or message, "domain": domain, "reason": reason}
    if location:
        entry |= {"location": location, "locationType": location_type}
    error: dict[str, Any] = {"code": code, "message": message, "errors": [entry]}
    if status:
        error["status"] = status
    if details:
        error["details"] = details
    return code, {"error": error}


_VIDEO_ID = '<code><a href="/youtube/v3/docs/commentThreads/list#videoId">videoId</a></code>'
_SEARCHES = (
    "Quota exceeded for quota metric 'Search Queries' and limit 'Search Queries per day' of service "
    "'youtube.googleapis.com' for consumer 'project_number:0'."
)
_PER_MINUTE = (
    "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service "
    "'youtube.googleapis.com' for consumer 'project_number:0'."
)
_NO_KEY = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other "
    "form of API consumer identity to call this API."
)
_NOT_ENABLED = (
    "YouTube Data API v3 has not been used in project 0 before or it is disabled. Enable it by visiting "
    "https://console.developers.google.com/apis/api/youtube.googleapis.com/overview?project=0 then retry."
)
_TRANSIENT = "The API server failed to successfully process the request."
_DAILY = (
    "Daily Limit Exceeded. The quota will be reset at midnight Pacific Time (PT). You may monitor your quota usage "
    "and adjust limits in the API Console."
)

REFUSALS: dict[str, Refusal] = {
    "comments_disabled": refusal(
        403,
        "commentsDisabled",
        f"The video identified by the {_VIDEO_ID} parameter has disabled comments.",
        domain="youtube.commentThread",
        location="videoId",
    ),
    "video_not_found": refusal(
        404,
        "videoNotFound",
        f"The video identified by the {_VIDEO_ID} parameter could not be found.",
        domain="youtube.commentThread",
        location="videoId",
    ),
    "forbidden": refusal(
        403,
        "forbidden",
        "One or more of the requested comment threads cannot be retrieved due to insufficient permissions. "
        "The request might not be properly authorized.",
        domain="youtube.commentThread",
        location="Authorization",
        location_type="header",
    ),
    "processing_failure": refusal(
        400,
        "processingFailure",
        f"{_TRANSIENT} While this can be a transient error, it usually indicates that the request's input is invalid. "
        "Check the structure of the <code>commentThread</code> resource in the request body to ensure that it is "
        "valid.",
        short=_TRANSIENT,
        domain="youtube.commentThread",
        location="body",
        location_type="other",
    ),
    "quota_403": refusal(
        403,
        "quotaExceeded",
        'The request cannot be completed because you have exceeded your <a href="/youtube/v3/getting-started#quota">'
        "quota</a>.",
        domain="youtube.quota",
    ),
    "quota_429": refusal(429, "rateLimitExceeded", _SEARCHES, status="RESOURCE_EXHAUSTED"),
    "daily_limit_403": refusal(403, "dailyLimitExceeded", _DAILY, domain="usageLimits"),
    "rate_limited_403": refusal(403, "rateLimitExceeded", "Rate Limit Exceeded", domain="usageLimits"),
    "user_rate_limited_403": refusal(403, "userRateLimitExceeded", "User Rate Limit Exceeded", domain="usageLimits"),
    "rate_limited_429": refusal(429, "rateLimitExceeded", _PER_MINUTE, status="RESOURCE_EXHAUSTED"),
    "key_invalid": refusal(
        400,
        "badRequest",
        "API key not valid. Please pass a valid API key.",
        status="INVALID_ARGUMENT",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "youtube.googleapis.com"},
            }
        ],
    ),
    "no_key": refusal(403, "forbidden", _NO_KEY, status="PERMISSION_DENIED"),
    "access_not_configured": refusal(
        403, "accessNotConfigured", _NOT_ENABLED, domain="usageLimits", status="PERMISSION_DENIED"
    ),
    "invalid_token": refusal(
        400,
        "invalidPageToken",
        "The request specifies an invalid page token.",
        domain="youtube.parameter",
        location="pageToken",
    ),
    "playlist_not_found": refusal(
        404,
        "playlistNotFound",
        "The playlist identified with the request's <code>playlistId</code> parameter cannot be found.",
        domain="youtube.playlistItem",
        location="playlistId",
    ),
    "comment_not_found": refusal(
        404,
        "commentNotFound",
        "One or more of the specified comments cannot be found.",
        domain="youtube.comment",
        location="parentId",
    ),
    "search_filter": refusal(
        400,
        "invalidSearchFilter",
        "The request contains an invalid combination of search filters and/or restrictions. Note that you must set the "
        "<code>type</code> parameter to <code>video</code> if you set a value for a filter of videos.",
        domain="youtube.search",
    ),
    "no_filter": refusal(
        400,
        "missingRequiredParameter",
        "No filter selected. Expected one of the filters of this method.",
        domain="youtube.parameter",
    ),
    "http_400": refusal(400, "badRequest", "Bad Request"),
    "http_401": refusal(401, "authError", "Invalid Credentials", location="Authorization", location_type="header"),
    "http_403": refusal(403, "forbidden", "Forbidden"),
    "http_404": refusal(404, "notFound", "Not Found"),
    "http_418": (418, {"error": {"code": 418, "message": "I'm a teapot"}}),
    "http_429": refusal(429, "rateLimitExceeded", _PER_MINUTE, status="RESOURCE_EXHAUSTED"),
    "http_500": refusal(500, "backendError", "Internal error encountered.", status="INTERNAL"),
    "http_503": refusal(503, "backendError", "The service is currently unavailable.", status="UNAVAILABLE"),
}

BAD_GATEWAY = (
    b"<!DOCTYPE html>\n<html lang=en>\n<title>Error 502 (Server Error)!!1</title>\n"
    b"<p><b>502.</b> <ins>That\xe2\x80\x99s an error.</ins>\n"
    b"<p>The server encountered a temporary error and could not complete your request.\n"
)


def missing(parameter: str) -> Refusal:
    """A required parameter is not there."""
    return refusal(
        400,
        "missingRequiredParameter",
        f"The request is missing a required parameter: {parameter}",
        domain="youtube.parameter",
        location=parameter,
    )


def out_of_range(parameter: str, value: str, least: int, most: int) -> Refusal:
    """A number is not one of those allowed."""
    return refusal(
        400,
        "invalidParameter",
        f"Invalid value '{value}'. Values must be within the range: [{least}, {most}]",
        location=parameter,
    )


def invalid(parameter: str, value: str) -> Refusal:
    """A value that the parameter does not take."""
    return refusal(
        400,
        "invalidParameter",
        f"Invalid value at '{parameter}': '{value}'",
        location=parameter,
        status="INVALID_ARGUMENT",
    )


def unknown(parameter: str) -> Refusal:
    """A parameter that the method does not have."""
    message = f'Invalid JSON payload received. Unknown name "{parameter}": Cannot bind query parameter.'
    return refusal(400, "badRequest", message, status="INVALID_ARGUMENT")


def no_part(part: str) -> Refusal:
    """A part that the resource does not have."""
    return refusal(400, "unknownPart", f"'{part}'", domain="youtube.part", location="part")


def no_field(field: str) -> Refusal:
    """A field that the answer does not have."""
    return refusal(400, "invalidParameter", f"Invalid field selection {field}", location="fields")
