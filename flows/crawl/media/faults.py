"""Why a video could not be fetched: yt-dlp's words and exceptions, sorted by what they mean for the crawl.

yt-dlp passes on what YouTube says as prose, in an exception that wraps the true one, and now and then only in a
warning on the way. All of that is read here, by tables; nothing here touches the network or a file.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import ContentTooShortError, GeoRestrictedError

from flows.crawl.data_api.faults import plain_text
from flows.errors import CrawlError, LaneStoppedError

Kind = Literal["final", "failed", "lane", "store"]
"""`final`: no later attempt will do better; `failed`: a later one may; `lane`: YouTube wants no more requests for a
while; `store`: this machine's disk or settings are at fault, not the video."""


@dataclass(frozen=True)
class Verdict:
    """What one failure means; `reason` is the word that a drop carries, `detail` is plain text without addresses."""

    kind: Kind
    reason: str
    detail: str


class MediaFault(CrawlError):  # noqa: N818 - a word of the trade, as every drop has one
    """One video could not be fetched; the others can."""

    def __init__(self, kind: Literal["final", "failed"], reason: str, detail: str) -> None:
        super().__init__(kind, reason, detail)
        self.kind = kind
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


# The first that matches counts. What quotes a stranger's words (a channel's levels, an owner of rights) comes before
# what stops everything, so that no stranger's words can do that.
_SAID: tuple[tuple[Kind, str, str], ...] = (
    ("final", "members_only", r"members-only|channel's members|join this channel|music premium"),
    ("final", "region_blocked", r"in your (country|region|location)|from your location|geo.?restrict"),
    ("final", "gone", r"on copyright grounds|copyright (claim|infringement)"),
    ("final", "private", r"private video|(video|it) is private|sign in to view this video"),
    ("final", "paid", r"requires payment|\b(rent|buy|purchase) (or|to|this)|pay to watch"),
    ("final", "age_restricted", r"(confirm|verify) your age|age.(restricted|verification)"),
    ("final", "age_restricted", r"inappropriate (for some users|or offensive)"),
    ("lane", "bot_wall", r"you'?re not a (ro)?bot|captcha|unusual traffic"),
    ("lane", "bot_wall", r"ip is likely being blocked|all player responses are invalid"),
    ("lane", "rate_limited", r"content (isn't|is not) available, try again later|been rate-limited|too many requests"),
    ("failed", "processing", r"processing this video|being processed|check back later"),
    ("final", "live", r"live ?stream|live event|premiere|video is live|^offline|is not currently live"),
    ("final", "drm", r"drm protected"),
    # said of one video, but also of every video to a session or a client that YouTube has turned away
    ("failed", "unavailable", r"content (isn't|is not) available|not available on this app|latest version of youtube"),
    ("failed", "unavailable", r"needs to be reloaded|playback on other websites|no longer supported in this"),
    ("failed", "unavailable", r"please sign in|error code: \d|player configuration error"),
    ("failed", "unavailable", r"an error occurred|something went wrong|unknown error"),
    ("final", "gone", r"(been|was) (removed|deleted)|removed by|account .*(terminated|closed|suspended)"),
    ("final", "gone", r"no longer available|does(n't| not) exist"),
    ("final", "gone", r"video (is |isn't |is not )?(unavailable|available|accessible)"),
    ("failed", "no_format", r"requested format is not available|no video formats|only images are available"),
    ("failed", "empty_answer", r"did not get any data blocks|downloaded file is empty|expecting value in ''"),
    ("failed", "not_json", r"failed to parse json"),
    ("failed", "connection", r"bytes, expected|content too short|bytes read|incomplete data|remote end closed"),
    ("failed", "connection", r"timed? ?out|connection (reset|aborted|refused|broken)|network is unreachable"),
    ("failed", "connection", r"name or service not known|failure in name resolution|got error:"),
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
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENAMETOOLONG,
}

_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+", re.IGNORECASE)
# media addresses without their host, as urllib3 quotes them: the path of a manifest is signed, too
_SIGNED = re.compile(r"/(?:videoplayback|api/manifest|sorry)[^\s'\"<>)]*|\?[\w.~%-]+=[^\s'\"<>)]*", re.IGNORECASE)
_TELLING_PATHS = ("www.youtube.com", "youtube.com", "github.com")
_PREFIX = re.compile(r"^\s*(?:(?:ERROR|WARNING):\s*)?(?:\[[\w:+-]+\] )?(?:[\w-]{1,64}: )?")
_FOR_THE_COMMAND_LINE = re.compile(
    r"; please report this issue on|\.? Use --|\.? It is recommended to use|\s*You might want to use|\.? See  ?http"
    r"| \(caused by "
)


def classify(error: BaseException | None, said: Sequence[str] = ()) -> Verdict:
    """Tell what it means that yt-dlp ended without a video.

    Args:
        error: what it raised; None when it ended without a file and without a word.
        said: its warnings on the way, in their order: the only trace of some true reasons.
    """
    if error is None:
        return Verdict("failed", "no_file", "yt-dlp ended without an error and without a file")
    text = str(getattr(error, "msg", None) or error)
    causes = list(_causes(error))
    statuses = [cause.status for cause in causes if isinstance(cause, HTTPError)]
    statuses += [int(status) for status in _HTTP_STATUS.findall(text)]
    detail = tidy(text)
    by_status = _by_status(statuses[0], detail) if statuses else None
    if by_status and by_status.kind == "lane":
        return by_status
    if any(isinstance(cause, GeoRestrictedError) for cause in causes):
        return Verdict("final", "region_blocked", detail)
    by_words = _by_words(text)
    if by_words and by_words.reason not in ("no_format", "connection"):
        return by_words
    return by_status or _by_type(causes, detail) or _by_warnings(by_words, said) or by_words or _unexplained(text)


def lane_verdict(warning: str) -> Verdict | None:
    """Whether a warning of yt-dlp, which goes on after it, means that it should not."""
    status = _HTTP_STATUS.search(warning)
    found = _by_status(int(status[1]), tidy(warning)) if status else _by_words(warning)
    return found if found and found.kind == "lane" else None


def lane_stopped(verdict: Verdict, video_id: str, until: datetime) -> LaneStoppedError:
    """The error that ends a lane: what happened, until when it rests, and what can be done."""
    met, cure = _WALLS.get(verdict.reason, (f"videos fail one after the other ({verdict.reason})", _CHECK))
    return LaneStoppedError(
        f"{met}, at video {video_id}: {verdict.detail}. No more videos are asked for until {until:%Y-%m-%d %H:%M} UTC: "
        "going on would make it worse. Everything fetched is kept, and a run after that time goes on by itself. "
        f"If it comes again, {cure}. When it is solved, `ytb-ads crawl --resume-media` goes on at once.",
        until,
    )


def tidy(text: str) -> str:
    """What yt-dlp said, for a person: no addresses, nothing about its own command line, at most 300 characters."""
    return plain_text(redact(_FOR_THE_COMMAND_LINE.split(_PREFIX.sub("", text, count=1), maxsplit=1)[0]))


def redact(text: str) -> str:
    """The text without what is signed: media addresses carry the address of whoever asked, in query and path."""
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


def _by_status(status: int, detail: str) -> Verdict:
    if status in (402, 429):  # 402 came with a captcha
        return Verdict("lane", "rate_limited" if status == 429 else "bot_wall", detail)
    if status >= 500:
        return Verdict("failed", "server_error", detail)
    # the site answers 404 now and then for videos that are there, and says it in words of those that are not
    return Verdict(
        "failed", {403: "forbidden", 404: "not_found", 410: "not_found"}.get(status, f"http_{status}"), detail
    )


def _by_words(text: str) -> Verdict | None:
    plain = " ".join(_PREFIX.sub("", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"), count=1).split())
    for kind, reason, words in _TABLE:
        if words.search(plain):
            return Verdict(kind, reason, tidy(text))
    return None


def _by_type(causes: Sequence[BaseException], detail: str) -> Verdict | None:
    if any(isinstance(cause, TransportError | IncompleteRead | ContentTooShortError) for cause in causes):
        return Verdict("failed", "connection", detail)
    for cause in causes:
        if isinstance(cause, ConnectionError | TimeoutError):
            return Verdict("failed", "connection", detail)
        if isinstance(cause, OSError) and cause.errno in _DISK:
            return Verdict("store", "disk", cause.strerror or detail)
    return None


def _by_warnings(by_words: Verdict | None, said: Sequence[str]) -> Verdict | None:
    """The reason that yt-dlp gave earlier; its own last word is then only that nothing worked."""
    if by_words and by_words.reason == "no_format":
        why = next((warning for warning in said if _WHY_NO_FORMAT.search(warning)), None)
        return Verdict("failed", "no_format", plain_text(f"{by_words.detail}: {tidy(why)}")) if why else by_words
    if by_words:
        return None
    for warning in reversed(said):
        status = _HTTP_STATUS.search(warning)
        if found := _by_status(int(status[1]), tidy(warning)) if status else _by_words(warning):
            return found
    return None


def _unexplained(text: str) -> Verdict:
    reason = "empty_answer" if "extract any player response" in text else "unexplained"
    return Verdict("failed", reason, tidy(text) or "yt-dlp said nothing")
