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
MEMBERS = "One or more of the requested comment threads cannot be retrieved due to insufficient permissions."


def body(
    reason: str | None = None,
    message: str = "No.",
    *,
    domain: str = "global",
    location: str | None = None,
    details: list[dict[str, Any]] | None = None,
) -> bytes:
    error: dict[str, Any] = {"code": 400, "message": message}
    if reason is not None:
        error["errors"] = [{"reason": reason, "message": message, "domain": domain, "location": location}]
    if details is not None:
        error["details"] = details
    return json.dumps({"error": error}).encode()


def info(reason: str, **metadata: str) -> list[dict[str, Any]]:
    return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}]


def kind_and_reason(status: int, answer: bytes) -> tuple[str, str]:
    fault = classify_answer(status, answer)
    return fault.kind, fault.reason


@pytest.mark.parametrize(
    ("name", "status", "kind", "reason"),
    [
        ("backend", 503, "transient", "server_error"),
        ("commentsDisabled", 403, "terminal", "comments_disabled"),
        ("keyInvalid", 400, "abort", "key_refused"),
        ("processingFailure", 400, "transient", "processing_failure"),
        ("quotaExceeded", 403, "pause", "quota"),
        ("searchQuota", 429, "pause", "quota"),
        ("videoNotFound", 404, "terminal", "video_not_found"),
    ],
)
def test_the_recorded_errors_are_told_apart(shared_data: Path, name: str, status: int, kind: str, reason: str) -> None:
    recorded = (shared_data / "youtube_api" / f"error_{name}_{status}.json").read_bytes()
    fault = classify_answer(status, recorded)
    assert (fault.kind, fault.reason) == (kind, reason)
    assert fault.detail
    assert "<" not in fault.detail


def test_every_recorded_error_is_among_them(shared_data: Path) -> None:
    assert len(list((shared_data / "youtube_api").glob("error_*.json"))) == 7


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (403, body("dailyLimitExceeded", domain="usageLimits"), ("pause", "quota")),
        (403, body("rateLimitExceeded", "... limit 'Queries per day' ..."), ("pause", "quota")),
        (429, body(None, "Quota exceeded for 'Queries' and limit 'Queries per day'"), ("pause", "quota")),
        (
            429,
            body("rateLimitExceeded", details=info("RATE_LIMIT_EXCEEDED", quota_limit="defaultPerDayPerProject")),
            ("pause", "quota"),
        ),
        (
            429,
            body("rateLimitExceeded", details=info("RATE_LIMIT_EXCEEDED", quota_unit="1/d/{project}")),
            ("pause", "quota"),
        ),
        (
            429,
            body("rateLimitExceeded", details=info("RATE_LIMIT_EXCEEDED", quota_unit="1/min/{project}/{user}")),
            ("transient", "rate_limited"),
        ),
        (429, body("rateLimitExceeded", "limit 'Queries per minute per user'"), ("transient", "rate_limited")),
        (429, b"<html>Too many requests", ("transient", "rate_limited")),
        (403, body("rateLimitExceeded", domain="usageLimits"), ("transient", "rate_limited")),
        (403, body("userRateLimitExceeded", domain="usageLimits"), ("transient", "rate_limited")),
    ],
)
def test_a_spent_day_is_told_from_too_many_calls_at_once(status: int, answer: bytes, expected: tuple[str, str]) -> None:
    assert kind_and_reason(status, answer) == expected


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, body("keyInvalid", domain="usageLimits")),
        (400, body("badRequest", "API key expired. Please renew the API key.", details=info("API_KEY_INVALID"))),
        (400, body("badRequest", "API key not valid. Please pass a valid API key.")),
        (403, body("accessNotConfigured", "YouTube Data API v3 has not been used in project 1", domain="usageLimits")),
        (403, body("ipRefererBlocked", "The request did not specify any referer.", domain="usageLimits")),
        (403, body("forbidden", "Requests from referer <empty> are blocked.")),
        (403, body("forbidden", "No.", details=info("API_KEY_IP_ADDRESS_BLOCKED"))),
        (403, body("forbidden", "Requests to this API youtube method youtube.api.v3.V3.List are blocked.")),
        (403, body("forbidden", f"Permission denied: Consumer 'api_key:{KEY}' has been suspended.")),
        (403, body("forbidden", "Method doesn't allow unregistered callers (callers without established identity).")),
        (403, body("dailyLimitExceededUnreg", "Daily Limit for Unauthenticated Use Exceeded.")),
        (401, body("authError", "Invalid Credentials")),
        (401, b""),
    ],
)
def test_what_is_said_about_the_key_is_not_taken_for_a_fault_of_the_video(status: int, answer: bytes) -> None:
    assert kind_and_reason(status, answer) == ("abort", "key_refused")


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (403, body("forbidden", MEMBERS, domain="youtube.commentThread"), "members_only"),
        (403, body("forbidden", "No.", domain="youtube.video"), "forbidden"),
        (
            403,
            body("channelSuspended", "The channel has been suspended.", domain="youtube.channel"),
            "channel_suspended",
        ),
        (
            403,
            body("forbidden", "The API key not valid here is a word of the video", domain="youtube.video"),
            "forbidden",
        ),
        (404, body("playlistNotFound", domain="youtube.playlistItem"), "playlist_not_found"),
        (404, body("channelNotFound", domain="youtube.channel"), "channel_not_found"),
        (400, body("invalidSearchFilter", domain="youtube.search"), "invalid_search_filter"),
        (400, body("API_FIELD_BAD"), "api_field_bad"),
        (418, body(None, "I'm a teapot"), "http_418"),
        (400, body("<script>", "No."), "http_400"),
    ],
)
def test_other_refusals_are_final_under_the_api_s_own_word(status: int, answer: bytes, reason: str) -> None:
    assert kind_and_reason(status, answer) == ("terminal", reason)


@pytest.mark.parametrize(
    "answer",
    [
        body("invalidPageToken", "The request specifies an invalid page token."),
        body("badRequest", "No.", location="pageToken"),
        body("invalidParameter", "Invalid page token"),
    ],
)
def test_a_page_token_that_is_not_accepted_is_a_fault_of_its_own(answer: bytes) -> None:
    assert kind_and_reason(400, answer) == ("transient", "page_token")


@pytest.mark.parametrize("status", [302, 403, 404, 408, 418])
def test_an_answer_that_is_not_the_api_s_condemns_no_video(status: int) -> None:
    proxy = classify_answer(status, b"<html><body>Access <b>denied</b> by the proxy</body></html>")
    assert proxy == Fault("transient", f"http_{status}", "Access denied by the proxy")


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_in_trouble_may_do_better_later(status: int) -> None:
    assert kind_and_reason(status, b"<title>Error</title>") == ("transient", "server_error")
    assert kind_and_reason(status, body("backendError")) == ("transient", "server_error")


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
