"""Frames as a Prefect flow: `ads` to `frames` and `looks`, one task run per batch of ads, then the re-uploads."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from data_catalog.storage import Place
from flows.frames.isolation import close_idle_workers
from flows.frames.reuploads import record_reuploads
from flows.frames.sampling import fingerprint_ad, sample_ad
from flows.pool_worker import end_with_parent
from flows.runner import run_stage
from flows.settings import FrameSettings, Settings
from flows.stages import FRAMES, LOOKS, FrameReason, StageCount

log = logging.getLogger("ytb_ads")


@task(name="sample-frames", cache_policy=NO_CACHE)
def sample_batch(
    ads: pa.Table, *, catalog: Catalog, roots: Mapping[str, Place], settings: FrameSettings, fingerprint: str
) -> StageCount:
    """Sample the frames of a batch of ads and commit them."""
    end_with_parent()
    video_ids: list[Any] = ads["video_id"].to_pylist()
    sampled = [sample_ad(ad, roots, settings, fingerprint) for ad in ads.to_pylist()]
    frames = [row for ad in sampled for row in ad.rows]
    drops = [drop for ad in sampled for drop in ad.drops]
    # of these ads nothing but the drop is written: the frames that they have could not be made again
    deleted = {drop.key: drop for drop in drops if drop.reason == FrameReason.VIDEO_DELETED}
    if deleted:
        catalog.commit("frames", _rows("frames", []), stage=FRAMES.name, drops=list(deleted.values()), done=deleted)
    others = [id_ for id_ in video_ids if id_ not in deleted]
    catalog.commit(
        "frames",
        _rows("frames", frames),
        stage=FRAMES.name,
        drops=[drop for drop in drops if drop.key not in deleted],
        done=[*others, *_dropped_frames(catalog, others)],
        upstream="ads",
    )
    return FRAMES.count(rows_in=ads.num_rows, rows_out=len(frames), drops=drops)


@task(name="fingerprint-ads", cache_policy=NO_CACHE)
def fingerprint_batch(
    ads: pa.Table, *, catalog: Catalog, roots: Mapping[str, Place], settings: FrameSettings, fingerprint: str
) -> StageCount:
    """Take the fingerprints of a batch of ads and commit them."""
    end_with_parent()
    taken = [fingerprint_ad(ad, roots, settings, fingerprint) for ad in ads.to_pylist()]
    looks = [row for ad in taken for row in ad.rows]
    drops = [drop for ad in taken for drop in ad.drops]
    done: list[Any] = ads["video_id"].to_pylist()
    catalog.commit("looks", _rows("looks", looks), stage=LOOKS.name, drops=drops, done=done, upstream="ads")
    return LOOKS.count(rows_in=ads.num_rows, rows_out=len(looks), drops=drops)


def _rows(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=TABLES[table].schema)


def _dropped_frames(catalog: Catalog, video_ids: list[str]) -> list[str]:
    """Keys of these ads' single frames that an earlier run dropped; this run decides on them again."""
    of_ads = (pc.field("stage") == FRAMES.name) & pc.field("video_id").isin(pa.array(video_ids, pa.string()))
    return [key for key in catalog.values("drops", "key", where=of_ads) if ":" in key]


@flow(name="frames", flow_run_name="frames", validate_parameters=False)
def frames(catalog: Catalog, roots: Mapping[str, Place], settings: Settings) -> StageCount:
    """Sample the frames of every ad that has none for the current settings, then find the re-uploads.

    Args:
        catalog: the tables.
        roots: folder of the videos, by source.
        settings: all settings.

    Raises:
        StageError: an ad is lost, or no ad gives a frame.
    """
    try:
        count = run_stage(FRAMES, sample_batch, catalog, settings, roots=roots, settings=settings.frames)
        if settings.frames.reuploads == "pictures":
            run_stage(LOOKS, fingerprint_batch, catalog, settings, roots=roots, settings=settings.frames)
    finally:
        close_idle_workers()
    found = record_reuploads(catalog, by_pictures=settings.frames.reuploads == "pictures")
    log.info("re-uploads: %s", f"{found} ads are uploads of another one" if found else "none found")
    return count
