"""What became of one ad's frames, from the tables: sampled, read, kept, released, or why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError


@dataclass(frozen=True)
class FrameStory:
    """One frame of an ad, or one that it could not give."""

    index: int
    jpeg: bytes | None
    lines: tuple[str, ...]
    """Times and size, sameness, and what became of it; may hold whatever strangers wrote."""


@dataclass(frozen=True)
class AdStory:
    """One ad and its frames, in the order of their indices."""

    video_id: str
    lines: tuple[str, ...]
    frames: tuple[FrameStory, ...]


def tell_ad(catalog: Catalog, video_id: str, *, more_than_words: int) -> AdStory:
    """Collect what the tables say of an ad.

    Args:
        catalog: the tables.
        video_id: the ad.
        more_than_words: frames with more words are kept.

    Raises:
        CatalogError: there is no such ad.
    """
    of_ad = pc.field("video_id") == video_id
    ads = catalog.read("ads", where=of_ad).to_pylist()
    if not ads:
        raise CatalogError(f"{catalog.root}: has no ad {video_id}; `ytb-ads catalog show ads` lists those it has")
    drops = catalog.read("drops", where=of_ad).to_pylist()
    texts = {row["frame_id"]: row for row in catalog.read("texts", where=of_ad).to_pylist()}
    told = [
        _tell_frame(frame, texts.get(frame["frame_id"]), _of(drops, frame["frame_id"]), more_than_words)
        for frame in catalog.read("frames", where=of_ad).to_pylist()
    ]
    lost = [
        FrameStory(int(drop["key"].rpartition(":")[2]), None, (_said(drop), drop["detail"] or ""))
        for drop in drops
        if drop["stage"] == "frames" and drop["key"] != video_id
    ]
    return AdStory(
        video_id,
        lines=_tell_ad(catalog, ads[0], _of(drops, video_id)),
        frames=tuple(sorted([*told, *lost], key=lambda frame: frame.index)),
    )


def _tell_ad(catalog: Catalog, ad: dict[str, Any], drops: list[dict[str, Any]]) -> tuple[str, ...]:
    of_ad = pc.field("video_id") == ad["video_id"]
    labels = catalog.values("labels", "label", where=of_ad)
    duplicates = catalog.values("reuploads", "duplicates", where=of_ad)
    duration = "length not stated" if ad["duration_s"] is None else f"{ad['duration_s']:.1f} s"
    return (
        f"{ad['title'] or 'no title'}",
        (
            f"{ad['category'] or 'no category'}, {duration}, {ad['width']}x{ad['height']}, "
            f"label: {labels[0] if labels else 'none'}"
        ),
        *(f"the same ad as {', '.join(others)}" for others in duplicates),
        *(f"{_said(drop)} {drop['detail'] or ''}" for drop in drops),
    )


def _tell_frame(
    frame: dict[str, Any], text: dict[str, Any] | None, drops: list[dict[str, Any]], more_than_words: int
) -> FrameStory:
    same = [f"{name.rpartition(':')[2]}" for name in frame["duplicates"] or ()]
    return FrameStory(
        frame["frame_index"],
        frame["image"]["bytes"],
        (
            (
                f"asked {frame['requested_s']:.3f} s, shown since {frame['timestamp_s']:.3f} s, "
                f"{frame['width']}x{frame['height']}"
            ),
            f"the same picture as {', '.join(same)}" if same else "a picture of its own",
            _read(text, more_than_words),
            *(f"{_said(drop)} {drop['detail'] or ''}" for drop in drops),
        ),
    )


def _read(text: dict[str, Any] | None, more_than_words: int) -> str:
    if text is None:
        return "words: not read yet"
    decided = "kept" if text["n_words"] > more_than_words else f"too few, more than {more_than_words} are needed"
    return f"words: {text['n_words']}, {decided}: {text['text']}"


def _of(drops: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return [drop for drop in drops if drop["key"] == key]


def _said(drop: dict[str, Any]) -> str:
    return f"dropped by {drop['stage']}: {drop['reason']}"
