"""Faults of videos: yt-dlp's messages and exceptions, classified by their consequence for the crawl.

yt-dlp passes on what YouTube says as prose, in an exception that wraps the true one, and now and then only in a
warning on the way. All of that is read here, by tables; nothing here touches the network or a file.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import ContentTooShortError, GeoRestrictedError

from flows.crawl.data_api.faults import Fault, FaultKind, plain_text
from flows.errors import LaneStoppedError

# The first that matches counts. What quotes a stranger's words (a channel's levels, an owner of rights) comes before
# what stops everything, so that no stranger's words can do that.
_SAID: tuple[tuple[FaultKind, str, str], ...] = (
    ("terminal", "members_only", r"members-only|channel's members|join this channel|music premium"),
    ("terminal", "region_blocked", r"in your (country|region|location)|from your location|geo.?restrict"),
    ("terminal", "gone", r"on copyright grounds|copyright (claim|infringement)"),
    ("terminal", "private", r"private video|(video|it) is private|sign in to view this video"),
    ("terminal", "paid", r"requires payment|\b(rent|buy|purchase) (or|to|this)|pay to watch"),
    ("terminal", "age_restricted", r"(confirm|verify) your age|age.(restricted|verification)"),
    ("terminal", "age_restricted", r"inappropriate (for some users|or offensive)"),
    ("pause", "bot_wall", r"you'?re not a (ro)?bot|captcha|unusual traffic"),
    ("pause", "bot_wall", r"ip is likely being blocked|all player responses are invalid"),
    ("pause", "rate_limited", r"content (isn't|is not) available, try again later|been rate-limited|too many requests"),
    ("transient", "processing", r"processing this video|being processed|check back later"),
    ("terminal", "live", r"live ?stream|live event|premiere|video is live|^offline|is not currently live"),
    ("terminal", "drm", r"drm protected"),
    # said of one video, but also of every video to a session or a client that YouTube has turned away
    (
        "transient",
        "unavailable",
        r"content (isn't|is not) available|not available on this app|latest version of youtube",
    ),
    ("transient", "unavailable", r"needs to be reloaded|playback on other websites|no longer supported in this"),
    ("transient", "unavailable", r"please sign in|error code: \d|player configuration error"),
    ("transient", "unavailable", r"an error occurred|something went wrong|unknown error"),
    ("transient", "unavailable", r"\btry again\b|\btemporarily\b"),
    ("terminal", "gone", r"(been|was) (removed|deleted)|removed by|account .*(terminated|closed|suspended)"),
    ("terminal", "gone", r"no longer available|does(n't| not) exist"),
    ("terminal", "gone", r"video (is |isn't |is not )?(unavailable|available|accessible)"),
    ("transient", "no_format", r"requested format is not available|no video formats|only images are available"),
    ("transient", "empty_answer", r"did not get any data blocks|downloaded file is empty|expecting value in ''"),
    ("transient", "not_json", r"failed to parse json"),
    ("transient", "connection", r"bytes, expected|content too short|bytes read|incomplete data|remote end closed"),
    ("transient", "connection", r"timed? ?out|connection (reset|aborted|refused|broken)|network is unreachable"),
    ("transient", "connection", r"name or service not known|failure in name resolution|got error:"),
)
_TABLE = tuple((kind, reason, re.compile(words, re.IGNORECASE)) for kind, reason, words in _SAID)

_UPDATE = "update yt-dlp (pip install -U 'yt-dlp[default,deno]')"
_GENTLER = (
    f"wait longer between videos (media.pause_s), {_UPDATE}, or give the cookies of a browser that is signed in "
    "(media.cookies)"
)
_CHECK = f"look at the network, run `ytb-ads crawl --check`, and {_UPDATE}"
_WALLS = {
    "bot_wall": ("YouTube asks whether we are a robot", _GENTLER),
    "rate_limited": ("YouTube limits the rate of our requests", _GENTLER),
}

_HTTP_STATUS = re.compile(r"HTTP Error (\d{3})")
# why formats are missing is said in warnings, and cured by other means than waiting
_WHY_NO_FORMAT = re.compile(r"challenge solving failed|SABR|PO Token|JavaScript runtime|DRM protected", re.IGNORECASE)

_DISK = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT,
    errno.ENOTDIR, errno.EISDIR, errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG,
}  # fmt: skip

_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+", re.IGNORECASE)
# media addresses without their host, as urllib3 quotes them: the path of a manifest is signed, too
_SIGNED = re.compile(r"/(?:videoplayback|api/manifest|sorry)[^\s'\"<>)]*|\?[\w.~%-]+=[^\s'\"<>)]*", re.IGNORECASE)
_TELLING_PATHS = ("www.youtube.com", "youtube.com", "github.com")
_PREFIX = re.compile(r"^\s*(?:(?:ERROR|WARNING):\s*)?(?:\[[\w:+-]+\] )?(?:[\w-]{1,64}: )?")
_FOR_THE_COMMAND_LINE = re.compile(
    r"; please report this issue on|\.? Use --|\.? It is recommended to use|\s*You might want to use|\.? See  ?http"
    r"| \(caused by "
)


def classify(error: BaseException | None, said: Sequence[str] = ()) -> Fault:
    """Tell what it means that yt-dlp ended without a video.

    Args:
        error: what it raised; None when it ended without a file and without a word.
        said: its warnings on the way, in their order: the only trace of some true reasons.
    """
    if error is None:
        return Fault("transient", "no_file", "yt-dlp ended without an error and without a file")
    text = str(getattr(error, "msg", None) or error)
    causes = list(_causes(error))
    statuses = [cause.status for cause in causes if isinstance(cause, HTTPError)]
    statuses += [int(status) for status in _HTTP_STATUS.findall(text)]
    detail = tidy(text)
    by_status = _by_status(statuses[0], detail) if statuses else None
    if by_status and by_status.kind == "pause":
        return by_status
    if any(isinstance(cause, GeoRestrictedError) for cause in causes):
        return Fault("terminal", "region_blocked", detail)
    by_words = _by_words(text)
    if by_words and by_words.reason not in ("no_format", "connection"):
        return by_words
    return by_status or _by_type(causes, detail) or _by_warnings(by_words, said) or by_words or _unexplained(text)


def pause_in(warning: str) -> Fault | None:
    """The fault in a warning of yt-dlp after which no more may be requested, though yt-dlp would go on."""
    found = _by_status_or_words(warning)
    return found if found and found.kind == "pause" else None


def lane_stopped(fault: Fault, video_id: str, until: datetime) -> LaneStoppedError:
    """The error that ends a lane: what happened, until when it rests, and what can be done."""
    met, cure = _WALLS.get(fault.reason, (f"videos fail one after the other ({fault.reason})", _CHECK))
    return LaneStoppedError(
        f"{met}, at video {video_id}: {fault.detail}. No more videos are asked for until {until:%Y-%m-%d %H:%M} UTC: "
        "going on would make it worse. Everything fetched is kept, and a run after that time goes on by itself. "
        f"If it comes again, {cure}. When it is solved, `ytb-ads crawl --resume-media` goes on at once.",
        until,
    )


def tidy(text: str) -> str:
    """A message of yt-dlp made readable: no addresses, no advice on its command line, at most 300 characters."""
    return plain_text(redact(_FOR_THE_COMMAND_LINE.split(_PREFIX.sub("", text, count=1), maxsplit=1)[0]))


def redact(text: str) -> str:
    """The text without signed parts: media addresses contain the client's address, in query and path."""
    return _SIGNED.sub("", _ADDRESS.sub(_bare, text))


def _bare(address: re.Match[str]) -> str:
    try:
        parts = urlsplit(address[0])
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return "[address]"
    return f"{parts.scheme}://{host}{port}{parts.path if host in _TELLING_PATHS else ''}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps; yt-dlp keeps the true reason in `exc_info` and `cause`."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [(getattr(one, "exc_info", None) or (None, None))[1], getattr(one, "cause", None)]
        waiting += [one.__cause__, one.__context__]


def _by_status(status: int, detail: str) -> Fault:
    if status in (402, 429):  # 402 came with a captcha
        return Fault("pause", "rate_limited" if status == 429 else "bot_wall", detail)
    if status >= 500:
        return Fault("transient", "server_error", detail)
    # the site answers 404 now and then for videos that are there, and says it in words of those that are not
    reasons = {403: "forbidden", 404: "not_found", 410: "not_found"}
    return Fault("transient", reasons.get(status, f"http_{status}"), detail)


def _by_words(text: str) -> Fault | None:
    plain = " ".join(_PREFIX.sub("", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"), count=1).split())
    for kind, reason, words in _TABLE:
        if words.search(plain):
            return Fault(kind, reason, tidy(text))
    return None


def _by_type(causes: Sequence[BaseException], detail: str) -> Fault | None:
    dropped = (TransportError, IncompleteRead, ContentTooShortError, ConnectionError, TimeoutError)
    if any(isinstance(cause, dropped) for cause in causes):
        return Fault("transient", "connection", detail)
    disk = next((cause for cause in causes if isinstance(cause, OSError) and cause.errno in _DISK), None)
    return Fault("abort", "disk", disk.strerror or detail) if disk else None


def _by_warnings(by_words: Fault | None, said: Sequence[str]) -> Fault | None:
    """The reason that yt-dlp gave earlier; its own last word is then only that nothing worked."""
    if by_words and by_words.reason == "no_format":
        why = next((warning for warning in said if _WHY_NO_FORMAT.search(warning)), None)
        return Fault("transient", "no_format", plain_text(f"{by_words.detail}: {tidy(why)}")) if why else by_words
    if by_words:
        return None
    return next(filter(None, map(_by_status_or_words, reversed(said))), None)


def _by_status_or_words(text: str) -> Fault | None:
    status = _HTTP_STATUS.search(text)
    return _by_status(int(status[1]), tidy(text)) if status else _by_words(text)


def _unexplained(text: str) -> Fault:
    reason = "empty_answer" if "extract any player response" in text else "unexplained"
    return Fault("transient", reason, tidy(text) or "yt-dlp said nothing")
