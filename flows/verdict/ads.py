"""An ad as a model sees it: frames sampled and read as a build does, and those of them that have enough words."""

from __future__ import annotations

import io
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data_catalog.schemas import TABLES
from data_catalog.tables.drops import Drop
from flows.frames.sampling import sample_ad
from flows.ocr.registry import ocr_engine
from flows.ocr.texts import TextFrame, read_texts, words_drops
from flows.settings import Settings
from flows.stages import FRAMES, MEDIA, RELEASE, SOURCE, FileReason, FrameReason, MediaReason, ReleaseReason, Stage

if TYPE_CHECKING:
    from PIL import Image

_SOURCE = "verdict"


@dataclass(frozen=True)
class SeenFrame:
    """A frame and the words read on it; what others wrote there is untrusted."""

    index: int
    timestamp_s: float
    width: int
    height: int
    jpeg: bytes
    text: str
    """Its words, joined: what a release's row holds."""
    words: tuple[Mapping[str, Any], ...]
    """`text`, `confidence` and `box` (left, top, right, bottom, in pixels) of each word."""
    kept: bool
    """Whether it has more than `ocr.more_than_words` words, like the frames that models are trained on."""

    def image(self) -> Image.Image:
        """The picture, as a release's reader decodes it."""
        from PIL import Image

        from fgmfn.images import as_seen

        return as_seen(Image.open(io.BytesIO(self.jpeg)))


@dataclass(frozen=True)
class SeenAd:
    """Frames of an ad, in the order of their moments, and a drop for each frame that is lost or left out."""

    video_id: str
    frames: tuple[SeenFrame, ...] = ()
    drops: tuple[Drop, ...] = ()

    @property
    def kept(self) -> tuple[SeenFrame, ...]:
        """The frames that a model is asked about."""
        return tuple(frame for frame in self.frames if frame.kept)

    @property
    def failure(self) -> Drop | None:
        """Drop that explains why the ad cannot be judged; None if a frame is kept."""
        if self.kept:
            return None
        whole = [drop for drop in self.drops if drop.key == self.video_id]
        failed = [drop for drop in self.drops if drop.kind == "failed"]
        few = RELEASE.drop(self.video_id, self.video_id, ReleaseReason.NO_FRAME, "; ".join(map(_said, self.drops)))
        return next(iter([*whole, *failed]), few)


def see_ad(path: Path, video_id: str, settings: Settings) -> SeenAd:
    """Sample and read one ad as a build with these settings does; the decoder runs in a process of its own.

    Longer videos than `crawl.filters.max_duration_s` and larger ones than `media.max_size_mb` are refused before they
    are decoded.

    Args:
        path: the video file, from wherever.
        video_id: seeds the moments; an ad of a catalog is seen as there by its id there.
        settings: of frames and words, and the limits.

    Raises:
        OcrError: the engine is not installed or has no models.
    """
    if refused := _refusal(path, video_id, settings):
        return SeenAd(video_id, drops=(refused,))
    ad = {"video_id": video_id, "source": _SOURCE, "media_path": path.name, "media_status": "present"}
    sampled = sample_ad(
        {**ad, "media_sha256": None},
        {_SOURCE: path.parent},
        settings.frames,
        "",
        longest_s=settings.crawl.filters.max_duration_s,
    )
    rows = pa.Table.from_pylist(list(sampled.rows), schema=TABLES["frames"].schema)
    read, unread = read_texts(ocr_engine(settings.ocr), rows, fingerprint="")
    texts = {row["frame_id"]: row for row in read}
    pairs = [(row, texts[row["frame_id"]]) for row in sampled.rows if row["frame_id"] in texts]
    few = words_drops((_text_frame(*pair) for pair in pairs), settings.ocr.more_than_words)
    left_out = {drop.key for drop in few}
    frames = (
        SeenFrame(
            index=row["frame_index"],
            timestamp_s=row["timestamp_s"],
            width=row["width"],
            height=row["height"],
            jpeg=row["image"]["bytes"],
            text=text["text"],
            words=tuple(text["words"]),
            kept=row["frame_id"] not in left_out,
        )
        for row, text in pairs
    )
    return SeenAd(video_id, tuple(frames), (*sampled.drops, *unread, *few))


def _refusal(path: Path, video_id: str, settings: Settings) -> Drop | None:
    """Drop for a path that must not be opened; None if it can be."""

    def drop(stage: Stage, reason: str, detail: str) -> Drop:
        return stage.drop(video_id, video_id, reason, f"{path.name}: {detail}")

    try:
        found = path.stat()
    except FileNotFoundError:
        return drop(FRAMES, FrameReason.VIDEO_GONE, "is not there")
    except OSError as error:  # a loop of links, a folder that may not be entered
        return drop(SOURCE, FileReason.UNREADABLE, error.strerror or str(error))
    if not stat.S_ISREG(found.st_mode):
        return drop(SOURCE, FileReason.NOT_A_FILE, "a folder, device, pipe or socket")
    if found.st_size > settings.media.max_size_mb * 1_000_000:
        allowed = f"media.max_size_mb allows {settings.media.max_size_mb} MB"
        return drop(MEDIA, MediaReason.TOO_LARGE, f"{found.st_size / 1e6:,.1f} MB; {allowed}")
    return None


def _text_frame(row: Mapping[str, Any], text: Mapping[str, Any]) -> TextFrame:
    same = ("frame_id", "video_id", "timestamp_s", "image_sha256", "perceptual_hash")
    read = {name: text[name] for name in ("text", "n_words", "unread")}
    return TextFrame(**{name: row[name] for name in same}, **read, category="", media_sha256=None)


def _said(drop: Drop) -> str:
    return f"{drop.reason} ({drop.detail})" if drop.detail else str(drop.reason)
