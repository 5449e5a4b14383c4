"""One `ID.info.json` as yt-dlp writes it: metadata and comments, checked field by field.

The file comes from outside. A field of the wrong type or size becomes None, a comment that cannot be used
becomes a drop, and a file that is no video's metadata is refused whole.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from data_catalog.tables.drops import Drop
from flows.crawl.fields import (
    INT32_MAX,
    clean_text,
    count,
    day,
    duration,
    identifier,
    instant,
    json_type,
    text_of,
)
from flows.crawl.records import Ad, Comment, pseudonym
from flows.stages import COMMENTS

MAX_INFO_BYTES = 1_000_000_000
"""About a million comments; the whole file is in memory while it is read."""
_NOT_VIDEOS = ("playlist", "multi_video", "channel")
_CHUNK_BYTES = 1 << 20
_LINES = re.compile(
    "address|article|aside|blockquote|body|caption|center|dd|details|dialog|dir|div|dl|dt|fieldset|figcaption|figure|"
    "footer|form|h[1-6]|header|hgroup|hr|html|legend|li|main|menu|nav|ol|optgroup|option|p|pre|search|section|summary|"
    "table|tbody|tfoot|thead|tr|ul"
)
_CELLS = ("td", "th")
_SPACE = " \t\n\r\f"
_SPACES = re.compile(f"[{_SPACE}]+")
_TAG_START = re.compile("<(?!!--)")
# enough digits to be beyond Unicode; Python refuses to read thousands
_LONG_NUMBER = re.compile("&#0*([0-9]{1,8})[0-9]*")


class InfoJsonError(ValueError):
    """An info.json that cannot be used; `reason` names the drop, the message says what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def load_info(path: Path) -> dict[str, Any]:
    """Read the file as a JSON object; one whose name ends in `.gz` is unpacked.

    Raises:
        InfoJsonError: too large, cut off, not UTF-8, not JSON, not an object, or the metadata of a playlist.
        OSError: the file cannot be read.
    """
    if (size := path.stat().st_size) > MAX_INFO_BYTES:
        raise InfoJsonError("info_too_large", f"{size:,} bytes; at most {MAX_INFO_BYTES:,} are read")
    raw = _unpacked(path) if path.suffix.lower() == ".gz" else path.read_bytes()
    try:
        info = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InfoJsonError("info_not_utf8", f"byte {error.start} is not UTF-8") from error
    except RecursionError as error:
        raise InfoJsonError("info_not_json", "nested too deeply") from error
    except ValueError as error:
        raise InfoJsonError("info_not_json", str(error)) from error
    if not isinstance(info, dict):
        raise InfoJsonError("info_not_an_object", f"expected an object, found {json_type(info)}")
    if info.get("_type") in _NOT_VIDEOS:
        raise InfoJsonError("not_a_video", f"metadata of a {info['_type']}, not of a video")
    return info


def _unpacked(path: Path) -> bytes:
    with gzip.open(path) as file:
        try:
            # counted before it is kept: a small file may become any size
            size = 0
            while chunk := file.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > MAX_INFO_BYTES:
                    raise InfoJsonError("info_too_large", f"unpacks to more than {MAX_INFO_BYTES:,} bytes")
            file.seek(0)
            return file.read()
        except EOFError as error:
            raise InfoJsonError("info_not_json", f"the gzip file is cut off after {size:,} unpacked bytes") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InfoJsonError("info_not_json", f"damaged, or no gzip file: {error}") from error


def categories_of(info: Mapping[str, Any]) -> tuple[str, ...]:
    """The categories that the video itself states."""
    categories = info.get("categories")
    return tuple(filter(None, map(text_of, categories))) if isinstance(categories, list) else ()


def parse_ad(
    info: Mapping[str, Any],
    *,
    video_id: str,
    category: str,
    author_key: bytes,
    media_path: str | None,
    files_stamp: str,
    fetched_at: datetime,
) -> Ad:
    """The row of `ads`, with None where the info.json says nothing usable; the video itself is not looked at."""
    url = text_of(info.get("webpage_url"))
    channels = (info.get(key) for key in ("channel_id", "uploader_id", "channel", "uploader"))
    return Ad(
        video_id=video_id,
        title=text_of(info.get("title")) or "",
        description=text_of(info.get("description")) or "",
        category=category,
        query=None,
        source="folder",
        url=url if url and url.startswith(("https://", "http://")) else None,
        channel_hash=pseudonym(author_key, next(filter(None, map(text_of, channels)), None)),
        duration_s=duration(info.get("duration")),
        width=count(info.get("width"), INT32_MAX),
        height=count(info.get("height"), INT32_MAX),
        language=text_of(info.get("language")),
        published_at=instant(info.get("timestamp")) or day(info.get("upload_date")),
        view_count=count(info.get("view_count")),
        like_count=count(info.get("like_count")),
        comment_count=count(info.get("comment_count")),
        synthetic=info.get("synthetic") is True,
        media_path=media_path,
        media_status="present" if media_path else "missing",
        media_sha256=None,
        media_size_bytes=None,
        media_tool=None,
        files_stamp=files_stamp,
        fetched_at=fetched_at,
    )


def parse_comments(
    info: Mapping[str, Any], video_id: str, *, author_key: bytes, fetched_at: datetime
) -> tuple[tuple[Comment, ...], tuple[Drop, ...]]:
    """Parse the comments; each entry becomes a comment or a drop with the reason."""
    entries = info.get("comments")
    if entries is None:
        return (), ()
    if not isinstance(entries, list):
        detail = f"expected a list, found {json_type(entries)}"
        return (), (COMMENTS.drop(f"{video_id}:comments", video_id, "comments_not_a_list", detail),)
    comments: dict[str, Comment] = {}
    drops: list[Drop] = []
    prefix = "" if _is_youtube(info) else f"{video_id}:"
    for position, entry in enumerate(entries):
        problem = "; ".join(_problems(entry))
        comment_id = "" if problem else f"{prefix}{identifier(entry['id'])}"
        if problem or comment_id in comments:
            reason = "malformed_comment" if problem else "repeated_comment"
            detail = problem or f"id {comment_id} was there before; its first entry is kept"
            drops.append(COMMENTS.drop(f"{video_id}:comments:{position}", video_id, reason, detail))
            continue
        comments[comment_id] = _comment(entry, comment_id, prefix, video_id, author_key, fetched_at)
    return tuple(comments.values()), tuple(drops)


def _comment(
    entry: Mapping[str, Any],
    comment_id: str,
    prefix: str,
    video_id: str,
    author_key: bytes,
    fetched_at: datetime,
) -> Comment:
    text = clean_text(str(_said(entry)))
    parent = identifier(entry.get("parent"))
    author = text_of(entry.get("author_id")) or text_of(entry.get("author"))
    return Comment(
        comment_id=comment_id,
        video_id=video_id,
        parent_id=None if parent in (None, "root") else f"{prefix}{parent}",
        text=text,
        text_sha256=hashlib.sha256(text.encode("utf-8")).hexdigest(),
        like_count=count(entry.get("like_count")),
        published_at=instant(entry.get("timestamp")),
        language=text_of(entry.get("language")),
        author_hash=pseudonym(author_key, author),
        by_uploader=entry.get("author_is_uploader") is True,
        fetched_at=fetched_at,
    )


def _problems(entry: object) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"expected an object, found {json_type(entry)}"
        return
    if identifier(entry.get("id")) is None:
        yield "no usable id"
    said = _said(entry)
    if not isinstance(said, str):
        yield f"text is {json_type(said)}, not a string"
    elif not said.strip():
        yield "text is empty"


def _said(entry: Mapping[str, Any]) -> object:
    """The comment's text; where only its `html` says anything, what that shows."""
    text, markup = entry.get("text"), entry.get("html")
    if isinstance(markup, str) and not (isinstance(text, str) and text.strip()):
        return shown_text(markup)
    return text


def shown_text(markup: str) -> str:
    """Text that HTML shows: blocks are lines, white space is one space, a picture is its alternative text."""
    # after the last ">" nothing but a comment begins; the parser would look for the end of each tag
    head, end, tail = _LONG_NUMBER.sub(r"&#\1", markup).rpartition(">")
    shown = _Shown()
    shown.feed(head + end + _TAG_START.sub("&lt;", tail))
    shown.close()
    return "\n".join(_SPACES.sub(" ", "".join(line)).strip(" ") for line in shown.lines).strip()


class _Shown(HTMLParser):
    """Collects the lines of text that a browser would show."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[list[str]] = [[]]
        self.templates = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.templates or tag == "template":
            self.templates += tag == "template"
        elif tag == "br":
            self.lines.append([])
        elif tag == "img":
            self.handle_data(next((value or "" for name, value in attrs if name == "alt"), ""))
        else:
            self._part(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.templates:
            self.templates -= tag == "template"
        else:
            self._part(tag)

    def handle_data(self, data: str) -> None:
        if not self.templates and self.cdata_elem not in ("script", "style"):
            self.lines[-1].append(data)

    def parse_comment(self, i: int, report: bool = True) -> int:
        """The end of a comment; one that is left open reaches to the end, and is not looked through again."""
        end = self.rawdata.find("-->", i + 2)
        return end + 3 if end >= 0 else len(self.rawdata)

    def parse_html_declaration(self, i: int) -> int:
        """The end of `<!...>`; the library raises AssertionError on some."""
        return self.rawdata.index(">", i) + 1

    def _part(self, tag: str) -> None:
        if tag in _CELLS:
            self.handle_data(" ")
        elif _LINES.fullmatch(tag) and "".join(self.lines[-1]).strip(_SPACE):
            self.lines.append([])
        elif _LINES.fullmatch(tag):
            self.lines[-1].clear()


def _is_youtube(info: Mapping[str, Any]) -> bool:
    # YouTube's comment ids are unique in the world; elsewhere they often count 1, 2, 3 in every video
    return str(info.get("extractor_key", info.get("extractor", ""))).lower().startswith("youtube")
