"""Five frames per ad: the pictures at its moments as rows of `frames`, and a drop for each that it could not give."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import av
import cv2
import numpy as np

from data_catalog.storage import Place, local_copy
from data_catalog.tables.drops import Drop
from flows.errors import DecoderLostError, FrameError, TooLongError
from flows.frames.fingerprint import (
    FINGERPRINT_VERSION,
    REDUCED_SIDE,
    SAME_PICTURE_BITS,
    Fingerprint,
    differing_bits,
    fingerprint_video,
    is_blank,
    perceptual_hash,
)
from flows.frames.isolation import call_isolated
from flows.frames.moments import ANYWHERE, Spacing, between, choose_timestamps
from flows.frames.passes import decoded_frames, key_frame, nearest_keys
from flows.frames.picture import Picture, reduced
from flows.frames.video import Video
from flows.stages import FRAMES, LOOKS, VIDEOS, CandidateReason, FrameReason

if TYPE_CHECKING:  # the processes that decode need no settings
    from flows.settings import FrameSettings, Settings

Seek = Literal["exact", "keyframe"]
# decoder and encoder of another generation may give other pixels; raise the first number when the choice of
# moments or pictures changes
_AV, _OPENCV = (library.__version__.split(".")[0] for library in (av, cv2))
SAMPLER_VERSION = f"4 av {_AV} opencv {_OPENCV}"

# how long decoding may take decides whether there are rows, not what they hold
_NOT_IN_THE_ROWS = {"timeout_s", "reuploads"}


def frames_fingerprint(settings: Settings) -> str:
    """Fingerprint of what rows of `frames` depend on besides the video."""
    only = frozenset(type(settings.frames).model_fields) - _NOT_IN_THE_ROWS
    return settings.frames.fingerprint(SAMPLER_VERSION, only=only)


def looks_fingerprint(settings: Settings) -> str:
    """Fingerprint of rows of `looks`: no setting changes them."""
    return FINGERPRINT_VERSION


@dataclass(frozen=True)
class Frame:
    """One picture of an ad, ready to be stored."""

    video_id: str
    index: int
    requested_s: float
    """The moment that was drawn."""
    timestamp_s: float
    """Time at which the picture came up: at or shortly before the moment, unless key frames were asked for."""
    width: int
    height: int
    jpeg: bytes
    perceptual_hash: str
    """pHash and dHash of the picture, 16 hexadecimal digits each, in this order."""
    duplicates: tuple[int, ...] = ()
    """Indices of the ad's earlier frames that show the same picture."""

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
            "requested_s": self.requested_s,
            "timestamp_s": self.timestamp_s,
            "width": self.width,
            "height": self.height,
            "image": {"bytes": self.jpeg, "path": f"{self.video_id}_{self.index}.jpg"},
            "image_sha256": hashlib.sha256(self.jpeg).hexdigest(),
            "perceptual_hash": self.perceptual_hash,
            "duplicates": [frame_id(self.video_id, index) for index in self.duplicates],
        }


@dataclass(frozen=True)
class SampledFrames:
    """Frames of one ad, and a drop for each that it could not give."""

    video_id: str
    duration_s: float
    frames: tuple[Frame, ...]
    drops: tuple[Drop, ...]


@dataclass(frozen=True)
class _Stored:
    """A picture encoded once, at whichever moments it is shown."""

    width: int
    height: int
    jpeg: bytes
    perceptual_hash: str
    blank: bool


@dataclass(frozen=True)
class AdRows:
    """Rows made from one ad, and its drops."""

    rows: tuple[dict[str, Any], ...] = ()
    drops: tuple[Drop, ...] = ()


def frame_id(video_id: str, index: int) -> str:
    """Key of an ad's frame, `ID:3`."""
    return f"{video_id}:{index}"


def sample_frames(
    path: Path,
    video_id: str,
    *,
    count: int = 5,
    seed: int = 0,
    spacing: Spacing = ANYWHERE,
    seek: Seek = "exact",
    quality: int = 90,
    max_side: int | None = 1280,
    longest_s: float = math.inf,
) -> SampledFrames:
    """Decode an ad's frames: different pictures as long as the video has enough of them.

    Args:
        path: the video file.
        video_id: the ad's id, which seeds the moments together with `seed`.
        count: number of frames.
        seed: another one gives other moments.
        spacing: how far the moments keep from the ends and from each other.
        seek: `exact` takes the pictures on the screen at the moments; `keyframe` the nearest key frames between the
            margins, each once, and exact pictures for moments that find none free.
        quality: JPEG quality, 1 to 100.
        max_side: larger pictures are scaled down to this longer side; None keeps every size.
        longest_s: a longer video is refused, before it is read if it states its length.

    Raises:
        FrameError: the file gives no frame at all.
        TooLongError: the video is longer than `longest_s`.
    """
    with Video(path, longest_s) as video:
        duration_s = video.duration_s()
        moments_s = choose_timestamps(video_id, duration_s, count, seed, spacing)
        sampler = _Sampler(video, quality, max_side)
        if seek == "keyframe":
            sampler.snap(moments_s, between(duration_s, spacing))
        else:
            sampler.read(moments_s)
        frames, drops = sampler.frames(video_id, moments_s, duration_s)
    if not frames:
        raise FrameError(f"{path}: no frame can be decoded at any of {count} moments in {duration_s:g} s")
    return SampledFrames(video_id, duration_s, tuple(frames), tuple(drops))


def sample_ad(
    ad: dict[str, Any],
    roots: Mapping[str, Place],
    settings: FrameSettings,
    fingerprint: str,
    *,
    longest_s: float = math.inf,
) -> AdRows:
    """Sample one ad, in a process of its own.

    Args:
        ad: row of `ads` with `video_id`, `source`, `media_path`, `media_status` and `media_sha256`.
        roots: what `media_path` is below, by source.
        settings: which frames, and how they are stored.
        fingerprint: of the rows and the drops.
        longest_s: a longer video is a drop.
    """
    video_id, made = ad["video_id"], {"fingerprint": fingerprint, "upstream_revision": ad["media_sha256"]}

    def dropped(reason: str, detail: str) -> AdRows:
        return AdRows(drops=(FRAMES.drop(video_id, video_id, reason, detail, **made),))

    video = _video_of(ad, roots)
    if isinstance(video, tuple):
        return dropped(*video)
    try:
        with local_copy(video) as path:
            sampled = call_isolated(
                settings.timeout_s,
                sample_frames,
                path,
                video_id,
                count=settings.count,
                seed=settings.seed,
                spacing=Spacing(settings.margin_start_s, settings.margin_end_s, settings.min_distance_s),
                seek=settings.seek,
                quality=settings.quality,
                max_side=settings.max_side,
                longest_s=longest_s,
            )
    except DecoderLostError as error:
        return dropped(error.reason, f"{ad['media_path']}: {error}")
    except TooLongError as error:
        detail = str(error).replace(str(path), ad["media_path"])
        return AdRows(drops=(VIDEOS.drop(video_id, video_id, CandidateReason.TOO_LONG, detail, **made),))
    except FrameError as error:
        # the message names the path on this machine; a row names it below the source's folder
        return dropped(FrameReason.UNREADABLE_VIDEO, str(error).replace(str(path), ad["media_path"]))
    return AdRows(
        rows=tuple({**frame.row(), **made} for frame in sampled.frames),
        drops=tuple(replace(lost, **made) for lost in sampled.drops),
    )


def fingerprint_ad(ad: dict[str, Any], roots: Mapping[str, Place], settings: FrameSettings, fingerprint: str) -> AdRows:
    """Take one ad's fingerprint, in a process of its own: a row of `looks`, without pictures where none can be had.

    Args:
        ad: row of `ads` with `video_id`, `source`, `media_path`, `media_status` and `media_sha256`.
        roots: what `media_path` is below, by source.
        settings: how long it may take.
        fingerprint: of the row or the drop.
    """
    video_id, made = ad["video_id"], {"fingerprint": fingerprint, "upstream_revision": ad["media_sha256"]}
    found = Fingerprint(0.0, (), ())
    video = _video_of(ad, roots)
    try:
        if not isinstance(video, tuple):
            with local_copy(video) as path:
                found = call_isolated(settings.timeout_s, fingerprint_video, path)
        elif video[0].kind == "failed":
            return AdRows(drops=(LOOKS.drop(video_id, video_id, *video, **made),))
    except DecoderLostError as error:
        detail = f"{ad['media_path']}: {error}"
        return AdRows(drops=(LOOKS.drop(video_id, video_id, error.reason, detail, **made),))
    except FrameError:
        pass  # what the stage `frames` has dropped the ad for; there is nothing to compare
    return AdRows(rows=({**found.row(video_id), **made},))


def _video_of(ad: Mapping[str, Any], roots: Mapping[str, Place]) -> Place | tuple[FrameReason, str]:
    """An ad's video file, or the reason for which there is none and its detail."""
    if ad["media_status"] == "missing":
        detail = "no video came with this ad; a folder's lies beside its info.json as .mp4, .webm or .mkv"
        return FrameReason.NO_VIDEO, detail
    if ad["media_status"] == "deleted":
        return FrameReason.VIDEO_DELETED, "its video was deleted after frames were sampled; crawl it again"
    root = roots.get(ad["source"])
    if root is None:
        return FrameReason.SOURCE_NOT_GIVEN, f"came from the source {ad['source']}; build that one"
    path = root / ad["media_path"]
    if not path.is_file():
        return FrameReason.VIDEO_GONE, f"{ad['media_path']}: was there when the ad was added"
    return path


def decode_jpeg(jpeg: bytes) -> Picture:
    """A stored picture back as pixels, [height, width, 3], blue first.

    Raises:
        FrameError: the bytes are no picture.
    """
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if picture is None:
        raise FrameError(f"{len(jpeg)} bytes are no picture that can be decoded")
    return picture.astype(np.uint8, copy=False)


class _Sampler:
    """Takes pictures out of one video; each is encoded as it comes, so that no more than one is held as pixels."""

    def __init__(self, video: Video, quality: int, max_side: int | None) -> None:
        self._video = video
        self._quality = quality
        self._max_side = max_side
        self._stored: dict[float, _Stored] = {}
        """Pictures by the time at which they come up."""
        self._time_at: dict[float, float] = {}
        """Time of the picture for a moment."""

    def read(self, moments_s: Sequence[float]) -> None:
        """Take the pictures on the screen at the moments, in one pass."""
        for frame, shown_at_s in decoded_frames(self._video, moments_s):
            if shown_at_s:
                time_s = self._video.time_of(frame)
                self._store(frame, time_s)
                self._time_at |= dict.fromkeys(shown_at_s, time_s)

    def snap(self, moments_s: Sequence[float], bounds_s: tuple[float, float]) -> None:
        """Take the key frames nearest to the moments."""
        for moment_s, number in nearest_keys(self._video.key_times_s, moments_s, bounds_s).items():
            if (frame := key_frame(self._video, number)) is not None:
                self._time_at[moment_s] = self._video.time_of(frame)
                self._store(frame, self._time_at[moment_s])

    def frames(self, video_id: str, moments_s: Sequence[float], duration_s: float) -> tuple[list[Frame], list[Drop]]:
        """Frames of all moments, each another picture; what `read` and `snap` left open is looked for one by one."""
        frames: list[Frame] = []
        drops: list[Drop] = []
        taken: set[float] = set()
        for index, moment_s in enumerate(moments_s):
            time_s = self._time_at.get(moment_s)
            if time_s is None or time_s in taken:
                found = self._video.find(moment_s, taken)
                time_s = None if found is None else self._video.time_of(found)
                if time_s is not None:
                    self._store(found, time_s)
            if time_s is None:
                detail = f"no further picture can be decoded for {moment_s:.3f} s of {duration_s:.3f} s"
                drops.append(FRAMES.drop(frame_id(video_id, index), video_id, FrameReason.NO_PICTURE, detail))
                continue
            taken.add(time_s)
            picture = self._stored[time_s]
            frames.append(
                Frame(
                    video_id,
                    index,
                    requested_s=moment_s,
                    timestamp_s=time_s,
                    width=picture.width,
                    height=picture.height,
                    jpeg=picture.jpeg,
                    perceptual_hash=picture.perceptual_hash,
                    duplicates=tuple(
                        frame.index for frame in frames if _same(picture, self._stored[frame.timestamp_s])
                    ),
                )
            )
        return frames, drops

    def _store(self, frame: Any, time_s: float) -> None:
        if time_s not in self._stored:
            self._stored[time_s] = _encoded(self._video.picture_of(frame, self._max_side), self._quality)


def _encoded(picture: Picture, quality: int) -> _Stored:
    height, width = picture.shape[:2]
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    small = reduced(picture, REDUCED_SIDE)
    return _Stored(width, height, jpeg.tobytes(), perceptual_hash(small), is_blank(small))


def _same(one: _Stored, other: _Stored) -> bool:
    if one.blank or other.blank:
        return False
    return differing_bits(one.perceptual_hash, other.perceptual_hash) <= SAME_PICTURE_BITS
