"""Rows of `texts` from rows of `frames`: decode the picture, read it, count its words."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from data_catalog.catalog import Drop
from flows.errors import FrameError
from flows.frames.sampling import decode_jpeg
from flows.frames.video import Picture
from flows.ocr.engines import OcrEngine, Word

STAGE = "ocr"


def read_texts(engine: OcrEngine, frames: pa.Table, *, fingerprint: str) -> tuple[list[dict[str, Any]], list[Drop]]:
    """Read a batch of frames; a picture that cannot be decoded is a drop, and the others are read all the same.

    Args:
        engine: reads the pictures.
        frames: rows with `frame_id`, `video_id`, `image` and `image_sha256`.
        fingerprint: of the rows and the drops.
    """
    readable: list[tuple[dict[str, Any], Picture]] = []
    drops: list[Drop] = []
    for frame in frames.to_pylist():
        try:
            readable.append((frame, decode_jpeg(frame["image"]["bytes"])))
        except FrameError as error:
            drops.append(_undecodable(frame, str(error), fingerprint))
    read = engine.read([picture for _, picture in readable])
    rows = [_row(frame, words, engine, fingerprint) for (frame, _), words in zip(readable, read, strict=True)]
    return rows, drops


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


def _undecodable(frame: dict[str, Any], detail: str, fingerprint: str) -> Drop:
    return Drop(
        stage=STAGE,
        key=frame["frame_id"],
        video_id=frame["video_id"],
        kind="filtered",
        reason="undecodable_picture",
        detail=detail,
        fingerprint=fingerprint,
        upstream_revision=frame["image_sha256"],
    )
