"""Frames as a Prefect flow: `ads` to `frames`, one task run per batch of ads."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.frames.isolation import close_idle_workers
from flows.frames.reuploads import record_reuploads
from flows.frames.sampling import STAGE, VIDEO_DELETED, sample_ad
from flows.pool_worker import end_with_parent
from flows.runner import run_stage
from flows.settings import FrameSettings, Settings
from flows.stages import FRAMES, StageCount

log = logging.getLogger("ytb_ads")


@task(name="sample-frames", cache_policy=NO_CACHE)
def sample_batch(
    ads: pa.Table, *, catalog: Catalog, roots: Mapping[str, Path], settings: FrameSettings, fingerprint: str
) -> StageCount:
    """Sample the frames of a batch of ads and commit them."""
    end_with_parent()
    video_ids: list[Any] = ads["video_id"].to_pylist()
    sampled = [sample_ad(ad, roots, settings, fingerprint) for ad in ads.to_pylist()]
    rows = [row for ad in sampled for row in ad.frames]
    drops = [drop for ad in sampled for drop in ad.drops]
    deleted = {drop.key for drop in drops if drop.reason == VIDEO_DELETED}
    if deleted:
        # without `upstream`: the frames that these ads have could not be made again
        kept = [drop for drop in drops if drop.key in deleted]
        catalog.commit("frames", TABLES["frames"].schema.empty_table(), stage=STAGE, drops=kept, done=deleted)
    fingerprints = [row for ad in sampled for row in ad.fingerprints]
    catalog.replace_groups(
        "looks",
        pa.Table.from_pylist(fingerprints, schema=TABLES["looks"].schema),
        column="video_id",
        values=[id_ for id_ in video_ids if id_ not in deleted],
    )
    # the frames go last: an ad with frames is done
    catalog.commit(
        "frames",
        pa.Table.from_pylist(rows, schema=TABLES["frames"].schema),
        stage=STAGE,
        drops=[drop for drop in drops if drop.key not in deleted],
        done=[id_ for id_ in (*video_ids, *_dropped_frames(catalog, video_ids)) if id_ not in deleted],
        upstream="ads",
    )
    return StageCount.of(STAGE, "ads", rows_in=ads.num_rows, rows_out=len(rows), drops=drops)


def _dropped_frames(catalog: Catalog, video_ids: list[str]) -> list[str]:
    """Keys of these ads' single frames that an earlier run had to drop; this run has decided on them anew."""
    of_ads = (pc.field("stage") == STAGE) & pc.field("video_id").isin(pa.array(video_ids, pa.string()))
    return [key for key in catalog.values("drops", "key", where=of_ads) if ":" in key]


@flow(name="frames", validate_parameters=False)
def frames(catalog: Catalog, roots: Mapping[str, Path], settings: Settings) -> StageCount:
    """Frames of every ad that has none under the present settings.

    Args:
        catalog: the tables.
        roots: folder of the videos, by source.
        settings: all of them.

    Raises:
        StageError: an ad is lost, or no ad gives a frame.
    """
    try:
        count = _run(catalog, roots, settings)
    finally:
        close_idle_workers()
    log.info("re-uploads: %d ads are uploads of another one", record_reuploads(catalog))
    return count


def _run(catalog: Catalog, roots: Mapping[str, Path], settings: Settings) -> StageCount:
    return run_stage(FRAMES, sample_batch, catalog, settings, roots=roots, settings=settings.frames)
