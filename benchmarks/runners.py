"""Threads, processes, Ray and Dask at the same build: wall time, CPU seconds and memory, as ratios of those of threads.

    python -m benchmarks.runners [--ads 40 400 2000] [--kinds threads ...] [--repeat 1] [--folder DIR] [--json]

Each size has one folder of ads. Every runner builds a catalog of its own from it with `ytb-ads build`, which starts a
server and, for Ray and Dask, a cluster on this machine; one runner follows the other, and each round begins with
another one. Costs are those of all processes that the command starts. The row-set hashes must be the same.

All stages run, on ads that are cheap on purpose, so that the runner's own share is large: 6 s at 320x180, one frame
with a few words, OCR at a side of 160 alone, 20 comments: about 0.15 CPU seconds an ad, where real ads take 2 to 3 with
the default settings. With `--folder` measurements are kept, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from statistics import median

from rich.table import Table

from benchmarks.processes import TreeCost
from benchmarks.scale import CATEGORIES, THRESHOLDS, comment
from data_catalog.releases import newest_release, read_manifest
from flows.console import print_tables

KINDS = ("threads", "processes", "ray", "dask")
COMMENTS = 20
CHEAP = {
    "YTB_ADS__FRAMES__COUNT": "1",
    "YTB_ADS__OCR__SIDES": "[160]",
    "YTB_ADS__OCR__MORE_THAN_WORDS": "1",
    **THRESHOLDS,
}
_WIDTH, _HEIGHT, _RATE = 320, 180, 4
_SHOTS, _SHOT_S = 3, 2
_WORDS = ("SAVE", "BIG", "NOW", "NEW", "CAR", "BEST", "SUN")


@dataclass(frozen=True)
class Measured:
    """One build."""

    ads: int
    kind: str
    number: int
    """Of the round."""
    wall_s: float
    cpu_s: float
    peak_mb: float
    row_set_hash: str


def measure(folder: Path, sizes: Sequence[int], kinds: Sequence[str], rounds: int) -> Iterator[Measured]:
    """Build with every runner, unless the folder holds the measurement.

    Raises:
        SystemExit: two builds of the same ads differ in their rows.
    """
    kept = folder / "measured.jsonl"
    known = [Measured(**json.loads(line)) for line in kept.read_text().splitlines()] if kept.exists() else []
    for ads in sizes:
        make_ads(folder / str(ads), ads)
        rows = {one.row_set_hash for one in known if one.ads == ads}
        for number in range(rounds):
            begin = number % len(kinds)
            for kind in (*kinds[begin:], *kinds[:begin]):
                of_this = (one for one in known if (one.ads, one.kind, one.number) == (ads, kind, number))
                one = next(of_this, None) or build(folder, ads, kind, number)
                if one not in known:
                    with kept.open("a") as file:
                        file.write(json.dumps(asdict(one)) + "\n")
                if len(rows := rows | {one.row_set_hash}) > 1:
                    raise SystemExit(f"{ads} ads with {kind}: other rows than with another runner: {sorted(rows)}")
                yield one


def build(folder: Path, ads: int, kind: str, number: int = 0) -> Measured:
    """Measure `ytb-ads build` with a runner.

    Raises:
        CalledProcessError: it failed; what it said is on standard error.
    """
    catalog = folder / f"{ads}-{kind}"
    shutil.rmtree(catalog, ignore_errors=True)
    # what Python has compiled is kept, as on any machine where it is run twice
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {**CHEAP, "YTB_ADS__RUNNER__KIND": kind, "RAY_AUTH_MODE": "disabled"}
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-m", "flows", "build", "--source", f"folder:{folder / str(ads)}"]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:  # the end of a pipe would wait for whatever the command leaves behind
        with TreeCost() as cost:
            done = subprocess.run(
                [*command, "--catalog", str(catalog)], env=environment, stdout=said, stderr=said, check=False
            )
            wall_s = time.perf_counter() - start
        if done.returncode:
            said.seek(0)
            sys.stderr.write(said.read().decode(errors="replace"))
            done.check_returncode()
    rows = read_manifest(newest_release(catalog / "releases"))["row_set_hash"]
    shutil.rmtree(catalog)
    return Measured(ads, kind, number, wall_s, cost.cpu_s, cost.peak_mb, rows)


def make_ads(folder: Path, ads: int) -> None:
    """Write what is missing of a folder of ads: the same number gives the same ads."""
    with Pool() as pool:
        pool.map(partial(_write_ad, folder), range(ads), chunksize=20)


def _write_ad(folder: Path, number: int) -> None:
    place, video_id = folder / CATEGORIES[number % len(CATEGORIES)], f"bench{number:06}"
    info = place / f"{video_id}.info.json"
    if info.exists():
        return
    place.mkdir(parents=True, exist_ok=True)
    _encode(place / f"{video_id}.mp4", number)
    draw, mood = random.Random(number), ("positive", "negative")[number % 2]
    said = {
        "id": video_id,
        "synthetic": True,
        "title": f"Ad {number}",
        "duration": _SHOTS * _SHOT_S,
        "timestamp": 1_700_000_000 + number,
        "comments": [comment(mood, at, draw) for at in range(COMMENTS)],
    }
    info.write_text(json.dumps(said))


def _encode(path: Path, number: int) -> None:
    """Three stills of six words each on a background that no other ad has."""
    import av
    import cv2
    import numpy as np

    draw = np.random.default_rng(number)
    with av.open(str(path), "w", format="mp4") as container:
        options = {"preset": "ultrafast", "threads": "1", "g": str(_SHOT_S * _RATE)}
        track = container.add_stream("libx264", rate=_RATE, options=options)
        track.width, track.height, track.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for _ in range(_SHOTS):
            patches = draw.integers(0, 120, (5, 8, 3), dtype=np.uint8)
            picture = cv2.resize(patches, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
            for line in range(3):
                said, at = " ".join(draw.choice(_WORDS, 2)), (10, 50 + 50 * line)
                cv2.putText(picture, said, at, cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2, cv2.LINE_AA)
            for _ in range(_SHOT_S * _RATE):
                container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(track.encode())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ads", type=int, nargs="+", default=[40, 400, 2000], help="sizes of the folders")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="runners, the first is compared with")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; the median is printed")
    parser.add_argument("--folder", type=Path, help="keep ads and measurements there")
    parser.add_argument("--json", action="store_true", help="one JSON object for each build")
    arguments = parser.parse_args()
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.folder or Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        for one in measure(root, arguments.ads, arguments.kinds, arguments.repeat):
            measured.append(one)
            print(f"{one.ads} {one.kind}: {one.wall_s:.0f} s, {one.cpu_s:.0f} CPU s", file=sys.stderr)
    if arguments.json:
        for one in measured:
            print(json.dumps(asdict(one)))
    else:
        print_tables(table_of(measured))


def table_of(measured: Sequence[Measured]) -> Table:
    """A row for each size and runner: its medians, and the medians of its ratios to the first runner's same round."""
    table = Table(title=f"{os.cpu_count()} cores; in brackets, times that of {measured[0].kind}", title_justify="left")
    for name in ("ads", "runner", "wall s", "CPU s", "peak MB"):
        table.add_column(name, justify="left" if name == "runner" else "right")
    for ads, kind in dict.fromkeys((one.ads, one.kind) for one in measured):
        mine = [one for one in measured if (one.ads, one.kind) == (ads, kind)]
        first = {one.number: one for one in measured if (one.ads, one.kind) == (ads, measured[0].kind)}
        cells = []
        for name in ("wall_s", "cpu_s", "peak_mb"):
            ratio = median(getattr(one, name) / getattr(first[one.number], name) for one in mine)
            cells.append(f"{median(getattr(one, name) for one in mine):,.0f} ({ratio:.2f})")
        table.add_row(f"{ads:,}", kind, *cells)
    return table


if __name__ == "__main__":
    main()
