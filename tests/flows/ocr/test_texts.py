"""A picture that cannot be read costs its own row and no other."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pyarrow as pa

from data_catalog.schemas import TABLES
from flows.errors import OcrError
from flows.frames.picture import Picture
from flows.ocr.texts import read_texts
from flows.ocr.words import Reading, Word


class Reader:
    """Reads two words on bright pictures and fails on dark ones."""

    name = "reader"
    version = "1"

    def read(self, images: Sequence[Picture]) -> list[Reading]:
        if any(image.mean() < 10 for image in images):
            raise OcrError("too dark")
        return [Reading([Word("big", 0.9, (0, 0, 4, 4)), Word("sale", 0.7, (5, 0, 9, 4))]) for _ in images]


class Counting(Reader):
    """Remembers how many pictures it was given at a time."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def read(self, images: Sequence[Picture]) -> list[Reading]:
        self.calls.append(len(images))
        return super().read(images)


def frames_of(images: dict[str, tuple[str, bytes]]) -> pa.Table:
    """Frames by their id: the digest of the picture, and the picture."""
    return pa.Table.from_pylist(
        [
            {"frame_id": key, "video_id": "v", "image": {"bytes": image, "path": None}, "image_sha256": digest}
            for key, (digest, image) in images.items()
        ],
        schema=TABLES["frames"].schema,
    )


def picture(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((16, 16, 3), level, np.uint8))[1].tobytes()


def test_rows_and_drops_account_for_every_frame() -> None:
    images = {"v:0": picture(200), "v:1": picture(0), "v:2": b"no picture", "v:3": picture(100)}
    frames = frames_of({key: (key, image) for key, image in images.items()})
    rows, drops = read_texts(Reader(), frames, fingerprint="f")
    assert [row["frame_id"] for row in rows] == ["v:0", "v:3"]
    assert (rows[0]["text"], rows[0]["n_words"], rows[0]["upstream_revision"]) == ("big sale", 2, "v:0")
    assert abs(rows[0]["mean_confidence"] - 0.8) < 1e-6
    assert [(drop.key, drop.kind, drop.reason) for drop in drops] == [
        ("v:1", "failed", "engine_failed"),
        ("v:2", "filtered", "undecodable_picture"),
    ]


def test_a_picture_that_several_frames_share_is_read_once_and_gives_each_its_row() -> None:
    still, other = picture(200), picture(90)
    engine = Counting()

    frames = frames_of(
        {"v:0": ("same", still), "v:1": ("same", still), "v:2": ("other", other), "v:3": ("same", still)}
    )
    rows, drops = read_texts(engine, frames, fingerprint="f")

    assert engine.calls == [2]
    assert [row["frame_id"] for row in rows] == ["v:0", "v:1", "v:2", "v:3"]
    assert {row["text"] for row in rows} == {"big sale"}
    assert drops == []


def test_a_row_carries_engine_version_boxes_and_confidence() -> None:
    rows, _ = read_texts(Reader(), frames_of({"v:0": ("a", picture(200))}), fingerprint="f")

    table = pa.Table.from_pylist(rows, schema=TABLES["texts"].schema)

    (row,) = table.to_pylist()
    assert (row["engine"], row["engine_version"], row["fingerprint"]) == ("reader", "1", "f")
    assert [word["box"] for word in row["words"]] == [[0, 0, 4, 4], [5, 0, 9, 4]]


def test_a_batch_of_nothing_but_faults_is_all_drops() -> None:
    rows, drops = read_texts(Reader(), frames_of({"v:0": ("a", b""), "v:1": ("b", picture(0))}), fingerprint="f")

    assert rows == []
    assert [drop.reason for drop in drops] == ["undecodable_picture", "engine_failed"]
