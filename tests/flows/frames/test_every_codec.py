"""The picture of a moment is the one that ffmpeg shows then, whatever the codec, the container and its clock."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from flows.frames.fingerprint import fingerprint_video
from flows.frames.passes import decoded_frames, key_frame
from flows.frames.picture import Picture
from flows.frames.sampling import decode_jpeg, sample_frames
from flows.frames.video import Video
from tests.flows.frames.clips import HEIGHT, WIDTH, number_on, steady, write_video

UNEVEN = [0.0, 0.1, 0.2, 0.9, 1.0, 1.3, 2.6, 2.7, *(3 + 0.1 * n for n in range(20)), 8.0, 8.04, 8.08, 8.12, 9.5]
ROUNDING_S = 2e-3
"""Containers round times to milliseconds; so near to a change both pictures are right."""


def ffmpeg_shows(path: Path, count: Callable[[Picture], int] = number_on, track: int = 0) -> list[tuple[float, int]]:
    """Times from the first picture on, and numbers, of all pictures that ffmpeg shows."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-v", "info", "-nostdin", "-noautorotate", "-i", f"file:{path}", "-map", f"0:v:{track}"]
    # what it prints of each picture is read, not guessed from a rate
    shown = ["-vf", f"showinfo,scale={WIDTH}:{HEIGHT},format=bgr24", "-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    done = subprocess.run([*command, *shown], capture_output=True, check=True)
    said = done.stderr.decode(errors="replace").split("pts_time:")[1:]
    times = [float(words.split()[0]) for words in said]
    pictures = np.frombuffer(done.stdout, np.uint8).reshape(len(times), HEIGHT, WIDTH, 3)
    return sorted((time_s - min(times), count(picture)) for time_s, picture in zip(times, pictures, strict=True))


def assert_shows(path: Path, shown: list[tuple[float, int]], count: Callable[[Picture], int] = number_on) -> int:
    """Compare moments all over a video, and its key frames.

    Returns:
        How many moments the one pass left to the search.
    """
    times = [time_s for time_s, _ in shown]
    with Video(path) as video:
        moments = np.linspace(0, video.duration_s(), 43, endpoint=False).tolist()
        found = {at: count(video.picture_of(frame)) for frame, of in decoded_frames(video, moments) for at in of}
        left = [at for at in moments if at not in found]
        found |= {at: count(video.picture_of(video.find(at))) for at in [*left, *moments[::11]]}
        for number, at in enumerate(video.key_times_s):
            if (frame := key_frame(video, number)) is not None:
                found[at + ROUNDING_S] = count(video.picture_of(frame))
    wrong = {
        round(at, 3): (number, shown[before][1])
        for at, number in found.items()
        if number != shown[before := max(0, bisect_right(times, at) - 1)][1]
        and min(abs(at - time_s) for time_s in times) > ROUNDING_S
    }
    assert wrong == {}, "moment: (ours, ffmpeg's)"
    assert moments[-1] + moments[1] > times[-1] - ROUNDING_S
    return len(left)


X264 = {"preset": "veryfast", "bf": "3", "b_strategy": "0"}
X265 = {"preset": "veryfast"}
CODECS: dict[str, tuple[str, dict[str, str], str]] = {
    "h264": ("libx264", X264, "mp4 mkv ts avi flv mov"),
    "h264, open groups": ("libx264", {**X264, "x264-params": "open-gop=1:b-pyramid=normal"}, "mp4 mkv ts avi"),
    "h264, intra refresh": ("libx264", {"preset": "veryfast", "bf": "0", "intra-refresh": "1"}, "mp4 mkv ts"),
    "h264, interlaced": ("libx264", {**X264, "x264-params": "tff=1"}, "mp4 ts"),
    "hevc": ("libx265", {**X265, "x265-params": "log-level=none:open-gop=0:bframes=3"}, "mp4 mkv ts"),
    "hevc, open groups": ("libx265", {**X265, "x265-params": "log-level=none:open-gop=1:bframes=4"}, "mp4 mkv ts"),
    "vp8": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}, "webm mkv avi"),
    "vp8, hidden frames": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "10", "cpu-used": "4"}, "webm"),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, "webm"),
    "vp9, hidden frames": ("libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "6"}, "webm mkv mp4"),
    "av1 by svt": ("libsvtav1", {"preset": "12", "crf": "20", "svtav1-params": "lp=1"}, "mp4 mkv webm"),
    "mpeg1": ("mpeg1video", {"bf": "2"}, "mpg"),
    "mpeg2": ("mpeg2video", {"bf": "2"}, "ts mkv mp4 avi mpg"),
    "mpeg4": ("mpeg4", {"bf": "2"}, "avi mp4 mkv ts"),
    "h263+": ("h263p", {}, "avi"),
    "flash": ("flv", {}, "flv"),
    "wmv2": ("wmv2", {}, "avi"),
}
CASES = [(name, suffix) for name, (_, _, suffixes) in CODECS.items() for suffix in suffixes.split()]


@pytest.mark.parametrize(("name", "suffix"), CASES, ids=str)
def test_every_moment_shows_the_picture_that_ffmpeg_shows(tmp_path: Path, name: str, suffix: str) -> None:
    codec, settings, _ = CODECS[name]
    rate = 25 if codec.startswith(("mpeg", "h263", "flv", "wmv")) or suffix == "avi" else None
    times = [number / 25 for number in range(60)] if rate else steady(45)
    path = write_video(tmp_path / f"a.{suffix}", times, codec=codec, settings=settings, rate=rate)

    left = assert_shows(path, ffmpeg_shows(path))

    # of intra refresh, the pictures before the first whole one are found from further back
    assert left == 0 or "refresh" in name


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("h264, open groups", suffix) for suffix in ("mp4", "mkv", "ts")]
    + [("hevc, open groups", "mkv"), ("vp9, hidden frames", "webm"), ("av1 by svt", "mp4"), ("av1 by svt", "webm")],
)
def test_pictures_of_uneven_length_stay_as_long_as_ffmpeg_shows_them(tmp_path: Path, name: str, suffix: str) -> None:
    codec, settings, _ = CODECS[name]
    path = write_video(tmp_path / f"a.{suffix}", UNEVEN, codec=codec, settings=settings)

    assert assert_shows(path, ffmpeg_shows(path)) == 0


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_av1_by_another_encoder_shows_the_same(tmp_path: Path, suffix: str) -> None:
    path, whole = tmp_path / f"a.{suffix}", write_video(tmp_path / "whole.mkv", steady(45), codec="libx264")
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    settings = ["-cpu-used", "8", "-g", "12", "-crf", "20", "-b:v", "0", "-lag-in-frames", "19"]
    command = ["ffmpeg", "-v", "error", "-i", str(whole), "-c:v", "libaom-av1", *settings, str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this ffmpeg has no libaom")

    assert assert_shows(path, ffmpeg_shows(path)) == 0


def with_header_of(seconds: float) -> Callable[[Path], Path]:
    """Change the length in a Matroska file's header."""

    def changed(path: Path) -> Path:
        content = bytearray(path.read_bytes())
        at = content.index(b"\x44\x89\x88") + 3
        content[at : at + 8] = struct.pack(">d", 1000 * seconds)
        path.write_bytes(content)
        return path

    return changed


def unchanged(path: Path) -> Path:
    return path


def twice(path: Path) -> Path:
    """The same broadcast once more behind it: its clock starts anew."""
    path.write_bytes(path.read_bytes() * 2)
    return path


def joined_late(path: Path) -> Path:
    """A broadcast without its first quarter, in the middle of a group of pictures."""
    content = path.read_bytes()
    path.write_bytes(content[len(content) // 188 // 4 * 188 :])
    return path


@pytest.mark.parametrize(
    ("suffix", "codec", "starts_s", "sound_s", "change", "lasts_s"),
    [
        ("mkv", "libx264", 0, 20, unchanged, 4.5),
        ("webm", "libvpx-vp9", 0, 20, unchanged, 4.5),
        ("webm", "libsvtav1", 0, 20, unchanged, 4.5),
        ("mkv", "libx264", 0, 3, with_header_of(300), 4.5),
        ("webm", "libvpx-vp9", 0, 0, with_header_of(300), 4.5),
        ("webm", "libvpx-vp9", 0, 0, with_header_of(2), 4.5),
        ("mkv", "libx264", 30, 36, unchanged, 4.5),
        ("webm", "libvpx-vp9", 5000, 0, unchanged, 4.5),
        ("mkv", "libx265", 5000, 0, unchanged, 4.5),
        ("mp4", "libx264", 30, 20, unchanged, 4.5),
        ("ts", "libx264", 95441, 0, unchanged, 4.5),  # after 2.7 s its clock of 33 bits is full
        ("ts", "mpeg2video", 95441, 0, unchanged, 4.48),
        ("ts", "libx264", 0, 0, twice, 8.96),
        ("ts", "libx265", 40_000, 0, twice, 8.96),
        ("ts", "mpeg2video", 0, 0, twice, 8.96),
        ("ts", "libx264", 0, 0, joined_late, 3.3),
    ],
)
def test_the_timeline_is_that_of_the_pictures(
    tmp_path: Path, suffix: str, codec: str, starts_s: float, sound_s: float, change: Any, lasts_s: float
) -> None:
    rate = 25 if codec.startswith("mpeg") or change is twice else None
    times = [starts_s + number / (rate or 10) for number in range(112 if rate else 45)]
    path = write_video(tmp_path / f"a.{suffix}", times, codec=codec, rate=rate, sound_s=sound_s)
    change(path)

    sampled = sample_frames(path, "a", count=4)

    assert sampled.duration_s == pytest.approx(lasts_s, abs=0.05)
    assert (len(sampled.frames), sampled.drops) == (4, ())
    assert_shows(path, ffmpeg_shows(path))


def test_a_film_is_chosen_before_posters_and_the_default_before_others(tmp_path: Path) -> None:
    tracks = {"poster": [0.0], "thumbnails": [0.0, 2.0, 4.0], "other": steady(50), "film": steady(55)}
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        made: list[Any] = [container.add_stream("mpeg4", rate=10) for _ in tracks]
        for track in made:
            track.width, track.height, track.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        made[3].disposition = av.stream.Disposition.default
        for track, times in zip(made, tracks.values(), strict=True):
            for time_s in times:
                frame = av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8), format="bgr24")
                frame.pts, frame.time_base = round(time_s * 10), Fraction(1, 10)
                container.mux(track.encode(frame))
            container.mux(track.encode())

    with Video(path) as video:
        assert video.duration_s() == pytest.approx(5.5, abs=0.01)


ORIENTATIONS: dict[tuple[int, int, int, int], Callable[[Picture], Any]] = {
    (1, 0, 0, 1): lambda picture: picture,
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
    (-1, 0, 0, -1): lambda picture: np.rot90(picture, 2),
    (0, 1, -1, 0): lambda picture: np.rot90(picture, -1),
    (0, -1, 1, 0): lambda picture: np.rot90(picture, 1),
    (0, 1, 1, 0): lambda picture: picture.swapaxes(0, 1),
    (0, -1, -1, 0): lambda picture: np.rot90(picture.swapaxes(0, 1), 2),
}


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_a_picture_is_turned_and_mirrored_as_its_matrix_says(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = write_video(tmp_path / "a.mp4", steady(5))
    with Video(path) as video:
        expected = ORIENTATIONS[matrix](video.picture_of(video.find(0.15)))
    a, b, c, d = (65_536 * number for number in matrix)
    content = bytearray(path.read_bytes())
    # that of the track; another one before it is that of the whole file
    at = content.rindex(struct.pack(">9i", 65_536, 0, 0, 0, 65_536, 0, 0, 0, 1 << 30))
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)

    with Video(path) as video:
        assert np.array_equal(video.picture_of(video.find(0.15)), expected)


@pytest.mark.parametrize(
    "name", [b"movie: trailers/a.mp4", b"http:/a.mp4", b"-x.mp4", b"a%03d.mp4", b"a#b?c.mp4", b"no utf-8: \xff\xfe.mp4"]
)
def test_any_name_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:

    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    path.parent.mkdir(exist_ok=True)
    write_video(tmp_path / "whole.mp4", steady(10)).rename(path)

    assert len(sample_frames(path, "a").frames) == 5


def bars(picture: Picture) -> int:
    """The number in the twelve bars of the pictures in `shared/cases/media`."""
    height, width = picture.shape[:2]
    lights = picture[height * 2 // 5 : height * 3 // 5].mean(axis=(0, 2))
    return sum(1 << bit for bit in range(12) if lights[(2 * bit + 1) * width // 24] > 128)


@pytest.fixture
def media(shared_data: Path) -> Path:
    """Videos that went wrong, with what is right in their README."""
    folder = shared_data.parent / "cases" / "media"
    if not folder.is_dir():
        pytest.skip("../shared/cases is not beside this checkout")
    return folder


@pytest.mark.parametrize(
    ("name", "lasts_s", "track"),
    [
        ("av1_svt_25fps.mp4", 10.0, 0),
        ("av1_slides_2s.mp4", 40.0, 0),
        ("sound60_pictures10.mkv", 10.0, 0),
        ("header300_pictures10.mkv", 10.0, 0),
        ("pictures_begin_at_30s.mkv", 10.0, 0),
        ("ts_clock_wraps.mp4", 10.0, 0),
        ("ts_clock_restarts.mp4", 10.0, 0),
        ("poster_track_first.mp4", 10.0, 1),
    ],
)
def test_what_went_wrong_shows_what_ffmpeg_shows(media: Path, name: str, lasts_s: float, track: int) -> None:
    sampled = sample_frames(media / name, "a")

    shown = ffmpeg_shows(media / name, bars, track)
    assert sampled.duration_s == pytest.approx(lasts_s, abs=0.05)
    assert len(sampled.frames) == 5
    assert assert_shows(media / name, shown, bars) == 0
    # a pass of its own sees the whole length for the re-uploads
    assert len(fingerprint_video(media / name).times_s) == pytest.approx(2 * lasts_s, abs=1)


@pytest.mark.parametrize(
    ("name", "corners"),
    [("mirrored_hflip.mp4", "green red white blue"), ("mirrored_rot90hflip.mp4", "red blue green white")],
)
def test_mirrored_videos_are_seen_as_players_show_them(media: Path, name: str, corners: str) -> None:
    colours = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0), "white": (255, 255, 255)}
    picture = decode_jpeg(sample_frames(media / name, "a").frames[0].jpeg).astype(int)

    seen = [picture[y, x] for y in (5, -5) for x in (5, -5)]

    expected = [colours[colour] for colour in corners.split()]
    assert np.abs(np.array(seen) - expected).max() < 40
