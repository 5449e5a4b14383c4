"""An ad is seen as the release's rows saw it, and what cannot be seen is a drop with a reason that is declared."""

from __future__ import annotations

import os
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from data_catalog.catalog import Catalog
from data_catalog.releases import list_releases
from flows.settings import Settings, load_settings
from flows.verdict.ads import see_ad
from tests.flows.conftest import Built


@pytest.fixture(scope="module")
def settings(quick: Path) -> Settings:
    return load_settings(quick)


def test_an_ad_is_seen_as_the_rows_of_a_release_saw_it(built: Built, sample: Path, settings: Settings) -> None:
    import duckdb

    tables = Catalog(built.catalog)
    drops = tables.read("drops").to_pylist()
    [release] = list_releases(tables.releases_dir)
    rows = duckdb.sql(f"SELECT DISTINCT frame_id, image.bytes, text FROM '{release}/data/*.parquet'").fetchall()  # noqa: S608
    released = {frame_id: (picture, text) for frame_id, picture, text in rows}
    ads = tables.read("ads", ["video_id", "media_path"], where="media_path IS NOT NULL").to_pylist()
    of_release = [ad for ad in ads if f"{ad['video_id']}:0" in released]
    without = [ad for ad in ads if f"{ad['video_id']}:0" not in released]
    for ad in of_release[:2] + without[:1]:
        seen = see_ad(sample / ad["media_path"], ad["video_id"], settings)
        of_ad = f"video_id = '{ad['video_id']}'"
        frames = {row["frame_index"]: row for row in tables.read("frames", where=of_ad).to_pylist()}
        texts = {row["frame_id"]: row for row in tables.read("texts", where=of_ad).to_pylist()}
        assert {frame.index for frame in seen.frames} == frames.keys()
        for frame in seen.frames:
            row, frame_id = frames[frame.index], f"{ad['video_id']}:{frame.index}"
            assert (frame.jpeg, frame.timestamp_s) == (row["image"]["bytes"], row["timestamp_s"])
            assert frame.text == texts[frame_id]["text"]
            for word, stored in zip(frame.words, texts[frame_id]["words"], strict=True):
                assert word["text"] == stored["text"]
                assert np.array_equal(np.float32(word["box"]), np.float32(stored["box"]))
            if frame_id in released:
                assert frame.kept
                assert (frame.jpeg, frame.text) == released[frame_id]
        reasons = {(drop["stage"], drop["key"], drop["reason"]) for drop in drops if drop["video_id"] == ad["video_id"]}
        here = {(drop.stage, drop.key, str(drop.reason)) for drop in seen.drops}
        assert here == {drop for drop in reasons if drop[0] in ("frames", "ocr", "words")}
        assert (seen.failure is None) == any(frame.kept for frame in seen.frames)


def video(path: Path, *, seconds: int) -> Path:
    """A tiny video with a picture every ten seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(1, 10))
        stream.width = stream.height = 16
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))
        for number in range(seconds // 10):
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_a_video_of_ten_hours_is_refused_quickly(tmp_path: Path, suffix: str) -> None:
    path = video(tmp_path / f"ad{suffix}", seconds=36_000)
    before = time.perf_counter()
    failure = see_ad(path, "ad", Settings()).failure
    assert failure
    assert (failure.stage, failure.reason, failure.kind) == ("videos", "too_long", "filtered")
    assert str(tmp_path) not in failure.detail
    assert time.perf_counter() - before < 30


def test_what_is_no_video_has_the_reason_that_a_build_gives_it(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(600_000_000)  # sparse
    expected = {
        "text.mp4": ("frames", "unreadable_video"),
        "empty.mp4": ("frames", "unreadable_video"),
        "loop.mp4": ("source", "unreadable"),
        "folder.mp4": ("source", "not_a_file"),
        "pipe.mp4": ("source", "not_a_file"),
        "large.mp4": ("media", "too_large"),
        "gone.mp4": ("frames", "video_gone"),
    }
    for name, reason in expected.items():
        seen = see_ad(tmp_path / name, "ad", Settings())
        assert seen.frames == ()
        assert seen.failure
        assert (seen.failure.stage, seen.failure.reason) == reason
        assert str(tmp_path) not in seen.failure.detail
