"""Rows of `texts` from rows of `frames`: decode the picture, read it, count its words."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from data_catalog.catalog import Drop
from data_catalog.schemas import DropKind
from flows.errors import FrameError, OcrError
from flows.frames.sampling import decode_jpeg
from flows.frames.video import Picture
from flows.ocr.engines import OcrEngine, Word

STAGE = "ocr"


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
        match read[frame["image_sha256"]]:
            case FrameError() as error:
                drops.append(_drop(frame, "filtered", "undecodable_picture", str(error), fingerprint))
            case OcrError() as error:
                drops.append(_drop(frame, "failed", "engine_failed", str(error), fingerprint))
            case list() as words:
                rows.append(_row(frame, words, engine, fingerprint))
    return rows, drops


def _read(engine: OcrEngine, images: dict[str, bytes]) -> dict[str, list[Word] | FrameError | OcrError]:
    """The words of each stored picture, or why it has none."""
    read: dict[str, list[Word] | FrameError | OcrError] = {}
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


def _row(frame: dict[str, Any], words: list[Word], engine: OcrEngine, fingerprint: str) -> dict[str, Any]:
    confidences = [word.confidence for word in words]
    return {
        "frame_id": frame["frame_id"],
        "video_id": frame["video_id"],
        "text": " ".join(word.text for word in words),
        "n_words": len(words),
        "words": [{"text": word.text, "confidence": word.confidence, "box": list(word.box)} for word in words],
        "mean_confidence": sum(confidences) / len(confidences) if confidences else None,
        "engine": engine.name,
        "engine_version": engine.version,
        "fingerprint": fingerprint,
        "upstream_revision": frame["image_sha256"],
    }


def _drop(frame: dict[str, Any], kind: DropKind, reason: str, detail: str, fingerprint: str) -> Drop:
    return Drop(
        stage=STAGE,
        key=frame["frame_id"],
        video_id=frame["video_id"],
        kind=kind,
        reason=reason,
        detail=detail,
        fingerprint=fingerprint,
        upstream_revision=frame["image_sha256"],
    )
