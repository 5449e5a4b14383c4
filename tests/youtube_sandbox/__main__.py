"""Serves a sandbox of rendered ads, so that a whole crawl can be tried without a key and without YouTube."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from tqdm import tqdm

from data_catalog.errors import YtbAdsError
from flows.sample import render_sample
from tests.youtube_sandbox.builders import default_phrases
from tests.youtube_sandbox.extractor import FOLDER
from tests.youtube_sandbox.sample_world import handle_of, playlist_of, world_of_folder
from tests.youtube_sandbox.server import Sandbox, SandboxSettings

KEY = "sandbox"
# a fresh catalog has a fresh ledger: its quota is the one that counts, not the sandbox's
_PLENTY = 10**6


def main(arguments: list[str] | None = None) -> int:
    """Render what is missing, write the settings of a crawl, and serve until Ctrl-C."""
    given = _parser().parse_args(arguments)
    try:
        sandbox = _open(given)
        settings = given.dir / "ytb_ads.toml"
        settings.write_text(crawl_settings(sandbox.url, ads=given.ads), "utf-8")
    except YtbAdsError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{error.filename or f'port {given.port}'}: {error.strerror}; choose another --port or --dir")
    _say(_welcome(sandbox, settings, given.dir / "catalog"))
    try:
        sandbox.serve_forever()
    except KeyboardInterrupt:
        requests = sum(sum(counts.values()) for counts in sandbox.counts.values())
        _say(f"\nstopped after {requests:,} calls and {len(sandbox.media_requests):,} requests for media")
    return 0


def crawl_settings(url: str, *, ads: int) -> str:
    """Settings that point a crawl at a sandbox of so many ads, every way of listing candidates among them."""
    food, movies, health, apparel = default_phrases()
    count = max(1, ads // 10)
    listed = {
        food: f"search = {json.dumps(default_phrases()[food])}",
        movies: f'playlists = ["{playlist_of(movies)}"]',
        health: f'channels = ["{handle_of(health)}"]',
        apparel: f"search = {json.dumps(default_phrases()[apparel])}",
    }
    categories = "\n".join(f'[crawl.categories."{name}"]\ncount = {count}\n{how}\n' for name, how in listed.items())
    return (
        "# Written by `python -m tests.youtube_sandbox`: a crawl of the sandbox instead of YouTube.\n"
        f'[crawl]\nendpoint = "{url}"\nsite = "{url}"\nslice_days = 365\n\n'
        '[crawl.filters]\npublished_after = 2024-01-01\nregion = "US"\n\n'
        f"{categories}\n[media]\npause_s = [0, 0.2]\nrequest_pause_s = 0\n"
    )


def _open(given: argparse.Namespace) -> Sandbox:
    folder = given.dir / "ads"
    with tqdm(total=given.ads, desc="rendering: ads", disable=None) as bar:

        def advance(ads: float) -> None:
            bar.update(ads)

        render_sample(folder, ads=given.ads, progress=advance)
    settings = SandboxSettings(
        keys=(KEY,),
        searches_per_day=_PLENTY,
        units_per_day=_PLENTY,
        latency_s=given.latency_ms / 1000,
        port=given.port,
    )
    return Sandbox(world_of_folder(folder), settings)


def _welcome(sandbox: Sandbox, settings: Path, catalog: Path) -> str:
    videos = sandbox.world.videos
    comments = sum(len(sandbox.world.api_comments(video_id)) for video_id in videos)
    command = Path(sys.executable).with_name("ytb-ads")
    run = _near(command) if command.exists() else "ytb-ads"
    options = f"--config {_near(settings)} --catalog {_near(catalog)}"
    return (
        f"{len(videos)} videos with {comments:,} comments at {sandbox.url}; Ctrl-C stops it.\n\n"
        "In a second terminal:\n"
        f"  export PYTHONPATH={_near(FOLDER)} YTB_ADS__CRAWL__API_KEY={KEY}\n"
        f"  {run} crawl --plan {options}\n"
        f"  {run} crawl {options}\n"
        f"  {run} build --source youtube {options}\n"
    )


def _near(path: Path) -> str:
    """The shorter of a path's two spellings."""
    return min(os.path.relpath(path), str(path.absolute()), key=len)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.youtube_sandbox",
        description="Serve a stand-in for YouTube on this machine: rendered ads with comments, behind the Data API and "
        "watch pages. It writes the settings of a crawl and says which commands to run beside it.",
        epilog="Example: python -m tests.youtube_sandbox --ads 40 --latency-ms 20",
    )
    parser.add_argument("--port", type=int, default=8765, help="port to listen at; 0 takes a free one (default: 8765)")
    parser.add_argument("--ads", type=int, default=40, help="ads to render, once (default: 40)")
    parser.add_argument("--latency-ms", type=float, default=20, help="wait before every answer (default: 20)")
    parser.add_argument("--dir", type=Path, default=Path("sandbox"), help="folder for everything (default: sandbox)")
    return parser


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
