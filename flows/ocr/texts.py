"""Rows of `texts` from rows of `frames`, and the frames that are kept for the number of their words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from data_catalog.catalog import Catalog, Drop
from flows.errors import FrameError, OcrError
from flows.frames.picture import Picture
from flows.frames.sampling import decode_jpeg
from flows.ocr.engine import OcrEngine
from flows.ocr.words import Reading
from flows.settings import Settings
from flows.stages import FRAMES, OCR, WORDS, OcrReason, WordReason


def read_texts(engine: OcrEngine, frames: pa.Table, *, fingerprint: str) -> tuple[list[dict[str, Any]], list[Drop]]:
    """Read a batch of frames; a picture that cannot be decoded or read is a drop, and the others are read all the same.

    Frames with one and the same stored picture, as a video that stands still gives them, are read once.

    Args:
        engine: reads the pictures.
        frames: rows with `frame_id`, `video_id`, `image` and `image_sha256`.
        fingerprint: of the rows and the drops.
    """
    batch = frames.to_pylist()
    read = _read(engine, {frame["image_sha256"]: frame["image"]["bytes"] for frame in batch})
    rows: list[dict[str, Any]] = []
    drops: list[Drop] = []
    for frame in batch:
        made = {"fingerprint": fingerprint, "upstream_revision": frame["image_sha256"]}
        words = read[frame["image_sha256"]]
        if isinstance(words, Reading):
            rows.append({**_row(frame, words, engine), **made})
        else:
            reason = OcrReason.UNDECODABLE_PICTURE if isinstance(words, FrameError) else OcrReason.ENGINE_FAILED
            drops.append(OCR.drop(frame["frame_id"], frame["video_id"], reason, str(words), **made))
    return rows, drops


def _read(engine: OcrEngine, images: dict[str, bytes]) -> dict[str, Reading | FrameError | OcrError]:
    """The words of each stored picture, or why it has none."""
    read: dict[str, Reading | FrameError | OcrError] = {}
    pictures: dict[str, Picture] = {}
    for key, image in images.items():
        try:
            pictures[key] = decode_jpeg(image)
        except FrameError as error:
            read[key] = error
    try:
        return read | dict(zip(pictures, engine.read(list(pictures.values())), strict=True))
    except OcrError:  # one picture is to blame: it is found by reading each by itself
        for key, picture in pictures.items():
            try:
                [read[key]] = engine.read([picture])
            except OcrError as error:
                read[key] = error
    return read


def _row(frame: dict[str, Any], words: Reading, engine: OcrEngine) -> dict[str, Any]:
    confidences = [word.confidence for word in words]
    return {
        "frame_id": frame["frame_id"],
        "video_id": frame["video_id"],
        "text": " ".join(word.text for word in words),
        "n_words": len(words),
        "words": [{"text": word.text, "confidence": word.confidence, "box": list(word.box)} for word in words],
        "mean_confidence": sum(confidences) / len(confidences) if confidences else None,
        "unread": words.unread or None,
        "engine": engine.name,
        "engine_version": engine.version,
    }


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
    unread: str | None = None


def read_frames(catalog: Catalog, settings: Settings) -> dict[str, TextFrame]:
    """Every frame whose picture and text are current, with its ad's category and file, by frame id."""
    ads = {ad["video_id"]: ad for ad in catalog.read("ads", ["video_id", "category", "media_sha256"]).to_pylist()}
    columns = ["frame_id", "video_id", "timestamp_s", "image_sha256", "perceptual_hash"]
    pictures = catalog.current("frames", upstream="ads", fingerprint=FRAMES.fingerprint(settings), columns=columns)
    columns = ["frame_id", "text", "n_words", "unread"]
    texts = catalog.current("texts", upstream="frames", fingerprint=OCR.fingerprint(settings), columns=columns)
    text_of = {text["frame_id"]: text for text in texts.to_pylist()}
    return {
        picture["frame_id"]: TextFrame(
            **picture,
            text=text["text"],
            n_words=text["n_words"],
            unread=text["unread"],
            category=ads[picture["video_id"]]["category"],
            media_sha256=ads[picture["video_id"]]["media_sha256"],
        )
        for picture in sorted(pictures.to_pylist(), key=lambda picture: picture["frame_id"])
        if (text := text_of.get(picture["frame_id"]))
    }


def words_drops(frames: Iterable[TextFrame], more_than: int) -> list[Drop]:
    """A drop for every frame with too few words; it quotes them, and what was read in a script that is not known."""
    return [
        WORDS.drop(
            frame.frame_id,
            frame.video_id,
            WordReason.UNKNOWN_SCRIPT if frame.unread else WordReason.TOO_FEW_WORDS,
            f"{frame.n_words} word{'' if frame.n_words == 1 else 's'}: {frame.text!r}"
            + (f"; read in letters that the engine does not know: {frame.unread}" if frame.unread else ""),
        )
        for frame in frames
        if frame.n_words <= more_than
    ]
