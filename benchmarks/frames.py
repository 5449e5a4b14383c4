"""Cost of sampling five frames of an ad, compared with OpenCV and ffmpeg in one run on the same files.

The ads are encoded first: 30 s at 1280x720 with cuts every 4 s, pans, grain and captions. As H.264 with three
B-frames, once with a key frame at every cut and once every 250 frames, which is what x264 does where it sees no cut;
and as VP9 and AV1 with a key frame every 128 frames, an encoder's default. Every way gives JPEGs of the same moments;
each runs in as many processes as there are cores with one thread each, OpenCV also in one process with its own threads,
and the better of the two counts. Ratios are of ads a second, and of seconds of the processor, which hold when others
use the machine, too. OpenCV's wheels decode no AV1: of that, `ffmpeg -ss` is the peer. Ours alone pays besides for
hashes, for what re-uploads are found by, and for the process apart that guards against decoders that hang.

Why PyAV for both modes: OpenCV tells neither where key frames lie nor which frames no other is drawn from, so it
decodes everything in front of a moment, from 16 frames earlier, and starts anew for the next moment. Asked for the
times of key frames, it does the same; the row `cv2 at key frames` shows what that costs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rich.table import Table

from benchmarks.processes import cpu_of_children, peak_mb, peak_of_children_mb
from flows.console import print_tables
from flows.frames.fingerprint import perceptual_hash
from flows.frames.isolation import call_isolated, close_idle_workers
from flows.frames.moments import choose_timestamps
from flows.frames.passes import decoded_frames, key_frame, nearest_keys
from flows.frames.sampling import sample_frames
from flows.frames.video import Video

WIDTH, HEIGHT, RATE, SECONDS, SCENE = 1280, 720, 30, 30, 120
_H264 = {"preset": "veryfast", "bf": "3", "refs": "3", "crf": "25"}
CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264, 4 s": ("libx264", ".mp4", {**_H264, "g": "150"}),
    "h264, 8.3 s": ("libx264", ".mp4", {**_H264, "g": "250", "sc_threshold": "0"}),
    "vp9, 4.3 s": ("libvpx-vp9", ".webm", {"deadline": "realtime", "cpu-used": "8", "g": "128", "crf": "40", "b": "0"}),
    "av1, 4.3 s": ("libsvtav1", ".mp4", {"preset": "10", "crf": "40", "g": "128", "svtav1-params": "lp=1"}),
}
WANTED = {"exact": 2.0, "keyframe": 8.0}
TIMEOUT_S = 120.0
LEAST_S = 2.0
"""Shortest duration of a round."""
FFMPEG = "ffmpeg -ss, a process a core"


@dataclass(frozen=True)
class Result:
    """Result of one way of sampling on one set of ads."""

    codec: str
    way: str
    ads: int
    frames: int
    ads_per_s: float
    cpu_ms_per_ad: float
    against: dict[str, float]
    """Seconds and CPU seconds of each of the other ways, as ratios to this one's."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, help="folder of videos to measure on instead, searched through and through"
    )
    parser.add_argument("--ads", type=int, default=8, help="how many are encoded of each codec")
    parser.add_argument("--repeat", type=int, default=3, help="how often each way goes over them")
    parser.add_argument("--growth", type=int, nargs="*", default=[10, 100, 2000], help="numbers of ads to go through")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sets = {"given": found(arguments.data)} if arguments.data else encode_all(Path(folder), arguments.ads)
        results = [result for codec, paths in sets.items() for result in measure(codec, paths, arguments.repeat)]
        splits = {codec: split(paths) for codec, paths in sets.items()}
        growth = [grow(next(iter(sets.values())), number) for number in arguments.growth]
    told = {"results": [asdict(result) for result in results], "ms_per_ad": splits, "growth": growth}
    if arguments.json:
        print(json.dumps(told, indent=1))
    else:
        show(results, splits, growth)


def found(folder: Path) -> list[Path]:
    """Videos below a folder."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".mp4", ".webm", ".mkv", ".mov"))


def encode_all(folder: Path, ads: int) -> dict[str, list[Path]]:
    """Encode the ads of every codec, as many at a time as there are cores."""
    paths = {codec: [folder / f"{codec}-{ad}{suffix}" for ad in range(ads)] for codec, (_, suffix, _) in CODECS.items()}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(encode, *zip(*((codec, path) for codec in paths for path in paths[codec]), strict=True)))
    return paths


def encode(codec: str, path: Path) -> None:
    """Encode one ad; its name seeds its pictures."""
    name, _, options = CODECS[codec]
    draw = np.random.default_rng(int(path.stem.rpartition("-")[2]))
    with av.open(str(path), "w") as container:
        track: Any = container.add_stream(name, rate=RATE, options=options)
        track.width, track.height, track.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        track.codec_context.thread_count = 1
        for number in range(RATE * SECONDS):
            step = number % SCENE
            if step == 0:
                scene, speed = paint(draw), draw.uniform(-1.2, 1.2, 2)
            x, y = (int(150 + way * step) for way in speed)
            picture = scene[y : y + HEIGHT, x : x + WIDTH].copy()
            words = f"Offer {number // SCENE}: 25% OFF until Sunday"
            cv2.putText(picture, words, (90, 620), cv2.FONT_HERSHEY_SIMPLEX, 1.8, (255, 255, 255), 4)
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(track.encode())


def paint(draw: np.random.Generator) -> Any:
    """A scene larger than the screen: soft shapes with a little grain."""
    height, width = HEIGHT + 300, WIDTH + 300
    shapes = draw.integers(0, 256, (height // 60, width // 60, 3)).astype(np.float32)
    grain = cv2.resize(draw.normal(0, 6, (height // 2, width // 2)).astype(np.float32), (width, height))
    soft = cv2.resize(shapes, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(soft * 0.8 + grain[..., None] + 20, 0, 255).astype(np.uint8)


def measure(codec: str, paths: Sequence[Path], repeat: int) -> list[Result]:
    """Run every way over the same ads, in turn and repeatedly; the best round of each counts."""
    cores = os.cpu_count() or 1
    ways: dict[str, Callable[[Sequence[Path]], tuple[int, float, float]]] = {
        "exact": partial(ours, seek="exact", cores=cores),
        "keyframe": partial(ours, seek="keyframe", cores=cores),
        "cv2 seeks, a process a core": partial(theirs, way=cv2_seeks, processes=cores),
        "cv2 seeks, its own threads": partial(theirs, way=partial(cv2_seeks, threads=0), processes=1),
        "cv2 at key frames": partial(theirs, way=cv2_key_frames, processes=cores),
    }
    ffmpeg = shutil.which("ffmpeg") is not None
    if ffmpeg:
        ways[FFMPEG] = partial(theirs, way=ffmpeg_seeks, processes=cores)
    best: dict[str, tuple[int, float, float]] = {}
    for _ in range(repeat):
        for way, go in ways.items():
            # a fast way goes over the ads again and again, so that what its start and its end cost does not count
            passes = max(1, round(LEAST_S / best[way][1] / len(paths))) if way in best else 1
            frames, seconds, cpu_s = go([*paths] * passes)
            ads = passes * len(paths)
            one = (frames // passes, seconds / ads, cpu_s / ads)
            best[way] = min(best.get(way, one), one, key=lambda done: done[1])
    close_idle_workers()
    # a way that decodes nothing is no peer
    done = {way: one for way, one in best.items() if one[0]}
    peers = {
        "cv2 seeks": [way for way in done if way.startswith("cv2 seeks")],
        "ffmpeg -ss": [FFMPEG] if ffmpeg else [],
    }

    def against(one: tuple[int, float, float]) -> dict[str, float]:
        ratios: dict[str, float] = {}
        for peer, its_ways in peers.items():
            if its_ways:
                ratios[peer] = min(done[way][1] for way in its_ways) / one[1]
                ratios[f"{peer}, CPU"] = min(done[way][2] for way in its_ways) / one[2]
        return ratios

    return [
        Result(codec, way, len(paths), one[0], ads_per_s=1 / one[1], cpu_ms_per_ad=1000 * one[2], against=against(one))
        for way, one in done.items()
    ]


def ours(paths: Sequence[Path], seek: str, cores: int) -> tuple[int, float, float]:
    """Frames, seconds and CPU seconds of our way: threads that each have a worker."""
    with ThreadPoolExecutor(cores) as pool:
        # started beforehand, as for the other ways
        list(pool.map(lambda _: call_isolated(TIMEOUT_S, time.sleep, 0.3), range(cores)))
        start, before = time.perf_counter(), cpu_of_children()

        def one(path: Path) -> int:
            return len(call_isolated(TIMEOUT_S, sample_frames, path, path.stem, seek=seek).frames)  # type: ignore[arg-type]

        frames = sum(pool.map(one, paths))
        seconds, cpu = time.perf_counter() - start, cpu_of_children() - before
    return frames, seconds, cpu


def theirs(paths: Sequence[Path], way: Callable[[Path], int], processes: int) -> tuple[int, float, float]:
    """Frames, seconds and CPU seconds of another way."""
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(time.sleep, [0.3] * processes))
        start, before = time.perf_counter(), cpu_of_children()
        frames = sum(pool.map(way, paths))
        seconds, cpu = time.perf_counter() - start, cpu_of_children() - before
    return frames, seconds, cpu


def moments_of(path: Path) -> list[float]:
    """The moments that all ways are asked for."""
    with Video(path) as video:
        return choose_timestamps(path.stem, video.duration_s())


def cv2_seeks(path: Path, threads: int = 1) -> int:
    """OpenCV, asked for one moment after the other."""
    return cv2_at(path, moments_of(path), threads)


def cv2_key_frames(path: Path) -> int:
    """OpenCV at the times of key frames: what it gives for the key-frame mode."""
    with Video(path) as video:
        moments_s = choose_timestamps(path.stem, video.duration_s())
        chosen = nearest_keys(video.key_times_s, moments_s, (0.0, video.duration_s()))
        times_s = [max(0.0, video.key_times_s[number]) for number in chosen.values()]
    return cv2_at(path, times_s, 1)


def cv2_at(path: Path, moments_s: Sequence[float], threads: int) -> int:
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # of AV1 it would say for every packet that it cannot
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    taken = 0
    for moment_s in moments_s:
        capture.set(cv2.CAP_PROP_POS_MSEC, moment_s * 1000)
        there, picture = capture.read()
        if there:
            cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
            taken += 1
    capture.release()
    return taken


def ffmpeg_seeks(path: Path) -> int:
    """`ffmpeg -ss` once for each moment."""
    taken = 0
    for moment_s in moments_of(path):
        options = ["-frames:v", "1", "-threads", "1", "-q:v", "2", "-f", "image2pipe", "-c:v", "mjpeg", "-"]
        command = ["ffmpeg", "-v", "error", "-nostdin", "-ss", f"{moment_s:.6f}", "-i", str(path), *options]
        taken += bool(subprocess.run(command, capture_output=True, check=False).stdout)
    return taken


def split(paths: Sequence[Path]) -> dict[str, dict[str, float]]:
    """CPU milliseconds of one ad by what they are spent on, in this process, and what the hop to another one costs."""
    parts: dict[str, dict[str, float]] = {}
    for seek in ("exact", "keyframe"):
        spent = {
            "open": 0.0,
            "decode": 0.0,
            "convert": 0.0,
            "encode": 0.0,
            "hash": 0.0,
            "fingerprints too": 0.0,
        }
        for path in paths:
            clock = time.process_time()
            with Video(path) as video:
                moments_s = choose_timestamps(path.stem, video.duration_s())
                keys_s = video.key_times_s
                clock = lap(spent, "open", clock)
                if seek == "exact":
                    frames = [frame for frame, shown in decoded_frames(video, moments_s) if shown]
                else:
                    chosen = nearest_keys(keys_s, moments_s, (0.0, video.duration_s())).values()
                    frames = [key_frame(video, number) for number in chosen]
                clock = lap(spent, "decode", clock)
                pictures = [video.picture_of(frame, 1280) for frame in frames if frame is not None]
                clock = lap(spent, "convert", clock)
            for picture in pictures:
                cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
            clock = lap(spent, "encode", clock)
            for picture in pictures:
                perceptual_hash(picture)
            clock = lap(spent, "hash", clock)
            sample_frames(path, path.stem, seek=seek)
            lap(spent, "fingerprints too", clock)
        parts[seek] = {name: 1000 * seconds / len(paths) for name, seconds in spent.items()} | {"hop": hop_ms()}
    return parts


def lap(spent: dict[str, float], name: str, since: float) -> float:
    now = time.process_time()
    spent[name] += now - since
    return now


def hop_ms() -> float:
    """Milliseconds to a worker and back with five pictures of 150 kB."""
    payload = bytes(5 * 150_000)
    call_isolated(TIMEOUT_S, bytes, payload)
    start = time.perf_counter()
    for _ in range(20):
        call_isolated(TIMEOUT_S, bytes, payload)
    close_idle_workers()
    # what is sent goes there and back here, of frames back alone
    return 1000 * (time.perf_counter() - start) / 20 / 2


def grow(paths: Sequence[Path], ads: int) -> dict[str, float]:
    """Milliseconds an ad and peak memory of both ends, over so many ads in key-frame mode."""
    cores = os.cpu_count() or 1

    def one(path: Path) -> int:
        return len(call_isolated(TIMEOUT_S, sample_frames, path, path.stem, seek="keyframe").frames)

    again = [paths[number % len(paths)] for number in range(ads)]
    start = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(one, again))
    seconds = time.perf_counter() - start
    peak = peak_of_children_mb()
    close_idle_workers()
    return {
        "ads": ads,
        "ms_per_ad": 1000 * seconds / ads,
        "workers_peak_mb": peak,
        "own_peak_mb": peak_mb(Path("/proc/self")),
    }


def show(
    results: Sequence[Result], splits: dict[str, dict[str, dict[str, float]]], growth: Sequence[dict[str, float]]
) -> None:
    """Print the same for people."""
    table = Table(title=f"Five frames an ad on {os.cpu_count()} cores")
    peers = ("cv2 seeks", "cv2 seeks, CPU", "ffmpeg -ss", "ffmpeg -ss, CPU")
    for name in ("ads", "way", "frames", "ads/s", "CPU ms an ad", *(f"x {peer}" for peer in peers), "wanted"):
        table.add_column(name, justify="left" if name in ("ads", "way") else "right", no_wrap=True)
    for one in results:
        factors = [f"{one.against[peer]:.1f}" if peer in one.against else "-" for peer in peers]
        wanted = f"{WANTED[one.way]:g}" if one.way in WANTED else ""
        row = (f"{one.ads} {one.codec}", one.way, f"{one.frames}", f"{one.ads_per_s:.1f}", f"{one.cpu_ms_per_ad:.0f}")
        table.add_row(*row, *factors, wanted)
    print_tables(table)
    table = Table(title="CPU ms an ad")
    names = list(next(iter(next(iter(splits.values())).values())))
    for name in ("ads", "mode", *names):
        table.add_column(name, justify="left" if name in ("ads", "mode") else "right", no_wrap=True)
    for codec, modes in splits.items():
        for mode, spent in modes.items():
            table.add_row(codec, mode, *(f"{spent[name]:.1f}" for name in names))
    print_tables(table)
    table = Table(title="Growth, key-frame mode")
    for name in ("ads", "ms an ad", "workers' peak", "own peak"):
        table.add_column(name, justify="right")
    for grown in growth:
        peaks = f"{grown['workers_peak_mb']:.0f} MB", f"{grown['own_peak_mb']:.0f} MB"
        table.add_row(f"{grown['ads']:,.0f}", f"{grown['ms_per_ad']:.0f}", *peaks)
    print_tables(table)


if __name__ == "__main__":
    main()
