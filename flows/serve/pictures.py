"""Pictures of requests: refused by their header if they are too large, decoded in threads, few at a time."""

from __future__ import annotations

import asyncio
import io
import os
import warnings
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from PIL import Image

from fgmfn.images import NO_PICTURE, as_seen
from flows.serve.refusals import Refusal

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""Formats that are taken: those of the web. Pillow reads further ones, by programs and decoders of every kind."""
MOST_SCANS = 100
"""Scans of a JPEG: each goes over the whole picture again, however few bytes it has. Encoders write about ten."""
_DECODED_AT_A_TIME = 3
"""Largest pictures that are held decoded at a time."""


def check_picture(data: bytes, max_pixels: int) -> int:
    """Look at the head of a picture; return its pixels.

    Raises:
        Refusal: it is no picture, or none that is taken.
    """
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            pixels, kind = picture.width * picture.height, picture.format
    except Image.DecompressionBombError:
        raise _too_large(max_pixels) from None
    except NO_PICTURE:
        raise Refusal(422, "no_picture", f"A picture cannot be read; send {', '.join(FORMATS)}.") from None
    if pixels > max_pixels:
        raise _too_large(max_pixels)
    # a marker's bytes stand nowhere in what is coded
    if kind in ("JPEG", "MPO") and data.count(b"\xff\xda") > MOST_SCANS:
        raise Refusal(422, "no_picture", f"A JPEG has more than {MOST_SCANS} scans; save it anew.")
    return pixels


def _too_large(max_pixels: int) -> Refusal:
    return Refusal(413, "too_many_pixels", f"A picture has more than {max_pixels:,} pixels; scale it down.")


def _decoded(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return as_seen(Image.open(io.BytesIO(data), formats=FORMATS))
    except NO_PICTURE:
        raise Refusal(422, "no_picture", "A picture is damaged or cut short; save it anew.") from None


class Pictures:
    """Decodes pictures in threads, and holds no more pixels at a time than three of the largest have.

    Args:
        max_pixels: of a picture.
    """

    def __init__(self, max_pixels: int) -> None:
        self._free = _DECODED_AT_A_TIME * max_pixels
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "pictures")

    @asynccontextmanager
    async def decoded(self, data: bytes, pixels: int) -> AsyncIterator[Image.Image]:
        """A picture in RGB, held until it is let go.

        Raises:
            Refusal: it is damaged.
        """
        await self._take(pixels)
        try:
            yield await asyncio.get_running_loop().run_in_executor(self._threads, _decoded, data)
        finally:
            self._give(pixels)

    def close(self) -> None:
        """Decode nothing any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _take(self, pixels: int) -> None:
        if not self._line and pixels <= self._free:
            self._free -= pixels
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((pixels, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give(pixels)  # it was its turn just then
            else:
                self._line.remove((pixels, turn))
                self._give(0)
            raise

    def _give(self, pixels: int) -> None:
        self._free += pixels
        while self._line and self._line[0][0] <= self._free:
            needed, turn = self._line.popleft()
            self._free -= needed
            turn.set_result(None)
