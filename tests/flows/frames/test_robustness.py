"""Unusual and damaged files give the right frames, or a reason."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from flows.frames.moments import Spacing, choose_timestamps
from flows.frames.passes import decoded_frames
from flows.frames.picture import Picture, Transfer, tone_mapped
from flows.frames.sampling import decode_jpeg, sample_frames
from flows.frames.video import Video
from tests.flows.frames.clips import HEIGHT, RATE, WIDTH, number_on, steady, write_ad, write_pictures, write_video


def first_picture(path: Path) -> Picture:
    with Video(path) as video:
        found = video.frame_at(0.0)
    assert found is not None
    return found[1]


def write_deep(path: Path, picture: Any, *, transfer: int, matrix: int = 9) -> Path:
    """Encode a picture [h, w, 3] of 16-bit red, green, blue in ten bits."""
    with av.open(str(path), "w") as container:
        track: Any = container.add_stream("libx265", rate=RATE, options={"x265-params": "log-level=none:crf=4"})
        (track.height, track.width), track.pix_fmt = picture.shape[:2], "yuv420p10le"
        context = track.codec_context
        context.color_trc, context.colorspace, context.color_primaries, context.color_range = transfer, matrix, 9, 1
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb48le")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace=matrix, dst_color_range=1)
            frame.pts = number
            container.mux(track.encode(frame))
        container.mux(track.encode())
    return path


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_one_pass_finds_the_same_frames_as_looking_for_each(tmp_path: Path, codec: str) -> None:
    path = write_video(tmp_path / "a.mp4", steady(200), codec=codec, key_every=40)

    sampled = sample_frames(path, "a", count=12)

    with Video(path) as video:
        alone = [video.frame_at(frame.requested_s) for frame in sampled.frames]
    expected = [math.floor(frame.requested_s * RATE + 1e-6) for frame in sampled.frames]
    numbers = [number_on(decode_jpeg(frame.jpeg)) for frame in sampled.frames]
    if len(set(expected)) == len(expected):
        assert numbers == expected == [number_on(found[1]) for found in alone if found]


def test_the_pass_alone_finds_what_is_shown_and_skips_what_nothing_is_drawn_from(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(120), key_every=60)
    moments = [number / 10 + 0.05 for number in (3, 17, 18, 44, 58, 70, 118)]

    with Video(path) as video:
        decoded = [(video.time_of(frame), at) for frame, at in decoded_frames(video, moments)]

    assert {moment: time_s for time_s, at in decoded for moment in at} == pytest.approx(
        {moment: moment - 0.05 for moment in moments}, abs=1e-3
    )
    assert 20 < len(decoded) < 90  # of 119 up to the last moment


def test_long_stills_between_frames_of_changing_length_are_found_by_the_pass(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.2, 3.0, 3.1, 7.0, 9.5, 9.6, 14.0, 14.1, 20.0]
    path = write_video(tmp_path / "a.mp4", times, key_every=100)

    for seed in range(6):
        sampled = sample_frames(path, "a", seed=seed)

        for frame in sampled.frames:
            number = number_on(decode_jpeg(frame.jpeg))
            assert times[number] == pytest.approx(frame.timestamp_s, abs=1e-3)
        first = sampled.frames[0]
        assert first.timestamp_s == pytest.approx(max(t for t in times if t <= first.requested_s), abs=1e-3)


def test_key_frames_are_the_nearest_ones_with_the_time_asked_for(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(200), key_every=10)

    sampled = sample_frames(path, "a", seek="keyframe")

    assert [frame.requested_s for frame in sampled.frames] == choose_timestamps("a", sampled.duration_s)
    times = [frame.timestamp_s for frame in sampled.frames]
    assert all(time_s == pytest.approx(round(time_s)) for time_s in times)
    assert len(set(times)) == 5
    assert [number_on(decode_jpeg(frame.jpeg)) for frame in sampled.frames] == [round(t * RATE) for t in times]


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "libx264"), (".mkv", "libx264"), (".webm", "libvpx-vp9")])
def test_every_key_frame_of_a_file_is_reached(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"a{suffix}", steady(100), codec=codec, key_every=20)

    times = {
        frame.timestamp_s
        for seed in range(12)
        for frame in sample_frames(path, "a", count=3, seed=seed, seek="keyframe").frames
    }

    assert times == {0.0, 2.0, 4.0, 6.0, 8.0}


def test_moments_without_a_free_key_frame_get_exact_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(100), key_every=60)

    sampled = sample_frames(path, "a", seek="keyframe")

    assert len({frame.timestamp_s for frame in sampled.frames}) == 5
    assert {0.0, 6.0} <= {frame.timestamp_s for frame in sampled.frames}


def test_key_frames_in_the_margins_are_not_taken(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(100), key_every=10)

    sampled = sample_frames(path, "a", seek="keyframe", spacing=Spacing(margin_start_s=2.5, margin_end_s=2.5))

    assert all(2.5 <= frame.timestamp_s < 7.5 for frame in sampled.frames)


@pytest.mark.parametrize("seek", ["exact", "keyframe"])
def test_ten_hours_are_not_read_from_the_start(tmp_path: Path, seek: Any) -> None:
    # a key frame every twenty minutes, each followed by two pictures
    times = [start + step / RATE for start in range(0, 36_000, 1200) for step in range(3)]
    path = write_video(tmp_path / "long.mp4", times, key_every=3)
    start = time.process_time()

    sampled = sample_frames(path, "a", seek=seek)

    assert time.process_time() - start < 2
    assert sampled.duration_s > 34_800
    assert len(sampled.frames) == 5
    shown = [times[number_on(decode_jpeg(frame.jpeg))] for frame in sampled.frames]
    assert shown == pytest.approx([frame.timestamp_s for frame in sampled.frames], abs=1e-2)


@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(1, 2)])
def test_pixels_that_are_not_square_are_stretched_to_the_shape_on_the_screen(tmp_path: Path, aspect: Fraction) -> None:
    path = write_video(tmp_path / "a.mp4", steady(10), pixel_aspect=aspect)

    whole, small = (sample_frames(path, "a", max_side=side).frames[0] for side in (None, 100))

    assert (whole.width, whole.height) == (round(WIDTH * aspect), HEIGHT)
    assert small.width / small.height == pytest.approx(whole.width / whole.height, rel=0.03)
    assert max(small.width, small.height) <= 100
    seen = cv2.resize(decode_jpeg(whole.jpeg), (WIDTH, HEIGHT))
    assert number_on(seen) == round(whole.timestamp_s * RATE)


def test_a_turned_video_with_wide_pixels_is_stretched_before_it_is_turned(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(5), pixel_aspect=Fraction(3, 2), rotation=90)

    assert first_picture(path).shape == (WIDTH * 3 // 2, HEIGHT, 3)


def test_ten_bits_of_an_ordinary_range_keep_their_colours(tmp_path: Path) -> None:
    picture = np.zeros((64, 128, 3), np.uint16)
    picture[:, :64] = (200 * 257, 60 * 257, 30 * 257)
    path = write_deep(tmp_path / "a.mp4", picture, transfer=1, matrix=1)

    seen = first_picture(path)

    assert seen[32, 30].tolist() == pytest.approx([30, 60, 200], abs=4)
    assert seen[32, 100].tolist() == pytest.approx([0, 0, 0], abs=4)


def code_of(nits: float, transfer: Transfer) -> int:
    """16-bit code value of a light, by search in the table that is under test elsewhere."""
    from flows.frames.picture import _light

    return min(65_535, int(np.searchsorted(_light(transfer), nits / 203)))


@pytest.mark.parametrize("transfer", list(Transfer))
def test_high_range_pictures_have_the_lightness_of_ordinary_ones(tmp_path: Path, transfer: Transfer) -> None:
    steps = [0.0, 2.0, 20.0, 100.0, 203.0, 600.0, 1000.0]
    picture = np.zeros((32, 32 * len(steps), 3), np.uint16)
    for step, nits in enumerate(steps):
        picture[:, 32 * step : 32 * step + 32] = code_of(nits, transfer)
    path = write_deep(tmp_path / "a.mp4", picture, transfer=transfer)

    seen = first_picture(path)[16, 16::32].astype(int)

    grey = seen.mean(axis=1)
    assert np.abs(seen - grey[:, None]).max() <= 4  # grey stays grey
    assert (np.diff(grey) > 0).all()  # and nothing is clipped below the peak
    assert grey[0] <= 2
    assert grey[2] == pytest.approx(255 * (20 / 203) ** (1 / 2.4), abs=5)
    assert 215 < grey[4] < 250  # paper white is bright, with room above
    assert grey[-1] >= 252


def test_wide_colours_become_those_of_an_ordinary_screen() -> None:
    # the red of BT.709 at 100 cd/m2, as BT.2020 has it
    light = np.array([0.6274, 0.0691, 0.0164]) * 100
    deep = np.array([[[code_of(nits, Transfer.PQ) for nits in light]]], dtype=np.uint16)

    blue, green, red = tone_mapped(deep, Transfer.PQ)[0, 0]

    assert red == pytest.approx(255 * (100 / 203) ** (1 / 2.4), abs=3)
    assert max(blue, green) < 30


def test_a_file_that_tells_only_the_order_of_decoding_gives_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", steady(40), codec="mpeg4")

    sampled = sample_frames(path, "a")

    assert len(sampled.frames) == 5
    numbers = [number_on(decode_jpeg(frame.jpeg)) for frame in sampled.frames]
    assert numbers == [round(frame.timestamp_s * RATE) for frame in sampled.frames]


def test_a_stream_without_an_index_has_key_frames_too(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", steady(100), key_every=15)

    numbers = [number_on(decode_jpeg(frame.jpeg)) for frame in sample_frames(path, "a", seek="keyframe").frames]

    assert set(numbers) < {0, 15, 30, 45, 60, 75, 90}


def test_frames_that_show_the_same_picture_name_the_earlier_ones(tmp_path: Path) -> None:
    with av.open(str(write_ad(tmp_path / "a.mp4", 1, seconds=2))) as container:
        still = next(container.decode(video=0)).to_ndarray(format="bgr24").astype(np.uint8)

    sampled = sample_frames(write_pictures(tmp_path / "still.mp4", [still] * 40), "s")

    assert [frame.duplicates for frame in sampled.frames] == [tuple(range(index)) for index in range(5)]
    assert sampled.frames[2].row()["duplicates"] == ["s:0", "s:1"]


def test_black_frames_are_no_duplicates(tmp_path: Path) -> None:
    sampled = sample_frames(write_pictures(tmp_path / "a.mp4", [np.zeros((180, 320, 3), np.uint8)] * 40), "b")

    assert [frame.duplicates for frame in sampled.frames] == [()] * 5


def test_other_words_on_the_same_scene_are_another_picture(tmp_path: Path) -> None:
    hashes: list[int] = []
    for words in ("NOW 25% OFF", "ONLY TODAY"):
        picture = np.full((360, 640, 3), 90, np.uint8)
        cv2.circle(picture, (480, 200), 120, (40, 160, 220), -1)
        cv2.putText(picture, words, (20, 180), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 255, 255), 4)
        path = write_pictures(tmp_path / f"{len(hashes)}.mp4", [picture] * 5)
        hashes.append(int(sample_frames(path, "a", count=1).frames[0].perceptual_hash, 16))

    assert (hashes[0] ^ hashes[1]).bit_count() > 4
