"""What the pipeline costs over the bare work: `ytb-ads build` beside a loop over the same functions, in one run.

The loop samples, reads and scores the same ads in one process and keeps nothing: no tables, no release, no server,
no second core. From 24 ads on the build may take twice the loop's time at most; below that its start, about eight
seconds, outweighs the work. Printed besides: how the build grows with the number of ads, and the second run, which has
nothing left to do.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flows.crawl.folder.folder import scan_folder
from flows.crawl.records import FoundAd
from flows.errors import FrameError
from flows.frames.sampling import decode_jpeg, sample_frames
from flows.ocr.registry import ocr_engine
from flows.sample import render_sample
from flows.sentiment.engines import sentiment_engine
from flows.settings import Settings

LIMIT = 2.0
LIMIT_FROM_ADS = 24


def bare_loop(ads: Path) -> float:
    """Seconds to sample, read and score every ad, one after the other; engines are loaded before the clock starts."""
    settings = Settings()
    reader, scorer = ocr_engine(settings.ocr), sentiment_engine(settings.sentiment)
    start = time.perf_counter()
    for found in scan_folder(ads, author_key=b"benchmark"):
        if not isinstance(found, FoundAd) or found.ad.media_path is None:
            continue
        try:
            sampled = sample_frames(ads / found.ad.media_path, found.ad.video_id)
        except FrameError:
            continue
        reader.read([decode_jpeg(frame.jpeg) for frame in sampled.frames])
        scorer.score([comment.text for comment in found.comments])
    return time.perf_counter() - start


def build(ads: Path, catalog: Path) -> float:
    """Seconds of `ytb-ads build` in a process of its own, from start to exit."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "flows", "build", "--source", f"folder:{ads}", "--catalog", str(catalog)],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ads", type=int, nargs="+", default=[12, 24, 48], help="sizes of the samples")
    parser.add_argument("--json", action="store_true", help="one JSON object per size")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for ads in arguments.ads:
            sample, catalog = Path(folder) / f"ads{ads}", Path(folder) / f"catalog{ads}"
            render_sample(sample, ads=ads)
            row = {"ads": ads, "loop_s": bare_loop(sample), "build_s": build(sample, catalog)}
            rows.append(row | {"again_s": build(sample, catalog), "ratio": row["build_s"] / row["loop_s"]})
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    if arguments.json:
        for row in rows:
            print(json.dumps(row | {"limit": LIMIT if row["ads"] >= LIMIT_FROM_ADS else None, "peak_mb": peak_mb}))
        return
    table = Table(title=f"{os.cpu_count()} cores, peak memory of the build {peak_mb:,.0f} MB", title_justify="left")
    for name in ("ads", "bare loop", "build", "build / loop", "limit", "second build"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            str(row["ads"]),
            f"{row['loop_s']:.1f} s",
            f"{row['build_s']:.1f} s",
            f"{row['ratio']:.2f}",
            f"{LIMIT:.2f}" if row["ads"] >= LIMIT_FROM_ADS else "-",
            f"{row['again_s']:.1f} s",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
