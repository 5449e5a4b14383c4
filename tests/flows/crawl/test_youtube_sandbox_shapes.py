"""What the sandbox answers has the shape of what was recorded, and of what Google says of its own API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.youtube_sandbox import TROUBLES, random_world, serve
from tests.youtube_sandbox.asking import CHANNELS, PLAYLIST, VIDEO, Json, ask, asked, recorded_world
from tests.youtube_sandbox.description import answer_schema, fields_below
from tests.youtube_sandbox.errors import REFUSALS

JSON_TYPES = {"string": str, "integer": int, "boolean": bool, "array": list}

# what was asked when a file was recorded
RECORDED: dict[str, tuple[str, dict[str, Any]]] = {
    "comment_threads_by_video_paged_1": ("commentThreads", {"part": "snippet", "videoId": VIDEO, "maxResults": 5}),
    "comment_threads_by_video_paged_2": (
        "commentThreads",
        {"part": "snippet", "videoId": VIDEO, "maxResults": 5, "pageToken": "next"},
    ),
    "comment_threads_multi": ("commentThreads", {"part": "snippet", "id": "Ugx0,Ugx1", "textFormat": "plainText"}),
    "comments_by_parent_paged_1": ("comments", {"part": "snippet", "parentId": "Ugx0", "maxResults": 2}),
    "comments_by_parent_paged_2": (
        "comments",
        {"part": "snippet", "parentId": "Ugx0", "maxResults": 2, "pageToken": "next"},
    ),
    "info_multiple": (
        "channels",
        {"part": "snippet,contentDetails,statistics,brandingSettings", "id": ",".join(CHANNELS)},
    ),
    "playlist_items_paged_1": ("playlistItems", {"part": "snippet", "playlistId": PLAYLIST, "maxResults": 10}),
    "playlist_items_paged_2": (
        "playlistItems",
        {"part": "snippet", "playlistId": PLAYLIST, "maxResults": 10, "pageToken": "next"},
    ),
    "search_by_keywords_p1": ("search", {"part": "snippet", "q": "video", "maxResults": 5}),
    "search_by_keywords_p2": ("search", {"part": "snippet", "q": "video", "maxResults": 5, "pageToken": "next"}),
    "search_videos_by_channel": ("search", {"part": "snippet", "channelId": CHANNELS[0]}),
    "videos_chart_paged_1": ("videos", {"part": "snippet,player", "chart": "mostPopular"}),
    "videos_info_multi": ("videos", {"part": "snippet,player", "id": f"{VIDEO},video000001"}),
    "videos_info_single": ("videos", {"part": "snippet,player", "id": VIDEO}),
}


def structure(value: Any, place: str = "") -> set[tuple[str, str]]:
    """Every field with the type of its values; the items of a list count as one."""
    if isinstance(value, dict):
        return {entry for name, below in value.items() for entry in structure(below, f"{place}.{name}")}
    if isinstance(value, list):
        return {entry for below in value for entry in structure(below, f"{place}[]")}
    return {(place, type(value).__name__)}


@pytest.mark.parametrize("name", RECORDED)
def test_an_answer_has_the_structure_of_the_recorded_one(name: str, shared_data: Path) -> None:
    recorded = json.loads((shared_data / "youtube_api" / f"{name}.json").read_text())
    method, parameters = RECORDED[name]
    with serve(recorded_world()) as sandbox:
        if parameters.get("pageToken"):
            first = asked(sandbox, method, **{key: value for key, value in parameters.items() if key != "pageToken"})
            parameters = parameters | {"pageToken": first["nextPageToken"]}
        answer = asked(sandbox, method, **parameters)
    assert structure(answer) == structure(recorded)


def test_every_recorded_answer_is_compared(shared_data: Path) -> None:
    names = {path.stem for path in (shared_data / "youtube_api").glob("*.json")}
    of_the_crawl = {name for name in names if not name.startswith(("error_", "video_category"))}
    assert of_the_crawl == set(RECORDED)


def test_every_recorded_refusal_is_one_of_the_sandboxs_word_for_word(shared_data: Path) -> None:
    recorded = [json.loads(path.read_text()) for path in (shared_data / "youtube_api").glob("error_*.json")]
    assert len(recorded) == 7
    assert [error for error in recorded if (error["error"]["code"], error) not in REFUSALS.values()] == []


def misfits(answer: Json, schema: Mapping[str, Any], place: str = "") -> list[str]:
    """Fields that Google's description does not have, or has with another type."""
    found = []
    for name, value in answer.items():
        here, described = f"{place}.{name}", schema.get(name)
        if described is None or not isinstance(value, JSON_TYPES.get(described.get("type", ""), dict)):
            found.append(here)
            continue
        for below in value if isinstance(value, list) else [value]:
            found += misfits(below, fields_below(described), here) if isinstance(below, dict) else []
    return found


def test_every_answer_fits_googles_own_description() -> None:
    world = random_world(1, videos=len(TROUBLES), comments_per_video=40, troubles=tuple(TROUBLES))
    ids = list(world.videos)
    video_id = ids[list(TROUBLES).index("removed_comments")]
    thread = next(thread for thread in world.videos[video_id].threads if thread.replies)
    parts = "snippet,contentDetails,statistics,status"
    asks: list[tuple[str, dict[str, Any]]] = [
        ("search", {"part": "snippet"}),
        ("videos", {"part": f"{parts},player,paidProductPlacementDetails", "id": ",".join(ids)}),
        ("channels", {"part": "snippet,contentDetails,statistics,brandingSettings", "id": next(iter(world.channels))}),
        ("playlistItems", {"part": "snippet,contentDetails,status", "playlistId": next(iter(world.playlists))}),
        ("commentThreads", {"part": "snippet,replies", "videoId": video_id, "maxResults": 100}),
        ("comments", {"part": "snippet", "parentId": thread.comment_id}),
    ]
    with serve(world) as sandbox:
        for method, parameters in asks:
            answer = asked(sandbox, method, **parameters)
            assert answer["items"], method
            assert misfits(answer, answer_schema(method)) == []
        assert ask(sandbox, "captions", {"part": "snippet"})[0] == 404
