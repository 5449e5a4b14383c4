"""Rows of `texts` from rows of `frames`: decode the picture, read it, count its words."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from data_catalog.catalog import Drop
from data_catalog.schemas import DropKind
from flows.errors import FrameError, OcrError
from flows.frames.sampling import decode_jpeg
from flows.ocr.engines import OcrEngine, Word

STAGE = "ocr"


def read_texts(engine: OcrEngine, frames: pa.Table, *, fingerprint: str) -> tuple[list[dict[str, Any]], list[Drop]]:
    """Read a batch of frames; a picture that cannot be decoded or read is a drop, and the others are read all the same.

    Args:
        engine: reads the pictures.
        frames: rows with `frame_id`, `video_id`, `image` and `image_sha256`.
        fingerprint: of the rows and the drops.
    """
    rows: list[dict[str, Any]] = []
    drops: list[Drop] = []
    for frame in frames.to_pylist():
        try:
            [words] = engine.read([decode_jpeg(frame["image"]["bytes"])])
        except FrameError as error:
            drops.append(_drop(frame, "filtered", "undecodable_picture", str(error), fingerprint))
        except OcrError as error:
            drops.append(_drop(frame, "failed", "engine_failed", str(error), fingerprint))
        else:
            rows.append(_row(frame, words, engine, fingerprint))
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
