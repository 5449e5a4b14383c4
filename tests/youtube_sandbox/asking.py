"""A small world whose answers are known, and the plainest client there can be; for the tests of the sandbox itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.youtube_sandbox import (
    Sandbox,
    SandboxChannel,
    SandboxComment,
    SandboxPlaylist,
    SandboxVideo,
    World,
)

Json = dict[str, Any]
NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
VIDEO = "abcdefghijk"
CHANNELS = "UC" + "a" * 22, "UC" + "b" * 22
PLAYLIST = "PL" + "p" * 32
CLIENT = httpx.Client(timeout=10, trust_env=False)


def comment(number: int, *, at: int | None = None, **more: Any) -> SandboxComment:
    moment = NEW_YEAR + timedelta(minutes=number if at is None else at)
    return SandboxComment(f"Ugx{number}", f"comment {number}", moment, **more)


def recorded_world() -> World:
    """What every recorded question has an answer in."""
    threads = [comment(number) for number in range(10)]
    threads[0].replies = [comment(number) for number in range(100, 103)]
    channels = [
        SandboxChannel(CHANNELS[0], "A", "@aaa", country="US"),
        SandboxChannel(CHANNELS[1], "B", "@bbb"),
    ]
    first = SandboxVideo(VIDEO, channel_id=channels[0].channel_id, tags=("a tag",), threads=threads)
    others = [
        SandboxVideo(f"video{number:06d}", channel_id=channels[0].channel_id, language=None) for number in range(1, 13)
    ]
    ids = [video.video_id for video in (first, *others)]
    return World([first, *others], channels, [SandboxPlaylist(PLAYLIST, ids, channels[0].channel_id)])


def ask(sandbox: Sandbox, method: str, parameters: Json, *, key: str = "k1") -> tuple[int, Json]:
    """Status and body of one call."""
    headers = {"X-Goog-Api-Key": key} if key else {}
    url = f"{sandbox.url}/youtube/v3/{method}"
    answer = CLIENT.get(url, params=parameters, headers=headers)
    return answer.status_code, json.loads(answer.content)


def asked(sandbox: Sandbox, method: str, **parameters: Any) -> Json:
    """Body of a call that must go well."""
    status, body = ask(sandbox, method, {"part": "snippet"} | parameters)
    assert status == 200, body
    return body


def pages(sandbox: Sandbox, method: str, **parameters: Any) -> Iterator[Json]:
    token: Json = {}
    while True:
        body = asked(sandbox, method, **parameters, **token)
        yield body
        if "nextPageToken" not in body:
            return
        token = {"pageToken": body["nextPageToken"]}


def items(sandbox: Sandbox, method: str, **parameters: Any) -> list[Json]:
    return [item for page in pages(sandbox, method, **parameters) for item in page.get("items", [])]


def ids_of(answers: list[Json]) -> list[str]:
    return [item["id"]["videoId"] if isinstance(item["id"], dict) else item["id"] for item in answers]


def all_comments(sandbox: Sandbox, video_id: str) -> list[str]:
    """Ids of a video's comments, as a complete crawl gets them."""
    found = []
    for thread in items(sandbox, "commentThreads", part="snippet,replies", videoId=video_id, maxResults=100):
        replies = thread.get("replies", {}).get("comments", [])
        if thread["snippet"]["totalReplyCount"] > len(replies):
            replies = items(sandbox, "comments", parentId=thread["id"], maxResults=10)
        found += [thread["id"], *ids_of(replies)]
    return found


def error_of(body: Json) -> str:
    return str(body["error"]["errors"][0]["reason"])
