"""Answers of the Data API parsed into candidates, ads and comments; every field is checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from data_catalog.tables.drops import Drop
from flows.crawl.data_api.faults import Fault
from flows.crawl.fields import (
    count,
    identifier,
    iso_duration,
    iso_instant,
    json_type,
    text_of,
    video_id_of,
)
from flows.crawl.records import Ad, Comment, pseudonym
from flows.stages import COMMENTS

SOURCE = "youtube"
VIDEO_PARTS = "snippet,contentDetails,statistics,status,paidProductPlacementDetails"
"""Parts of `videos.list` that `read_video` and `read_ad` read; all of them cost one unit together."""

EndedBy = Literal["last_page", "page_cap", "repeating_pages", "looping_token"]
Availability = Literal["public", "gone", "live", "unprocessed"]


@dataclass(frozen=True)
class Listed:
    """A page of a search, a playlist or a channel's uploads."""

    video_ids: tuple[str, ...]
    next_page_token: str | None


@dataclass(frozen=True)
class VideoFacts:
    """Facts of a video that the filters check; the fields are columns of `candidates`."""

    video_id: str
    availability: Availability
    published_at: datetime | None = None
    duration_s: float | None = None
    language: str | None = None
    comment_count: int | None = None
    """None where comments are disabled."""
    age_restricted: bool = False
    paid_product_placement: bool | None = None
    allowed_regions: tuple[str, ...] | None = None
    """Countries that may see it; None when it is not limited to some."""
    blocked_regions: tuple[str, ...] | None = None


@dataclass
class CommentPage:
    """A page of comment threads or of replies, on its way from the API's answer to the tables."""

    video_id: str
    fetched_at: datetime
    comments: dict[str, Comment] = field(default_factory=dict)
    """By id; those of a page of threads grow by the replies that did not come along."""
    drops: list[Drop] = field(default_factory=list)
    next_page_token: str | None = None
    n_items: int = 0
    """Entries on the page, usable or not."""
    unfinished: tuple[tuple[str, int], ...] = ()
    """Threads with more replies than came along, and how many replies each has."""
    token: str | None = None
    """Token that it was asked for with."""
    units: int = 0
    """Calls that it took, those for its replies among them."""
    ended_by: EndedBy | None = None
    """Reason that no page comes after it."""
    pages: int = 0
    """Pages of this ad read so far, earlier runs included."""
    fault: Fault | None = None
    """Reason that the ad could not be read on."""


def read_listed(answer: Mapping[str, Any]) -> Listed:
    """Read a page of `search.list` or `playlistItems.list`; what is no video is passed over."""
    found = []
    for item in _items(answer):
        holders = (item.get("id"), _part(item, "contentDetails"), _part(_part(item, "snippet"), "resourceId"))
        ids = (video_id_of(holder.get("videoId")) for holder in holders if isinstance(holder, dict))
        found += [video_id for video_id in ids if video_id][:1]
    return Listed(tuple(dict.fromkeys(found)), text_of(answer.get("nextPageToken")))


def read_uploads(answer: Mapping[str, Any]) -> str | None:
    """The playlist of a channel's uploads, from `channels.list`; None when there is no such channel."""
    for item in _items(answer):
        return text_of(_part(_part(item, "contentDetails"), "relatedPlaylists").get("uploads"))
    return None


def read_videos(answer: Mapping[str, Any], asked: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Items of `videos.list` by id; of the ids asked for, those that are missing here are gone or private."""
    items = ((video_id_of(item.get("id")), item) for item in _items(answer))
    wanted = set(asked)
    return {video_id: item for video_id, item in items if video_id in wanted}


def read_video(video_id: str, item: Mapping[str, Any] | None) -> VideoFacts:
    """Parse the facts of a video that the filters check; `item` is None when the answer does not have it."""
    if item is None:
        return VideoFacts(video_id, "gone")
    snippet, content = _part(item, "snippet"), _part(item, "contentDetails")
    regions = _part(content, "regionRestriction")
    placement = _part(item, "paidProductPlacementDetails").get("hasPaidProductPlacement")
    return VideoFacts(
        video_id=video_id,
        availability=_availability(item),
        published_at=iso_instant(snippet.get("publishedAt")),
        duration_s=iso_duration(content.get("duration")),
        language=text_of(snippet.get("defaultAudioLanguage")) or text_of(snippet.get("defaultLanguage")),
        comment_count=count(_part(item, "statistics").get("commentCount")),
        age_restricted=_part(content, "contentRating").get("ytRating") == "ytAgeRestricted",
        paid_product_placement=placement if isinstance(placement, bool) else None,
        allowed_regions=_regions(regions.get("allowed")),
        blocked_regions=_regions(regions.get("blocked")),
    )


def read_ad(
    item: Mapping[str, Any],
    *,
    video_id: str,
    category: str,
    query: str | None,
    author_key: bytes,
    fetched_at: datetime,
    synthetic: bool = False,
) -> Ad:
    """The row of `ads` of a video whose media are still to be fetched."""
    facts = read_video(video_id, item)
    snippet, statistics = _part(item, "snippet"), _part(item, "statistics")
    return Ad(
        video_id=video_id,
        title=text_of(snippet.get("title")) or "",
        description=text_of(snippet.get("description")) or "",
        category=category,
        query=query,
        source=SOURCE,
        url=f"https://www.youtube.com/watch?v={video_id}",
        channel_hash=pseudonym(author_key, text_of(snippet.get("channelId"))),
        duration_s=facts.duration_s,
        width=None,
        height=None,
        language=facts.language,
        published_at=facts.published_at,
        view_count=count(statistics.get("viewCount")),
        like_count=count(statistics.get("likeCount")),
        comment_count=facts.comment_count,
        synthetic=synthetic,
        media_path=None,
        media_status="missing",
        media_sha256=None,
        media_size_bytes=None,
        media_tool=None,
        files_stamp="",
        fetched_at=fetched_at,
    )


@dataclass(frozen=True)
class CommentReader:
    """Reads the comments of one ad."""

    video_id: str
    channel_hash: str | None
    """Of the ad's own channel, whose comments are `by_uploader`."""
    author_key: bytes

    def threads(self, answer: Mapping[str, Any], fetched_at: datetime) -> CommentPage:
        """Read a page of `commentThreads.list`: each thread's first comment and the replies that came along."""
        read: list[Comment | Drop] = []
        unfinished: list[tuple[str, int]] = []
        for item in _listed(answer):
            snippet = _part(item, "snippet")
            read.append(self._comment(snippet.get("topLevelComment"), None, fetched_at))
            thread_id = identifier(_part(snippet, "topLevelComment").get("id")) or identifier(
                item.get("id") if isinstance(item, dict) else None
            )
            embedded = _part(item, "replies").get("comments")
            replies = self._replies(embedded if isinstance(embedded, list) else [], thread_id, fetched_at)
            read += replies
            n_replies = count(snippet.get("totalReplyCount")) or 0
            if thread_id and n_replies > len(replies):
                unfinished.append((thread_id, n_replies))
        return self._page(answer, read, fetched_at, tuple(unfinished))

    def replies(self, answer: Mapping[str, Any], parent_id: str, fetched_at: datetime) -> CommentPage:
        """Read a page of `comments.list` of one thread."""
        return self._page(answer, self._replies(_listed(answer), parent_id, fetched_at), fetched_at)

    def _page(
        self,
        answer: Mapping[str, Any],
        read: list[Comment | Drop],
        fetched_at: datetime,
        unfinished: tuple[tuple[str, int], ...] = (),
    ) -> CommentPage:
        return CommentPage(
            video_id=self.video_id,
            fetched_at=fetched_at,
            comments={entry.comment_id: entry for entry in read if isinstance(entry, Comment)},
            drops=[entry for entry in read if isinstance(entry, Drop)],
            next_page_token=text_of(answer.get("nextPageToken")),
            n_items=len(read),
            unfinished=unfinished,
        )

    def _replies(self, entries: list[Any], parent_id: str | None, fetched_at: datetime) -> list[Comment | Drop]:
        return [self._comment(entry, parent_id, fetched_at) for entry in entries]

    def _comment(self, entry: object, parent_id: str | None, fetched_at: datetime) -> Comment | Drop:
        item = entry if isinstance(entry, dict) else {}
        snippet = _part(item, "snippet")
        comment_id, text = identifier(item.get("id")), text_of(snippet.get("textDisplay"))
        problem = self._problem(entry, snippet, comment_id, text)
        if problem or comment_id is None or text is None:
            # without an id, its content stands in: the same entry on a page that repeats is one drop
            place = comment_id or hashlib.sha256(repr(entry).encode("utf-8", "replace")).hexdigest()[:16]
            key = f"{self.video_id}:comments:{place}"
            return COMMENTS.drop(key, self.video_id, "malformed_comment", problem)
        author = text_of(_part(snippet, "authorChannelId").get("value"))
        author_hash = pseudonym(self.author_key, author)
        return Comment(
            comment_id=comment_id,
            video_id=self.video_id,
            parent_id=parent_id,
            text=text,
            text_sha256=hashlib.sha256(text.encode("utf-8")).hexdigest(),
            like_count=count(snippet.get("likeCount")),
            published_at=iso_instant(snippet.get("publishedAt")),
            language=None,
            author_hash=author_hash,
            by_uploader=author_hash is not None and author_hash == self.channel_hash,
            fetched_at=fetched_at,
        )

    def _problem(self, entry: object, snippet: Mapping[str, Any], comment_id: str | None, text: str | None) -> str:
        if not isinstance(entry, dict):
            return f"expected an object, found {json_type(entry)}"
        if comment_id is None:
            return "no usable id"
        if text is None or not text.strip():
            return "no text"
        stated = snippet.get("videoId")
        return "" if stated in (None, self.video_id) else "is of another video"


def _availability(item: Mapping[str, Any]) -> Availability:
    status = _part(item, "status")
    if status.get("privacyStatus") == "private":
        return "gone"
    if _part(item, "snippet").get("liveBroadcastContent") in ("live", "upcoming"):
        return "live"
    if status.get("uploadStatus") not in (None, "processed"):
        return "unprocessed"
    return "public"


def _listed(answer: Mapping[str, Any]) -> list[Any]:
    items = answer.get("items")
    return items if isinstance(items, list) else []


def _items(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (item for item in _listed(answer) if isinstance(item, dict))


def _part(item: object, name: str) -> Mapping[str, Any]:
    part = item.get(name) if isinstance(item, dict) else None
    return part if isinstance(part, dict) else {}


def _regions(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(country for country in value if isinstance(country, str) and len(country) == 2)
