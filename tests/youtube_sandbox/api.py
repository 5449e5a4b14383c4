"""The methods of the Data API v3 that a crawl calls: parameters checked, filtered, cut into pages, put into shape."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from tests.youtube_sandbox import shapes
from tests.youtube_sandbox.description import fields_of, page_size, select
from tests.youtube_sandbox.errors import REFUSALS, RefusedError, invalid
from tests.youtube_sandbox.paging import Ask, Page, cut
from tests.youtube_sandbox.world import SandboxComment, SandboxVideo, World, newest_first

PATH = "/youtube/v3/"
_NOT_OF_A_SEARCH = {"part", "key", "alt", "prettyPrint", "fields", "quotaUser", "maxResults", "pageToken"}
_FILTERS_OF_VIDEOS = ("videoCategoryId", "videoPaidProductPlacement", "videoDuration", "videoEmbeddable", "eventType")
_MINUTES = {"any": (0, 10**9), "short": (0, 4), "medium": (4, 20), "long": (20, 10**9)}


@dataclass(frozen=True)
class Call:
    """One request of the API, as it came; a fault of pages is done to its answer."""

    method: str
    parameters: Mapping[str, str]
    fault: str | None = None
    search_limit: int = 500
    country: str = "US"

    @property
    def parts(self) -> set[str]:
        """The parts of a resource that are asked for."""
        return set(self.parameters["part"].split(","))

    @property
    def plain(self) -> bool:
        """Whether comments are wanted as plain text; HTML is what comes otherwise."""
        return self.parameters.get("textFormat") == "plainText"

    @property
    def size(self) -> int:
        """The number of items wanted on a page."""
        return page_size(self.method, self.parameters)

    def ask(self, *of: str) -> Ask:
        """The page wanted of the list that has these for its name."""
        return Ask(" ".join((self.method, *of)), self.size, self.parameters.get("pageToken"), self.fault)


def answer(world: World, call: Call) -> dict[str, Any]:
    """Answer a call that was checked.

    Raises:
        RefusedError: it says no.
    """
    with world.lock:
        whole = _METHODS[call.method](world, call)
    fields = call.parameters.get("fields")
    return select(whole, fields_of(call.method, fields)) if fields else whole


def comment_page(world: World, call: Call) -> tuple[SandboxVideo, Page[SandboxComment]]:
    """The threads of a video that a call of `commentThreads.list` asks for."""
    video = world.videos.get(call.parameters["videoId"])
    if video is None or not video.available:
        raise RefusedError(REFUSALS["video_not_found"])
    if video.members_only:
        raise RefusedError(REFUSALS["forbidden"])
    if video.comments_disabled:
        raise RefusedError(REFUSALS["comments_disabled"])
    order = call.parameters.get("order", "time")
    ask = call.ask(video.video_id, order)
    if order != "relevance":
        return video, cut(video.threads, ask, newest_first)
    return video, cut(sorted(video.threads, key=lambda thread: -thread.like_count - len(thread.replies)), ask)


def _comment_threads(world: World, call: Call) -> shapes.Json:
    if "id" in call.parameters:
        found = filter(None, map(world.thread, call.parameters["id"].split(",")))
        items = [shapes.thread_item(video, thread, call.parts, plain=call.plain) for video, thread in found]
        return shapes.listing("commentThread", items, page_info=_of_page(len(items), 20))
    if not call.parameters.get("videoId"):
        raise RefusedError(REFUSALS["no_filter"])
    video, page = comment_page(world, call)
    parts, plain = call.parts, call.plain
    items = [shapes.thread_item(video, thread, parts, plain=plain) for thread in page.items]
    page_info = _of_page(len(items), call.size)
    return shapes.listing("commentThread", items, page_info=page_info, next_token=page.next_token)


def _comments(world: World, call: Call) -> shapes.Json:
    parent_id = call.parameters.get("parentId")
    if not parent_id:
        raise RefusedError(REFUSALS["no_filter"])
    found = world.thread(parent_id)
    if found is None:
        raise RefusedError(REFUSALS["comment_not_found"])
    _, thread = found
    page = cut(thread.replies, call.ask(parent_id), newest_first)
    items = [shapes.reply_item(thread, reply, plain=call.plain) for reply in page.items]
    return shapes.listing("comment", items, page_info={"resultsPerPage": call.size}, next_token=page.next_token)


def _videos(world: World, call: Call) -> shapes.Json:
    shape = partial(shapes.video_item, parts=call.parameters["part"].split(","))
    if call.parameters.get("chart"):
        public = [video for video in world.videos.values() if video.available and video.privacy == "public"]
        page = cut(sorted(public, key=lambda video: -video.view_count), call.ask("chart"))
        items = [shape(video, world.channels[video.channel_id]) for video in page.items]
        return _counted("video", items, page, len(public), call.size)
    if not call.parameters.get("id"):
        raise RefusedError(REFUSALS["no_filter"])
    ids = list(dict.fromkeys(call.parameters["id"].split(",")))
    if len(ids) > 50:
        raise RefusedError(invalid("id", f"{len(ids)} ids"))
    there = [world.videos[video_id] for video_id in ids if video_id in world.videos]
    items = [shape(video, world.channels[video.channel_id]) for video in there if video.available]
    # of nothing there is no list, not even an empty one
    return shapes.listing("video", items or None, page_info=_of_page(len(items), len(items)))


def _channels(world: World, call: Call) -> shapes.Json:
    ids = call.parameters.get("id", "").split(",")
    handle = call.parameters.get("forHandle", "").lower().lstrip("@")
    if not (handle or ids[0]):
        raise RefusedError(REFUSALS["no_filter"])
    found = [
        channel
        for channel in world.channels.values()
        if (channel.handle.lower().lstrip("@") == handle if handle else channel.channel_id in ids)
    ]
    parts = call.parameters["part"].split(",")
    items = [shapes.channel_item(channel, world.uploads(channel.channel_id), parts) for channel in found]
    return shapes.listing("channel", items or None, page_info=_of_page(len(items), 5))


def _playlist_items(world: World, call: Call) -> shapes.Json:
    playlist_id = call.parameters.get("playlistId")
    if not playlist_id:
        raise RefusedError(REFUSALS["no_filter"])
    if playlist := world.playlists.get(playlist_id):
        channel_id, video_ids = playlist.channel_id, list(playlist.video_ids)
    elif f"UC{playlist_id[2:]}" in world.channels:
        channel_id = f"UC{playlist_id[2:]}"
        video_ids = [video.video_id for video in world.uploads(channel_id)]
    else:
        raise RefusedError(REFUSALS["playlist_not_found"])
    channel = world.channels.get(channel_id) or next(iter(world.channels.values()))
    page = cut(video_ids, call.ask(playlist_id))
    items = [
        shapes.playlist_item(playlist_id, position, video_id, world.videos.get(video_id), channel, call.parts)
        for position, video_id in enumerate(page.items, page.position)
    ]
    return _counted("playlistItem", items, page, len(video_ids), call.size)


def _search(world: World, call: Call) -> shapes.Json:
    if "type" not in call.parameters and any(name in call.parameters for name in _FILTERS_OF_VIDEOS):
        raise RefusedError(REFUSALS["search_filter"])
    of_videos = "video" in call.parameters.get("type", "video").split(",")
    found = [video for video in world.videos.values() if of_videos and video.listed and _matches(video, call)]
    of = sorted(f"{name}={value}" for name, value in call.parameters.items() if name not in _NOT_OF_A_SEARCH)
    page = cut(_ranked(found, call)[: call.search_limit], call.ask(*of))
    items = [shapes.search_item(video, world.channels[video.channel_id], call.parts) for video in page.items]
    # the real number of results is nobody's business: YouTube's is a guess too
    total = min(1_000_000, zlib.crc32(call.parameters.get("q", "").encode()) % 2_000_000 + len(found))
    region = call.parameters.get("regionCode", call.country)
    return _counted("search", items, page, total, call.size, region)


def _matches(video: SandboxVideo, call: Call) -> bool:
    """Whether a video answers to every filter of a search; the language is no filter, only a hint."""
    given = call.parameters
    try:
        after, before = (given.get(name) for name in ("publishedAfter", "publishedBefore"))
        if after and video.published_at.replace(microsecond=0) < shapes.parse_instant(after):
            return False
        if before and video.published_at.replace(microsecond=0) > shapes.parse_instant(before):
            return False
    except ValueError:
        raise RefusedError(invalid("publishedAfter or publishedBefore", f"{after}, {before}")) from None
    least, most = _MINUTES.get(given.get("videoDuration", "any"), _MINUTES["any"])
    return (
        ("channelId" not in given or video.channel_id == given["channelId"])
        and ("regionCode" not in given or not video.blocked_for(given["regionCode"]))
        and ("videoCategoryId" not in given or video.category_id == given["videoCategoryId"])
        and (given.get("videoPaidProductPlacement", "any") == "any" or video.paid_product_placement)
        and least * 60 <= video.duration_s < most * 60
        and _speaks_of(video, given.get("q", ""))
    )


def _speaks_of(video: SandboxVideo, phrase: str) -> bool:
    wanted = phrase.lower()
    if not wanted or wanted in map(str.lower, video.found_by):
        return True
    return _words(wanted) <= _words(" ".join((video.title, video.description, *video.tags)).lower())


@lru_cache(maxsize=100_000)
def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


def _ranked(found: Sequence[SandboxVideo], call: Call) -> list[SandboxVideo]:
    order, hint = call.parameters.get("order", "relevance"), call.parameters.get("relevanceLanguage", "")
    keys: dict[str, Callable[[SandboxVideo], Any]] = {
        "relevance": lambda video: (
            not (video.language or "").startswith(hint),
            zlib.crc32(f"{call.parameters.get('q')} {video.video_id}".encode()),
        ),
        "date": lambda video: (-video.published_at.timestamp(), video.video_id),
        "viewCount": lambda video: (-video.view_count, video.video_id),
        "rating": lambda video: (-(video.like_count or 0), video.video_id),
        "title": lambda video: (video.title, video.video_id),
    }
    return sorted(found, key=keys.get(order, keys["relevance"]))


def _counted(
    kind: str, items: list[shapes.Json], page: Page[Any], total: int, size: int, region: str | None = None
) -> shapes.Json:
    """A list that says how long it is and leads back as well as on."""
    return shapes.listing(
        kind,
        items,
        page_info=_of_page(total, size),
        next_token=page.next_token,
        prev_token=page.prev_token,
        region=region,
    )


def _of_page(total: int, size: int) -> shapes.Json:
    return {"totalResults": total, "resultsPerPage": size}


_METHODS: dict[str, Callable[[World, Call], shapes.Json]] = {
    "search": _search,
    "videos": _videos,
    "channels": _channels,
    "playlistItems": _playlist_items,
    "commentThreads": _comment_threads,
    "comments": _comments,
}
