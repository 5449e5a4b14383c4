"""Fetch videos one after the other at a limited pace, on lanes that all pause when YouTube asks for it."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from flows.crawl.data_api.faults import Fault, FaultError, plain_text
from flows.crawl.data_api.quota import Ledger
from flows.crawl.fields import VIDEO_ID
from flows.crawl.media.downloader import download, tool
from flows.crawl.media.faults import classify, lane_stopped
from flows.crawl.media.store import UNFINISHED, Video, alone, store_error, storing, sweep, take
from flows.errors import CrawlError, LaneStoppedError
from flows.settings.crawl import MediaSettings

LANE = "media"
"""Name under which the ledger keeps the lanes' pause: all of them rest together, in every process."""
STREAK = 10
"""Videos in a row that fail in the same curable way, after which the fault is not the videos'."""
RATE_LIMIT = timedelta(hours=1)


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
        """Fetch one video, or take the one that is there, at a lane's pace and only while the lanes are not paused.

        Raises:
            FaultError: this video cannot be fetched, now or ever.
            LaneStoppedError: YouTube wants no more requests for a while, or `stop` was called.
            CrawlError: the store or the cookies cannot be used.
        """
        if not VIDEO_ID.fullmatch(video_id):
            raise FaultError(
                Fault("terminal", "unusable_id", f"{plain_text(repr(video_id))} is no video id"), "a video"
            )
        with self._alone(video_id):
            if video := take(video_id, self._folder)[0]:
                return video
        has_asked = self._lanes.get()
        try:
            self._refuse_while_paused()
            if has_asked:
                self._sleep(self._draw.uniform(*self._settings.pause_s))
                self._refuse_while_paused()  # another lane may have met the wall meanwhile
            has_asked = True
            return self._ask(video_id)
        finally:
            self._lanes.put(has_asked)

    def stop(self) -> None:
        """End pauses and transfers, from whatever thread; what has come of a video is kept."""
        self._stop.set()

    @contextmanager
    def _alone(self, video_id: str) -> Iterator[None]:
        with alone(video_id, self._folder, self._stop), storing(self._folder):
            yield

    def _ask(self, video_id: str) -> Video:
        try:
            video = self._download(video_id)
        except LaneStoppedError as error:
            self._pause(error)
            raise
        except FaultError as error:
            if self._streak.has_ended(error.fault):
                stopped = lane_stopped(error.fault, video_id, self._ledger.now() + RATE_LIMIT)
                self._pause(stopped)
                raise stopped from None
            raise
        self._streak.has_ended(None)
        return video

    def _download(self, video_id: str) -> Video:
        with self._alone(video_id):
            # left whole by a killed run, or fetched by another while this one waited
            if video := take(video_id, self._folder)[0]:
                return video
            place = self._folder / UNFINISHED
            fault = download(video_id, place, self._settings, site=self._site, wait=self._sleep, stop=self._stop)
            problem = ""
            if fault is None:
                video, problem = take(video_id, self._folder)
                if video:
                    return replace(video, tool=tool())
                fault = classify(None)
            if problem:
                fault = Fault("transient", "not_a_video", f"what came is no video and was removed: {problem}")
            if fault.kind == "terminal":  # nothing will ever go on with its parts
                sweep(video_id, self._folder)
            raise self._error_of(fault, video_id)

    def _error_of(self, fault: Fault, video_id: str) -> CrawlError:
        if fault.kind == "pause":
            is_wall = fault.reason == "bot_wall"
            rest = timedelta(hours=self._settings.wall_pause_h) if is_wall else RATE_LIMIT
            return lane_stopped(fault, video_id, self._ledger.now() + rest)
        if fault.kind == "abort":
            return store_error(self._folder, fault.detail)
        return FaultError(fault, f"video {video_id}")

    def _refuse_while_paused(self) -> None:
        if self._stop.is_set():
            raise LaneStoppedError("fetching videos was stopped", self._ledger.now())
        if pause := self._ledger.paused(LANE):
            raise LaneStoppedError(pause.reason, pause.until)

    def _pause(self, error: LaneStoppedError) -> None:
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
