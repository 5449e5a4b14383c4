"""Small encoded clips whose pictures tell which frame they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from flows.frames.picture import Picture

WIDTH, HEIGHT, RATE = 128, 64, 10
BITS = 8


def numbered(number: int) -> Picture:
    """A picture that carries its number in eight black or white columns."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit in range(BITS):
        left = bit * WIDTH // BITS
        picture[:, left : left + WIDTH // BITS] = 255 * (number >> bit & 1)
    return picture


def number_on(picture: Picture) -> int:
    columns = picture.mean(axis=(0, 2)).reshape(BITS, -1).mean(axis=1)
    return sum(1 << bit for bit, light in enumerate(columns) if light > 128)


def write_video(path: Path, times: list[float], *, options: dict[str, str] | None = None, **track: Any) -> Path:
    """Encode one numbered picture for each time."""
    with av.open(str(path), "w", options=options or {}) as container:
        encode(container, times, **track)
    return path


def encode(
    container: Any,
    times: list[float],
    *,
    codec: str = "libx264",
    key_every: int = 12,
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
    settings: Mapping[str, str] | None = None,
    rate: int | None = None,
    sound_s: float = 0.0,
) -> None:
    """Encode one numbered picture for each time, and maybe some sound.

    Args:
        container: opened for writing.
        times: in seconds.
        codec: PyAV's name of the encoder.
        key_every: pictures from one key frame to the next.
        rotation: degrees in the display matrix.
        pixel_aspect: width of a pixel by its height.
        settings: of the encoder.
        rate: times are multiples of 1 / rate, as some codecs ask; None: milliseconds.
        sound_s: seconds of silence in a second track.
    """
    options = {"g": str(key_every), "sc_threshold": "0", "crf": "10", **(settings or {})}
    track = container.add_stream(codec, rate=rate or RATE, options=options)
    track.width, track.height, track.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    if codec.startswith("mpeg"):  # they know no quality
        track.bit_rate = 1_000_000
    tick = Fraction(1, rate or 1000)
    track.time_base = track.codec_context.time_base = tick
    sound = container.add_stream("libopus", rate=48_000) if sound_s else None
    if pixel_aspect:
        track.codec_context.sample_aspect_ratio = pixel_aspect
    if rotation:
        track.set_display_rotation(rotation)
    for number, time_s in enumerate(times):
        frame = av.VideoFrame.from_ndarray(numbered(number), format="bgr24")
        frame.pts, frame.time_base = round(time_s / tick), tick
        container.mux(track.encode(frame))
    container.mux(track.encode())
    for second in range(round(sound_s)):
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), format="fltp", layout="mono")
        silence.sample_rate, silence.pts = 48_000, 48_000 * second
        container.mux(sound.encode(silence))
    if sound:
        container.mux(sound.encode())


def steady(count: int) -> list[float]:
    return [number / RATE for number in range(count)]


def write_ad(
    path: Path, seed: int, *, words: str = "", seconds: int = 10, size: tuple[int, int] = (320, 180), **encoding: str
) -> Path:
    """Encode moving shapes drawn from a seed, with words over them: the same ad at any size and quality."""
    draw = np.random.default_rng(seed)
    fields = [cv2.resize(draw.integers(0, 256, (9, 16, 3)).astype(np.uint8), (480, 270)) for _ in range(seconds // 2)]

    def scenes() -> Iterator[Picture]:
        for number in range(seconds * RATE):
            at = number % (2 * RATE)
            scene = fields[number // (2 * RATE)][2 * at : 2 * at + 180, 4 * at : 4 * at + 320].copy()
            for line, text in enumerate(words.split("\n")):
                cv2.putText(scene, text, (10, 60 + 50 * line), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 4)
            yield cv2.resize(scene, size, interpolation=cv2.INTER_AREA).astype(np.uint8)

    return write_pictures(path, scenes(), **encoding)


def write_pictures(path: Path, pictures: Iterable[Picture], **options: str) -> Path:
    """Encode pictures of one size as H.264, a tenth of a second each: equal pictures as equal bytes."""
    # with x264's macroblock tree the bytes differ from run to run, with one thread, too
    with av.open(str(path), "w") as container:
        settings = {"preset": "veryfast", "x264-params": "mbtree=0", **options}
        track: Any = container.add_stream("libx264", rate=RATE, options=settings)
        for number, picture in enumerate(pictures):
            if number == 0:
                track.height, track.width, track.pix_fmt = *picture.shape[:2], "yuv420p"
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(track.encode())
    return path
