"""The sandbox's videos, channels, playlists and comments as the Data API v3 words them: same keys and types."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.youtube_sandbox.world import SandboxChannel, SandboxComment, SandboxVideo

Json = dict[str, Any]

_THUMBNAILS = {
    "default": ("default", 120, 90),
    "medium": ("mqdefault", 320, 180),
    "high": ("hqdefault", 480, 360),
    "standard": ("sddefault", 640, 480),
    "maxres": ("maxresdefault", 1280, 720),
}
_LISTED = ("default", "medium", "high")
EMBEDDED_REPLIES = 5
"""Replies that come with their thread at most."""


def listing(
    kind: str,
    items: list[Json] | None,
    *,
    page_info: Json | None,
    next_token: str | None = None,
    prev_token: str | None = None,
    region: str | None = None,
) -> Json:
    """What every list answer has around its items; what is None is left out."""
    answer = {
        "kind": f"youtube#{kind}ListResponse",
        "etag": etag(kind, page_info, next_token),
        "nextPageToken": next_token,
        "prevPageToken": prev_token,
        "regionCode": region,
        "pageInfo": page_info,
        "items": items,
    }
    return {key: value for key, value in answer.items() if value is not None}


def video_item(video: SandboxVideo, channel: SandboxChannel, parts: Iterable[str]) -> Json:
    """A video as `videos.list` describes it."""
    described = {
        "snippet": _video_snippet,
        "contentDetails": _content_details,
        "statistics": _statistics,
        "status": _status,
        "player": _player,
        "paidProductPlacementDetails": _placement,
    }
    item: Json = {"kind": "youtube#video", "etag": etag(video.video_id, video.revision), "id": video.video_id}
    return item | {part: described[part](video, channel) for part in parts if part in described}


def search_item(video: SandboxVideo, channel: SandboxChannel, parts: set[str]) -> Json:
    """A video as `search.list` names it; its texts come with HTML's entities."""
    item: Json = {
        "kind": "youtube#searchResult",
        "etag": etag("search", video.video_id),
        "id": {"kind": "youtube#video", "videoId": video.video_id},
    }
    if "snippet" in parts:
        item["snippet"] = {
            "publishedAt": instant(video.published_at),
            "channelId": video.channel_id,
            "title": with_entities(video.title),
            "description": with_entities(video.description[:160]),
            "thumbnails": thumbnails(video.video_id, _LISTED),
            "channelTitle": channel.title,
            "liveBroadcastContent": video.live,
        }
    return item


def playlist_item(
    playlist_id: str, position: int, video_id: str, video: SandboxVideo | None, channel: SandboxChannel, parts: set[str]
) -> Json:
    """A place in a playlist; of a video that is gone or private only the id is left."""
    shown = video is not None and (video.available or video.still_listed)
    lost = "Private video" if video is not None and not video.gone else "Deleted video"
    item: Json = {
        "kind": "youtube#playlistItem",
        "etag": etag(playlist_id, video_id),
        "id": base64.b64encode(f"{playlist_id}.{position:016X}".encode()).decode(),
    }
    if "snippet" in parts:
        item["snippet"] = {
            "publishedAt": instant(video.published_at if video else channel.published_at),
            "channelId": channel.channel_id,
            "title": video.title if video and shown else lost,
            "description": video.description if video and shown else "This video is unavailable.",
            "thumbnails": thumbnails(video_id, _THUMBNAILS) if shown else {},
            "channelTitle": channel.title,
            "playlistId": playlist_id,
            "position": position,
            "resourceId": {"kind": "youtube#video", "videoId": video_id},
        }
    if "contentDetails" in parts:
        item["contentDetails"] = {"videoId": video_id}
        if video and shown:
            item["contentDetails"]["videoPublishedAt"] = instant(video.published_at)
    if "status" in parts:
        privacy = video.privacy if video and not video.gone else "privacyStatusUnspecified"
        item["status"] = {"privacyStatus": privacy}
    return item


def channel_item(channel: SandboxChannel, uploads: Sequence[SandboxVideo], parts: Iterable[str]) -> Json:
    """A channel as `channels.list` describes it."""
    country = {"country": channel.country} if channel.country else {}
    texts = {"title": channel.title, "description": channel.description}
    sizes = (("default", 88), ("medium", 240), ("high", 800))
    described: Json = {
        "snippet": {
            **texts,
            "customUrl": channel.handle.lower(),
            "publishedAt": channel.published_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "thumbnails": {
                name: {"url": f"https://yt3.ggpht.com/sandbox=s{side}", "width": side, "height": side}
                for name, side in sizes
            },
            "localized": texts,
            **country,
        },
        "contentDetails": {"relatedPlaylists": {"likes": "", "uploads": channel.uploads_id}},
        "statistics": {
            "viewCount": str(sum(video.view_count for video in uploads)),
            "subscriberCount": "1000",
            "hiddenSubscriberCount": False,
            "videoCount": str(len(uploads)),
        },
        "brandingSettings": {
            "channel": {
                **texts,
                "keywords": "sandbox",
                "trackingAnalyticsAccountId": "UA-0",
                "unsubscribedTrailer": uploads[0].video_id if uploads else "",
                **country,
            },
            "image": {"bannerExternalUrl": "https://yt3.ggpht.com/sandbox-banner"},
        },
    }
    item: Json = {
        "kind": "youtube#channel",
        "etag": etag(channel.channel_id, len(uploads)),
        "id": channel.channel_id,
    }
    return item | {part: described[part] for part in parts if part in described}


def thread_item(video: SandboxVideo, thread: SandboxComment, parts: set[str], *, plain: bool) -> Json:
    """A top-level comment as `commentThreads.list` gives it, with at most five of its replies."""
    item: Json = {
        "kind": "youtube#commentThread",
        "etag": etag("thread", thread.comment_id, thread.like_count),
        "id": thread.comment_id,
    }
    if "snippet" in parts:
        item["snippet"] = {
            "videoId": video.video_id,
            "topLevelComment": _comment(thread, plain, {"videoId": video.video_id}),
            "canReply": True,
            "totalReplyCount": len(thread.replies) + thread.hidden_replies,
            "isPublic": True,
        }
    if "replies" in parts and thread.replies:
        of_thread = {"videoId": video.video_id}, {"parentId": thread.comment_id}
        item["replies"] = {
            "comments": [_comment(reply, plain, *of_thread) for reply in thread.replies[:EMBEDDED_REPLIES]]
        }
    return item


def reply_item(thread: SandboxComment, reply: SandboxComment, *, plain: bool) -> Json:
    """A reply as `comments.list` gives it; that answer does not name the video."""
    return _comment(reply, plain, {}, {"parentId": thread.comment_id})


def _video_snippet(video: SandboxVideo, channel: SandboxChannel) -> Json:
    texts = {"title": video.title, "description": video.description}
    return {
        "publishedAt": instant(video.published_at),
        "channelId": video.channel_id,
        **texts,
        "thumbnails": thumbnails(video.video_id, _THUMBNAILS),
        "channelTitle": channel.title,
        **({"tags": list(video.tags)} if video.tags else {}),
        "categoryId": video.category_id,
        "liveBroadcastContent": video.live,
        **({"defaultLanguage": video.language.partition("-")[0]} if video.language else {}),
        "localized": texts,
        **({"defaultAudioLanguage": video.language} if video.language else {}),
    }


def _content_details(video: SandboxVideo, channel: SandboxChannel) -> Json:
    restriction: Json = {}
    if video.allowed_in is not None:
        restriction = {"regionRestriction": {"allowed": list(video.allowed_in)}}
    elif video.blocked_in:
        restriction = {"regionRestriction": {"blocked": list(video.blocked_in)}}
    return {
        "duration": duration(0 if video.live != "none" else video.duration_s),
        "dimension": "2d",
        "definition": "hd" if max(video.heights) >= 720 else "sd",
        "caption": "false",
        "licensedContent": True,
        **restriction,
        "contentRating": {"ytRating": "ytAgeRestricted"} if video.age_restricted else {},
        "projection": "rectangular",
    }


def _statistics(video: SandboxVideo, channel: SandboxChannel) -> Json:
    return {
        "viewCount": str(video.view_count),
        **({"likeCount": str(video.like_count)} if video.like_count is not None else {}),
        "favoriteCount": "0",
        **({} if video.comments_disabled else {"commentCount": str(video.n_comments)}),
    }


def _status(video: SandboxVideo, channel: SandboxChannel) -> Json:
    return {
        "uploadStatus": video.upload_status,
        "privacyStatus": video.privacy,
        "license": "youtube",
        "embeddable": True,
        "publicStatsViewable": True,
        "madeForKids": False,
    }


def _player(video: SandboxVideo, channel: SandboxChannel) -> Json:
    source = f"//www.youtube.com/embed/{video.video_id}"
    return {"embedHtml": f'<iframe width="480" height="270" src="{source}" frameborder="0" allowfullscreen></iframe>'}


def _placement(video: SandboxVideo, channel: SandboxChannel) -> Json:
    return {"hasPaidProductPlacement": video.paid_product_placement}


def _comment(comment: SandboxComment, plain: bool, before: Json, after: Json | None = None) -> Json:
    """A comment; `before` and `after` its texts stand what only some answers say of it."""
    by = comment.author_channel
    return {
        "kind": "youtube#comment",
        "etag": etag(comment.comment_id, comment.like_count),
        "id": comment.comment_id,
        "snippet": {
            "authorDisplayName": comment.author or "",
            "authorProfileImageUrl": "https://yt3.ggpht.com/a/placeholder=s48",
            "authorChannelUrl": f"http://www.youtube.com/channel/{by}" if by else "",
            **({"authorChannelId": {"value": by}} if by else {}),
            **before,
            "textDisplay": comment.text if plain else with_entities(comment.text).replace("\n", "<br />"),
            "textOriginal": comment.text,
            **(after or {}),
            "canRate": True,
            "viewerRating": "none",
            "likeCount": comment.like_count,
            "publishedAt": instant(comment.published_at),
            "updatedAt": instant(comment.updated_at or comment.published_at),
        },
    }


def thumbnails(video_id: str, names: Iterable[str]) -> Json:
    """Pictures of these names; nobody serves them."""
    return {
        name: {"url": f"https://i.ytimg.com/vi/{video_id}/{file}.jpg", "width": width, "height": height}
        for name, (file, width, height) in ((name, _THUMBNAILS[name]) for name in names)
    }


def with_entities(text: str) -> str:
    """A text as HTML has it, with the entities that YouTube uses."""
    return html.escape(text).replace("&#x27;", "&#39;")


def etag(*facts: object) -> str:
    """A tag that changes when the facts do."""
    digest = hashlib.md5(repr(facts).encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    return f'"sandbox/{base64.urlsafe_b64encode(digest).decode()[:22]}"'


def instant(moment: datetime) -> str:
    """A time of UTC as the API writes it, to the second."""
    return f"{moment.replace(tzinfo=None).isoformat('T', 'seconds')}.000Z"


def duration(seconds: int) -> str:
    """A length in ISO 8601, as `PT1M5S`; of a live broadcast `P0D`."""
    if not seconds:
        return "P0D"
    hours, rest = divmod(seconds, 3600)
    days, hours = divmod(hours, 24)
    minutes, rest = divmod(rest, 60)
    date = f"{days}D" if days else ""
    time = "".join(f"{value}{unit}" for value, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if value)
    return f"P{date}{'T' + time if time else ''}"


def parse_instant(text: str) -> datetime:
    """A time as `publishedAfter` takes it."""
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment - (moment.utcoffset() or timedelta())
