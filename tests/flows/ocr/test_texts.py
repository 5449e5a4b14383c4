"""A picture that cannot be read costs its own row and no other."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pyarrow as pa

from data_catalog.schemas import TABLES
from flows.errors import OcrError
from flows.frames.video import Picture
from flows.ocr.engines import Word
from flows.ocr.texts import read_texts


class Reader:
    """Reads two words on bright pictures and fails on dark ones."""

    name = "reader"
    version = "1"

    def read(self, images: Sequence[Picture]) -> list[list[Word]]:
        if any(image.mean() < 10 for image in images):
            raise OcrError("too dark")
        return [[Word("big", 0.9, (0, 0, 4, 4)), Word("sale", 0.7, (5, 0, 9, 4))] for _ in images]


def picture(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((16, 16, 3), level, np.uint8))[1].tobytes()


def test_rows_and_drops_account_for_every_frame() -> None:
    images = {"v:0": picture(200), "v:1": picture(0), "v:2": b"no picture", "v:3": picture(100)}
    frames = pa.Table.from_pylist(
        [
            {"frame_id": key, "video_id": "v", "image": {"bytes": image, "path": None}, "image_sha256": key}
            for key, image in images.items()
        ],
        schema=TABLES["frames"].schema,
    )
    rows, drops = read_texts(Reader(), frames, fingerprint="f")
    assert [row["frame_id"] for row in rows] == ["v:0", "v:3"]
    assert (rows[0]["text"], rows[0]["n_words"], rows[0]["upstream_revision"]) == ("big sale", 2, "v:0")
    assert abs(rows[0]["mean_confidence"] - 0.8) < 1e-6
    assert [(drop.key, drop.kind, drop.reason) for drop in drops] == [
        ("v:1", "failed", "engine_failed"),
        ("v:2", "filtered", "undecodable_picture"),
    ]
