"""Frames as a Prefect flow: `ads` to `frames`, one task run per batch of ads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from flows.counts import StageCount
from flows.fingerprints import frames_fingerprint
from flows.frames.rows import sample_ad
from flows.frames.sampling import STAGE
from flows.runner import Stage, run_stage
from flows.settings import FrameSettings, Settings


@task(name="sample-frames", cache_policy=NO_CACHE)
def sample_batch(
    ads: pa.Table, *, catalog: Catalog, folder: Path, settings: FrameSettings, fingerprint: str
) -> StageCount:
    """Sample the frames of a batch of ads and commit them."""
    rows: list[dict[str, Any]] = []
    drops: list[Drop] = []
    video_ids: list[Any] = ads["video_id"].to_pylist()
    for ad in ads.to_pylist():
        made, dropped = sample_ad(ad, folder, settings, fingerprint)
        rows += made
        drops += dropped
    catalog.commit(
        "frames",
        pa.Table.from_pylist(rows, schema=TABLES["frames"].schema),
        stage=STAGE,
        drops=drops,
        done=[*video_ids, *_dropped_frames(catalog, video_ids)],
        upstream="ads",
    )
    return StageCount.of(STAGE, "ads", rows_in=ads.num_rows, rows_out=len(rows), drops=drops)


def _dropped_frames(catalog: Catalog, video_ids: list[str]) -> list[str]:
    """Keys of these ads' single frames that an earlier run had to drop; this run has decided on them anew."""
    of_ads = (pc.field("stage") == STAGE) & pc.field("video_id").isin(pa.array(video_ids, pa.string()))
    return [key for key in catalog.values("drops", "key", where=of_ads) if ":" in key]


@flow(name="frames", validate_parameters=False)
def frames(catalog: Catalog, folder: Path, settings: Settings) -> StageCount:
    """Frames of every ad that has none under the present settings.

    Raises:
        StageError: an ad is lost, or no ad gives a frame.
    """
    return run_stage(
        Stage(STAGE, "frames", "ads", ("video_id", "media_path", "media_status", "media_sha256")),
        sample_batch,
        catalog=catalog,
        fingerprint=frames_fingerprint(settings),
        size=settings.runner.batch_ads,
        runner=settings.runner,
        folder=folder,
        settings=settings.frames,
    )
