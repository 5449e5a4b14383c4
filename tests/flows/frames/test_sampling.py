"""Frames are the pictures that were on the screen at moments that depend on the ad alone."""

from __future__ import annotations

import gc
import io
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from data_catalog.schemas import TABLES
from flows.errors import FrameError
from flows.frames.moments import choose_timestamps
from flows.frames.picture import grey_thumbnail, shown_picture
from flows.frames.sampling import SampledFrames, decode_jpeg, sample_frames
from flows.frames.video import Video
from tests.flows.frames.clips import HEIGHT, RATE, WIDTH, encode, number_on, steady, write_video


class Pipe(io.RawIOBase):
    """A target that only takes bytes one after the other: nothing can be filled in at the front afterwards."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        return self.file.write(content)


def numbers_of(sampled: SampledFrames) -> list[int]:
    return [number_on(decode_jpeg(frame.jpeg)) for frame in sampled.frames]


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "libx264"), (".mkv", "libx264"), (".webm", "libvpx"), (".webm", "libvpx-vp9")]
)
def test_each_frame_is_the_one_on_the_screen_at_its_moment(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"a{suffix}", steady(60), codec=codec)

    sampled = sample_frames(path, "a")

    moments = choose_timestamps("a", sampled.duration_s)
    expected = [math.floor(moment * RATE + 1e-6) for moment in moments]
    assert numbers_of(sampled) == expected
    assert [frame.timestamp_s for frame in sampled.frames] == pytest.approx([n / RATE for n in expected], abs=2e-3)
    assert sampled.drops == ()


def test_frames_of_changing_length_stay_on_the_screen_until_the_next(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 3.0, 3.1, 7.0, 9.5, 9.6]
    path = write_video(tmp_path / "a.mp4", times)

    with Video(path) as video:
        shown = {at_s: video.frame_at(at_s) for at_s in (0.15, 2.9, 3.05, 6.9, 9.4, 9.55)}

    assert {at_s: found and (found[0], number_on(found[1])) for at_s, found in shown.items()} == {
        0.15: (0.1, 1),
        2.9: (0.2, 2),
        3.05: (3.0, 3),
        6.9: (3.1, 4),
        9.4: (7.0, 5),
        9.55: (9.5, 6),
    }


def test_the_same_video_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(40))

    assert sample_frames(path, "a") == sample_frames(path, "a")


@pytest.mark.parametrize("count", [5, 6])
def test_a_video_with_few_pictures_gives_each_of_them_once(tmp_path: Path, count: int) -> None:
    path = write_video(tmp_path / "a.mp4", steady(count))

    for seed in range(8):
        sampled = sample_frames(path, "a", count=5, seed=seed)

        assert len(set(numbers_of(sampled))) == 5


def test_what_a_video_with_fewer_pictures_cannot_give_is_dropped(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(3))

    sampled = sample_frames(path, "a")

    assert sorted(numbers_of(sampled)) == [0, 1, 2]
    assert [(drop.stage, drop.video_id, drop.reason) for drop in sampled.drops] == [("frames", "a", "no_picture")] * 2
    keys = {frame.frame_id for frame in sampled.frames} | {drop.key for drop in sampled.drops}
    assert keys == {f"a:{index}" for index in range(5)}


def test_a_video_of_one_picture_gives_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [0.0])

    sampled = sample_frames(path, "a")

    assert (numbers_of(sampled), len(sampled.drops)) == ([0], 4)


@pytest.mark.parametrize(("suffix", "share"), [(".mp4", 0.5), (".webm", 0.5)])
def test_a_truncated_tail_is_dropped_and_the_rest_kept(tmp_path: Path, suffix: str, share: float) -> None:
    # an mp4 with its index in front, as the web serves it
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    codec = "libx264" if suffix == ".mp4" else "libvpx"
    path = write_video(tmp_path / f"a{suffix}", steady(200), codec=codec, options=options)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])

    sampled = sample_frames(path, "a", count=12)

    moments = choose_timestamps("a", sampled.duration_s, count=12)
    kept = {frame.index: number for frame, number in zip(sampled.frames, numbers_of(sampled), strict=True)}
    assert sampled.duration_s == pytest.approx(20.0, abs=0.2)
    assert len(kept) + len(sampled.drops) == 12
    assert sampled.drops
    assert all(number == math.floor(moments[index] * RATE + 1e-6) for index, number in kept.items() if index < 4)
    assert min(int(drop.key.split(":")[1]) for drop in sampled.drops) == len(kept)


def test_a_hole_in_the_middle_does_not_end_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(120), key_every=40)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(container.streams.video[0])]
    content = bytearray(path.read_bytes())
    for place, size in packets[40:44]:  # a key frame and three that follow it
        content[place : place + size] = b"\xff" * size
    path.write_bytes(content)

    with Video(path) as video:
        before, inside, after = (video.frame_at(at_s) for at_s in (3.55, 7.55, 8.55))

    assert before is not None
    assert after is not None
    assert (number_on(before[1]), number_on(after[1])) == (35, 85)
    assert inside is not None
    assert 3.5 <= inside[0] <= 8.0


def test_a_missing_duration_is_found_by_decoding(tmp_path: Path) -> None:
    path = tmp_path / "streamed.mkv"
    pipe = Pipe(path)
    with av.open(pipe, "w", format="matroska") as container:
        encode(container, steady(30))
    pipe.file.close()
    with av.open(str(path)) as container:
        assert container.duration is None

    sampled = sample_frames(path, "a")

    assert sampled.duration_s == pytest.approx(3.0, abs=0.11)
    assert numbers_of(sampled) == [math.floor(at * RATE) for at in choose_timestamps("a", sampled.duration_s)]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_video_stands_upright(tmp_path: Path, degrees: int) -> None:
    path = write_video(tmp_path / "a.mp4", steady(10), rotation=degrees)
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    _, expected = capture.read()

    with Video(path) as video:
        found = video.frame_at(0.0)

    assert found is not None
    assert found[1].shape == expected.shape == ((HEIGHT, WIDTH, 3) if degrees == 180 else (WIDTH, HEIGHT, 3))
    assert np.abs(found[1].astype(int) - expected).mean() < 20


def test_large_pictures_are_scaled_down_and_small_ones_kept(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(10))

    small = sample_frames(path, "a", max_side=32).frames[0]
    whole = sample_frames(path, "a", max_side=None).frames[0]

    assert (small.width, small.height) == (32, 16)
    assert (whole.width, whole.height) == (WIDTH, HEIGHT)
    assert decode_jpeg(small.jpeg).shape == (16, 32, 3)


def test_a_lower_quality_makes_smaller_files(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(10))

    sizes = [len(sample_frames(path, "a", quality=quality).frames[0].jpeg) for quality in (20, 95)]

    assert sizes[0] < sizes[1]


def test_a_frame_is_a_row_of_its_table(tmp_path: Path) -> None:
    frame = sample_frames(write_video(tmp_path / "a.mp4", steady(20)), "a").frames[2]

    table = pa.Table.from_pylist([frame.row()], schema=TABLES["frames"].schema)

    (row,) = table.to_pylist()
    assert (row["frame_id"], row["frame_index"], row["image"]["path"]) == ("a:2", 2, "a_2.jpg")
    assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (row["width"], row["height"])
    assert len(row["perceptual_hash"]) == 32
    assert row["fingerprint"] is None


def test_a_picture_of_another_size_has_a_near_hash_and_another_picture_a_far_one(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(60))

    large, small = (
        [int(frame.perceptual_hash, 16) for frame in sample_frames(path, "a", max_side=side).frames]
        for side in (None, 64)
    )

    near = [(one ^ other).bit_count() for one, other in zip(large, small, strict=True)]
    far = [(one ^ other).bit_count() for one, other in pairwise(large)]
    assert max(near) < 12 < fmean(far)


MP4_HEAD = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


@pytest.mark.parametrize(
    "content",
    [b"", b"not a video", MP4_HEAD, MP4_HEAD + bytes(5_000), b"#EXTM3U\n#EXTINF:5,\nhttp://192.0.2.1/a.ts\n", b"RIFF"],
)
def test_a_file_that_is_no_video_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)

    with pytest.raises(FrameError, match=r"bad\.mp4"):
        sample_frames(path, "a")


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"gone\.mp4"):
        sample_frames(tmp_path / "gone.mp4", "a")


def test_a_file_of_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        track: Any = container.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(track.encode(frame))
        container.mux(track.encode())

    with pytest.raises(FrameError, match="no picture track that can be decoded; sound alone"):
        sample_frames(path, "a")


def test_a_damaged_video_gives_frames_or_a_frame_error_and_nothing_else(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", steady(40)).read_bytes()
    draw = np.random.default_rng(0)
    outcomes = set()
    for number in range(40):
        damaged = bytearray(whole)
        for place in draw.integers(0, len(whole), size=1 + number * 4):
            damaged[place] = draw.integers(0, 256)
        path = tmp_path / "damaged.mp4"
        path.write_bytes(bytes(damaged))
        try:
            sampled = sample_frames(path, "a")
        except FrameError:
            outcomes.add("refused")
        else:
            assert len(sampled.frames) + len(sampled.drops) == 5
            outcomes.add("sampled")
    assert outcomes == {"refused", "sampled"}


def test_bytes_that_are_no_picture_are_refused() -> None:
    for content in (b"", b"no picture"):
        with pytest.raises(FrameError, match="no picture"):
            decode_jpeg(content)


def test_real_ads_give_five_different_frames_each(shared_data: Path) -> None:
    for path in sorted((shared_data / "ads" / "apparel").glob("*.[mw][pe][4b]*")):
        sampled = sample_frames(path, path.stem)

        times = [frame.timestamp_s for frame in sampled.frames]
        moments = choose_timestamps(path.stem, sampled.duration_s)
        assert len(times) == 5
        assert all(before < after for before, after in pairwise(times))
        assert all(0 <= moment - time < 0.05 for moment, time in zip(moments, times, strict=True))


PICTURES_OF_NOISE = """
import ctypes, hashlib, sys
from pathlib import Path
import av, numpy as np
from flows.frames.picture import shown_picture
from flows.frames.sampling import _encoded
if sys.argv[1:]:
    ctypes.CDLL(sys.argv[1]).av_force_cpu_flags(0)
draw = np.random.default_rng(0)
for name in ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "rgb24", "gray", "nv12"):
    frame = av.VideoFrame(322, 180, name)
    for plane in frame.planes:
        noise = draw.integers(0, 256, plane.buffer_size, np.uint8)
        noise[1::2] &= 3 if "10" in name else 255
        plane.update(noise.tobytes())
    for max_side in (None, 161):
        picture = shown_picture(frame, None, max_side)
        stored = _encoded(picture, 90)
        print(name, max_side, hashlib.sha256(picture.tobytes() + stored.jpeg).hexdigest(), stored.perceptual_hash)
"""


def test_pictures_are_the_same_on_a_processor_without_shortcuts() -> None:
    libraries = list((Path(av.__file__).parents[1] / "av.libs").glob("libavutil*"))
    if not libraries:
        pytest.skip("this PyAV does not bring its own FFmpeg")
    plain = os.environ | {"OPENCV_CPU_DISABLE": "SSE4_1,SSE4_2,AVX,FP16,AVX2", "JSIMD_FORCENONE": "1"}

    with_them, without = (
        subprocess.run(
            [sys.executable, "-c", PICTURES_OF_NOISE, *arguments], env=env, capture_output=True, text=True, check=True
        ).stdout
        for arguments, env in (([], dict(os.environ)), ([str(libraries[0])], plain))
    )

    assert len(with_them.splitlines()) == 16
    assert with_them == without


def test_a_frame_that_was_looked_at_is_let_go_at_once(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(24))
    gc.collect()
    gc.disable()
    try:
        with Video(path) as video:
            for frame in video.frames(0):
                grey_thumbnail(frame, 24)
                shown_picture(frame, None)
                held = sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())
                assert held <= 3, "frames of a large video are many megabytes each"
    finally:
        gc.enable()
