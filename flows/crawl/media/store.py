"""Videos of the ads in the folder beside the tables: fetched, kept, or deleted once their frames were sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from itertools import islice
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES, DropKind
from data_catalog.tables.drops import Drop
from flows.crawl.data_api.parsing import SOURCE
from flows.crawl.media.lane import MediaFault, Video
from flows.errors import LaneStoppedError, SourceError
from flows.stages import StageCount

STAGE = "media"
"""Stage of the drops of ads whose video could not be fetched."""


class Lane(Protocol):
    """Fetches one video after another, at a pace of its own."""

    def fetch(self, video_id: str) -> Video: ...


def media_folder(catalog: Catalog) -> Path:
    """Where the videos of a catalog lie.

    Raises:
        SourceError: the catalog is not a local folder.
    """
    if not catalog.is_local:
        raise SourceError(f"{catalog.root}: videos are kept in a local folder; give one as the catalog")
    return Path(catalog.root) / "media"


def fetch_videos(
    catalog: Catalog,
    video_ids: Iterable[str],
    lane: Lane,
    *,
    lanes: int = 1,
    advance: Callable[[float], None] = lambda ads: None,
    count: StageCount | None = None,
) -> StageCount:
    """Fetch the videos of ads; each is in the catalog as soon as it is there.

    Args:
        catalog: the tables.
        video_ids: the ads.
        lane: fetches one video at a time.
        lanes: how many it fetches at once.
        advance: told of every ad that is over.
        count: grows by them, so that it is right though the lane is stopped.

    Raises:
        LaneStoppedError: YouTube wants no more requests for a while; what was fetched is kept.
    """
    count = count or StageCount(STAGE, "ads")
    for video_id, video in _fetched(iter(video_ids), lane, lanes):
        drops: list[Drop] = []
        rows = TABLES["ads"].schema.empty_table()
        if isinstance(video, MediaFault):
            kind: DropKind = "filtered" if video.kind == "final" else "failed"
            drops = [Drop(STAGE, video_id, video_id, kind, video.reason, video.detail)]
        else:
            rows = _with_video(catalog, video_id, video)
        catalog.commit("ads", rows, stage=STAGE, drops=drops, done=[video_id])
        count.add(StageCount.of(STAGE, "ads", rows_in=1, rows_out=rows.num_rows, drops=drops))
        advance(1)
    return count


def _fetched(video_ids: Iterator[str], lane: Lane, lanes: int) -> Iterator[tuple[str, Video | MediaFault]]:
    """Videos as they come, from `lanes` lanes at once; a lane that is stopped lets the others end theirs."""
    stopped: LaneStoppedError | None = None
    with ThreadPoolExecutor(lanes) as pool:
        in_flight = {_submitted(pool, lane, video_id): video_id for video_id in islice(video_ids, lanes)}
        while in_flight:
            done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
            for future in done:
                video_id = in_flight.pop(future)
                try:
                    yield video_id, future.result()
                except MediaFault as fault:
                    yield video_id, fault
                except LaneStoppedError as error:
                    stopped = error
                if stopped is None:
                    in_flight.update((_submitted(pool, lane, id_), id_) for id_ in islice(video_ids, 1))
    if stopped is not None:
        raise stopped


def _submitted(pool: ThreadPoolExecutor, lane: Lane, video_id: str) -> Future[Video]:
    """Fetch a video in a thread with a copy of this one's context: what it logs belongs to the run that asked."""
    return pool.submit(copy_context().run, lane.fetch, video_id)


def delete_sampled(catalog: Catalog, frames_fingerprint: str) -> int:
    """Delete the videos whose frames are there; frames and hash stay. Returns how many were deleted."""
    folder = media_folder(catalog)
    frames = catalog.current("frames", upstream="ads", fingerprint=frames_fingerprint, columns=["video_id"])
    sampled = pc.field("video_id").isin(frames["video_id"].unique())
    present = (pc.field("source") == SOURCE) & (pc.field("media_status") == "present")
    ads = catalog.read("ads", where=present & sampled).to_pylist()
    for ad in ads:
        (folder / ad["media_path"]).unlink(missing_ok=True)
    rows = [{**ad, "media_status": "deleted", "media_path": None} for ad in ads]
    return catalog.merge("ads", pa.Table.from_pylist(rows, schema=TABLES["ads"].schema))


def _with_video(catalog: Catalog, video_id: str, video: Video) -> pa.Table:
    """The ad's row with its video; none if the ad has been removed meanwhile."""
    rows = catalog.read("ads", where=pc.field("video_id") == video_id).to_pylist()
    for row in rows:
        row.update(
            media_path=video.path.name,
            media_status="present",
            media_sha256=video.sha256,
            media_size_bytes=video.size_bytes,
            media_tool=video.tool,
            width=video.width,
            height=video.height,
        )
    return pa.Table.from_pylist(rows, schema=TABLES["ads"].schema)
