"""How yt-dlp is set up: one file of the right size, cookies that stay ours, and an end where it would go on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from yt_dlp import YoutubeDL

from flows.crawl.data_api.faults import Fault, FaultError
from flows.crawl.media.downloader import FORMAT, Attempt, download, format_order, js_runtimes, read_cookies
from flows.errors import CrawlError
from flows.settings.crawl import MediaSettings
from tests.youtube_sandbox import Fault as SandboxFault
from tests.youtube_sandbox import SandboxVideo, World, serve, use_sandbox_extractor
from tests.youtube_sandbox.watch import watch_page

ID = "abcDEF_1234"
QUICK = MediaSettings(request_pause_s=0, timeout_s=5, max_size_mb=1)


@pytest.fixture(scope="session", autouse=True)
def sandbox_extractor() -> None:
    use_sandbox_extractor()


# Formats


def video(name: str, width: int, height: int, **more: object) -> dict[str, object]:
    return {"format_id": name, "width": width, "height": height, "vcodec": "avc1.4d401e", "acodec": "none", **more}


SOUND = {"format_id": "140", "vcodec": "none", "acodec": "mp4a.40.2", "ext": "m4a"}
STORYBOARD = {"format_id": "sb0", "vcodec": "none", "acodec": "none", "ext": "mhtml", "width": 48, "height": 27}
WHOLE = video("18", 640, 360, acodec="mp4a.40.2")
SILENT = video("134", 640, 360)


def chosen(*formats: Mapping[str, object], height: int = 360) -> dict[str, Any]:
    """What yt-dlp itself chooses of these formats."""
    info = {
        "id": ID,
        "title": "x",
        "extractor": "youtube",
        "extractor_key": "Youtube",
        "formats": [{"url": f"https://x.y/{one['format_id']}", "ext": "mp4", **one} for one in formats],
    }
    with YoutubeDL(
        {"format": FORMAT, "format_sort": format_order(height), "quiet": True}, auto_init=False
    ) as downloader:
        found = downloader.process_ie_result(info, download=False)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("formats", "taken"),
    [
        ([SOUND, STORYBOARD, video("133", 426, 240), video("134", 640, 360), video("136", 1280, 720)], "134"),
        ([SOUND, WHOLE], "18"),
        ([SOUND, WHOLE, video("136", 1280, 720)], "18"),
        ([SOUND, video("133", 426, 240), video("135", 854, 480)], "133"),
        ([SOUND, video("135", 854, 480), video("136", 1280, 720)], "135"),
        # upright: the shorter side is what 360p means
        ([video("133", 240, 426), video("134", 360, 640), video("135", 480, 854)], "134"),
        # a wide film: 358 lines are called 480p
        ([video("134", 640, 268), video("135", 854, 358), video("136", 1280, 536)], "135"),
        ([video("243", 640, 360, vcodec="vp9"), video("396", 640, 360, vcodec="av01.0.01M.08"), SILENT], "134"),
        ([video("93", 640, 360, protocol="m3u8_native"), {**SILENT, "protocol": "https"}], "134"),
        ([video("93", 640, 360, protocol="m3u8_native"), video("133", 426, 240, protocol="https")], "93"),
        ([video("243", 640, 360, vcodec="vp9", ext="webm")], "243"),
    ],
)
def test_one_file_with_a_picture_of_the_nearest_height_is_chosen(formats: list[dict[str, object]], taken: str) -> None:
    found = chosen(*formats)

    assert found["format_id"] == taken
    assert "requested_formats" not in found


def test_sound_alone_is_no_format() -> None:
    with pytest.raises(Exception, match="Requested format is not available"):
        chosen(SOUND, STORYBOARD)


# Cookies

COOKIES = """# Netscape HTTP Cookie File
# a remark
.youtube.com\tTRUE\t/\tTRUE\t1999999999\tSID\tsecret-of-a-cookie

#HttpOnly_.youtube.com\tTRUE\t/\tTRUE\t0\tLOGIN_INFO\tsecret-of-another
"""
BROKEN = (
    "youtube.com TRUE / TRUE 0 SID secret-in-a-broken-line\n.youtube.com\tFALSE\t/\tTRUE\t0\tA\tsecret-in-another\n"
)


def test_cookies_are_read_without_the_lines_that_are_none_and_neither_printed_nor_changed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text(COOKIES + BROKEN)
    path.chmod(0o400)
    kept = [line for line in COOKIES.splitlines() if "\t" in line or line.startswith("# Netscape")]
    assert read_cookies(path).splitlines() == kept
    caplog.set_level("DEBUG")
    with serve(World([SandboxVideo(ID)])) as sandbox:
        settings = QUICK.model_copy(update={"cookies": path})
        assert download(ID, tmp_path, settings, site=sandbox.url) is None

    assert (tmp_path / f"{ID}.134.mp4").exists()
    assert path.read_text() == COOKIES + BROKEN
    assert capfd.readouterr() == ("", "")
    assert "secret" not in caplog.text


@pytest.mark.parametrize("content", [None, b"", b'[{"name": "SID", "value": "secret"}]', b"\xff\xfe", BROKEN.encode()])
def test_a_file_without_cookies_is_refused_before_anything_is_asked_for(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "cookies.txt"
    if content is not None:
        path.write_bytes(content)
    with serve(World([SandboxVideo(ID)])) as sandbox:
        with pytest.raises(CrawlError, match=r"media\.cookies = .*cookies\.txt: ") as caught:
            download(ID, tmp_path, QUICK.model_copy(update={"cookies": path}), site=sandbox.url)

        assert not sandbox.media_requests
    assert "secret" not in str(caught.value)


# Runtimes


def test_the_runtime_that_is_installed_with_us_is_named_by_its_path() -> None:
    runtimes = js_runtimes()

    assert list(runtimes) == ["deno", "node"]
    assert os.access(runtimes["deno"]["path"], os.X_OK)


# Where it is stopped


def attempt(**settings: object) -> Attempt:
    return Attempt(ID, QUICK.model_copy(update=settings), threading.Event())


def test_after_a_warning_of_429_not_one_more_request_is_made() -> None:
    listening = attempt()
    listening.warning("[youtube] abc: Unable to download webpage: HTTP Error 403: Forbidden")

    # the extractor goes on with its other clients after this, and says in the end that none worked
    with pytest.raises(FaultError, match="Too Many Requests") as caught:
        listening.warning("[youtube] abc: Unable to download webpage: HTTP Error 429: Too Many Requests (caused by x)")

    assert caught.value.fault.kind == "pause"
    assert len(listening.said) == 2


@pytest.mark.parametrize(
    ("info", "kind", "reason"),
    [
        ({"id": "the_trailer"}, "terminal", "other_video"),
        ({"id": ["a", "list"]}, "terminal", "other_video"),
        ({}, "terminal", "other_video"),
        ({"id": ID, "live_status": "is_live"}, "terminal", "live"),
        ({"id": ID, "live_status": "is_upcoming"}, "terminal", "live"),
        ({"id": ID, "live_status": "post_live"}, "transient", "processing"),
        ({"id": ID, "filesize": 1_000_001}, "terminal", "too_large"),
    ],
)
def test_what_is_not_the_recorded_video_is_refused(info: dict[str, object], kind: str, reason: str) -> None:
    with pytest.raises(FaultError) as caught:
        attempt().choose(info)

    assert (caught.value.fault.kind, caught.value.fault.reason) == (kind, reason)


@pytest.mark.parametrize("more", [{}, {"live_status": "was_live"}, {"filesize": 1_000_000}, {"filesize": "many"}])
def test_the_video_that_was_asked_for_is_not_refused(more: dict[str, object]) -> None:
    attempt().choose({"id": ID, **more})


Body = Callable[[Callable[[bytes], object]], None]


@contextmanager
def a_site(send: Body) -> Iterator[str]:
    """A site whose medium comes without a size, in whatever way `send` writes it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            if self.path.startswith("/watch"):
                self.wfile.write(watch_page(ID, SandboxVideo(ID), site, None))
                return
            try:
                send(self.wfile.write)
            except OSError:
                return

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_size_that_is_not_told_is_found_out_before_the_disk_is_full(tmp_path: Path) -> None:
    def without_end(write: Callable[[bytes], object]) -> None:
        while True:
            write(b"x" * 65_536)

    with a_site(without_end) as site:
        fault = download(ID, tmp_path, QUICK, site=site)

    assert fault
    assert (fault.kind, fault.reason) == ("terminal", "too_large")
    (part,) = tmp_path.glob("*.part")
    assert part.stat().st_size < 6_000_000  # blocks grow to 4 MB on a line as fast as this


def test_a_transfer_that_trickles_is_ended_although_every_byte_comes_in_time(tmp_path: Path) -> None:
    def trickle(write: Callable[[bytes], object]) -> None:
        while True:
            write(b"x" * 40)
            time.sleep(0.05)

    with a_site(trickle) as site:
        fault = download(ID, tmp_path, QUICK.model_copy(update={"timeout_s": 0.3}), site=site)

    assert fault
    assert (fault.kind, fault.reason) == ("transient", "connection")
    assert "the rest is asked for another time" in fault.detail


def test_a_fault_of_yt_dlp_itself_costs_this_video_alone(tmp_path: Path) -> None:
    with serve(World([SandboxVideo(ID)])) as sandbox:
        sandbox.faults.add(SandboxFault("no_formats"))

        fault = download(ID, tmp_path, QUICK, site=sandbox.url)

    assert fault == Fault("transient", "no_format", "No video formats found!")
