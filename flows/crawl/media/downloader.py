"""One download by yt-dlp: its options, the points at which it is stopped, and its outcome as a fault."""

from __future__ import annotations

import io
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deno import find_deno_bin
from yt_dlp import YoutubeDL
from yt_dlp.extractor import get_info_extractor

from flows.crawl.data_api.faults import Fault, FaultError, plain_text
from flows.crawl.data_api.quota import utc_now
from flows.crawl.media.faults import classify, pause_in, redact
from flows.errors import CrawlError, LaneStoppedError
from flows.settings.crawl import MediaSettings

log = logging.getLogger("ytb_ads")

FORMAT = "bv*"
"""One file, never two that would have to be merged: the best with a picture, whether or not it has sound."""
SLOWEST = 1_000
"""Bytes a second, over the time-out, below which a transfer counts as one that has stopped."""

_RETRIES = 5
_EXTRACTOR_RETRIES = 2
_LONGEST_WAIT_S = 30.0
_COOKIES_HEADER = "# Netscape HTTP Cookie File\n"
_HTTP_ONLY = "#HttpOnly_"

# yt-dlp finds its plugins when the first of its objects is made, and two threads would find each one twice
_making = threading.Lock()


def tool() -> str:
    """Name and version of the downloader."""
    return f"yt-dlp {version('yt-dlp')}"


def format_order(height: int) -> list[str]:
    """The ranking of formats: the largest that is not larger, else the smallest; then what is easiest to read.

    `res` is the shorter side, so that 360 means the same of an upright video. Of equals a plain file comes before
    one in pieces, and a codec that every decoder knows before a newer one.
    """
    return [f"res:{height}", "proto", "vcodec:h264"]


def js_runtimes() -> dict[str, dict[str, str]]:
    """The programs that may run the site's JavaScript: the Deno that is installed with us, else those in PATH."""
    try:
        return {"deno": {"path": find_deno_bin()}, "node": {}}
    except FileNotFoundError:
        return {"deno": {}, "node": {}}


def read_cookies(path: Path) -> str:
    """A file of cookies in Netscape's format, without the lines that are none.

    yt-dlp would print such a line on the terminal, pass over a file that is not there, and write to one that is.

    Raises:
        CrawlError: the file cannot be read or holds no cookies.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise CrawlError(
            f"media.cookies = {path}: {error.strerror}; name a file of cookies or remove the setting"
        ) from None
    except UnicodeDecodeError:
        lines = []
    cookies = [line for line in lines if _is_cookie(line)]
    if not cookies:
        raise CrawlError(
            f"media.cookies = {path}: holds no cookies in Netscape's format (cookies.txt); export them from the "
            "browser in that format, or remove the setting"
        )
    return _COOKIES_HEADER + "".join(f"{line}\n" for line in cookies)


def download(
    video_id: str,
    folder: Path,
    settings: MediaSettings,
    *,
    site: str,
    wait: Callable[[float], object] = time.sleep,
    stop: threading.Event | None = None,
) -> Fault | None:
    """Let yt-dlp fetch one video, without sound if the site has it so, into a folder.

    Args:
        video_id: the video, an id of safe characters.
        folder: where `ID.FORMAT.ext` will lie, and `ID.FORMAT.ext.part` until it is whole.
        settings: of the media.
        site: address of the site whose watch page is read.
        wait: waits some seconds before a request is repeated.
        stop: set from another thread, it ends the transfer.

    Returns:
        Why there is no video; None if yt-dlp raised nothing, which does not mean that there is one.

    Raises:
        LaneStoppedError: told to stop.
        CrawlError: the cookies cannot be read.
    """
    attempt = Attempt(video_id, settings, stop or threading.Event())
    options = _options(attempt, folder, settings, wait)
    try:
        with _making:
            downloader = YoutubeDL(options, auto_init=False)
        downloader.add_info_extractor(get_info_extractor("Youtube"))
        with downloader:
            downloader.extract_info(f"{site}/watch?v={video_id}", ie_key="Youtube")
    except FaultError as error:  # raised below, through yt-dlp
        return error.fault
    except CrawlError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a page makes yt-dlp raise costs this one video
        return classify(error, attempt.said)
    return None


class Attempt:
    """One video being fetched: listens to yt-dlp, and stops it where it would go on by itself."""

    def __init__(self, video_id: str, settings: MediaSettings, stop: threading.Event) -> None:
        self.video_id = video_id
        self.said: list[str] = []
        """Its warnings; some true reasons are told nowhere else."""
        self._limit_bytes = settings.max_size_mb * 1_000_000
        self._timeout_s = settings.timeout_s
        self._stop = stop
        self._window: tuple[float, int] | None = None

    def debug(self, text: str) -> None:
        """Pass a line of yt-dlp's on, without what is signed."""
        log.debug("yt-dlp, %s: %s", self.video_id, redact(str(text)).strip())

    info = error = debug

    def warning(self, text: str) -> None:
        """Keep a warning. After a 429 the extractor would try its other clients and then say that none worked."""
        self.debug(text)
        self.said.append(str(text))
        if fault := pause_in(str(text)):
            raise self._error(fault)

    def choose(self, info: Mapping[str, Any], *, incomplete: object = False) -> None:
        """Refuse what is not the recorded video that was asked for, before its media are requested."""
        if (found := info.get("id")) != self.video_id:
            detail = f"the site shows {plain_text(str(found))} in its place, as it does for films that must be paid for"
            raise self._error(Fault("terminal", "other_video", detail))
        if info.get("live_status") in ("is_live", "is_upcoming"):
            raise self._error(Fault("terminal", "live", f"the video is a stream: {info['live_status']}"))
        if info.get("live_status") == "post_live":
            raise self._error(Fault("transient", "processing", "the stream has ended and is not yet a recorded video"))
        self._refuse_large(info.get("filesize"))

    def progress(self, status: Mapping[str, Any]) -> None:
        """Check a transfer after each block: the size, where the server told none, and the rate."""
        self.refuse_when_stopped()
        self._refuse_large(status.get("total_bytes"))
        self._refuse_large(status.get("downloaded_bytes"))
        self._refuse_trickle(status.get("downloaded_bytes"), time.monotonic())

    def refuse_when_stopped(self) -> None:
        """Stop here if told to."""
        if self._stop.is_set():
            raise LaneStoppedError("fetching videos was stopped; what has come of this one is kept", utc_now())

    def _error(self, fault: Fault) -> FaultError:
        return FaultError(fault, f"video {self.video_id}")

    def _refuse_large(self, size_bytes: object) -> None:
        if isinstance(size_bytes, int | float) and size_bytes > self._limit_bytes:
            limit = f"{self._limit_bytes / 1e6:,.0f} MB"
            detail = f"{size_bytes / 1e6:,.1f} MB; media.max_size_mb allows {limit}"
            raise self._error(Fault("terminal", "too_large", detail))

    def _refuse_trickle(self, received: object, now: float) -> None:
        """A server that sends a byte now and then never meets the time-out."""
        if not isinstance(received, int):
            return
        begun, before = self._window = self._window or (now, received)
        elapsed_s, come = now - begun, max(0, received - before)
        if elapsed_s < self._timeout_s:
            return
        if come < SLOWEST * elapsed_s:
            detail = f"{come:,} bytes in {elapsed_s:.0f} s; the rest is asked for another time"
            raise self._error(Fault("transient", "connection", detail))
        self._window = (now, received)


def _options(
    attempt: Attempt, folder: Path, settings: MediaSettings, wait: Callable[[float], object]
) -> dict[str, Any]:
    def patience(n: int) -> None:
        wait(min(2.0**n, _LONGEST_WAIT_S))
        attempt.refuse_when_stopped()

    cookies = {"cookiefile": io.StringIO(read_cookies(settings.cookies))} if settings.cookies else {}
    return {
        "format": FORMAT,
        "format_sort": format_order(settings.height),
        "outtmpl": {"default": f"{attempt.video_id}.%(format_id)s.%(ext)s"},
        "paths": {"home": str(folder)},
        "restrictfilenames": True,
        "cachedir": str(folder / "cache"),
        "fixup": "never",
        "external_downloader": "native",
        "noplaylist": True,
        "match_filter": attempt.choose,
        "progress_hooks": [attempt.progress],
        "ignoreerrors": False,
        "logger": attempt,
        "quiet": True,
        "noprogress": True,
        "color": "never",
        "continuedl": True,
        "retries": _RETRIES,
        "fragment_retries": _RETRIES,
        "extractor_retries": _EXTRACTOR_RETRIES,
        "skip_unavailable_fragments": False,
        "retry_sleep_functions": {"http": patience, "fragment": patience, "extractor": patience},
        "sleep_interval_requests": settings.request_pause_s,
        "socket_timeout": settings.timeout_s,
        "geo_bypass": False,
        "js_runtimes": js_runtimes(),
        **cookies,
    }


def _is_cookie(line: str) -> bool:
    if line.startswith("#") and not line.startswith(_HTTP_ONLY):
        return False
    parts = line.removeprefix(_HTTP_ONLY).split("\t")
    return (
        len(parts) == 7
        and parts[1] == ("TRUE" if parts[0].startswith(".") else "FALSE")
        and re.fullmatch(r"(\d+(\.\d+)?)?", parts[4]) is not None
    )
