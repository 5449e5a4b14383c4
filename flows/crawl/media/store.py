"""The media store: whole videos in the folder beside the tables, and their columns in `ads`.

A video lies in the store as `ID.mp4` (or with another suffix) once it is known to be one. Until then it lies in a
hidden folder of the store, under a name that says which of the formats on offer it is: a later run goes on where a
killed one stopped, and never with another format's bytes.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout

from data_catalog.catalog import Catalog
from data_catalog.privacy.references import MEDIA_DIR
from data_catalog.schemas import TABLES
from data_catalog.storage import Place, deliver, fetch, working_folder
from flows.crawl.data_api.faults import FaultError, plain_text
from flows.crawl.data_api.parsing import SOURCE
from flows.crawl.data_api.quota import utc_now
from flows.errors import CrawlError, FrameError, LaneStoppedError
from flows.frames.isolation import call_isolated
from flows.frames.video import size_shown
from flows.stages import MEDIA, StageCount

log = logging.getLogger("ytb_ads")

UNFINISHED = ".unfinished"
"""Folder of the store for what is not yet known to be a video."""

USUAL_BYTES = 12_000_000
"""Size of an ad's video at 360p, where no better number is at hand."""

_SUFFIXES = (".mp4", ".webm", ".mkv", ".m4v", ".mov", ".3gp", ".flv", ".ts", ".avi")
BATCH_VIDEOS, BATCH_S = 50, 60.0
"""Number of fetched videos, and seconds, after which `ads` is written: every write rewrites files of the table. After a
kill, the next run finds the last videos in the store."""

_LOCKS = 64
_TOOL = ".tool"
"""Suffix of the name of the tool that fetched a video which `ads` does not have yet."""
_PROBE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Video:
    """A whole video in the store."""

    path: Path
    sha256: str
    size_bytes: int
    width: int
    height: int
    tool: str | None
    """Name and version of the downloader; None for a file that was there before any."""


def take(video_id: str, folder: Path) -> tuple[Video | None, str]:
    """Move the first complete file that is a video to its place; also returns the problem of files that are none."""
    problem = ""
    for path in _whole_files(video_id, folder):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = file.tell()
        try:
            width, height = _probe(path)
        except FrameError as error:
            problem = plain_text(str(error).replace(str(path), path.name))
            log.warning("%s is no video and is removed: %s", path, problem)
            path.unlink()
            continue
        place = folder / f"{video_id}{path.suffix}"
        path.replace(place)
        sweep(video_id, folder)
        return Video(place, digest, size_bytes, width, height, _kept_tool(video_id, folder)), problem
    return None, problem


def _keep_tool(video_id: str, folder: Path, tool: str) -> None:
    """Keep the name of the tool that fetched a video until `ads` has it."""
    (folder / UNFINISHED / f"{video_id}{_TOOL}").write_text(tool, "utf-8")


def _kept_tool(video_id: str, folder: Path) -> str | None:
    try:
        return (folder / UNFINISHED / f"{video_id}{_TOOL}").read_text("utf-8")
    except FileNotFoundError:
        return None


def _whole_files(video_id: str, folder: Path) -> list[Path]:
    stored = sorted(
        path for path in folder.glob(f"{video_id}.*") if path.stem == video_id and path.suffix.lower() in _SUFFIXES
    )
    if len(stored) > 1:
        log.warning("%s has %d files; %s is taken if it is a video", video_id, len(stored), stored[0])
    unfinished = sorted((folder / UNFINISHED).glob(f"{video_id}.*"))
    return stored + [path for path in unfinished if path.suffix not in (".ytdl", _TOOL) and ".part" not in path.suffix]


def _probe(path: Path) -> tuple[int, int]:
    """Width and height of the first picture, the right way up, as the frames will be.

    In a process of its own: nobody has looked into the file yet.

    Raises:
        FrameError: there is none.
    """
    return call_isolated(_PROBE_TIMEOUT_S, size_shown, path)


def sweep(video_id: str, folder: Path) -> None:
    """Remove what is unfinished of a video."""
    for path in (folder / UNFINISHED).glob(f"{video_id}.*"):
        if path.suffix != _TOOL:
            path.unlink(missing_ok=True)


@contextmanager
def alone(video_id: str, folder: Path, stop: threading.Event | None = None) -> Iterator[None]:
    """Wait while another lane or process fetches this video: two would write into one partial file.

    Raises:
        LaneStoppedError: `stop` was set meanwhile.
        CrawlError: the store cannot be written.
    """
    lock = FileLock(folder / UNFINISHED / f"lock-{zlib.crc32(video_id.encode()) % _LOCKS}")
    with storing(folder):
        (folder / UNFINISHED).mkdir(parents=True, exist_ok=True)
        while not _locked(lock):
            if stop and stop.is_set():
                raise LaneStoppedError("fetching videos was stopped", utc_now())
    try:
        yield
    finally:
        lock.release()


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Turn a refusal of the file system into an error about the store; it is no fault of a video."""
    try:
        yield
    except OSError as error:
        raise store_error(folder, error.strerror or str(error)) from None


def store_error(folder: Path, why: str) -> CrawlError:
    """The store cannot be used: every further video would meet the same."""
    return CrawlError(
        f"media store {folder}: {why}; make room there, or make it writable, and run again: what was fetched is kept"
    )


def _locked(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=1)
    except Timeout:
        return False
    return True


class Lane(Protocol):
    """Fetches one video after another, at a pace of its own."""

    def fetch(self, video_id: str) -> Video: ...


class KeepingLane:
    """A lane that works in a folder of this machine and keeps the videos in a catalog's media store.

    Where that store is the folder itself, there is nothing to bring there.
    """

    def __init__(self, lane: Lane, media: Place) -> None:
        self._lane = lane
        self._media = media
        self._folder = working_folder(media)

    def fetch(self, video_id: str) -> Video:
        """Fetch one video, or take the one that a killed run left in the store or on this machine."""
        if self._media != self._folder:
            for stored in self._media.glob(f"{video_id}.*"):
                fetch(stored, self._folder / stored.name)
        video = self._lane.fetch(video_id)
        deliver(video.path, self._media / video.path.name)
        return video


def media_folder(catalog: Catalog) -> Place:
    """The folder of a catalog's videos."""
    return catalog.place / MEDIA_DIR


def download_videos(
    catalog: Catalog,
    video_ids: Iterable[str],
    lane: Lane,
    *,
    lanes: int = 1,
    advance: Callable[[float], None] = lambda ads: None,
    count: StageCount | None = None,
) -> StageCount:
    """Fetch the videos of ads; they are written to the catalog some at a time, and all of them when this ends.

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
    count = count or MEDIA.count()
    batch: dict[str, Video | FaultError] = {}
    written_at = time.monotonic()
    try:
        for video_id, video in _fetched(iter(video_ids), lane, lanes):
            batch[video_id] = video
            if isinstance(video, Video) and video.tool:
                with storing(video.path.parent):
                    _keep_tool(video_id, video.path.parent, video.tool)
            advance(1)
            if len(batch) >= BATCH_VIDEOS or time.monotonic() - written_at >= BATCH_S:
                count.add(_write(catalog, batch))
                batch, written_at = {}, time.monotonic()
    finally:
        count.add(_write(catalog, batch))
    return count


def _write(catalog: Catalog, batch: Mapping[str, Video | FaultError]) -> StageCount:
    """Write what came of some ads in one commit."""
    if not batch:
        return MEDIA.count()
    videos = {video_id: video for video_id, video in batch.items() if isinstance(video, Video)}
    drops = [
        video.fault.drop(MEDIA.name, video_id, video_id)
        for video_id, video in batch.items()
        if isinstance(video, FaultError)
    ]
    rows = _with_videos(catalog, videos)
    catalog.commit("ads", rows, stage=MEDIA.name, drops=drops, done=batch)
    for video_id, video in videos.items():
        (video.path.parent / UNFINISHED / f"{video_id}{_TOOL}").unlink(missing_ok=True)
    return MEDIA.count(rows_in=len(batch), rows_out=rows.num_rows, drops=drops)


def _fetched(video_ids: Iterator[str], lane: Lane, lanes: int) -> Iterator[tuple[str, Video | FaultError]]:
    """Videos in the order in which they arrive, from `lanes` lanes; when one is stopped, the others finish theirs."""
    stopped: LaneStoppedError | None = None
    with ThreadPoolExecutor(lanes) as pool:
        in_flight = {_submitted(pool, lane, video_id): video_id for video_id in islice(video_ids, lanes)}
        while in_flight:
            done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
            for future in done:
                video_id = in_flight.pop(future)
                try:
                    yield video_id, future.result()
                except FaultError as fault:
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


def _with_videos(catalog: Catalog, videos: Mapping[str, Video]) -> pa.Table:
    """The ads' rows with their videos; none of an ad that has been removed meanwhile."""
    of_videos = pc.field("video_id").isin(pa.array(videos, pa.string()))
    rows = catalog.read("ads", where=of_videos).to_pylist()
    for row in rows:
        video = videos[row["video_id"]]
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
