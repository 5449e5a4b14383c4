"""Every way in which a video fails is told apart by its true reason, and none of the words gives anybody away."""

from __future__ import annotations

import errno
import inspect
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from yt_dlp.extractor.youtube import _video
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnavailableVideoError,
)

from flows.crawl.data_api.faults import Fault
from flows.crawl.media.faults import classify, lane_stopped, pause_in, redact, tidy

REPORT = (
    "; please report this issue on  https://github.com/yt-dlp/yt-dlp/issues?q= , filling out the appropriate issue "
    "template. Confirm you are on the latest version using  yt-dlp -U"
)
COOKIES_HINT = (
    ". Use --cookies-from-browser or --cookies for the authentication. See  "
    "https://github.com/yt-dlp/yt-dlp/wiki/FAQ#how-do-i-pass-cookies-to-yt-dlp  for how to manually pass cookies"
)
RATE_HINT = (
    ". The current session has been rate-limited by YouTube for up to an hour. It is recommended to use `-t sleep` to "
    "add a delay between video requests to avoid exceeding the rate limit. For more information, refer to  "
    "https://github.com/yt-dlp/yt-dlp/wiki/Extractors#this-content-isnt-available-try-again-later"
)
NO_PLAYER = "Failed to extract any player response" + REPORT

HINTS = {"cookies_hint": COOKIES_HINT, "rate_hint": RATE_HINT, "report": REPORT}
# what yt-dlp's YouTube extractor has been seen to say, most of it YouTube's own words: kind, reason, message
SAID = [
    line.format_map(HINTS).split("\t")
    for line in Path(__file__).with_name("youtube_messages.tsv").read_text("utf-8").splitlines()
]


def told(message: str, cause: BaseException | None = None) -> DownloadError:
    """An error as yt-dlp raises it: one in words, which wraps the true one."""
    return DownloadError(f"ERROR: {message}", (type(cause), cause, None) if cause else (None, None, None))


def of_youtube(message: str, **more: object) -> DownloadError:
    true = ExtractorError(message, expected=True, video_id="abcdefghijk", ie="youtube", **more)
    return told(str(true), true)


def http_error(status: int) -> HTTPError:
    return HTTPError(Response(io.BytesIO(b""), "https://x.googlevideo.com/videoplayback?ip=1.2.3.4", {}, status=status))


@pytest.mark.parametrize(("kind", "reason", "message"), SAID)
def test_what_youtube_says_is_classified_and_told_without_yt_dlps_command_line(
    kind: str, reason: str, message: str
) -> None:
    fault = classify(of_youtube(message))

    assert (fault.kind, fault.reason) == (kind, reason)
    assert fault.detail
    assert not any(words in fault.detail for words in ("--", "http", "report this issue"))
    assert not fault.detail.startswith(("ERROR", "[youtube]", "abcdefghijk"))


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (402, "pause", "bot_wall"),
        (403, "transient", "forbidden"),
        (404, "transient", "not_found"),
        (410, "transient", "not_found"),
        (418, "transient", "http_418"),
        (429, "pause", "rate_limited"),
        (500, "transient", "server_error"),
        (503, "transient", "server_error"),
    ],
)
def test_a_status_means_the_same_while_extracting_and_while_transferring(status: int, kind: str, reason: str) -> None:
    true = http_error(status)
    said = str(true)

    extracting = classify(of_youtube(f"Unable to download API page: {said}", cause=true))
    wrapped = classify(told(f"[youtube] abcdefghijk: Unable to download webpage: {said}", true))
    transferring = classify(told(f"unable to download video data: {said}", true))
    given_up = classify(told(f"\r[download] Got error: {said}. Giving up after 5 retries"))

    assert {(v.kind, v.reason) for v in (extracting, wrapped, transferring, given_up)} == {(kind, reason)}
    assert transferring.detail == f"unable to download video data: {said}"


def test_a_region_that_is_blocked_is_known_by_its_type_whatever_it_says() -> None:
    true = GeoRestrictedError("Nur in Österreich", countries=["AT"])

    fault = classify(told(f"{true.msg}\nThis video is available in Austria.\nYou might want to use a VPN", true))

    assert (fault.kind, fault.reason) == ("terminal", "region_blocked")
    assert fault.detail == "Nur in Österreich This video is available in Austria."


RESET = ConnectionResetError(errno.ECONNRESET, "reset")


@pytest.mark.parametrize(
    ("said", "true", "reason"),
    [
        *(
            (f"unable to download video data: {true}", true, "connection")
            for true in (
                TransportError("Connection reset by peer", cause=RESET),
                TransportError("The read operation timed out", cause=TimeoutError()),
                TransportError("[Errno 1] not permitted", cause=PermissionError(errno.EPERM, "not permitted")),
                IncompleteRead(89, 1113),
                CertificateVerifyError("self-signed certificate"),
                ContentTooShortError(89, 1202),
                RESET,
            )
        ),
        # an end without an exception is known by its words
        ("\r[download] Got error: 89 bytes read, 1113 more expected. Giving up", None, "connection"),
        ("\r[download] Got error: Downloaded 89 bytes, expected 1202 bytes. Giving up", None, "connection"),
        ("content too short (expected 1202 bytes and served 89)", None, "connection"),
        ("\r[download] Got error: ('Connection aborted.', ConnectionResetError(104, 'x'))", None, "connection"),
        ("Did not get any data blocks", None, "empty_answer"),
        ("The downloaded file is empty", None, "empty_answer"),
        ("fragment 3 not found, unable to continue", None, "unexplained"),
    ],
)
def test_a_transfer_that_breaks_is_not_the_videos_fault(said: str, true: Exception | None, reason: str) -> None:
    fault = classify(told(said, true))

    assert (fault.kind, fault.reason) == ("transient", reason)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EFBIG])
def test_what_the_disk_refuses_is_not_the_videos_fault(number: int) -> None:
    true = OSError(number, "what the system says")
    on_closing = UnavailableVideoError(true)
    on_closing.__cause__ = true

    for error in (told(f"unable to write data: {true}", true), on_closing):
        assert classify(error) == Fault("abort", "disk", "what the system says")


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (None, "no_file", "yt-dlp ended without an error and without a file"),
        (KeyError("streamingData"), "unexplained", "'streamingData'"),
    ],
)
def test_an_end_without_words_costs_one_video(error: Exception | None, reason: str, detail: str) -> None:
    assert classify(error) == Fault("transient", reason, detail)


@pytest.mark.parametrize(
    ("warning", "reason"),
    [
        (
            "[youtube] abc: Unable to download API page: HTTP Error 403: Forbidden (caused by <HTTPError 403>)",
            "forbidden",
        ),
        ("[youtube] HTTP Error 503: Service Unavailable. Retrying (1/3)...", "server_error"),
        (
            "[youtube] abc: Failed to parse JSON (caused by JSONDecodeError(\"Expecting value in '': x\"))",
            "empty_answer",
        ),
        (
            "[youtube] abc: Failed to parse JSON (caused by JSONDecodeError(\"Expecting value in 'l>x</h'\"))",
            "not_json",
        ),
        ("[youtube] abc: Unable to download API page: The read operation timed out", "connection"),
        ("[youtube] unable to extract yt initial data", "empty_answer"),
    ],
)
def test_the_true_reason_may_stand_in_a_warning_alone(warning: str, reason: str) -> None:
    fault = classify(of_youtube(NO_PLAYER), ["[youtube] something else", warning])

    assert (fault.kind, fault.reason) == ("transient", reason)


def test_missing_formats_are_told_with_what_is_missing_for_them() -> None:
    warnings = [
        "[youtube] abc: Unable to download webpage: HTTP Error 403: Forbidden",
        "[youtube] [jsc] abc: n challenge solving failed: Some formats may be missing. Install a JavaScript runtime",
    ]

    fault = classify(of_youtube("Requested format is not available. Use --list-formats"), warnings)

    assert (fault.kind, fault.reason) == ("transient", "no_format")
    assert fault.detail.startswith("Requested format is not available: ")
    assert "n challenge solving failed" in fault.detail


@pytest.mark.parametrize(
    ("warning", "reason"),
    [
        (
            "[youtube] abc: Unable to download webpage: HTTP Error 429: Too Many Requests (caused by <x>)",
            "rate_limited",
        ),
        ("[youtube] HTTP Error 402: Payment Required. Retrying (1/2)...", "bot_wall"),
        ("[youtube] YouTube said: ERROR - Sign in to confirm you’re not a bot", "bot_wall"),
        ("[youtube] abc: Unable to download webpage: HTTP Error 403: Forbidden", None),
        ("[youtube] HTTP Error 503: Service Unavailable. Retrying (1/3)...", None),
        ("[youtube] YouTube said: ERROR - This video is private", None),
        ("[youtube] Incomplete data received. Retrying (1/3)...", None),
        ("[youtube] abc: Some tv client https formats have been skipped as they are DRM protected.", None),
    ],
)
def test_a_warning_that_asks_for_no_more_requests_is_heard_at_once_and_others_stop_nothing(
    warning: str, reason: str | None
) -> None:
    fault = pause_in(warning)

    assert (fault and (fault.kind, fault.reason)) == (reason and ("pause", reason))


def test_a_stopped_lane_says_what_happened_until_when_and_what_to_do() -> None:
    until = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)

    error = lane_stopped(Fault("pause", "bot_wall", "Sign in to confirm you're not a bot"), "abcdefghijk", until)

    assert error.resumes_at == until
    for part in (
        "whether we are a robot",
        "abcdefghijk",
        "Sign in to confirm you're not a bot",
        "2026-11-25 04:30 UTC",
        "media.pause_s",
        "pip install -U 'yt-dlp[default,deno]'",
        "media.cookies",
        "`ytb-ads crawl --resume-media`",
    ):
        assert part in str(error)


SIGNED = (
    "https://rr3---sn-4g5lznl7.googlevideo.com/videoplayback?expire=17&ip=203.0.113.7&sig=AJfQ",
    "https://manifest.googlevideo.com/api/manifest/dash/expire/17/ip/203.0.113.7/signature/AJfQ",
    "Max retries exceeded with url: /videoplayback?expire=17&ip=203.0.113.7&sig=AJfQ (Caused by x)",
    "with url: /api/manifest/hls_variant/expire/17/ip/203.0.113.7/sig/AJfQ/file/index.m3u8 (Caused by x)",
    "http://user:AJfQ@proxy.example:3128/path?ip=203.0.113.7",
    "https://www.youtube.com/watch?v=abc&ip=203.0.113.7&sig=AJfQ",
    "https://www.google.com/sorry/index?continue=https://x.y/?ip=203.0.113.7&q=AJfQ",
    "https://[broken/videoplayback?ip=203.0.113.7&sig=AJfQ",
)


@pytest.mark.parametrize("address", SIGNED)
def test_no_signed_address_is_left_in_a_text(address: str) -> None:
    for text in (
        redact(f"Invoking downloader on {address!r}, then <{address}>"),
        tidy(f"ERROR: unable to download {address}"),
        classify(told(f"unable to download {address}")).detail,
        classify(told("x", TransportError(address)), [address]).detail,
    ):
        assert "203.0.113.7" not in text
        assert "AJfQ" not in text


def test_what_an_address_tells_stays() -> None:
    text = (
        "see https://github.com/yt-dlp/yt-dlp/issues?q=x and https://www.youtube.com/watch?v=abc on rr3.googlevideo.com"
    )

    assert redact(text) == (
        "see https://github.com/yt-dlp/yt-dlp/issues and https://www.youtube.com/watch on rr3.googlevideo.com"
    )


def test_errors_that_go_round_in_a_circle_are_read_to_their_end() -> None:
    first, second = ExtractorError("first"), ExtractorError("second")
    first.cause, second.cause = second, first

    assert classify(first).reason == "unexplained"


def test_a_whole_page_as_a_message_is_cut() -> None:
    assert len(classify(told("<html>" + "x" * 100_000)).detail) <= 300


def test_the_version_that_is_installed_says_what_the_tables_know() -> None:
    # words of yt-dlp's own, not YouTube's: a new version may change them
    source = inspect.getsource(_video)
    for words in (
        "All player responses are invalid. Your IP is likely being blocked by Youtube",
        "Failed to extract any player response",
        "YouTube is requiring a captcha challenge before playback",
        "has been rate-limited by YouTube for up to an hour",
    ):
        assert words in source
