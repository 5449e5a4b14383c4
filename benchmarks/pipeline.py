"""Overhead of the pipeline: `ytb-ads build` compared with a loop over the same functions, in one run.

The loop samples, reads and scores the same ads in one process and keeps nothing: no tables, no release, no server,
no second core. From 24 ads on the build may take twice the loop's time at most; below that its start, about eight
seconds, outweighs the work. Printed besides: how the build grows with the number of ads, and the second run, which has
nothing left to do, in seconds of the processor: with the Prefect server that it starts, and on one that is up, where it
may take four at 40 ads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flows.crawl.folder.folder import scan_folder
from flows.crawl.records import FoundAd
from flows.embedded_server import embedded_server
from flows.errors import FrameError
from flows.frames.sampling import decode_jpeg, sample_frames
from flows.ocr.registry import ocr_engine
from flows.sample import render_sample
from flows.sentiment.engines import sentiment_engine
from flows.settings import Settings

LIMIT = 2.0
LIMIT_FROM_ADS = 24
NOTHING_TO_DO_CPU_S = 4.0
"""At 40 ads, on a server that is up."""


@dataclass(frozen=True)
class Cost:
    """Cost of a process and its children."""

    seconds: float
    cpu_s: float
    peak_mb: float


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


def build(ads: Path, catalog: Path, server: str | None = None) -> Cost:
    """Measure `ytb-ads build`, from start to exit; without the address of a server it starts one."""
    # what Python has compiled is kept, as on any machine where it is run twice
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PREFECT_API_URL": server} if server else {}
    start = time.perf_counter()
    command = [sys.executable, "-m", "flows", "build", "--source", f"folder:{ads}", "--catalog", str(catalog)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ads", type=int, nargs="+", default=[12, 24, 48], help="sizes of the samples")
    parser.add_argument("--json", action="store_true", help="one JSON object per size")
    arguments = parser.parse_args()
    rows = []
    peak_mb = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for ads in arguments.ads:
            sample, catalog = Path(folder) / f"ads{ads}", Path(folder) / f"catalog{ads}"
            render_sample(sample, ads=ads)
            loop_s, first, again = bare_loop(sample), build(sample, catalog), build(sample, catalog)
            with embedded_server() as server:
                on_server = build(sample, catalog, server)
            peak_mb = max(peak_mb, first.peak_mb)
            row = {"ads": ads, "loop_s": loop_s, "build_s": first.seconds, "ratio": first.seconds / loop_s}
            row |= {"again_s": again.seconds, "again_cpu_s": again.cpu_s, "again_on_a_server_cpu_s": on_server.cpu_s}
            rows.append(row)
    if arguments.json:
        for row in rows:
            print(json.dumps(row | {"limit": LIMIT if row["ads"] >= LIMIT_FROM_ADS else None, "peak_mb": peak_mb}))
        return
    table = Table(title=f"{os.cpu_count()} cores, peak memory of the build {peak_mb:,.0f} MB", title_justify="left")
    columns = ("ads", "bare loop", "build", "build / loop", "limit")
    for name in (*columns, "second build", "its CPU", "on a server", f"limit {NOTHING_TO_DO_CPU_S:g} at 40"):
        table.add_column(name, justify="right")
    for row in rows:
        kept = row["again_on_a_server_cpu_s"] <= NOTHING_TO_DO_CPU_S
        table.add_row(
            str(row["ads"]),
            f"{row['loop_s']:.1f} s",
            f"{row['build_s']:.1f} s",
            f"{row['ratio']:.2f}",
            f"{LIMIT:.2f}" if row["ads"] >= LIMIT_FROM_ADS else "-",
            f"{row['again_s']:.1f} s",
            f"{row['again_cpu_s']:.1f} s",
            f"{row['again_on_a_server_cpu_s']:.1f} s",
            "kept" if kept else "missed",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
