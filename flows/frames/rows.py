"""Rows of `frames` and `looks` from rows of `ads`: what one ad gave, or a drop that says why it gave nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_catalog.catalog import Drop
from data_catalog.schemas import DropKind
from flows.errors import DecoderLostError, FrameError
from flows.frames.looks import LOOKS_VERSION
from flows.frames.moments import Spacing
from flows.frames.sampling import STAGE, SampledFrames, sample_frames
from flows.frames.worker import call_apart
from flows.settings import FrameSettings

VIDEO_DELETED = "video_deleted"
"""Reason of the drop of an ad that keeps the frames it has, though they are not of the present settings."""


@dataclass(frozen=True)
class AdRows:
    """What one ad came to, as rows."""

    frames: tuple[dict[str, Any], ...] = ()
    looks: tuple[dict[str, Any], ...] = ()
    """One row, or none of an ad that gave nothing."""
    drops: tuple[Drop, ...] = ()


def sample_ad(ad: dict[str, Any], roots: Mapping[str, Path], settings: FrameSettings, fingerprint: str) -> AdRows:
    """Sample one ad, in a process of its own.

    Args:
        ad: row of `ads` with `video_id`, `source`, `media_path`, `media_status` and `media_sha256`.
        roots: what `media_path` is below, by source.
        settings: which frames, and how they are stored.
        fingerprint: of the rows and the drops.
    """
    video_id, revision = ad["video_id"], ad["media_sha256"]

    def dropped(kind: DropKind, reason: str, detail: str) -> AdRows:
        return AdRows(drops=(Drop(STAGE, video_id, video_id, kind, reason, detail, fingerprint, revision),))

    if ad["media_status"] == "missing":
        return dropped(
            "filtered",
            "no_video",
            "no video came with this ad; a folder's lies beside its info.json as .mp4, .webm or .mkv",
        )
    if ad["media_status"] == "deleted":
        return dropped("failed", VIDEO_DELETED, "its video was deleted once frames were sampled; crawl it again")
    root = roots.get(ad["source"])
    if root is None:
        return dropped("failed", "source_not_given", f"was taken in from the source {ad['source']}; build that one")
    path = root / ad["media_path"]
    if not path.is_file():
        return dropped("failed", "video_gone", f"{ad['media_path']}: was there when the ad was taken in")
    try:
        sampled = call_apart(settings.timeout_s, sample_frames, path, video_id, **_asked(settings))
    except DecoderLostError as error:
        return dropped("failed", error.reason, f"{ad['media_path']}: {error}")
    except FrameError as error:
        # the message names the path on this machine; a row names it below the source's folder
        return dropped("filtered", "unreadable_video", str(error).replace(str(path), ad["media_path"]))
    made = {"upstream_revision": revision}
    return AdRows(
        frames=tuple({**frame.row(), "fingerprint": fingerprint, **made} for frame in sampled.frames),
        looks=({**look_row(sampled), "fingerprint": LOOKS_VERSION, **made},),
        drops=tuple(replace(lost, fingerprint=fingerprint, upstream_revision=revision) for lost in sampled.drops),
    )


def _asked(settings: FrameSettings) -> dict[str, Any]:
    return {
        "count": settings.count,
        "seed": settings.seed,
        "spacing": Spacing(settings.margin_start_s, settings.margin_end_s, settings.min_distance_s),
        "seek": settings.seek,
        "quality": settings.quality,
        "max_side": settings.max_side,
    }


def look_row(sampled: SampledFrames) -> dict[str, Any]:
    """An ad's looks as a row of the table `looks`, without the columns of provenance."""
    return {
        "video_id": sampled.video_id,
        "duration_s": sampled.duration_s,
        "times_s": [look.time_s for look in sampled.looks],
        "hashes": [look.hash for look in sampled.looks],
    }
