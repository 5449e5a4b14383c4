"""The files of the media store: which are whole, which are videos, and nobody else's hand on one being written.

A video lies in the store as `ID.mp4` (or with another suffix) once it is known to be one. Until then it lies in a
hidden folder of the store, under a name that says which of the formats on offer it is: a later run goes on where a
killed one stopped, and never with another format's bytes.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from flows.crawl.data_api.faults import plain_text
from flows.crawl.data_api.quota import utc_now
from flows.errors import CrawlError, FrameError, LaneStoppedError
from flows.frames.isolation import call_isolated
from flows.frames.video import size_shown

log = logging.getLogger("ytb_ads")

UNFINISHED = ".unfinished"
"""Folder of the store for what is not yet known to be a video."""

_SUFFIXES = (".mp4", ".webm", ".mkv", ".m4v", ".mov", ".3gp", ".flv", ".ts", ".avi")
_LOCKS = 64
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
    """What fetched it, with its version; None for a file that was there already."""


def take(video_id: str, folder: Path) -> tuple[Video | None, str]:
    """Bring the first whole file that is a video to its place, and tell what was wrong with those that are none."""
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
        return Video(place, digest, size_bytes, width, height, None), problem
    return None, problem


def _whole_files(video_id: str, folder: Path) -> list[Path]:
    stored = sorted(
        path for path in folder.glob(f"{video_id}.*") if path.stem == video_id and path.suffix.lower() in _SUFFIXES
    )
    if len(stored) > 1:
        log.warning("%s has %d files; %s is taken if it is a video", video_id, len(stored), stored[0])
    unfinished = sorted((folder / UNFINISHED).glob(f"{video_id}.*"))
    return stored + [path for path in unfinished if path.suffix != ".ytdl" and ".part" not in path.suffix]


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
        path.unlink(missing_ok=True)


@contextmanager
def alone(video_id: str, folder: Path, stop: threading.Event | None = None) -> Iterator[None]:
    """Wait while another lane or process has this video in hand: two of them would write into one partial file.

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
    """Say what the file system refuses in a sentence about the store; it is no fault of a video."""
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
