"""A world made of a folder of rendered ads: every ad is a video there, and some have a double that is in trouble."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.youtube_sandbox.builders import TROUBLES, comment_id, default_phrases, reply_id, youtube_id
from tests.youtube_sandbox.world import SandboxChannel, SandboxComment, SandboxPlaylist, SandboxVideo, World

_CROWD = 350
"""Comments more under the first ad of each category: enough for pages, and for replies that come on their own."""
_MOST_REPLIES = 30

Info = Mapping[str, Any]


def world_of_folder(folder: Path) -> World:
    """The world of a folder that `flows.sample.render_sample` has filled.

    Each category has a channel and a playlist of its own, and the search phrases that the settings have for it; a
    category without such phrases is found by its name.
    """
    infos = [json.loads(path.read_text("utf-8")) for path in sorted(folder.rglob("[!.]*.info.json"))]
    media = {path.stem: path for path in folder.rglob("[!.]*.mp4")}
    categories = sorted({_category(info) for info in infos})
    channels = {name: _channel(name) for name in categories}
    videos: dict[str, list[SandboxVideo]] = {name: [] for name in categories}
    for info in infos:
        category = _category(info)
        video = _video(info, channels[category], media.get(info["id"]))
        if not videos[category]:
            _draw_crowd(video)
        videos[category].append(video)
    _add_troubles(videos)
    playlists = [
        SandboxPlaylist(playlist_of(name), [video.video_id for video in videos[name]], channels[name].channel_id)
        for name in categories
    ]
    return World((video for name in categories for video in videos[name]), channels.values(), playlists)


def handle_of(category: str) -> str:
    """Handle of the channel of a category."""
    return f"@sandbox-{'-'.join(category.split())}"[:30]


def playlist_of(category: str) -> str:
    """Id of the playlist of a category."""
    return youtube_id(_chance("playlist", category), "PL", 32)


def _category(info: Info) -> str:
    return str((info.get("categories") or ["other"])[0])


def _channel(category: str) -> SandboxChannel:
    name = youtube_id(_chance("channel", category), "UC", 22)
    return SandboxChannel(name, f"Sandbox: {category}", handle_of(category))


def _video(info: Info, channel: SandboxChannel, media: Path | None) -> SandboxVideo:
    published_at = datetime.fromtimestamp(info["timestamp"], UTC)
    draw = _chance("found by", info["id"])
    phrases = default_phrases().get(_category(info)) or (_category(info),)
    surely = draw.choice(phrases)
    return SandboxVideo(
        info["id"],
        title=info["title"],
        description=info["description"],
        channel_id=channel.channel_id,
        published_at=published_at,
        duration_s=round(info["duration"]),
        language=info["language"],
        # searches overlap, and none finds everything
        found_by=tuple(phrase for phrase in phrases if phrase == surely or draw.random() < 0.4),
        view_count=info["view_count"],
        like_count=info["like_count"],
        media=media,
        threads=_threads(info, info["id"]),
    )


def _threads(info: Info, video_id: str) -> list[SandboxComment]:
    """The comments of an ad under ids as YouTube gives them; a reply to a reply becomes one to its thread."""
    draw = _chance("comments", video_id)
    threads: dict[str, SandboxComment] = {}
    thread_of: dict[str, str] = {}
    for entry in info["comments"]:
        top = thread_of.get(entry["parent"], entry["parent"])
        is_reply = top in threads
        thread_of[entry["id"]] = top if is_reply else entry["id"]
        comment = SandboxComment(
            reply_id(draw, threads[top]) if is_reply else comment_id(draw),
            entry["text"],
            datetime.fromtimestamp(entry["timestamp"], UTC),
            entry["author"],
            youtube_id(_chance("author", entry["author_id"]), "UC", 22),
            entry["like_count"],
        )
        if is_reply:
            threads[top].replies.append(comment)
        else:
            threads[entry["id"]] = comment
    return list(threads.values())


def _draw_crowd(video: SandboxVideo) -> None:
    """Let many people more say what was said, so that the mood stays."""
    draw = _chance("crowd", video.video_id)
    said = list(video.threads)
    for number in range(_CROWD if said else 0):
        like = draw.choice(said)
        at = video.published_at + timedelta(minutes=30 * number)
        author = youtube_id(draw, "UC", 22)
        thread = video.threads[-1]
        if number % 20 < 8 and len(thread.replies) < _MOST_REPLIES:
            at = max(at, thread.published_at)
            thread.replies.append(SandboxComment(reply_id(draw, thread), like.text, at, "@passer-by", author))
        else:
            video.threads.append(SandboxComment(comment_id(draw), like.text, at, "@passer-by", author))


def _add_troubles(videos: dict[str, list[SandboxVideo]]) -> None:
    """Deal out the troubles among the categories, each to the double of an ad."""
    names = [name for name, ads in videos.items() if ads]
    for number, (trouble, bring) in enumerate(TROUBLES.items()):
        if not names:
            return
        ads = videos[names[number % len(names)]]
        model = ads[number % len(ads)]
        double_id = youtube_id(_chance("double", model.video_id, trouble), "", 11)
        draw = _chance("comments", double_id)
        double = replace(
            model,
            video_id=double_id,
            title=f"{model.title} ({trouble.replace('_', ' ')})",
            threads=[replace(thread, comment_id=comment_id(draw), replies=[]) for thread in model.threads],
        )
        bring(double)
        ads.append(double)


def _chance(*parts: str) -> random.Random:
    return random.Random(":".join(("sandbox", *parts)))
