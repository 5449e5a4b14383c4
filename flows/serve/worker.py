"""Videos of requests: decoded and read in processes that are killed if they take too long or nobody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, ParamSpec, TypeVar

from flows.errors import DecoderLostError, FrameError
from flows.frames.isolation import borrowed_worker, close_idle_workers
from flows.serve.refusals import Refusal
from flows.serve.seeing import read_within, see_within
from flows.serve.uploads import Uploads
from flows.settings import Settings
from flows.settings.serve import ServeSettings
from flows.verdict.ads import SeenAd

P = ParamSpec("P")
T = TypeVar("T")

_RETRY_S = 5.0


class Videos:
    """Sees uploaded videos, a few at a time, each in a process of its own.

    Args:
        settings: how frames are sampled and read; and the limits.
        uploads: where videos lie meanwhile.
    """

    def __init__(self, settings: Settings, uploads: Uploads) -> None:
        self._limits, self._uploads = settings.serve, uploads
        self._memory_bytes = settings.serve.video_memory_mb * 1_000_000
        self._settings = _without_secrets(settings)
        self._turns = asyncio.Semaphore(self._limits.video_workers)
        self._threads = ThreadPoolExecutor(self._limits.video_workers, "videos")
        self.admitted = 0
        """Videos that are seen or wait for it."""

    async def see(self, content: IO[bytes], video_id: str) -> SeenAd:
        """Sample and read a video; whoever stops waiting ends the process.

        Args:
            content: the file.
            video_id: seeds the moments.

        Raises:
            Refusal: too many others wait, or it took too long or too much.
        """

        def seen(call: KillableCall) -> SeenAd:
            with self._uploads.holding(content) as path:
                limit_s = self._limits.video_timeout_s
                return call.run(limit_s, see_within, self._memory_bytes, path, video_id, self._settings)

        return await self._run(seen)

    async def read(self, picture: bytes) -> str:
        """The words on a picture, as on a frame of a video.

        Raises:
            Refusal: as `see`.
        """

        def read(call: KillableCall) -> str:
            limit_s = self._limits.video_timeout_s
            return call.run(limit_s, read_within, self._memory_bytes, picture, self._settings.ocr)

        return await self._run(read)

    async def _run(self, function: Callable[[KillableCall], T]) -> T:
        if self.admitted >= self._limits.video_workers + self._limits.video_queue:
            raise Refusal(503, "busy", "Others are being read already. Try again later.", retry_after_s=_RETRY_S)
        self.admitted += 1
        try:
            async with self._turns:
                return await self._called(function)
        finally:
            self.admitted -= 1

    async def _called(self, function: Callable[[KillableCall], T]) -> T:
        call = KillableCall()
        running = asyncio.get_running_loop().run_in_executor(self._threads, function, call)
        try:
            return await asyncio.shield(running)
        except DecoderLostError as error:
            if error.reason == "decoder_timeout":
                text = f"Decoding and reading it took more than {self._limits.video_timeout_s:g} s; send less."
                raise Refusal(422, "decoder_timeout", text) from None
            raise Refusal(422, "decoder_crashed", "Its decoder crashed. Encode it anew.") from None
        except MemoryError:
            text = "Decoding it takes too much memory. Encode it with a smaller picture."
            raise Refusal(422, "decoder_memory", text) from None
        except FrameError:
            raise Refusal(422, "no_picture", "A picture cannot be read; save it anew.") from None
        finally:
            if not running.done():
                call.kill()
                with suppress(DecoderLostError):
                    await asyncio.shield(running)

    def close(self) -> None:
        """End the processes that wait for a video."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        close_idle_workers()


class KillableCall:
    """One call in a worker, which another thread can end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kill: Callable[[], None] | None = None
        self._killed = False

    def run(self, timeout_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a module's function; see `call_isolated`.

        Raises:
            DecoderLostError: the time was over, or the process ended or was killed.
            Exception: what the function raises.
        """
        with borrowed_worker() as worker:
            with self._lock:
                if self._killed:
                    raise DecoderLostError("decoder_crashed", "nobody waits for it any more")
                self._kill = worker.kill
            try:
                done, outcome = worker.call(timeout_s, function, args, kwargs)
            finally:
                with self._lock:  # from here on the worker may be another's
                    self._kill = None
        if not done:
            raise outcome
        result: T = outcome
        return result

    def kill(self) -> None:
        """End it, or do not begin it."""
        with self._lock:
            self._killed = True
            if self._kill is not None:
                self._kill()


def _without_secrets(settings: Settings) -> Settings:
    """The settings that a decoding process needs: how to decode and read, and the limits; no secrets."""
    plain = Settings.model_construct()
    serve = settings.serve
    filters = plain.crawl.filters.model_copy(update={"max_duration_s": serve.max_video_s})
    return plain.model_copy(
        update={
            "crawl": plain.crawl.model_copy(update={"filters": filters}),
            "media": plain.media.model_copy(update={"max_size_mb": serve.max_upload_mb}),
            "frames": settings.frames.model_copy(update={"timeout_s": serve.video_timeout_s}),
            "ocr": settings.ocr,
            "serve": ServeSettings(),
        }
    )
