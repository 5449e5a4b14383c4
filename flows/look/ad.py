"""Summary of one ad and its frames, from the tables: sampled, read, kept, released, or dropped with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.errors import CatalogError
from data_catalog.inspect import require_catalog
from data_catalog.printing import printable
from flows.look.sheet import Box, Tile
from flows.ocr.engine import DECISION_MARK
from flows.stages import FRAMES, WordReason


@dataclass(frozen=True)
class FrameSummary:
    """One frame of an ad, or a moment that gave none; its texts are untrusted."""

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
        """The frame with its times, and whether a release would keep it."""
        kept = False if self.drops else self.kept
        first, *rest = [*self.drops, self.decision] if self.kept is not False else [self.decision, *self.drops]
        said = (f"{self.index}: {first}", *rest, *self.sampled, self._said())
        return Tile(self.jpeg, tuple(filter(None, said)), kept)

    def reading_tile(self) -> Tile:
        """The words of the frame, and whether there are enough."""
        at = "" if self.at_s is None else f" ({self.at_s:.2f} s)"
        lines = (f"{self.index}{at}: {self.decision}", self._said(), *self.drops)
        return Tile(self.jpeg, tuple(filter(None, lines)), self.kept, self.boxes)

    def _said(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class AdSummary:
    """One ad and its frames, in the order of their indices."""

    video_id: str
    head: tuple[str, ...]
    frames: tuple[FrameSummary, ...]


def summarize_ad(catalog: Catalog, video_id: str, *, more_than_words: int) -> AdSummary:
    """Summarize an ad from the tables.

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
    found = [
        _summarize_frame(frame, texts.get(frame["frame_id"]), drops, more_than_words)
        for frame in catalog.read("frames", where=of_ad).to_pylist()
    ]
    lost = [
        FrameSummary(int(drop["key"].rpartition(":")[2]), None, None, None, "no picture", (_said(drop),))
        for drop in drops
        if drop["stage"] == FRAMES.name and drop["key"] != video_id
    ]
    frames = tuple(sorted([*found, *lost], key=lambda frame: frame.index))
    return AdSummary(video_id, _heading(catalog, ads[0], _of(drops, video_id), frames), frames)


def _heading(
    catalog: Catalog, ad: dict[str, Any], drops: list[str], frames: tuple[FrameSummary, ...]
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


def _summarize_frame(
    frame: dict[str, Any], text: dict[str, Any] | None, drops: list[dict[str, Any]], more_than_words: int
) -> FrameSummary:
    kept, decision = _decide(frame, text, more_than_words)
    # the decision says that already
    others = [drop for drop in drops if kept is not False or drop["reason"] != WordReason.TOO_FEW_WORDS]
    same = [name.rpartition(":")[2] for name in frame["duplicates"] or ()]
    taken = (
        f"asked {frame['requested_s']:.3f} s, shown since {frame['timestamp_s']:.3f} s, "
        f"{frame['width']}x{frame['height']}"
    )
    return FrameSummary(
        index=frame["frame_index"],
        jpeg=frame["image"]["bytes"],
        at_s=frame["timestamp_s"],
        kept=kept,
        decision=decision,
        drops=tuple(_of(others, frame["frame_id"])),
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
        least = "at least " if DECISION_MARK in (text["engine_version"] or "") else ""
        return True, f"kept: {least}{count}"
    return False, f"not kept: {count}; more than {more_than_words} are needed"


def _of(drops: list[dict[str, Any]], key: str) -> list[str]:
    return [_said(drop) for drop in drops if drop["key"] == key]


def _said(drop: dict[str, Any]) -> str:
    return f"dropped by {drop['stage']}: {drop['reason']} {drop['detail'] or ''}".rstrip()
