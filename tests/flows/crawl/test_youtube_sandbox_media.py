"""yt-dlp downloads from the sandbox as from YouTube, and says of its troubles what it says of YouTube's."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from yt_dlp import YoutubeDL
from yt_dlp.utils import DownloadError

from flows.settings import load_settings
from tests.youtube_sandbox import Fault, Sandbox, SandboxVideo, World, serve, use_sandbox_extractor, world_of_folder
from tests.youtube_sandbox.__main__ import crawl_settings
from tests.youtube_sandbox.asking import CLIENT, VIDEO, all_comments, asked, ids_of, items
from tests.youtube_sandbox.builders import TROUBLES, default_phrases
from tests.youtube_sandbox.extractor import FOLDER
from tests.youtube_sandbox.sample_world import handle_of, playlist_of

ROOT = Path(__file__).resolve().parents[3]
SIZE = 200_000


class Said:
    """What yt-dlp reports, kept instead of printed."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, text: str) -> None:
        """Nobody asks for it."""

    error = debug

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    use_sandbox_extractor()
    with serve(World([SandboxVideo(VIDEO, heights=(144, 360, 720), media_bytes=SIZE)])) as serving:
        yield serving


def fetch(sandbox: Sandbox, folder: Path, video_id: str = VIDEO, *, height: int = 360, said: Said | None = None) -> Any:
    """Download one video and give yt-dlp's description of it."""
    options = {
        "outtmpl": str(folder / "%(id)s.%(ext)s"),
        "format": "bv*",
        "format_sort": [f"res:{height}"],
        "logger": said or Said(),
        "noprogress": True,
        "retries": 1,
        "extractor_retries": 0,
        "fixup": "never",
        "cachedir": False,
    }
    with YoutubeDL(options) as downloader:
        return downloader.extract_info(f"{sandbox.url}/watch?v={video_id}", ie_key="Youtube")


def failure(sandbox: Sandbox, folder: Path, video_id: str = VIDEO, *, said: Said | None = None) -> str:
    """The message with which a download ends."""
    with pytest.raises(DownloadError) as caught:
        fetch(sandbox, folder, video_id, said=said)
    return str(caught.value)


def picture_height(path: Path) -> int:
    with av.open(str(path)) as container:
        return int(next(container.decode(video=0)).height)


@pytest.mark.parametrize("height", [144, 360, 720])
def test_yt_dlp_downloads_the_format_that_is_asked_for(sandbox: Sandbox, tmp_path: Path, height: int) -> None:
    info = fetch(sandbox, tmp_path, height=height)
    assert (info["id"], info["extractor_key"], info["height"]) == (VIDEO, "Youtube", height)
    assert {form.get("height") for form in info["formats"]} == {None, 144, 360, 720}
    assert picture_height(tmp_path / f"{VIDEO}.mp4") == height


def test_an_upright_video_has_its_shorter_side_across(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.world.add_video(SandboxVideo("uprightuprg", upright=True))
    info = fetch(sandbox, tmp_path, "uprightuprg")
    assert (info["width"], info["height"]) == (360, 640)
    assert picture_height(tmp_path / "uprightuprg.mp4") == 640


def test_a_partial_file_is_resumed(sandbox: Sandbox, tmp_path: Path) -> None:
    fetch(sandbox, tmp_path / "whole")
    sandbox.faults.add(Fault("cut_off", times=None))
    assert "more expected" in failure(sandbox, tmp_path)
    # yt-dlp keeps whole blocks only
    part = (tmp_path / f"{VIDEO}.mp4.part").stat().st_size
    assert 0.9 * SIZE / 2 < part <= SIZE / 2
    sandbox.faults.clear()
    fetch(sandbox, tmp_path)
    assert sandbox.media_requests[-1][2].startswith(f"bytes={part}-")
    assert (tmp_path / f"{VIDEO}.mp4").read_bytes() == (tmp_path / "whole" / f"{VIDEO}.mp4").read_bytes()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("private", r"Private video. Sign in if you've been granted access to this video. Use --cookies"),
        ("members_only", r"Join this channel to get access to members-only content like this video"),
        ("region_blocked", r"The uploader has not made this video available in your country"),
        ("age_restricted", r"Sign in to confirm your age. This video may be inappropriate for some users. Use --cook"),
        ("bot_wall", r"Sign in to confirm you.re not a bot. Use --cookies"),
        ("rate_limited", r"This content isn't available, try again later. The current session has been rate-limited"),
        ("gone", r"Video unavailable. This video has been removed by the uploader"),
        ("upcoming", r"This live event will begin in 3 hours"),
        ("no_formats", r"No video formats found"),
        ("only_images", r"Requested format is not available"),
        ("empty_body", r"Failed to extract any player response"),
        ("drop_before_headers", r"Failed to extract any player response"),
        ("http_403", r"Failed to extract any player response"),
        ("http_429", r"Failed to extract any player response"),
        ("http_503", r"Failed to extract any player response"),
        ("/media/ http_403", r"unable to download video data: HTTP Error 403"),
        ("/media/ http_429", r"unable to download video data: HTTP Error 429"),
        ("/media/ empty_body", r"Did not get any data blocks"),
    ],
)
def test_a_watch_page_or_a_file_in_trouble_gives_yt_dlps_own_message(
    sandbox: Sandbox, tmp_path: Path, kind: Any, message: str
) -> None:
    said = Said()
    path, _, kind = f"/watch {kind}".rpartition(" ")
    path = path.split()[-1]
    sandbox.faults.add(Fault(kind, path))
    assert re.search(message, failure(sandbox, tmp_path, said=said))
    if kind.startswith("http_") and path == "/watch":
        assert f"HTTP Error {kind[5:]}" in " ".join(said.warnings)


def test_a_live_stream_says_so_and_what_is_no_video_does_not(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.add(Fault("live", "/watch"), Fault("not_a_video"), Fault("not_a_video"))
    assert fetch(sandbox, tmp_path / "live")["live_status"] == "is_live"
    assert fetch(sandbox, tmp_path)["live_status"] == "not_live"
    assert (tmp_path / f"{VIDEO}.mp4").read_bytes().startswith(b"<!DOCTYPE html>")


def test_a_video_in_trouble_is_so_at_the_site_too(tmp_path: Path) -> None:
    use_sandbox_extractor()
    names = ("gone", "private", "members_only", "age_restricted", "region_blocked", "allowed_elsewhere", "upcoming")
    videos = [SandboxVideo(f"trouble{number:04d}") for number in range(len(names))]
    for name, video in zip(names, videos, strict=True):
        TROUBLES[name](video)
    with serve(World(videos)) as sandbox:
        said = [failure(sandbox, tmp_path, video.video_id) for video in videos]
    wanted = ("removed", "Private", "members-only", "confirm your age", "your country", "your country", "live event")
    assert [word in text for word, text in zip(wanted, said, strict=True)] == [True] * len(names)


def test_another_process_finds_the_extractor_by_its_path(sandbox: Sandbox, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "yt_dlp",
            "--ignore-config",
            "--print",
            "extractor_key",
            f"{sandbox.url}/watch?v={VIDEO}",
        ],
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "Youtube\n", done.stderr


def test_the_extractor_is_found_even_when_yt_dlp_has_looked_for_plugins_before(tmp_path: Path) -> None:
    plugins = tmp_path / "yt_dlp_plugins" / "extractor"
    plugins.mkdir(parents=True)
    script = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "import yt_dlp; yt_dlp.YoutubeDL({'quiet': True}).close()\n"
        "from tests.youtube_sandbox import use_sandbox_extractor; use_sandbox_extractor()\n"
        "print(yt_dlp.extractor.get_info_extractor('Youtube').suitable('http://127.0.0.1:1/watch?v=abcdefghijk'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize(
    ("wanted", "status", "length", "range_"),
    [
        ("", 200, SIZE, None),
        ("bytes=0-9", 206, 10, f"bytes 0-9/{SIZE}"),
        ("bytes=199990-", 206, 10, f"bytes 199990-199999/{SIZE}"),
        ("bytes=199990-300000", 206, 10, f"bytes 199990-199999/{SIZE}"),
        (f"bytes={SIZE}-", 416, 0, f"bytes */{SIZE}"),
    ],
)
def test_a_range_of_a_file_can_be_asked_for(
    sandbox: Sandbox, wanted: str, status: int, length: int, range_: str | None
) -> None:
    headers = {"Range": wanted} if wanted else {}
    answer = CLIENT.get(f"{sandbox.url}/media/{VIDEO}.mp4?height=144", headers=headers)
    assert (answer.status_code, len(answer.content), answer.headers.get("Content-Range")) == (status, length, range_)


def test_the_sample_world_has_an_ad_for_every_phrase_list_and_channel(sample: Path) -> None:
    world = world_of_folder(sample)
    infos = {path.name.partition(".")[0]: path.parent.name for path in sample.rglob("*.info.json")}
    assert len(world.videos) == len(infos) + len(TROUBLES)
    with serve(world) as sandbox:
        for category, phrases in default_phrases().items():
            ads = {video_id for video_id, of in infos.items() if of == category}
            found = {
                video_id
                for phrase in phrases
                for video_id in ids_of(items(sandbox, "search", q=phrase, type="video", maxResults=50))
            }
            assert found >= ads
            assert found.isdisjoint(infos.keys() - ads)
            listed = items(sandbox, "playlistItems", playlistId=playlist_of(category), maxResults=50)
            assert {item["snippet"]["resourceId"]["videoId"] for item in listed} >= ads
            (channel,) = asked(sandbox, "channels", forHandle=handle_of(category), part="contentDetails")["items"]
            uploads = channel["contentDetails"]["relatedPlaylists"]["uploads"]
            listed = items(sandbox, "playlistItems", playlistId=uploads, maxResults=50)
            assert {item["snippet"]["resourceId"]["videoId"] for item in listed} >= ads
        crowded = max(world.videos, key=lambda video_id: len(world.api_comments(video_id)))
        assert len(world.api_comments(crowded)) > 350
        assert set(all_comments(sandbox, crowded)) == world.api_comments(crowded)
        authors = {comment.author_channel for comment in world.comments(crowded)}
        assert all(author is not None and re.fullmatch(r"UC[\w-]{22}", author) for author in authors)


def test_the_sample_worlds_videos_are_the_rendered_files(sample: Path, tmp_path: Path) -> None:
    use_sandbox_extractor()
    path = next(path for path in sorted(sample.rglob("*.mp4")) if not path.name.startswith("."))
    with serve(world_of_folder(sample)) as sandbox:
        fetch(sandbox, tmp_path, path.stem)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_the_settings_that_are_written_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "ytb_ads.toml"
    file.write_text(crawl_settings("http://127.0.0.1:8765", ads=40))
    settings = load_settings(file)
    assert settings.crawl.endpoint == settings.crawl.site == "http://127.0.0.1:8765"
    assert {name: category.count for name, category in settings.crawl.categories.items()} == dict.fromkeys(
        default_phrases(), 4
    )


def test_the_command_serves_until_it_is_interrupted(sample: Path, tmp_path: Path) -> None:
    shutil.copytree(sample, tmp_path / "ads")
    command = [sys.executable, "-m", "tests.youtube_sandbox", "--ads", "12", "--port", "0", "--dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        said = [serving.stdout.readline() for _ in range(6)]
        url = re.search(r"http://127.0.0.1:\d+", said[0])
        assert url, said
        answer = CLIENT.get(f"{url[0]}/youtube/v3/search?part=id&type=video&q=food%20commercial&key=sandbox")
        assert answer.json()["items"]
        serving.send_signal(signal.SIGINT)
        rest, errors = serving.communicate(timeout=10)
    assert serving.returncode == 0
    assert "stopped after 1 calls" in rest
    assert "Traceback" not in errors
    assert "YTB_ADS__CRAWL__API_KEY=sandbox" in said[3]
    assert (tmp_path / "ytb_ads.toml").is_file()


def test_the_command_refuses_a_folder_with_something_else(tmp_path: Path) -> None:
    (tmp_path / "ads").mkdir()
    (tmp_path / "ads" / "holiday.txt").write_text("mine")
    command = [sys.executable, "-m", "tests.youtube_sandbox", "--dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "holds something that is no sample" in done.stderr
