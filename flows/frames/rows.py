"""Rows of `frames` from rows of `ads`: the frames of one ad, or a drop that says why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_catalog.catalog import Drop
from data_catalog.schemas import DropKind
from flows.errors import FrameError
from flows.frames.sampling import STAGE, sample_frames
from flows.settings import FrameSettings

VIDEO_DELETED = "video_deleted"
"""Reason of the drop of an ad that keeps the frames it has, though they are not of the present settings."""


def sample_ad(
    ad: dict[str, Any], roots: Mapping[str, Path], settings: FrameSettings, fingerprint: str
) -> tuple[list[dict[str, Any]], list[Drop]]:
    """Sample one ad.

    Args:
        ad: row of `ads` with `video_id`, `source`, `media_path`, `media_status` and `media_sha256`.
        roots: what `media_path` is below, by source.
        settings: how many frames, and how they are stored.
        fingerprint: of the rows and the drops.
    """
    video_id, revision = ad["video_id"], ad["media_sha256"]

    def drop(kind: DropKind, reason: str, detail: str) -> Drop:
        return Drop(STAGE, video_id, video_id, kind, reason, detail, fingerprint, revision)

    if ad["media_status"] == "missing":
        return [], [drop("filtered", "no_video", "the source has no video of this ad")]
    if ad["media_status"] == "deleted":
        return [], [drop("failed", VIDEO_DELETED, "its video was deleted once frames were sampled; crawl it again")]
    root = roots.get(ad["source"])
    if root is None:
        return [], [drop("failed", "source_not_given", f"was taken in from the source {ad['source']}; build that one")]
    path = root / ad["media_path"]
    if not path.is_file():
        return [], [drop("failed", "video_gone", f"{ad['media_path']}: was there when the ad was taken in")]
    try:
        sampled = sample_frames(
            path,
            video_id,
            count=settings.count,
            seed=settings.seed,
            quality=settings.quality,
            max_side=settings.max_side,
        )
    except FrameError as error:
        # the message names the path on this machine; a row names it below the source's folder
        return [], [drop("filtered", "unreadable_video", str(error).replace(str(path), ad["media_path"]))]
    rows = [{**frame.row(), "fingerprint": fingerprint, "upstream_revision": revision} for frame in sampled.frames]
    return rows, [replace(lost, fingerprint=fingerprint, upstream_revision=revision) for lost in sampled.drops]
