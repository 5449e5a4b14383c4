"""Cost of an ad from its file to its words: time by step, and memory, for growing numbers of ads.

As many threads as there are cores, each with a decoder in its own process, share one pair of networks, as in the
pipeline's stages. Here both stages run at once, so memory is that of both. The videos below `--data` are processed
repeatedly; nothing is cached between rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.ocr import Spent
from benchmarks.processes import cpu_of_children, peak_mb, peak_of_children_mb
from flows.console import print_tables
from flows.frames.isolation import call_isolated, close_idle_workers
from flows.frames.sampling import decode_jpeg, sample_frames
from flows.ocr.rapid.engine import RapidOcrEngine
from flows.ocr.registry import ocr_engine
from flows.ocr.words import read_words
from flows.settings import OcrSettings

LIMIT_MB = 1500
TIMEOUT_S = 120.0
SUFFIXES = (".mp4", ".webm", ".mkv", ".mov")
STEPS = ("sample", "decode", "detect", "recognise", "words")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of videos, searched through")
    parser.add_argument("--growth", type=int, nargs="+", default=[10, 100, 2000], help="numbers of ads to go through")
    parser.add_argument("--seek", choices=("exact", "keyframe"), default="exact")
    parser.add_argument("--detail", choices=("all", "decision"), default="all", help="how much is read")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    videos = sorted(path for path in arguments.data.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not videos:
        raise SystemExit(f"error: {arguments.data} holds no video ({', '.join(SUFFIXES)})")
    engine = ocr_engine(OcrSettings(detail=arguments.detail))
    assert isinstance(engine, RapidOcrEngine)
    rows = [measure(list(islice(cycle(videos), ads)), engine, arguments.seek) for ads in arguments.growth]
    if arguments.json:
        print(json.dumps({"seek": arguments.seek, "limit_mb": LIMIT_MB, "growth": rows}, indent=1))
    else:
        print_table(rows, arguments.seek)


def measure(paths: Sequence[Path], engine: RapidOcrEngine, seek: str) -> dict[str, Any]:
    """Sample and read this many ads."""
    spent = Spent()
    cores = os.cpu_count() or 1

    def one(path: Path) -> int:
        sampled = call_isolated(TIMEOUT_S, sample_frames, path, path.stem, seek=seek)  # type: ignore[arg-type]
        for jpeg in {frame.jpeg for frame in sampled.frames}:  # a picture that is there twice is read once
            read(jpeg, engine, spent)
        return len(sampled.frames)

    with ThreadPoolExecutor(cores) as pool:
        start = time.perf_counter()
        frames = sum(track(pool.map(one, paths), f"{len(paths):,} ads", len(paths), console=Console(stderr=True)))
        seconds = time.perf_counter() - start
    memory = peak_of_children_mb()
    sampling = cpu_of_children()
    close_idle_workers()
    cpu_ms = {step: 1000 * (spent.seconds[step] or sampling) / len(paths) for step in STEPS}
    return {
        "ads": len(paths),
        "frames": frames,
        "ms_per_ad": 1000 * seconds / len(paths),
        "frames_per_s": frames / seconds,
        "cpu_ms_per_ad": cpu_ms,
        "own_peak_mb": peak_mb(Path("/proc/self")),
        "workers_peak_mb": memory,
    }


def read(jpeg: bytes, engine: RapidOcrEngine, spent: Spent) -> int:
    """Read a stored picture; returns the number of its words."""
    with spent.on("decode"):
        picture = decode_jpeg(jpeg)
    lines = spent.ladder(engine).read(picture).lines
    with spent.on("words"):
        return len(read_words(lines, engine.min_confidence))


def print_table(rows: Sequence[dict[str, Any]], seek: str) -> None:
    """One row for each number of ads."""
    table = Table(title=f"From file to words, {seek} moments, {os.cpu_count()} cores; CPU ms an ad by step")
    titles = ("ads", "frames/s", "ms an ad", *STEPS, "decoders' peak", "own peak", "together", "limit")
    for name in titles:
        table.add_column(name, justify="right")
    for row in rows:
        peaks = row["workers_peak_mb"], row["own_peak_mb"]
        table.add_row(
            f"{row['ads']:,}",
            f"{row['frames_per_s']:.1f}",
            f"{row['ms_per_ad']:.0f}",
            *(f"{row['cpu_ms_per_ad'][step]:.0f}" for step in STEPS),
            *(f"{peak:,.0f} MB" for peak in (*peaks, sum(peaks))),
            f"{LIMIT_MB:,} MB",
        )
    print_tables(table)


if __name__ == "__main__":
    main()
