"""Each fault of the Data API is told by its true reason, and no answer, however odd, is anything else than a fault."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.crawl.data_api.faults import (
    AnswerTooLargeError,
    Fault,
    FaultError,
    classify_answer,
    classify_exception,
    plain_text,
    read_object,
    snake_case,
)

KEY = "AIzaSyD-0123456789abcdefghijklmnopqrstu"
SEARCHES_PER_DAY = "Quota exceeded for 'Queries' and limit 'Queries per day'"


def body(
    reason: str | None = None,
    message: str = "No.",
    *,
    domain: str = "global",
    location: str | None = None,
    status: str | None = None,
    details: list[dict[str, Any]] | None = None,
) -> bytes:
    error: dict[str, Any] = {"code": 400, "message": message}
    if reason is not None:
        error["errors"] = [{"reason": reason, "message": message, "domain": domain, "location": location}]
    more = {"status": status, "details": details}
    return json.dumps({"error": error | {name: value for name, value in more.items() if value}}).encode()


def info(reason: str, **metadata: str) -> list[dict[str, Any]]:
    return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}]


def kind_and_reason(status: int, answer: bytes) -> tuple[str, str]:
    fault = classify_answer(status, answer)
    return fault.kind, fault.reason


RECORDED = {
    "backend_503": ("transient", "server_error"),
    "commentsDisabled_403": ("terminal", "comments_disabled"),
    "keyInvalid_400": ("abort", "key_refused"),
    "processingFailure_400": ("transient", "processing_failure"),
    "quotaExceeded_403": ("pause", "quota"),
    "searchQuota_429": ("pause", "quota"),
    "videoNotFound_404": ("terminal", "video_not_found"),
}


def test_the_recorded_errors_are_told_apart(shared_data: Path) -> None:
    recorded = {
        path.stem.removeprefix("error_"): classify_answer(int(path.stem[-3:]), path.read_bytes())
        for path in (shared_data / "youtube_api").glob("error_*.json")
    }
    assert {name: (fault.kind, fault.reason) for name, fault in recorded.items()} == RECORDED
    assert all(fault.detail and "<" not in fault.detail for fault in recorded.values())


QUOTA: list[tuple[int, bytes]] = [
    (403, body("dailyLimitExceeded", domain="usageLimits")),
    (402, body("dailyLimitExceeded402", domain="usageLimits")),
    (402, body("quotaExceeded402", domain="usageLimits")),
    (403, body("variableTermLimitExceeded", domain="usageLimits")),
    (403, body("variableTermExpiredDailyExceeded", domain="usageLimits")),
    (403, body("rateLimitExceeded", "... limit 'Queries per day' ...")),
    (429, body(None, SEARCHES_PER_DAY)),
    (403, body("forbidden", f"{SEARCHES_PER_DAY} for consumer 'project_number:0'", status="RESOURCE_EXHAUSTED")),
    (429, body("rateLimitExceeded", details=info("RATE_LIMIT_EXCEEDED", quota_limit="defaultPerDayPerProject"))),
    (429, body("rateLimitExceeded", details=info("RATE_LIMIT_EXCEEDED", quota_unit="1/d/{project}"))),
]
RATE: list[tuple[int, bytes]] = [
    (429, body("rateLimitExceeded", details=info("RATE_LIMIT_EXCEEDED", quota_unit="1/min/{project}/{user}"))),
    (429, body("rateLimitExceeded", "limit 'Queries per minute per user'")),
    (429, body("forbidden")),
    (429, b"<html>Too many requests"),
    (403, body("rateLimitExceeded", domain="usageLimits")),
    (403, body("userRateLimitExceeded", domain="usageLimits")),
    (403, body("limitExceeded", "Access or rate limitations.", domain="global")),
    (403, body("servingLimitExceeded", "The overall rate limit has been reached.", domain="usageLimits")),
    (403, body("concurrentLimitExceeded", "Concurrent limit exceeded.", domain="usageLimits")),
    (400, body("badRequest", status="RESOURCE_EXHAUSTED")),
]
SERVER_ERROR: list[tuple[int, bytes]] = [
    *((status, answer) for status in (500, 502, 503) for answer in (b"<title>Error</title>", body("backendError"))),
    (403, body("backendError", "Backend Error")),
    (403, body("backendError", domain="youtube.video")),
    (409, body("aborted", "The operation was aborted.", status="ABORTED")),
    (409, body("aborted")),
    (400, body("badRequest", "The service is currently unavailable.", status="UNAVAILABLE")),
    (400, body(None, "The service is currently unavailable.", status="UNAVAILABLE")),
    (404, body("commentsDisabled", status="DEADLINE_EXCEEDED")),
    *((400, body(None, status=status)) for status in ("ABORTED", "INTERNAL", "UNKNOWN", "CANCELLED", "DATA_LOSS")),
    *((400, body(reason)) for reason in ("internalError", "backendNotConnected", "notReady")),
]
KEY_REFUSED: list[tuple[int, bytes]] = [
    (400, body("keyInvalid", domain="usageLimits")),
    (400, body("badRequest", "API key expired. Please renew the API key.", details=info("API_KEY_INVALID"))),
    (400, body("badRequest", "API key not valid. Please pass a valid API key.")),
    (403, body("forbidden", "The request is missing a valid API key.", status="PERMISSION_DENIED")),
    (403, body(None, "The request is missing a valid API key.", status="PERMISSION_DENIED")),
    (403, body("forbidden", "Project #123456789 has been deleted.", status="PERMISSION_DENIED")),
    (403, body("forbidden", "The provided API key has an IP address restriction. 1.2.3.4 violates this restriction.")),
    (403, body("forbidden", "YouTube Data API v3 has not been used in project 1 before or it is disabled.")),
    (403, body(None, "YouTube Data API v3 has not been used in project 1 before.", status="PERMISSION_DENIED")),
    (403, body(None, status="SERVICE_DISABLED")),
    (403, body("forbidden", "Access Not Configured. The API is not enabled for your project.")),
    (403, body("forbidden", "This API method requires billing to be enabled on project #1.")),
    (404, body("notFound", "Project 'projects/1' not found or deleted.")),
    (403, body("accessNotConfigured", "YouTube Data API v3 is not enabled.", domain="usageLimits")),
    (403, body("ipRefererBlocked", "The request did not specify any referer.", domain="usageLimits")),
    (403, body("forbidden", "Requests from referer <empty> are blocked.")),
    (403, body("forbidden", details=info("API_KEY_IP_ADDRESS_BLOCKED"))),
    (403, body("forbidden", details=info("BILLING_DISABLED"))),
    (403, body("forbidden", "Requests to this API youtube method youtube.api.v3.V3.List are blocked.")),
    (403, body("forbidden", f"Permission denied: Consumer 'api_key:{KEY}' has been suspended.")),
    (403, body("forbidden", "Method doesn't allow unregistered callers (callers without established identity).")),
    (403, body("dailyLimitExceededUnreg", "Daily Limit for Unauthenticated Use Exceeded.")),
    (401, body("authError", "Invalid Credentials")),
    (401, b""),
]
PAGE_TOKEN_REFUSED: list[tuple[int, bytes]] = [
    (400, body("invalidPageToken", "The request specifies an invalid page token.")),
    (400, body("badRequest", location="pageToken")),
    (400, body("invalidParameter", "Invalid page token")),
]


@pytest.mark.parametrize(
    ("expected", "status", "answer"),
    [
        (expected, status, answer)
        for expected, cases in (
            (("pause", "quota"), QUOTA),
            (("transient", "rate_limited"), RATE),
            (("transient", "server_error"), SERVER_ERROR),
            (("abort", "key_refused"), KEY_REFUSED),
            (("transient", "page_token"), PAGE_TOKEN_REFUSED),
        )
        for status, answer in cases
    ],
)
def test_what_is_not_the_videos_fault_never_ends_it(expected: tuple[str, str], status: int, answer: bytes) -> None:
    assert kind_and_reason(status, answer) == expected


@pytest.mark.parametrize(
    ("status", "reason", "domain", "expected"),
    [
        (403, "forbidden", "youtube.commentThread", "members_only"),
        (403, "forbidden", "youtube.video", "forbidden"),
        (403, "channelSuspended", "youtube.channel", "channel_suspended"),
        (403, "playlistItemsNotAccessible", "youtube.playlistItem", "playlist_items_not_accessible"),
        (404, "playlistNotFound", "youtube.playlistItem", "playlist_not_found"),
        (404, "channelNotFound", "youtube.channel", "channel_not_found"),
        (400, "invalidSearchFilter", "youtube.search", "invalid_search_filter"),
    ],
)
def test_a_documented_refusal_is_final_under_its_own_word(status: int, reason: str, domain: str, expected: str) -> None:
    message = "The API key not valid here is a word of the video"
    assert kind_and_reason(status, body(reason, message, domain=domain)) == ("terminal", expected)


@settings(max_examples=100)
@given(
    status=st.integers(400, 499).filter(lambda status: status not in (401, 429)),
    reason=st.none() | st.from_regex(r"[a-z][A-Za-z]{2,30}Unheard", fullmatch=True) | st.just("<script>"),
    domain=st.sampled_from(["global", "usageLimits", "youtube.comment", "youtube.video", ""]),
    grpc=st.sampled_from([None, "INVALID_ARGUMENT", "PERMISSION_DENIED", "NOT_FOUND", "FAILED_PRECONDITION"]),
)
def test_an_error_that_is_not_known_is_transient(status: int, reason: str | None, domain: str, grpc: str) -> None:
    fault = classify_answer(status, body(reason, domain=domain, status=grpc))
    assert (fault.kind, fault.reason) == ("transient", f"http_{status}")
    assert fault.detail.startswith("No.")
    assert (reason or "").startswith("<") or (reason or "") in fault.detail


@pytest.mark.parametrize("reason", ["forbidden", "badRequest", "notFound", "conflict"])
def test_a_general_word_says_nothing_about_the_video(reason: str) -> None:
    assert kind_and_reason(403, body(reason)) == ("transient", "http_403")


@pytest.mark.parametrize("status", [302, 403, 404, 408, 418])
def test_an_answer_that_is_not_the_api_s_condemns_no_video(status: int) -> None:
    proxy = classify_answer(status, b"<html><body>Access <b>denied</b> by the proxy</body></html>")
    assert proxy == Fault("transient", f"http_{status}", "Access denied by the proxy")


def test_a_detail_is_plain_short_and_without_the_key() -> None:
    message = f'See <a href="x">quota</a> &amp; &lt;b&gt;more\x00\n  {KEY}\u202e ' + "word " * 200
    detail = classify_answer(400, body("badRequest", message), lambda text: text.replace(KEY, "(key)")).detail
    assert detail.startswith("See quota & more (key) word word")
    assert len(detail) == 300


def test_exceptions_are_told_apart() -> None:
    dropped = classify_exception(httpx.ReadError("Connection reset by peer"))
    assert dropped == Fault("transient", "connection", "ReadError: Connection reset by peer")
    assert classify_exception(httpx.ReadTimeout("timed out")).reason == "connection"
    assert classify_exception(ValueError("Expecting value")) == Fault(
        "transient", "not_json", "ValueError: Expecting value"
    )
    assert classify_exception(AnswerTooLargeError("65 MB")).reason == "answer_too_large"


@pytest.mark.parametrize(
    "answer",
    [b"", b"  \n", b'{"items": [', b"[]", b"null", b"3", b'"text"', b"\xff\xfe\x00", b'{"n": NaN}', b"[" * 200_000],
)
def test_only_a_whole_json_object_is_an_answer(answer: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)) as raised:
        read_object(answer)
    assert classify_exception(raised.value).reason == "not_json"
    assert classify_answer(200, answer).reason == "not_json"


def test_an_object_is_read_whatever_is_in_it() -> None:
    assert read_object('{"items": [{"id": "é"}]}'.encode()) == {"items": [{"id": "é"}]}


def test_an_error_of_the_client_says_call_and_reason_and_survives_a_process_border() -> None:
    raised = FaultError(
        Fault("terminal", "comments_disabled", "The video has disabled comments."), "commentThreads.list"
    )
    assert str(raised) == "commentThreads.list: comments_disabled (The video has disabled comments.)"
    assert str(pickle.loads(pickle.dumps(raised))) == str(raised)  # noqa: S301 (our own)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(
    status=st.integers(100, 599),
    error=st.fixed_dictionaries(
        {},
        optional={
            "code": anything,
            "message": anything,
            "status": anything,
            "errors": anything | st.lists(st.fixed_dictionaries({"reason": anything, "domain": anything}), max_size=2),
            "details": anything
            | st.lists(st.fixed_dictionaries({"reason": anything, "metadata": anything}), max_size=2),
        },
    )
    | anything,
)
def test_no_error_is_of_a_shape_that_is_not_understood(status: int, error: Any) -> None:
    fault = classify_answer(status, json.dumps({"error": error}).encode())
    assert re.fullmatch(r"[a-z][a-z0-9_]*", fault.reason)
    assert len(fault.detail) <= 300


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_bytes_are_of_a_shape_that_is_not_understood(status: int, answer: bytes) -> None:
    assert classify_answer(status, answer).reason


@given(st.text(max_size=1000))
def test_plain_text_is_printable_and_short(text: str) -> None:
    plain = plain_text(text)
    assert plain.isprintable()
    assert len(plain) <= 300


@pytest.mark.parametrize("text", ["<b>x</b>", "<<b>b>x", "&lt;b&gt;x", "<a href='<b>'>x"])
def test_plain_text_has_no_markup_left(text: str) -> None:
    assert not re.search(r"<\w[^<>]*>", plain_text(text))


@pytest.mark.parametrize(
    ("reason", "snake"),
    [
        ("commentsDisabled", "comments_disabled"),
        ("API_KEY_INVALID", "api_key_invalid"),
        ("forbidden", "forbidden"),
        ("a b", ""),
        ("", ""),
        ("x" * 80, ""),
    ],
)
def test_reasons_become_words_for_a_table(reason: str, snake: str) -> None:
    assert snake_case(reason) == snake
