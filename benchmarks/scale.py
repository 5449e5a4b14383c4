"""Cost of a large catalog: CPU seconds and peak memory of each command, with its limit, at two sizes.

    python -m benchmarks.scale [--ads 500 5000] [--folder DIR] [--json]

Makes a folder of N ads with 200 comments each, all drawn from a seed, and a catalog of it through the public API: the
folder is read and the comments are scored as by `build`; frames (5 an ad, 27 kB each) and the words on them are
committed as their stages would. Then each command runs in a process of its own. CPU seconds are of the process and its
children, user and system; memory is that of the largest of them. The exit code is 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from flows.console import print_tables

if TYPE_CHECKING:
    from data_catalog.catalog import Catalog
    from flows.settings import Settings

SIZES = (500, 5_000)
FRAMES, COMMENTS = 5, 200
"""Of each ad."""
PICTURE_BYTES = 27_000
CATEGORIES = ("cars", "food", "games", "phones")
THRESHOLDS = {"YTB_ADS__SENTIMENT__POSITIVE": "1", "YTB_ADS__SENTIMENT__NEGATIVE": "-1"}
"""Settings that label every ad."""
FEWER = {**THRESHOLDS, "YTB_ADS__SENTIMENT__POSITIVE": "2.3"}
"""Settings of the first release, so that the next one has more ads."""
_BATCH_ADS = 100
_SAID = {
    "positive": ("I love this {}, it is {} and {}", "the {} is so beautiful, {} and {}", "amazing {}, really {} {}"),
    "negative": ("I hate this {}, it is {} and {}", "the {} is awful, {} and {}", "terrible {}, really {} {}"),
    "neutral": ("where did they film the {} with the {} {}", "my brother has a {} like that, {} or {}"),
}
_NOUNS = ("song", "car", "dog", "ending", "story", "voice", "scene", "idea", "phone", "drink", "actor", "place")
_WORDS = ("new", "fast", "slow", "red", "blue", "old", "long", "short", "quiet", "big", "small", "round", "flat")


@dataclass(frozen=True)
class Limit:
    """Limit of a command's cost."""

    cpu_s: float
    peak_mb: float | None = None


@dataclass(frozen=True)
class Cost:
    """Cost of a command."""

    ads: int
    name: str
    cpu_s: float
    peak_mb: float
    limit: Limit | None = None

    @property
    def is_kept(self) -> bool:
        """Whether it took no more than its limit."""
        limit = self.limit
        return limit is None or (self.cpu_s <= limit.cpu_s and self.peak_mb <= (limit.peak_mb or self.peak_mb))


NOTHING_TO_DO = Limit(10.0, 600.0)
RELEASING = Limit(float("inf"), 1_200.0)
LOOKING = Limit(3.0)
LOOKS = {
    "status": ["status"],
    "catalog verify": ["catalog", "verify"],
    "catalog diff": ["catalog", "diff"],
    "catalog sql, comments": ["catalog", "sql", "SELECT video_id, count(*) FROM comments GROUP BY 1 LIMIT 5"],
    "catalog sql, release": ["catalog", "sql", "SELECT label, count(*) FROM release GROUP BY 1"],
    "catalog explain": ["catalog", "explain", "test:0"],
}


def measure(folder: Path, ads: int) -> Iterator[Cost]:
    """Make a catalog of that many ads, unless the folder holds one that was just made, and run every command on it."""
    if not (folder / "catalog").exists():
        yield run("make the catalog", ads, [sys.executable, "-m", "benchmarks.scale", "--make", str(folder), str(ads)])
    catalog = str(folder / "catalog")
    build = ["build", "--source", f"folder:{folder / 'ads'}", "--catalog", catalog]
    from flows.embedded_server import embedded_server

    with embedded_server() as server:
        up = {"PREFECT_API_URL": server, **THRESHOLDS}
        yield ytb_ads("labels and first release", ads, build, RELEASING, up | FEWER)
        yield ytb_ads("labels and next release", ads, build, RELEASING, up)
        yield ytb_ads("build, nothing to do", ads, build, NOTHING_TO_DO, up)
    yield ytb_ads("the same, starting a server", ads, build, NOTHING_TO_DO, THRESHOLDS)
    if len(released := sorted(path.name for path in (folder / "catalog/releases").glob("2*"))) != 2:
        raise SystemExit(f"a build that had nothing to do wrote a release: there are {', '.join(released)}")
    yield from look(folder / "catalog", ads)


def look(catalog: Path, ads: int, names: Iterable[str] = LOOKS) -> Iterator[Cost]:
    """Run the commands that only look, or some of them."""
    for name in names:
        yield ytb_ads(name, ads, [*LOOKS[name], "--catalog", str(catalog)], LOOKING, THRESHOLDS)


def ytb_ads(
    name: str, ads: int, command: list[str], limit: Limit, environment: Mapping[str, str] | None = None
) -> Cost:
    """Measure `ytb-ads COMMAND`."""
    return run(name, ads, [sys.executable, "-m", "flows", *command], limit, environment)


def run(
    name: str, ads: int, command: list[str], limit: Limit | None = None, environment: Mapping[str, str] | None = None
) -> Cost:
    """Run a command to its end.

    Raises:
        CalledProcessError: it failed; what it said is on standard error.
    """
    # what Python has compiled is kept, as on any machine where it is run twice
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env={**inherited, **(environment or {})}, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.stderr.write(said.read().decode(errors="replace"))
            raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(ads, name, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, limit)


def make(folder: Path, ads: int) -> None:
    """Make the folder of ads and the catalog, up to the scores: labels and release are left to do."""
    from data_catalog.catalog import Catalog
    from flows.crawl.folder.folder import scan_folder
    from flows.crawl.ingest import author_key, ingest
    from flows.frames.reuploads import record_reuploads
    from flows.settings import Settings

    settings, catalog = Settings(), Catalog(folder / "catalog")
    for number in range(ads):
        _write_ad(folder / "ads", number)
    ingest(catalog, scan_folder(folder / "ads", author_key=author_key(catalog, None)))
    _commit_frames(catalog, settings)
    record_reuploads(catalog)
    _commit_scores(catalog, settings)


def _write_ad(folder: Path, number: int) -> None:
    draw = random.Random(number)
    video_id = "v" + hashlib.sha256(str(number).encode()).hexdigest()[:10]
    place = folder / CATEGORIES[number % len(CATEGORIES)]
    place.mkdir(parents=True, exist_ok=True)
    mood = ("positive", "negative")[number % 2]
    info = {
        "id": video_id,
        "synthetic": True,
        "title": f"Ad {number}",
        "duration": 30,
        "timestamp": 1_700_000_000 + number,
        "comments": [comment(mood, at, draw) for at in range(COMMENTS)],
    }
    (place / f"{video_id}.info.json").write_text(json.dumps(info))
    (place / f"{video_id}.mp4").write_bytes(draw.randbytes(100))


def comment(mood: str, at: int, draw: random.Random) -> dict[str, Any]:
    """A comment as an info.json has it, in most cases of that mood."""
    kind = draw.choices((mood, "neutral", "negative" if mood == "positive" else "positive"), (60, 35, 5))[0]
    said = draw.choice(_SAID[kind]).format(draw.choice(_NOUNS), draw.choice(_WORDS), draw.choice(_WORDS))
    return {
        "id": f"c{at}",
        "parent": "root",
        "text": f"{said}, seen {draw.randrange(1000)} times",
        "like_count": int(draw.expovariate(0.2)),
        "author_id": f"author-{draw.randrange(100_000)}",
        "timestamp": 1_710_000_000 + at,
    }


def _commit_frames(catalog: Catalog, settings: Settings) -> None:
    """Frames, words and fingerprints of every ad, as their stages would make them."""
    import numpy as np
    import pyarrow as pa

    from data_catalog.schemas import TABLES
    from flows.frames.fingerprint import SIDE, STEP_S, fields_as_text
    from flows.ocr.registry import ocr_engine
    from flows.stages import FRAMES as FRAMES_STAGE
    from flows.stages import LOOKS, OCR

    noise = np.random.default_rng(0)
    made = {stage: stage.fingerprint(settings) for stage in (FRAMES_STAGE, LOOKS, OCR)}
    engine = ocr_engine(settings.ocr)
    ads = catalog.read("ads", ["video_id", "media_sha256"]).to_pylist()
    for begin in range(0, len(ads), _BATCH_ADS):
        frames: list[dict[str, Any]] = []
        texts: list[dict[str, Any]] = []
        looks: list[dict[str, Any]] = []
        batch = ads[begin : begin + _BATCH_ADS]
        for ad in batch:
            pictures = noise.integers(0, 64, (int(30 / STEP_S), SIDE, SIDE), dtype=np.uint8)
            looks.append(
                {
                    "video_id": ad["video_id"],
                    "duration_s": 30.0,
                    "times_s": [STEP_S * step for step in range(len(pictures))],
                    "hashes": [fields_as_text(one) for one in pictures],
                    "fingerprint": made[LOOKS],
                    "upstream_revision": ad["media_sha256"],
                }
            )
            for index in range(FRAMES):
                frame = f"{ad['video_id']}:{index}"
                jpeg = picture(frame)
                digest = hashlib.sha256(jpeg).hexdigest()
                words = [str(noise.choice(_WORDS)) for _ in range(8)] + [str(noise.integers(10_000))]
                frames.append(
                    {
                        "frame_id": frame,
                        "video_id": ad["video_id"],
                        "frame_index": index,
                        "requested_s": 5.0 * index + 2,
                        "timestamp_s": 5.0 * index + 2,
                        "width": 640,
                        "height": 360,
                        "image": {"bytes": jpeg, "path": f"{frame}.jpg"},
                        "image_sha256": digest,
                        "perceptual_hash": digest[:32],
                        "duplicates": [],
                        "fingerprint": made[FRAMES_STAGE],
                        "upstream_revision": ad["media_sha256"],
                    }
                )
                texts.append(
                    {
                        "frame_id": frame,
                        "video_id": ad["video_id"],
                        "text": " ".join(words),
                        "n_words": len(words),
                        "words": [{"text": word, "confidence": 0.9, "box": [0.0, 0.0, 9.0, 9.0]} for word in words],
                        "mean_confidence": 0.9,
                        "unread": None,
                        "engine": engine.name,
                        "engine_version": engine.version,
                        "fingerprint": made[OCR],
                        "upstream_revision": digest,
                    }
                )
        for stage, rows, key in (
            (FRAMES_STAGE, frames, "video_id"),
            (OCR, texts, "frame_id"),
            (LOOKS, looks, "video_id"),
        ):
            table = pa.Table.from_pylist(rows, schema=TABLES[stage.table].schema)
            done = [row[key] for row in rows]
            catalog.commit(stage.table, table, stage=stage.name, done=done, upstream=stage.upstream)


def picture(name: str) -> bytes:
    """A JPEG of about `PICTURE_BYTES`, of each name another: the comment in the file differs."""
    jpeg, comment = _jpeg(), hashlib.sha256(name.encode()).hexdigest().encode()
    return jpeg[:2] + b"\xff\xfe\x00\x42" + comment + jpeg[2:]


@cache
def _jpeg() -> bytes:
    import cv2
    import numpy as np

    noise = np.random.default_rng(1).normal(128, 40, (90, 160, 3)).clip(0, 255).astype(np.uint8)
    large = cv2.resize(noise, (640, 360), interpolation=cv2.INTER_CUBIC)
    encoded = (cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for quality in range(95, 5, -5))
    return next(jpeg.tobytes() for jpeg in encoded if len(jpeg) <= PICTURE_BYTES)


def _commit_scores(catalog: Catalog, settings: Settings) -> None:
    from flows.sentiment.engines import sentiment_engine
    from flows.sentiment.language import language_identifier
    from flows.sentiment.rows import score_comments
    from flows.stages import SCORES

    fingerprint = SCORES.fingerprint(settings)
    pending = catalog.pending(
        "comment_scores",
        upstream="comments",
        stage=SCORES.name,
        fingerprint=fingerprint,
        size=COMMENTS * _BATCH_ADS,
        columns=SCORES.columns,
    )
    for comments in pending:
        engine, identifier = sentiment_engine(settings.sentiment), language_identifier()
        rows, drops = score_comments(comments, engine, identifier, fingerprint=fingerprint)
        done: list[Any] = comments["comment_id"].to_pylist()
        catalog.commit("comment_scores", rows, stage=SCORES.name, drops=drops, done=done, upstream="comments")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ads", type=int, nargs="+", default=list(SIZES), help="sizes of the catalogs")
    parser.add_argument("--folder", type=Path, help="keep the catalogs there, one folder for each size")
    parser.add_argument("--json", action="store_true", help="one JSON object for each measurement")
    parser.add_argument("--make", nargs=2, metavar=("DIR", "ADS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(Path(arguments.make[0]), int(arguments.make[1]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.folder or Path(folder)
        costs = []
        for ads in arguments.ads:
            for cost in measure(root / str(ads), ads):
                costs.append(cost)
                print(cost.ads, cost.name, f"{cost.cpu_s:.1f} s, {cost.peak_mb:.0f} MB", file=sys.stderr)
    if arguments.json:
        for cost in costs:
            print(json.dumps(asdict(cost) | {"kept": cost.is_kept}))
    else:
        print_tables(_table(costs))
    return 0 if all(cost.is_kept for cost in costs) else 1


def _table(costs: list[Cost]) -> Table:
    """A row for each command, with its growth from the smallest to the largest catalog."""
    sizes = list(dict.fromkeys(cost.ads for cost in costs))
    table = Table(title="CPU seconds and peak memory")
    table.add_column("")
    for ads in sizes:
        table.add_column(f"{ads:,} ads", justify="right")
    for name in ("growth", "limit", ""):
        table.add_column(name, justify="right")
    for name in dict.fromkeys(cost.name for cost in costs):
        of_name = [cost for cost in costs if cost.name == name]
        first, last = of_name[0], of_name[-1]
        growth = f"{last.cpu_s / first.cpu_s:.1f} x, {last.peak_mb / first.peak_mb:.1f} x" if len(sizes) > 1 else "-"
        table.add_row(
            name,
            *(f"{cost.cpu_s:.1f} s, {cost.peak_mb:,.0f} MB" for cost in of_name),
            growth,
            _limit(last.limit),
            "" if last.limit is None else "kept" if all(cost.is_kept for cost in of_name) else "exceeded",
        )
    return table


def _limit(limit: Limit | None) -> str:
    if limit is None:
        return "-"
    cpu = "" if limit.cpu_s == float("inf") else f"{limit.cpu_s:g} s"
    return ", ".join(filter(None, [cpu, f"{limit.peak_mb:,.0f} MB" if limit.peak_mb else ""]))


if __name__ == "__main__":
    sys.exit(main())
