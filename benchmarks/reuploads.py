"""How many re-uploads are found, and whether different ads are joined, on copies of real videos that it encodes first.

Every copy has another size, another quality, and key frames elsewhere than its original; two kinds are cropped as
well. Two frames of one ad never fall on the same moments as those of its copy, since moments are drawn by the ad's id.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any, get_args

import av
import cv2
from rich.table import Table

from flows.console import print_tables
from flows.frames.reuploads import AdFingerprints, groups_of, same_ads
from flows.frames.sampling import Seek, sample_frames

SUFFIXES = (".mp4", ".webm", ".mkv", ".mov")
LONGER_SIDE = 1280
TICKS_A_SECOND = 1000


@dataclass(frozen=True)
class Copy:
    """How a copy differs from its original."""

    scale: float
    rim: float
    """Share of each side that is cut off."""
    options: dict[str, str]
    """Of the encoder, x264."""


COPIES = {
    "0.6 of the size": Copy(0.6, 0.0, {"preset": "ultrafast", "crf": "30", "g": "48", "bf": "2"}),
    "0.75, cropped by 2 %": Copy(0.75, 0.02, {"preset": "veryfast", "crf": "28"}),
    "0.5, cropped by 1 %": Copy(0.5, 0.01, {"preset": "veryfast", "crf": "36", "g": "128", "sc_threshold": "0"}),
}


def main() -> None:
    """Encode, look, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of videos, searched through")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments = parser.parse_args()
    originals = sorted(path for path in arguments.data.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not originals:
        raise SystemExit(f"error: {arguments.data} holds no video ({', '.join(SUFFIXES)})")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(os.cpu_count()) as pool:
        copies: dict[tuple[Path, str | None], Path] = {
            (path, name): Path(folder) / f"{path.stem}-{number}.mp4"
            for path, (number, name) in product(originals, enumerate(COPIES))
        }
        list(pool.map(encode, *zip(*((*key, target) for key, target in copies.items()), strict=True)))
        videos: dict[tuple[Path, str | None], Path] = {(path, None): path for path in originals} | copies
        every = [(key, path, seek) for (key, path), seek in product(videos.items(), get_args(Seek))]
        found = list(pool.map(fingerprints, *zip(*((path, seek) for _, path, seek in every), strict=True)))
    told = {
        seek: compare([(key, ad) for (key, _, of), ad in zip(every, found, strict=True) if of == seek])
        for seek in get_args(Seek)
    }
    print(json.dumps(told, indent=1)) if arguments.json else print_table(told, len(originals))


def encode(original: Path, name: str, target: Path) -> None:
    """Write a copy of a video."""
    copy = COPIES[name]
    with av.open(str(original)) as source, av.open(str(target), "w") as written:
        pictures = source.streams.video[0]
        track: Any = None
        for frame in source.decode(pictures):
            picture = altered(frame.to_ndarray(format="bgr24"), copy)
            if track is None:
                track = written.add_stream("libx264", rate=pictures.average_rate, options=copy.options)
                track.height, track.width = picture.shape[:2]
                track.pix_fmt = "yuv420p"
                track.codec_context.thread_count = 1
                track.time_base = track.codec_context.time_base = Fraction(1, TICKS_A_SECOND)
            shown = av.VideoFrame.from_ndarray(picture, format="bgr24")
            shown.pts, shown.time_base = round(float(frame.time or 0) * TICKS_A_SECOND), Fraction(1, TICKS_A_SECOND)
            written.mux(track.encode(shown))
        written.mux(track.encode())


def altered(picture: Any, copy: Copy) -> Any:
    """A picture cropped and scaled, with sides that an encoder takes."""
    height, width = picture.shape[:2]
    y, x = int(height * copy.rim), int(width * copy.rim)
    inner = picture[y : height - y, x : width - x]
    scale = copy.scale * min(1.0, LONGER_SIDE / max(height, width))
    size = (int(inner.shape[1] * scale) // 2 * 2, int(inner.shape[0] * scale) // 2 * 2)
    return cv2.resize(inner, size, interpolation=cv2.INTER_AREA)


def fingerprints(path: Path, seek: Seek) -> AdFingerprints:
    """Sample a video and keep what re-uploads are found by."""
    return AdFingerprints.of_row(sample_frames(path, path.stem, seek=seek).fingerprints_row())


def compare(ads: Sequence[tuple[tuple[Path, str | None], AdFingerprints]]) -> dict[str, Any]:
    """Which copies are joined with their original, directly or by way of other copies, and what is joined wrongly."""
    original_of = {ad.video_id: key[0] for key, ad in ads}
    pairs = same_ads(ad for _, ad in ads)
    group_of = {name: number for number, group in enumerate(groups_of(pairs)) for name in group}
    found = {
        name: sum(group_of.get(ad.video_id, -1) == group_of.get(key[0].stem, -2) for key, ad in ads if key[1] == name)
        for name in COPIES
    }
    wrong = [pair for pair in pairs if original_of[pair[0]] != original_of[pair[1]]]
    return {"found": found, "different_ads_joined": wrong}


def print_table(told: dict[str, dict[str, Any]], originals: int) -> None:
    """One row for each way of sampling."""
    table = Table(title=f"Copies of {originals} videos that are found")
    table.add_column("mode")
    for name in COPIES:
        table.add_column(name, justify="right")
    table.add_column("different ads joined", justify="right")
    for seek, row in told.items():
        counts = (f"{row['found'][name]} of {originals}" for name in COPIES)
        table.add_row(seek, *counts, str(len(row["different_ads_joined"])))
    print_tables(table)
    for seek, row in told.items():
        for one, other in row["different_ads_joined"]:
            print(f"joined though different, {seek}: {one} and {other}")


if __name__ == "__main__":
    main()
