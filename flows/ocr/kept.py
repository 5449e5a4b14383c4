"""Which frames are kept: those on which more words were read than the settings ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from data_catalog.catalog import Catalog, Drop

STAGE = "words"
TOO_FEW = "too_few_words"


@dataclass(frozen=True)
class TextFrame:
    """A current frame with what was read on it, and its ad's category and file."""

    frame_id: str
    video_id: str
    timestamp_s: float
    image_sha256: str
    perceptual_hash: str
    text: str
    n_words: int
    category: str
    media_sha256: str | None


def read_frames(catalog: Catalog, *, frames_fingerprint: str, texts_fingerprint: str) -> dict[str, TextFrame]:
    """Every frame whose picture and text are current, with its ad's category and file."""
    ads = {ad["video_id"]: ad for ad in catalog.read("ads", ["video_id", "category", "media_sha256"]).to_pylist()}
    columns = ["frame_id", "video_id", "timestamp_s", "image_sha256", "perceptual_hash"]
    pictures = catalog.current("frames", upstream="ads", fingerprint=frames_fingerprint, columns=columns)
    texts = catalog.current(
        "texts", upstream="frames", fingerprint=texts_fingerprint, columns=["frame_id", "text", "n_words"]
    )
    text_of = {text["frame_id"]: text for text in texts.to_pylist()}
    return {
        picture["frame_id"]: TextFrame(
            **picture,
            text=text["text"],
            n_words=text["n_words"],
            category=ads[picture["video_id"]]["category"],
            media_sha256=ads[picture["video_id"]]["media_sha256"],
        )
        for picture in sorted(pictures.to_pylist(), key=lambda picture: picture["frame_id"])
        if (text := text_of.get(picture["frame_id"]))
    }


def words_drops(frames: Iterable[TextFrame], more_than: int) -> list[Drop]:
    """A drop for every frame with too few words; it quotes them."""
    return [
        Drop(
            stage=STAGE,
            key=frame.frame_id,
            video_id=frame.video_id,
            kind="filtered",
            reason=TOO_FEW,
            detail=f"{frame.n_words} word{'' if frame.n_words == 1 else 's'}: {frame.text!r}",
        )
        for frame in frames
        if frame.n_words <= more_than
    ]
