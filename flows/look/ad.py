"""What became of one ad's frames, from the tables: sampled, read, kept, released, or why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError
from data_catalog.inspect import require_catalog
from data_catalog.printing import printable
from flows.look.sheet import Box, Tile
from flows.stages import FRAMES, WordReason


@dataclass(frozen=True)
class FrameStory:
    """One frame of an ad, or a moment that gave none. What it says may hold whatever strangers wrote."""

    index: int
    jpeg: bytes | None
    at_s: float | None
    kept: bool | None
    """By the number of its words; None where it is not read."""
    decision: str
    drops: tuple[str, ...]
    sampled: tuple[str, ...] = ()
    """Its times and size, and which frames are the same."""
    words: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    engine: str = ""

    def sampling_tile(self) -> Tile:
        """How the frame was taken, and what became of it in the end."""
        kept = False if self.drops else self.kept
        first, *rest = [*self.drops, self.decision] if self.kept is not False else [self.decision, *self.drops]
        said = (f"{self.index}: {first}", *rest, *self.sampled, self._said())
        return Tile(self.jpeg, tuple(filter(None, said)), kept)

    def reading_tile(self) -> Tile:
        """What was read on the frame, and what followed from it."""
        at = "" if self.at_s is None else f" ({self.at_s:.2f} s)"
        lines = (f"{self.index}{at}: {self.decision}", self._said(), *self.drops)
        return Tile(self.jpeg, tuple(filter(None, lines)), self.kept, self.boxes)

    def _said(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class AdStory:
    """One ad and its frames, in the order of their indices."""

    video_id: str
    head: tuple[str, ...]
    frames: tuple[FrameStory, ...]


def tell_ad(catalog: Catalog, video_id: str, *, more_than_words: int) -> AdStory:
    """Collect what the tables say of an ad.

    Args:
        catalog: the tables.
        video_id: the ad.
        more_than_words: frames with more words are kept.

    Raises:
        CatalogError: there is no catalog, or no such ad in it.
    """
    require_catalog(catalog)
    of_ad = pc.field("video_id") == video_id
    ads = catalog.read("ads", where=of_ad).to_pylist()
    if not ads:
        raise CatalogError(
            f"{catalog.root}: has no ad {printable(video_id)}; "
            f"`ytb-ads catalog show ads --catalog {catalog.root}` lists those it has"
        )
    drops = catalog.read("drops", where=of_ad).to_pylist()
    texts = {row["frame_id"]: row for row in catalog.read("texts", where=of_ad).to_pylist()}
    told = [
        _tell_frame(frame, texts.get(frame["frame_id"]), drops, more_than_words)
        for frame in catalog.read("frames", where=of_ad).to_pylist()
    ]
    lost = [
        FrameStory(int(drop["key"].rpartition(":")[2]), None, None, None, "no picture", (_said(drop),))
        for drop in drops
        if drop["stage"] == FRAMES.name and drop["key"] != video_id
    ]
    frames = tuple(sorted([*told, *lost], key=lambda frame: frame.index))
    return AdStory(video_id, _tell_head(catalog, ads[0], _of(drops, video_id), frames), frames)


def _tell_head(
    catalog: Catalog, ad: dict[str, Any], drops: list[str], frames: tuple[FrameStory, ...]
) -> tuple[str, ...]:
    of_ad = pc.field("video_id") == ad["video_id"]
    labels = catalog.values("labels", "label", where=of_ad)
    duplicates = catalog.values("reuploads", "duplicates", where=of_ad)
    duration = "length not stated" if ad["duration_s"] is None else f"{ad['duration_s']:.1f} s"
    facts = (
        ad["category"] or "no category",
        duration,
        f"{ad['width']}x{ad['height']}" if ad["width"] and ad["height"] else "",
        f"label: {labels[0] if labels else 'none'}",
        *sorted({f"read by {frame.engine}" for frame in frames if frame.engine}),
    )
    return (
        f"{ad['video_id']}: {ad['title'] or 'no title'}",
        ", ".join(filter(None, facts)),
        *(f"the same ad as {', '.join(others)}" for others in duplicates),
        *drops,
    )


def _tell_frame(
    frame: dict[str, Any], text: dict[str, Any] | None, drops: list[dict[str, Any]], more_than_words: int
) -> FrameStory:
    kept, decision = _decide(frame, text, more_than_words)
    # the decision says that already
    told = [drop for drop in drops if kept is not False or drop["reason"] != WordReason.TOO_FEW_WORDS]
    same = [name.rpartition(":")[2] for name in frame["duplicates"] or ()]
    taken = (
        f"asked {frame['requested_s']:.3f} s, shown since {frame['timestamp_s']:.3f} s, "
        f"{frame['width']}x{frame['height']}"
    )
    return FrameStory(
        index=frame["frame_index"],
        jpeg=frame["image"]["bytes"],
        at_s=frame["timestamp_s"],
        kept=kept,
        decision=decision,
        drops=tuple(_of(told, frame["frame_id"])),
        sampled=(taken, *([f"the same picture as {', '.join(same)}"] if same else [])),
        words=tuple(word["text"] for word in text["words"] or ()) if text else (),
        boxes=tuple(tuple(word["box"]) for word in text["words"] or ()) if text else (),
        engine=f"{text['engine']} {text['engine_version']}" if text else "",
    )


def _decide(frame: dict[str, Any], text: dict[str, Any] | None, more_than_words: int) -> tuple[bool | None, str]:
    if text is None:
        return None, "not read yet"
    if text["upstream_revision"] != frame["image_sha256"]:
        return None, "read on an earlier picture; build again"
    count = f"{text['n_words']} word{'' if text['n_words'] == 1 else 's'}"
    if text["mean_confidence"] is not None:
        count += f", mean confidence {text['mean_confidence']:.2f}"
    if text["n_words"] > more_than_words:
        return True, f"kept: {count}"
    return False, f"not kept: {count}; more than {more_than_words} are needed"


def _of(drops: list[dict[str, Any]], key: str) -> list[str]:
    return [_said(drop) for drop in drops if drop["key"] == key]


def _said(drop: dict[str, Any]) -> str:
    return f"dropped by {drop['stage']}: {drop['reason']} {drop['detail'] or ''}".rstrip()
