"""The files behind the videos: real ones of one colour, a second long, made when somebody asks."""

from __future__ import annotations

import io
import zlib
from functools import lru_cache
from pathlib import Path

import av
from PIL import Image

from tests.youtube_sandbox.world import SandboxVideo

_FRAMES = 4


def media_of(video: SandboxVideo, height: int) -> bytes | Path:
    """The file of one of a video's formats; every video and every height has bytes of its own."""
    if video.media is not None:
        return video.media
    return _made(video.video_id, sides(height, upright=video.upright), video.media_bytes)


def sides(height: int, *, upright: bool) -> tuple[int, int]:
    """Width and height of a picture whose shorter side is given."""
    longer = height * 16 // 9 // 2 * 2
    return (height, longer) if upright else (longer, height)


@lru_cache(maxsize=256)
def _made(video_id: str, size: tuple[int, int], least_bytes: int) -> bytes:
    film = _film(size)
    note = video_id.encode().ljust(max(len(video_id), least_bytes - len(film) - 8), b"\0")
    # players pass over a box of the type `free`
    return film + (len(note) + 8).to_bytes(4, "big") + b"free" + note


@lru_cache(maxsize=16)
def _film(size: tuple[int, int]) -> bytes:
    picture = Image.new("RGB", size, (zlib.crc32(str(size).encode()) % 200, 120, 90))
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        track = container.add_stream("libx264", rate=_FRAMES, options={"preset": "ultrafast", "threads": "1"})
        (track.width, track.height), track.pix_fmt = size, "yuv420p"
        for _ in range(_FRAMES):
            container.mux(track.encode(av.VideoFrame.from_image(picture)))
        container.mux(track.encode())
    return file.getvalue()
