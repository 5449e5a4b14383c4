"""The sandbox's content: channels, playlists, videos and comments; it may change while it is served.

Everything is a plain dataclass. Build them by hand, or take a whole world from `builders.py`. While a sandbox serves a
world, change comments through the methods of `World`; the other fields of a video may be set directly.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Privacy = Literal["public", "unlisted", "private"]
Live = Literal["none", "live", "upcoming"]

CHANNEL_ID = "UCsandboxsandboxsandbox0"
_NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class SandboxComment:
    """A comment with its replies, newest first; replies have no replies of their own."""

    comment_id: str
    text: str
    published_at: datetime = _NEW_YEAR
    author: str | None = "@someone"
    author_channel: str | None = "UCsomebodysomebodysomeb0"
    """None, as for accounts without a channel: the answer then has no `authorChannelId`."""
    like_count: int = 0
    updated_at: datetime | None = None
    replies: list[SandboxComment] = field(default_factory=list)
    hidden_replies: int = 0
    """Replies that `totalReplyCount` goes on counting though nobody is given them: removed, or held for review."""


@dataclass
class SandboxVideo:
    """A video with everything that the API and the site say about it, its troubles too."""

    video_id: str
    title: str = "A video"
    description: str = "Made for the sandbox."
    channel_id: str = CHANNEL_ID
    published_at: datetime = _NEW_YEAR
    duration_s: int = 30
    language: str | None = "en"
    category_id: str = "22"
    tags: tuple[str, ...] = ()
    found_by: tuple[str, ...] = ()
    """Search phrases that find it, besides the words of its title, description and tags."""
    view_count: int = 1000
    like_count: int | None = 10
    paid_product_placement: bool = False
    privacy: Privacy = "public"
    gone: bool = False
    still_listed: bool = False
    """Whether searches and channels go on listing it although it is gone or private."""
    members_only: bool = False
    age_restricted: bool = False
    comments_disabled: bool = False
    blocked_in: tuple[str, ...] = ()
    allowed_in: tuple[str, ...] | None = None
    live: Live = "none"
    upload_status: str = "processed"
    threads: list[SandboxComment] = field(default_factory=list)
    """Top-level comments, newest first."""
    hidden_comments: int = 0
    """Comments that `commentCount` goes on counting though nobody is given them."""
    heights: tuple[int, ...] = (360,)
    """Shorter sides of the pictures that are offered."""
    upright: bool = False
    media: Path | bytes | None = None
    """The file that its formats give; None: a second of one colour, made when first asked for."""
    media_bytes: int = 0
    """Least size of a file that is made; it is padded."""
    revision: int = 0
    """Rises with every change of its comments."""

    @property
    def available(self) -> bool:
        """Whether the API describes it."""
        return not self.gone and self.privacy != "private"

    @property
    def listed(self) -> bool:
        """Whether searches and its channel's uploads name it."""
        return self.still_listed or (self.available and self.privacy == "public")

    @property
    def n_comments(self) -> int:
        """What `commentCount` says."""
        return sum(1 + len(thread.replies) + thread.hidden_replies for thread in self.threads) + self.hidden_comments

    def blocked_for(self, country: str) -> bool:
        """Whether a viewer in that country may not see it."""
        return country in self.blocked_in or (self.allowed_in is not None and country not in self.allowed_in)


@dataclass
class SandboxChannel:
    """A channel; its uploads are the videos that name it."""

    channel_id: str = CHANNEL_ID
    title: str = "Sandbox"
    handle: str = "@sandbox"
    description: str = "A channel of the sandbox."
    country: str | None = None
    published_at: datetime = datetime(2012, 5, 1, tzinfo=UTC)

    @property
    def uploads_id(self) -> str:
        """Id of the playlist of everything that it uploaded."""
        return f"UU{self.channel_id[2:]}"


@dataclass
class SandboxPlaylist:
    """A list of videos that somebody put together; it keeps the places of those that are gone."""

    playlist_id: str
    video_ids: list[str]
    channel_id: str = CHANNEL_ID


def newest_first(comment: SandboxComment) -> tuple[float, str]:
    """Where a comment stands in its list."""
    return -comment.published_at.timestamp(), comment.comment_id


class World:
    """Everything there is; safe to change from one thread while others read.

    Channels that a video names and nobody gave are made.
    """

    def __init__(
        self,
        videos: Iterable[SandboxVideo] = (),
        channels: Iterable[SandboxChannel] = (),
        playlists: Iterable[SandboxPlaylist] = (),
    ) -> None:
        self.lock = threading.RLock()
        self.videos: dict[str, SandboxVideo] = {}
        self.channels = {channel.channel_id: channel for channel in channels}
        self.playlists = {playlist.playlist_id: playlist for playlist in playlists}
        self._homes: dict[str, tuple[str, str | None]] = {}
        self._indexed: dict[str, int] = {}
        for video in videos:
            self.add_video(video)

    def add_video(self, video: SandboxVideo) -> SandboxVideo:
        """Put a video there, in place of one with the same id."""
        with self.lock:
            video.threads.sort(key=newest_first)
            for thread in video.threads:
                thread.replies.sort(key=newest_first)
            number = len(self.channels)
            self.channels.setdefault(
                video.channel_id, SandboxChannel(video.channel_id, f"Sandbox {number}", f"@sandbox{number or ''}")
            )
            self.videos[video.video_id] = video
            video.revision += 1
        return video

    def delete_video(self, video_id: str) -> None:
        """Delete a video as its uploader would: nothing lists or describes it any more."""
        self.videos[video_id].gone = True

    def add_comment(self, video_id: str, comment: SandboxComment, parent_id: str | None = None) -> None:
        """Write a comment under a video, or a reply under a comment."""
        with self.lock:
            video = self.videos[video_id]
            siblings = video.threads if parent_id is None else self._thread(video, parent_id).replies
            insort(siblings, comment, key=newest_first)
            video.revision += 1

    def delete_comment(self, comment_id: str) -> None:
        """Delete a reply, or a comment with all its replies."""
        with self.lock:
            video, parent_id = self._home(comment_id)
            siblings = video.threads if parent_id is None else self._thread(video, parent_id).replies
            siblings[:] = [comment for comment in siblings if comment.comment_id != comment_id]
            video.revision += 1

    def api_comments(self, video_id: str) -> set[str]:
        """Ids of the comments that a complete crawl of the API must have got for this video now."""
        with self.lock:
            video = self.videos.get(video_id)
            if video is None or not video.available or video.comments_disabled or video.members_only:
                return set()
            return {comment.comment_id for comment in self.comments(video_id)}

    def comments(self, video_id: str) -> Iterator[SandboxComment]:
        """Every comment of a video, each followed by its replies."""
        for thread in self.videos[video_id].threads:
            yield thread
            yield from thread.replies

    def thread(self, comment_id: str) -> tuple[SandboxVideo, SandboxComment] | None:
        """A top-level comment and its video; None when there is no such thread, or the API does not show it."""
        with self.lock:
            try:
                video, parent_id = self._home(comment_id)
                return None if parent_id or not video.available else (video, self._thread(video, comment_id))
            except KeyError:
                return None

    def uploads(self, channel_id: str) -> list[SandboxVideo]:
        """The videos of a channel, newest first."""
        with self.lock:
            own = [video for video in self.videos.values() if video.channel_id == channel_id and video.listed]
        return sorted(own, key=lambda video: (video.published_at, video.video_id), reverse=True)

    def _home(self, comment_id: str) -> tuple[SandboxVideo, str | None]:
        """The video of a comment, and the comment that it replies to."""
        for video in self.videos.values():
            if self._indexed.get(video.video_id) != video.revision:
                self._indexed[video.video_id] = video.revision
                self._index(video)
        video_id, parent_id = self._homes[comment_id]
        return self.videos[video_id], parent_id

    def _index(self, video: SandboxVideo) -> None:
        for thread in video.threads:
            self._homes[thread.comment_id] = video.video_id, None
            self._homes.update((reply.comment_id, (video.video_id, thread.comment_id)) for reply in thread.replies)

    @staticmethod
    def _thread(video: SandboxVideo, comment_id: str) -> SandboxComment:
        for thread in video.threads:
            if thread.comment_id == comment_id:
                return thread
        raise KeyError(f"{video.video_id} has no thread {comment_id}")
