"""Containers that the steps of a crawl hand on: rows of `ads`, `comments` and `comment_fetches`, and what is left."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from data_catalog.tables.drops import Drop

MediaStatus = Literal["present", "missing", "deleted"]
"""`missing`: the ad is known, its video is not there (yet); `deleted`: its frames were sampled and it went."""


@dataclass(frozen=True)
class Ad:
    """One video with its metadata; the fields are the columns of the table `ads`."""

    video_id: str
    title: str
    description: str
    category: str
    query: str | None
    source: str
    url: str | None
    channel_hash: str | None
    duration_s: float | None
    width: int | None
    height: int | None
    language: str | None
    published_at: datetime | None
    view_count: int | None
    like_count: int | None
    comment_count: int | None
    synthetic: bool
    media_path: str | None
    """Path below the source's folder, with forward slashes; None when there is no video."""
    media_status: MediaStatus
    media_sha256: str | None
    media_size_bytes: int | None
    media_tool: str | None
    """Tool that fetched the video, with its version; None when that is not known."""
    files_stamp: str
    fetched_at: datetime


@dataclass(frozen=True)
class Comment:
    """One comment; the fields are the columns of the table `comments`."""

    comment_id: str
    video_id: str
    parent_id: str | None
    text: str
    text_sha256: str
    like_count: int | None
    published_at: datetime | None
    language: str | None
    author_hash: str | None
    by_uploader: bool
    fetched_at: datetime


@dataclass(frozen=True)
class Fetch:
    """Progress of reading an ad's comments; the fields are columns of `comment_fetches`."""

    video_id: str
    state: Literal["open", "complete"]
    ended_by: str | None
    next_page_token: str | None
    pages: int
    units: int
    n_comments: int
    fingerprint: str
    started_at: datetime
    fetched_at: datetime
    completed_at: datetime | None = None
    """When they were last read to the end; a new reading does not change it until it ends."""


@dataclass(frozen=True)
class AdToRead:
    """An ad whose comments are wanted, and how far an earlier run came."""

    video_id: str
    channel_hash: str | None
    comment_count: int | None = None
    """As the video's metadata say."""
    is_begun: bool = False
    """Whether this continues a reading that an earlier run began, even in the middle of the first page."""
    next_page_token: str | None = None
    pages: int = 0
    held_replies: Mapping[str, int] = field(default_factory=dict)
    """Replies that are held already, by thread; of use where a run was stopped inside a page."""


@dataclass(frozen=True)
class FoundAd:
    """An ad that is new or has changed, its comments, and the comments that could not be used."""

    ad: Ad
    comments: tuple[Comment, ...] = ()
    drops: tuple[Drop, ...] = ()


@dataclass(frozen=True)
class UnchangedAd:
    """An ad whose files are as they were when the catalog last took it in; nothing was read."""

    video_id: str


def pseudonym(author_key: bytes, person: str | None) -> str | None:
    """A channel or author as a keyed hash: equal for equal ids, and no way back without the key."""
    if person is None:
        return None
    return hmac.digest(author_key, person.encode("utf-8"), "sha256").hex()[:32]
