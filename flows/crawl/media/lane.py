"""Fetch videos one after the other, at a pace, on lanes that all rest together when YouTube asks for a pause."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from flows.crawl.data_api.faults import Fault, FaultError, plain_text
from flows.crawl.data_api.quota import Ledger, utc_now
from flows.crawl.fields import VIDEO_ID
from flows.crawl.media.downloader import download, tool
from flows.crawl.media.faults import classify, lane_stopped
from flows.crawl.media.store import UNFINISHED, Video, alone, store_error, storing, sweep, take
from flows.crawl.settings import MediaSettings
from flows.errors import CrawlError, LaneStoppedError

LANE = "media"
"""Name under which the ledger keeps the lanes' pause: all of them rest together, in every process."""
STREAK = 10
"""Videos in a row that fail in the same curable way, after which the fault is not the videos'."""
RATE_LIMIT = timedelta(hours=1)


def stored_video(video_id: str, folder: Path, stop: threading.Event | None = None) -> Video | None:
    """The video that an earlier run left whole; what else it left of this id and is no video is removed.

    Raises:
        FaultError: the id is none.
        CrawlError: the store cannot be read or written.
    """
    _refuse_unsafe(video_id)
    with alone(video_id, folder, stop), storing(folder):
        return take(video_id, folder)[0]


def fetch_video(
    video_id: str,
    folder: Path,
    settings: MediaSettings,
    *,
    site: str,
    wait: Callable[[float], object] = time.sleep,
    stop: threading.Event | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Video:
    """Fetch one video, or take the one that is there.

    Args:
        video_id: the video.
        folder: the media store.
        settings: of the media.
        site: address of the site whose watch page is read.
        wait: waits some seconds before a request is repeated.
        stop: set from another thread, it ends waits and the transfer.
        now: the clock.

    Raises:
        FaultError: this video cannot be had, now or ever.
        LaneStoppedError: YouTube wants no more requests for a while.
        CrawlError: the store or the cookies cannot be used.
    """
    _refuse_unsafe(video_id)
    with alone(video_id, folder, stop), storing(folder):
        if video := take(video_id, folder)[0]:  # left whole by a killed run, or fetched by another while we waited
            return video
        fault = download(video_id, folder / UNFINISHED, settings, site=site, wait=wait, stop=stop)
        problem = ""
        if fault is None:
            video, problem = take(video_id, folder)
            if video:
                return replace(video, tool=tool())
            fault = classify(None)
        if problem:
            fault = Fault("transient", "not_a_video", f"what came is no video and was removed: {problem}")
        if fault.kind == "terminal":  # nothing will ever go on with its parts
            sweep(video_id, folder)
        raise _error_of(fault, video_id, folder, settings, now())


class MediaLane:
    """Videos one after the other with pauses in between, on as many lanes as the settings allow; all rest together.

    Threads share the object: each `fetch` takes a lane that is free, or waits for one.
    """

    def __init__(
        self,
        settings: MediaSettings,
        ledger: Ledger,
        site: str,
        folder: Path,
        *,
        sleep: Callable[[float], object] | None = None,
        seed: int | None = None,
    ) -> None:
        """Open the lanes.

        Args:
            settings: of the media.
            ledger: keeps the lanes' pause.
            site: address of the site whose watch pages are read.
            folder: the media store.
            sleep: waits some seconds; by default until `stop` is called, at most.
            seed: of the pauses' lengths.
        """
        self._settings = settings
        self._ledger = ledger
        self._site = site
        self._folder = folder
        self._stop = threading.Event()
        self._sleep = sleep or self._stop.wait
        self._draw = random.Random(seed)  # noqa: S311 - jitter, no secret
        # the free lanes, the last one used on top, each as whether it has made a request
        self._lanes: queue.LifoQueue[bool] = queue.LifoQueue()
        for _ in range(settings.lanes):
            self._lanes.put(False)
        self._streak = _Streak()

    def fetch(self, video_id: str) -> Video:
        """Fetch one video as `fetch_video` does, at a lane's pace and only while the lanes do not rest.

        Raises:
            FaultError: this video cannot be had, now or ever.
            LaneStoppedError: YouTube wants no more requests for a while, or `stop` was called.
            CrawlError: the store or the cookies cannot be used.
        """
        if video := stored_video(video_id, self._folder, self._stop):
            return video
        has_asked = self._lanes.get()
        try:
            self._refuse_while_resting()
            if has_asked:
                self._sleep(self._draw.uniform(*self._settings.pause_s))
                self._refuse_while_resting()  # another lane may have met the wall meanwhile
            has_asked = True
            return self._ask(video_id)
        finally:
            self._lanes.put(has_asked)

    def stop(self) -> None:
        """End pauses and transfers, from whatever thread; what has come of a video is kept."""
        self._stop.set()

    def _ask(self, video_id: str) -> Video:
        now = self._ledger.now
        try:
            video = fetch_video(
                video_id,
                self._folder,
                self._settings,
                site=self._site,
                wait=self._sleep,
                stop=self._stop,
                now=now,
            )
        except LaneStoppedError as error:
            self._rest(error)
            raise
        except FaultError as error:
            if self._streak.has_ended(error.fault):
                stopped = lane_stopped(error.fault, video_id, now() + RATE_LIMIT)
                self._rest(stopped)
                raise stopped from None
            raise
        self._streak.has_ended(None)
        return video

    def _refuse_while_resting(self) -> None:
        if self._stop.is_set():
            raise LaneStoppedError("fetching videos was stopped", self._ledger.now())
        if pause := self._ledger.paused(LANE):
            raise LaneStoppedError(pause.reason, pause.until)

    def _rest(self, error: LaneStoppedError) -> None:
        if error.resumes_at > self._ledger.now():
            self._ledger.pause(LANE, error.resumes_at, str(error))


class _Streak:
    """Videos in a row that failed in the same curable way: a fault that is the site's, the network's or ours.

    Each of them would be tried again by a later run only so often, so the rest must not be spent on it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason = ""
        self._length = 0

    def has_ended(self, fault: Fault | None) -> bool:
        """Count how one video ended; True if that makes it one too many."""
        with self._lock:
            reason = fault.reason if fault and fault.kind == "transient" else ""
            self._length = self._length + 1 if reason == self._reason else 1
            self._reason = reason
            if not reason or self._length < STREAK:
                return False
            self._reason, self._length = "", 0
            return True


def _error_of(fault: Fault, video_id: str, folder: Path, settings: MediaSettings, now: datetime) -> CrawlError:
    if fault.kind == "pause":
        rest = timedelta(hours=settings.wall_pause_h) if fault.reason == "bot_wall" else RATE_LIMIT
        return lane_stopped(fault, video_id, now + rest)
    if fault.kind == "abort":
        return store_error(folder, fault.detail)
    return FaultError(fault, f"video {video_id}")


def _refuse_unsafe(video_id: str) -> None:
    if not VIDEO_ID.fullmatch(video_id):
        fault = Fault("terminal", "unusable_id", f"{plain_text(repr(video_id))} is no video id")
        raise FaultError(fault, "a video")
