"""Five frames per ad: which moments, and the pictures at those moments."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import imagehash
import numpy as np
from PIL import Image

from data_catalog.drops import Drop
from flows.errors import FrameError
from flows.frames.video import Picture, Video

STAGE = "frames"
# decoder and encoder of another generation may give other pixels; raise the first number when the choice of
# moments or pictures changes
SAMPLER_VERSION = f"1 av {av.__version__.split('.')[0]} opencv {cv2.__version__.split('.')[0]}"


@dataclass(frozen=True)
class Frame:
    """One picture of an ad, ready to be stored."""

    video_id: str
    index: int
    timestamp_s: float
    """When the picture came up on the screen: at or shortly before the moment that was asked for."""
    width: int
    height: int
    jpeg: bytes
    perceptual_hash: str
    """pHash and dHash of the picture, 16 hexadecimal digits each, in this order."""

    @property
    def frame_id(self) -> str:
        """Key of the frame."""
        return frame_id(self.video_id, self.index)

    def row(self) -> dict[str, Any]:
        """The frame as a row of the table `frames`, without the columns of provenance."""
        return {
            "frame_id": self.frame_id,
            "video_id": self.video_id,
            "frame_index": self.index,
            "timestamp_s": self.timestamp_s,
            "width": self.width,
            "height": self.height,
            "image": {"bytes": self.jpeg, "path": f"{self.video_id}_{self.index}.jpg"},
            "image_sha256": hashlib.sha256(self.jpeg).hexdigest(),
            "perceptual_hash": self.perceptual_hash,
        }


@dataclass(frozen=True)
class SampledFrames:
    """What one ad gave: frames in the order of time, and a drop for each that it could not give."""

    video_id: str
    duration_s: float
    frames: tuple[Frame, ...]
    drops: tuple[Drop, ...]


def frame_id(video_id: str, index: int) -> str:
    """Key of an ad's frame, `ID:3`."""
    return f"{video_id}:{index}"


def choose_timestamps(video_id: str, duration_s: float, count: int = 5, seed: int = 0) -> list[float]:
    """Draw moments evenly from [0, duration_s), sorted.

    They depend on the seed, the video id, the duration and the count alone: the same ad gives the same
    moments on every machine and in every order of work.

    Raises:
        ValueError: the duration is not a positive number, or the count is below 1.
    """
    if not 0 < duration_s < float("inf"):
        raise ValueError(f"duration_s = {duration_s!r} of {video_id!r}; expected a positive number of seconds")
    if count < 1:
        raise ValueError(f"count = {count!r}; expected at least 1")
    digest = hashlib.sha256(f"{seed}:{video_id}".encode()).digest()
    draw = random.Random(int.from_bytes(digest))  # noqa: S311  # a sample, not a secret
    # min: random() * duration can round up to the duration itself
    latest = np.nextafter(duration_s, 0.0)
    return sorted(min(draw.random() * duration_s, float(latest)) for _ in range(count))


def sample_frames(
    path: Path,
    video_id: str,
    *,
    count: int = 5,
    seed: int = 0,
    quality: int = 90,
    max_side: int | None = 1280,
) -> SampledFrames:
    """Decode an ad's frames: different pictures as long as the video has enough of them.

    Args:
        path: the video file.
        video_id: the ad's id, which seeds the moments together with `seed`.
        count: number of frames.
        quality: JPEG quality, 1 to 100.
        max_side: larger pictures are scaled down to this longer side; None keeps every size.

    Raises:
        FrameError: the file gives no frame at all.
    """
    with Video(path) as video:
        duration_s = video.duration_s()
        if not 0 < duration_s < float("inf"):
            raise FrameError(f"{path}: states a duration of {duration_s:g} s")
        frames: list[Frame] = []
        drops: list[Drop] = []
        for index, moment in enumerate(choose_timestamps(video_id, duration_s, count, seed)):
            found = video.frame_at(moment, {frame.timestamp_s for frame in frames})
            if found is None:
                drops.append(_not_decodable(video_id, index, moment, duration_s))
            else:
                frames.append(_store(video_id, index, *found, quality=quality, max_side=max_side))
    if not frames:
        raise FrameError(f"{path}: no frame can be decoded at any of {count} moments in {duration_s:g} s")
    return SampledFrames(video_id, duration_s, tuple(frames), tuple(drops))


def decode_jpeg(jpeg: bytes) -> Picture:
    """A stored picture back as pixels, [height, width, 3], blue first.

    Raises:
        FrameError: the bytes are no picture.
    """
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if picture is None:
        raise FrameError(f"{len(jpeg)} bytes are no picture that can be decoded")
    return picture.astype(np.uint8, copy=False)


def _store(
    video_id: str, index: int, timestamp_s: float, picture: Picture, *, quality: int, max_side: int | None
) -> Frame:
    picture = _fit(picture, max_side)
    height, width = picture.shape[:2]
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    image = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    return Frame(
        video_id=video_id,
        index=index,
        timestamp_s=timestamp_s,
        width=width,
        height=height,
        jpeg=jpeg.tobytes(),
        perceptual_hash=f"{imagehash.phash(image)}{imagehash.dhash(image)}",
    )


def _fit(picture: Picture, max_side: int | None) -> Picture:
    height, width = picture.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return picture
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _not_decodable(video_id: str, index: int, moment: float, duration_s: float) -> Drop:
    return Drop(
        stage=STAGE,
        key=frame_id(video_id, index),
        video_id=video_id,
        kind="filtered",
        reason="no_picture",
        detail=f"no further picture can be decoded for {moment:.3f} s of {duration_s:.3f} s",
    )
