"""Comments as the Data API v3 words them: a thread with some of its replies, or replies alone."""

from __future__ import annotations

from tests.youtube_sandbox.shapes import Json, etag, instant, with_entities
from tests.youtube_sandbox.world import SandboxComment, SandboxVideo

EMBEDDED_REPLIES = 5
"""Replies that come with their thread at most."""


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
