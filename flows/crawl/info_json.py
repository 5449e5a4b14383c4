"""One `ID.info.json` as yt-dlp writes it: metadata and comments, checked field by field.

The file comes from outside. A field of the wrong type or size becomes None, a comment that cannot be used
becomes a drop, and a file that is no video's metadata is refused whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_catalog.drops import Drop
from flows.crawl.ads import COMMENT_STAGE, Comment, pseudonym

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Ids that are safe as keys and file names; YouTube's own are eleven of these characters."""

_COMMENT_ID_MAX = 128
MAX_INFO_BYTES = 1_000_000_000
"""About a million comments; the whole file is in memory while it is read."""
_INT64_MAX = 2**63 - 1
_INT32_MAX = 2**31 - 1
_NOT_VIDEOS = ("playlist", "multi_video", "channel")


class InfoJsonError(ValueError):
    """An info.json that cannot be used; `reason` names the drop, the message says what was found."""

    def __init__(self, reason: str, detail: str, *, final: bool = False) -> None:
        super().__init__(detail)
        self.reason = reason
        self.final = final


@dataclass(frozen=True)
class Metadata:
    """What an info.json says about its video; None where it says nothing usable."""

    video_id: str | None = None
    title: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()
    url: str | None = None
    channel: str | None = None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    language: str | None = None
    published_at: datetime | None = None
    view_count: int | None = None
    like_count: int | None = None
    comment_count: int | None = None
    synthetic: bool = False
    fetched_at: datetime | None = None


def load_info(path: Path) -> dict[str, Any]:
    """Read the file as a JSON object.

    Raises:
        InfoJsonError: too large, not UTF-8, not JSON, not an object, or the metadata of a playlist.
        OSError: the file cannot be read.
    """
    if (size := path.stat().st_size) > MAX_INFO_BYTES:
        raise InfoJsonError("info_too_large", f"{size:,} bytes; at most {MAX_INFO_BYTES:,} are read")
    raw = path.read_bytes()
    try:
        info = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InfoJsonError("info_not_utf8", f"byte {error.start} is not UTF-8") from error
    except RecursionError as error:
        raise InfoJsonError("info_not_json", "nested too deeply") from error
    except ValueError as error:
        raise InfoJsonError("info_not_json", str(error)) from error
    if not isinstance(info, dict):
        raise InfoJsonError("info_not_an_object", f"expected an object, found {_json_type(info)}")
    if info.get("_type") in _NOT_VIDEOS:
        raise InfoJsonError("not_a_video", f"metadata of a {info['_type']}, not of a video", final=True)
    return info


def read_metadata(info: Mapping[str, Any]) -> Metadata:
    """Take from an info.json what the table `ads` keeps."""
    video_id = info.get("id")
    categories = info.get("categories")
    url = _text(info.get("webpage_url"))
    channels = (info.get(key) for key in ("channel_id", "uploader_id", "channel", "uploader"))
    return Metadata(
        video_id=video_id if isinstance(video_id, str) and VIDEO_ID.fullmatch(video_id) else None,
        title=_text(info.get("title")) or "",
        description=_text(info.get("description")) or "",
        categories=tuple(filter(None, map(_text, categories))) if isinstance(categories, list) else (),
        url=url if url and url.startswith(("https://", "http://")) else None,
        channel=next(filter(None, map(_text, channels)), None),
        duration_s=_duration(info.get("duration")),
        width=_count(info.get("width"), _INT32_MAX),
        height=_count(info.get("height"), _INT32_MAX),
        language=_text(info.get("language")),
        published_at=_instant(info.get("timestamp")) or _day(info.get("upload_date")),
        view_count=_count(info.get("view_count")),
        like_count=_count(info.get("like_count")),
        comment_count=_count(info.get("comment_count")),
        synthetic=info.get("synthetic") is True,
        fetched_at=_instant(info.get("epoch")),
    )


def read_comments(
    info: Mapping[str, Any], video_id: str, *, author_key: bytes, fetched_at: datetime
) -> tuple[tuple[Comment, ...], tuple[Drop, ...]]:
    """Read the comments; each entry becomes a comment or a drop that says why not."""
    entries = info.get("comments")
    if entries is None:
        return (), ()
    if not isinstance(entries, list):
        detail = f"expected a list, found {_json_type(entries)}"
        return (), (_drop(f"{video_id}:comments", video_id, "comments_not_a_list", detail),)
    comments: dict[str, Comment] = {}
    drops: list[Drop] = []
    prefix = "" if _is_youtube(info) else f"{video_id}:"
    for position, entry in enumerate(entries):
        problem = "; ".join(_problems(entry))
        comment_id = "" if problem else f"{prefix}{_identifier(entry['id'])}"
        if problem or comment_id in comments:
            reason = "malformed_comment" if problem else "repeated_comment"
            detail = problem or f"id {comment_id} was there before; its first entry is kept"
            drops.append(_drop(f"{video_id}:comments:{position}", video_id, reason, detail))
            continue
        comments[comment_id] = _comment(entry, comment_id, prefix, video_id, author_key, fetched_at)
    return tuple(comments.values()), tuple(drops)


def clean_text(text: str) -> str:
    """Text that UTF-8 can carry: JSON may hold half of a surrogate pair, which becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _comment(
    entry: Mapping[str, Any],
    comment_id: str,
    prefix: str,
    video_id: str,
    author_key: bytes,
    fetched_at: datetime,
) -> Comment:
    text = clean_text(entry["text"])
    parent = _identifier(entry.get("parent"))
    author = _text(entry.get("author_id")) or _text(entry.get("author"))
    return Comment(
        comment_id=comment_id,
        video_id=video_id,
        parent_id=None if parent in (None, "root") else f"{prefix}{parent}",
        text=text,
        text_sha256=hashlib.sha256(text.encode("utf-8")).hexdigest(),
        like_count=_count(entry.get("like_count")),
        published_at=_instant(entry.get("timestamp")),
        language=_text(entry.get("language")),
        author_hash=pseudonym(author_key, author),
        by_uploader=entry.get("author_is_uploader") is True,
        fetched_at=fetched_at,
    )


def _problems(entry: object) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"expected an object, found {_json_type(entry)}"
        return
    if _identifier(entry.get("id")) is None:
        yield "no usable id"
    if not isinstance(entry.get("text"), str):
        yield f"text is {_json_type(entry.get('text'))}, not a string"
    elif not entry["text"].strip():
        yield "text is empty"


def _drop(key: str, video_id: str, reason: str, detail: str) -> Drop:
    return Drop(stage=COMMENT_STAGE, key=key, video_id=video_id, kind="filtered", reason=reason, detail=detail)


def _is_youtube(info: Mapping[str, Any]) -> bool:
    # YouTube's comment ids are unique in the world; elsewhere they often count 1, 2, 3 in every video
    return str(info.get("extractor_key", info.get("extractor", ""))).lower().startswith("youtube")


def _identifier(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _INT64_MAX:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= _COMMENT_ID_MAX:
        return None
    return clean_text(value.strip())


def _text(value: object) -> str | None:
    return clean_text(value) if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > _INT64_MAX:
        return None
    return float(value) if math.isfinite(value) else None


def _count(value: object, limit: int = _INT64_MAX) -> int | None:
    number = _number(value)
    if number is None or not 0 <= number < limit:
        return None
    return int(value)  # type: ignore[call-overload]  # a number, and exact where float() is not


def _duration(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and number >= 0 else None


def _instant(value: object) -> datetime | None:
    number = _number(value)
    if number is None:
        return None
    try:
        return datetime.fromtimestamp(number, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _day(value: object) -> datetime | None:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{8}", value):
        return None
    try:
        return datetime.strptime(value, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "nothing"}
    return names.get(type(value), "a number")
