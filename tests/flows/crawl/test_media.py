"""yt-dlp really downloads, over real HTTP: whole videos land in the store, everything else has a reason."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest

from flows.crawl.data_api.faults import Fault as RequestFault
from flows.crawl.data_api.faults import FaultError
from flows.crawl.data_api.quota import Ledger
from flows.crawl.media.lane import LANE, STREAK, MediaLane
from flows.crawl.media.store import Video
from flows.errors import CrawlError, LaneStoppedError
from flows.settings.crawl import MediaSettings
from tests.youtube_sandbox import Fault, Sandbox, SandboxVideo, World, serve, use_sandbox_extractor
from tests.youtube_sandbox.media import media_of

ROOT = Path(__file__).parents[3]
ID, OTHER, THIRD = "abcDEF_1234", "-begins_w1th", "third_video"
FORMAT = "134"
"""What YouTube calls 360p without sound."""
SIZE = 300_000
CUT = 100_000
QUICK = MediaSettings(request_pause_s=0, timeout_s=5, max_size_mb=1)


@pytest.fixture(scope="session", autouse=True)
def sandbox_extractor() -> None:
    use_sandbox_extractor()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    videos = [SandboxVideo(video_id, media_bytes=SIZE) for video_id in (ID, OTHER, THIRD)]
    with serve(World(videos)) as running:
        yield running
        assert not running.failures


class Clock:
    """A clock that stands still until it is turned; waiting turns it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 24, 12, tzinfo=UTC)
        self.waits: list[float] = []

    def __call__(self) -> datetime:
        return self.time

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "quota.sqlite", limits={"searches": 100, "units": 10_000}, now=clock)
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "media"


def fetch(
    sandbox: Sandbox,
    store: Path,
    video_id: str = ID,
    settings: MediaSettings = QUICK,
    wait: Callable[[float], object] = lambda seconds: None,
) -> Video:
    """One run, on a lane of its own."""
    with closing(Ledger(Path(":memory:"), limits={})) as ledger:
        return MediaLane(settings, ledger, sandbox.url, store, sleep=wait).fetch(video_id)


def refused(sandbox: Sandbox, store: Path, video_id: str = ID, settings: MediaSettings = QUICK) -> RequestFault:
    """Why the video is not fetched."""
    with pytest.raises(FaultError) as caught:
        fetch(sandbox, store, video_id, settings)
    assert caught.value.__cause__ is caught.value.__context__ is None, "nothing leads back to an address"
    return caught.value.fault


Open = Callable[..., MediaLane]


@pytest.fixture
def lane_of(sandbox: Sandbox, store: Path, ledger: Ledger, clock: Clock) -> Open:
    """Open a lane that waits by the clock."""

    def opened(seed: int = 0, folder: Path = store, **settings: object) -> MediaLane:
        made = QUICK.model_copy(update={"pause_s": (10.0, 20.0), **settings})
        return MediaLane(made, ledger, sandbox.url, folder, sleep=clock.wait, seed=seed)

    return opened


def content(sandbox: Sandbox, video_id: str = ID, height: int = 360) -> bytes:
    made = media_of(sandbox.world.videos[video_id], height)
    assert isinstance(made, bytes)
    return made


def files(store: Path) -> list[str]:
    """What lies in the store, but for locks."""
    return sorted(
        path.relative_to(store).as_posix()
        for path in store.rglob("*")
        if path.is_file() and not path.name.startswith("lock-")
    )


def part(store: Path, video_id: str = ID) -> Path:
    return store / ".unfinished" / f"{video_id}.{FORMAT}.mp4.part"


def asked(sandbox: Sandbox, path: str) -> list[str]:
    """The ranges that were asked for, request by request."""
    return [bytes_ for where, _, bytes_ in sandbox.media_requests if where.startswith(path)]


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def first_byte(range_: str) -> int:
    return int(range_.removeprefix("bytes=").partition("-")[0])


# Whole videos


@pytest.mark.parametrize("video_id", [ID, OTHER])
def test_a_video_is_fetched_looked_into_and_hashed(sandbox: Sandbox, store: Path, video_id: str) -> None:
    video, bytes_ = fetch(sandbox, store, video_id), content(sandbox, video_id)

    path, digest = store / f"{video_id}.mp4", hashlib.sha256(bytes_).hexdigest()
    assert video == Video(path, digest, SIZE, 640, 360, f"yt-dlp {version('yt-dlp')}")
    assert path.read_bytes() == bytes_
    assert files(store) == [path.name]


@pytest.mark.parametrize(
    ("offered", "wanted", "taken"),
    [
        ((144, 240, 360, 480, 720), 360, 360),
        ((144, 240, 480, 720), 360, 240),
        ((480, 720, 1080), 360, 480),
        ((144, 720), 1080, 720),
        ((144, 240), 144, 144),
    ],
)
def test_the_nearest_height_that_is_not_taller_is_taken_or_else_the_smallest(
    store: Path, offered: tuple[int, ...], wanted: int, taken: int
) -> None:
    world = World([SandboxVideo(ID, heights=offered)])
    with serve(world) as sandbox:
        video = fetch(sandbox, store, settings=QUICK.model_copy(update={"height": wanted}))

    assert video.height == taken
    assert len(asked(sandbox, "/media/")) == 1


@pytest.mark.parametrize(
    ("there", "place"),
    [
        (f"{ID}.mp4", f"{ID}.mp4"),
        (f"{ID}.webm", f"{ID}.webm"),
        # whole when the run was killed, and not yet in its place
        (f".unfinished/{ID}.{FORMAT}.mp4", f"{ID}.mp4"),
    ],
)
def test_a_whole_file_of_an_earlier_run_is_taken_without_a_request(
    sandbox: Sandbox, store: Path, there: str, place: str
) -> None:
    (store / there).parent.mkdir(parents=True)
    (store / there).write_bytes(content(sandbox))

    digest = hashlib.sha256(content(sandbox)).hexdigest()
    assert fetch(sandbox, store) == Video(store / place, digest, SIZE, 640, 360, None)
    assert not sandbox.media_requests
    assert files(store) == [place]


def test_files_beside_the_videos_are_left_alone(sandbox: Sandbox, store: Path) -> None:
    store.mkdir()
    others = [f"{ID}.info.json", f"{ID}.en.vtt", f"{ID}0.mp4", "notes.txt"]
    for name in others:
        (store / name).write_text("x")

    fetch(sandbox, store)

    assert files(store) == sorted([*others, f"{ID}.mp4"])


def test_a_damaged_file_of_an_earlier_run_is_removed_and_fetched_anew(
    sandbox: Sandbox, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.mkdir()
    (store / f"{ID}.webm").write_bytes(b"no video at all")

    assert fetch(sandbox, store).path.read_bytes() == content(sandbox)
    assert files(store) == [f"{ID}.mp4"]
    assert f"{ID}.webm is no video and is removed" in caplog.text


def test_what_comes_and_is_no_video_is_removed_and_said(sandbox: Sandbox, store: Path) -> None:
    sandbox.faults.add(Fault("not_a_video"))

    fault = refused(sandbox, store)

    assert (fault.kind, fault.reason) == ("transient", "not_a_video")
    assert "was removed" in fault.detail
    assert str(store) not in fault.detail
    assert files(store) == []
    assert fetch(sandbox, store).height == 360


# Parts


def test_a_transfer_that_breaks_goes_on_where_it_was(sandbox: Sandbox, store: Path) -> None:
    sandbox.faults.add(Fault("cut_off", at_byte=CUT))

    video = fetch(sandbox, store)

    assert video.path.read_bytes() == content(sandbox)
    first, second = (first_byte(range_) for range_ in asked(sandbox, "/media/"))
    assert first == 0
    assert CUT / 2 < second <= CUT


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(sandbox: Sandbox, store: Path) -> None:
    sandbox.faults.add(Fault("cut_off", at_byte=CUT, times=None))
    assert refused(sandbox, store).reason == "connection"
    assert files(store) == [f".unfinished/{part(store).name}"]
    have = part(store).stat().st_size
    assert CUT / 2 < have <= CUT
    before = len(sandbox.media_requests)
    sandbox.faults.clear()

    video = fetch(sandbox, store)

    assert video.path.read_bytes() == content(sandbox)
    ((_, _, range_),) = [request for request in sandbox.media_requests[before:] if request[0] != "/watch"]
    assert first_byte(range_) == have
    assert files(store) == [f"{ID}.mp4"]


def test_the_part_of_another_format_is_not_gone_on_with(sandbox: Sandbox, store: Path) -> None:
    part(store).parent.mkdir(parents=True)
    other = part(store).with_name(f"{ID}.18.mp4.part")
    other.write_bytes(b"x" * CUT)

    assert fetch(sandbox, store).path.read_bytes() == content(sandbox)
    assert first_byte(asked(sandbox, "/media/")[0]) == 0
    assert files(store) == [f"{ID}.mp4"]


KILLED = """
import sys
from pathlib import Path
from flows.crawl.data_api.quota import Ledger
from flows.crawl.media.lane import MediaLane
from flows.settings.crawl import MediaSettings
from tests.youtube_sandbox import use_sandbox_extractor
use_sandbox_extractor()
store = Path(sys.argv[2])
lane = MediaLane(MediaSettings(request_pause_s=0), Ledger(store.parent / "q.sqlite", limits={}), sys.argv[3], store)
lane.fetch(sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_run_that_is_killed_in_the_middle_leaves_a_part_that_is_gone_on_with(sandbox: Sandbox, store: Path) -> None:
    sandbox.faults.add(Fault("slow", "/media/", delay_s=30))
    run = subprocess.Popen([sys.executable, "-c", KILLED, ID, str(store), sandbox.url], cwd=ROOT)
    try:
        wait_for(lambda: part(store).exists() and part(store).stat().st_size > 0)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    have = part(store).stat().st_size
    assert 0 < have < SIZE
    assert not (store / f"{ID}.mp4").exists()
    before = len(sandbox.media_requests)

    video = fetch(sandbox, store)

    assert video.path.read_bytes() == content(sandbox)
    assert first_byte(sandbox.media_requests[before + 1][2]) == have


def test_two_that_want_the_same_video_fetch_it_once(sandbox: Sandbox, store: Path) -> None:
    sandbox.faults.add(Fault("slow", "/media/", delay_s=0.1))
    with ThreadPoolExecutor(4) as pool:
        videos = list(pool.map(lambda _: fetch(sandbox, store), range(4)))

    assert len({video.sha256 for video in videos}) == 1
    assert len(asked(sandbox, "/watch")) == 1


# Reasons


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (Fault("private"), "terminal", "private"),
        (Fault("members_only"), "terminal", "members_only"),
        (Fault("region_blocked"), "terminal", "region_blocked"),
        (Fault("age_restricted"), "terminal", "age_restricted"),
        (Fault("gone"), "terminal", "gone"),
        (Fault("live"), "terminal", "live"),
        (Fault("upcoming"), "terminal", "live"),
        (Fault("no_formats"), "transient", "no_format"),
        (Fault("only_images"), "transient", "no_format"),
        (Fault("http_403", "/watch", times=None), "transient", "forbidden"),
        (Fault("http_403", "/media/", times=None), "transient", "forbidden"),
        (Fault("http_503", "/watch", times=None), "transient", "server_error"),
        (Fault("http_503", "/media/", times=None), "transient", "server_error"),
        (Fault("empty_body", "/watch", times=None), "transient", "empty_answer"),
        (Fault("empty_body", "/media/", times=None), "transient", "empty_answer"),
        (Fault("drop_before_headers", "/watch", times=None), "transient", "connection"),
        (Fault("drop_before_headers", "/media/", times=None), "transient", "connection"),
    ],
    ids=lambda value: f"{value.kind} {value.path}" if isinstance(value, Fault) else str(value),
)
def test_every_failure_has_its_true_reason_and_costs_no_other_video(
    sandbox: Sandbox, store: Path, fault: Fault, kind: str, reason: str
) -> None:
    fault.hits = 0
    sandbox.faults.add(fault)

    found = refused(sandbox, store)

    assert (found.kind, found.reason) == (kind, reason)
    assert found.detail
    assert files(store) == []
    sandbox.faults.clear()
    assert fetch(sandbox, store, OTHER).height == 360


def test_a_transfer_is_tried_again_after_a_fault_that_passes(sandbox: Sandbox, store: Path) -> None:
    sandbox.faults.add(Fault("http_503", "/media/", times=2), Fault("drop_before_headers", "/media/"))
    waits: list[float] = []

    fetch(sandbox, store, wait=waits.append)

    assert waits == [1.0, 2.0, 4.0]


def test_a_page_that_does_not_come_is_not_waited_for_forever(sandbox: Sandbox, store: Path) -> None:
    sandbox.faults.add(Fault("slow", "/watch", delay_s=10.0, times=None))
    begun = time.monotonic()

    assert refused(sandbox, store, settings=QUICK.model_copy(update={"timeout_s": 0.2})).reason == "connection"
    assert time.monotonic() - begun < 9, "as long as one answer would have taken"


def test_a_transfer_that_falls_silent_is_asked_for_the_rest(sandbox: Sandbox, store: Path) -> None:
    sandbox.faults.add(Fault("slow", "/media/", delay_s=1.0, times=2))

    video = fetch(sandbox, store, settings=QUICK.model_copy(update={"timeout_s": 0.2}))

    assert video.path.read_bytes() == content(sandbox)
    starts = [first_byte(range_) for range_ in asked(sandbox, "/media/")]
    assert len(starts) == 3
    assert starts == sorted(set(starts))


def test_a_video_that_is_too_large_is_not_asked_for(store: Path) -> None:
    with serve(World([SandboxVideo(ID, media_bytes=1_500_000)])) as sandbox:
        fault = refused(sandbox, store)
        assert (fault.kind, fault.reason, "max_size_mb" in fault.detail) == ("terminal", "too_large", True)
        assert not asked(sandbox, "/media/")
    assert files(store) == []


@pytest.mark.parametrize("video_id", ["", "../escape", "a/b", "a b", "x" * 65, "%(title)s", "abc\n", "abc.mp4"])
def test_an_id_that_is_none_goes_nowhere(sandbox: Sandbox, store: Path, video_id: str) -> None:
    fault = refused(sandbox, store, video_id)

    assert (fault.kind, fault.reason) == ("terminal", "unusable_id")
    assert not sandbox.media_requests
    assert not store.exists()


# The disk


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
def test_a_full_disk_is_not_the_videos_fault(sandbox: Sandbox, store: Path) -> None:
    part(store).parent.mkdir(parents=True)
    part(store).symlink_to("/dev/full")

    with pytest.raises(CrawlError, match=rf"{store.name}: {os.strerror(errno.ENOSPC)}; make room") as caught:
        fetch(sandbox, store)

    assert not isinstance(caught.value, FaultError | LaneStoppedError)


def test_a_store_that_cannot_be_made_is_refused_before_anything_is_asked_for(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(CrawlError, match=r"file/media: Not a directory; make room there, or make it writable"):
        fetch(sandbox, tmp_path / "file" / "media")

    assert not sandbox.media_requests


# What is said


def test_yt_dlp_prints_nothing_and_its_lines_hold_no_signed_address(
    sandbox: Sandbox,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "ytb_ads")
    monkeypatch.setattr(logging.getLogger("ytb_ads"), "handlers", [])  # a run of Prefect leaves one that prints
    sandbox.faults.add(Fault("cut_off", at_byte=CUT), Fault("http_403", "/media/", {"v": OTHER}))
    fetch(sandbox, store)
    sandbox.faults.add(Fault("http_403", "/media/"))
    with pytest.raises(FaultError) as caught:
        fetch(sandbox, store, OTHER)

    assert capfd.readouterr() == ("", "")
    lines = [record.getMessage() for record in caplog.records if record.name == "ytb_ads"]
    assert any(f"yt-dlp, {ID}: [download] Destination" in line for line in lines)
    assert not any(record.levelno > logging.DEBUG for record in caplog.records if record.name == "ytb_ads")
    for text in (*lines, str(caught.value)):
        assert "height=" not in text
        assert "pot=" not in text


def test_nothing_is_written_outside_of_the_store(
    sandbox: Sandbox, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name, value in {"HOME": "", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config"}.items():
        monkeypatch.setenv(name, str(home / value))
    monkeypatch.chdir(home)

    fetch(sandbox, store)

    assert list(home.iterdir()) == []


# Lanes


def test_a_lane_pauses_between_requests_but_not_before_the_first_nor_for_a_video_that_is_there(
    sandbox: Sandbox, lane_of: Open, clock: Clock
) -> None:
    lane, waits = lane_of(), []
    for video_id in (ID, OTHER, ID, OTHER, THIRD):
        if video_id == THIRD:
            sandbox.faults.add(Fault("private"))
            with pytest.raises(FaultError):
                lane.fetch(video_id)
            waits.append(len(clock.waits))
        lane.fetch(video_id)
        waits.append(len(clock.waits))

    assert waits == [0, 1, 1, 1, 2, 3], "it pauses after one that failed, too"
    assert all(10 <= wait <= 20 for wait in clock.waits)
    assert len(set(clock.waits)) == 3


def test_the_same_seed_pauses_for_the_same_times(tmp_path: Path, lane_of: Open, clock: Clock) -> None:
    for number, seed in enumerate((7, 7, 8)):
        lane = lane_of(seed, tmp_path / str(number))
        for video_id in (ID, OTHER):
            lane.fetch(video_id)

    first, again, other = clock.waits
    assert first == again != other


@pytest.mark.parametrize(
    ("fault", "rest"),
    [
        (Fault("bot_wall"), timedelta(hours=24)),
        (Fault("rate_limited"), timedelta(hours=1)),
        (Fault("http_429", "/watch"), timedelta(hours=1)),
        (Fault("http_429", "/media/"), timedelta(hours=1)),
    ],
    ids=lambda value: f"{value.kind} {value.path}" if isinstance(value, Fault) else str(value),
)
def test_at_the_wall_every_lane_stops_and_asks_for_nothing_more_until_the_rest_is_over(
    sandbox: Sandbox, lane_of: Open, clock: Clock, fault: Fault, rest: timedelta
) -> None:
    fault.hits = 0
    lane, beside = lane_of(), lane_of()
    lane.fetch(THIRD)
    sandbox.faults.add(fault)

    with pytest.raises(LaneStoppedError) as met:
        lane.fetch(ID)
    requests, waits = len(sandbox.media_requests), list(clock.waits)
    with pytest.raises(LaneStoppedError) as refused:
        beside.fetch(OTHER)

    assert (len(sandbox.media_requests), clock.waits) == (requests, waits)
    assert beside.fetch(THIRD).path.name == f"{THIRD}.mp4", "a video that is there is taken"
    assert met.value.resumes_at == refused.value.resumes_at == clock.time + rest
    assert str(met.value) == str(refused.value)
    for part_ in (ID, "--resume-media", f"{met.value.resumes_at:%Y-%m-%d %H:%M} UTC", "media.pause_s"):
        assert part_ in str(refused.value)
    clock.time += rest + timedelta(minutes=1)
    assert lane.fetch(ID).height == 360


def test_the_lanes_go_on_when_their_rest_is_ended(sandbox: Sandbox, lane_of: Open, ledger: Ledger) -> None:
    sandbox.faults.add(Fault("bot_wall"))
    with pytest.raises(LaneStoppedError):
        lane_of().fetch(OTHER)
    ledger.resume(LANE)

    assert lane_of().fetch(OTHER).height == 360


def test_a_lane_that_pauses_hears_that_another_one_met_the_wall(
    sandbox: Sandbox, store: Path, ledger: Ledger, clock: Clock
) -> None:
    def wall_meanwhile(seconds: float) -> None:
        ledger.pause(LANE, clock.time + timedelta(hours=24), "met by another lane")

    lane = MediaLane(QUICK, ledger, sandbox.url, store, sleep=wall_meanwhile)
    lane.fetch(ID)
    requests = len(sandbox.media_requests)

    with pytest.raises(LaneStoppedError, match="met by another lane"):
        lane.fetch(OTHER)

    assert len(sandbox.media_requests) == requests


def test_threads_share_one_lane(lane_of: Open, clock: Clock) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lane_of().fetch, (ID, OTHER, THIRD)))

    assert len(clock.waits) == 2


def test_each_lane_has_a_pace_of_its_own(sandbox: Sandbox, lane_of: Open, clock: Clock) -> None:
    sandbox.faults.add(Fault("slow", "/watch", delay_s=0.3, times=2))
    both, lane = threading.Barrier(2, timeout=10), lane_of(lanes=2)

    def at_once(video_id: str) -> Video:
        both.wait()
        return lane.fetch(video_id)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(at_once, (ID, OTHER)))

    assert clock.waits == []
    lane.fetch(THIRD)
    assert len(clock.waits) == 1


def fail_one_after_the_other(sandbox: Sandbox, lane: MediaLane, faults: Iterable[Fault]) -> None:
    for number, fault in enumerate(faults):
        video = sandbox.world.add_video(SandboxVideo(f"one_of_many{number:02d}"))
        sandbox.faults.add(fault)
        with pytest.raises(FaultError):
            lane.fetch(video.video_id)


def test_a_fault_that_every_video_meets_stops_the_lane_before_all_are_spent_on_it(
    sandbox: Sandbox, lane_of: Open, ledger: Ledger, clock: Clock
) -> None:
    lane = lane_of()
    fail_one_after_the_other(sandbox, lane, (Fault("http_403", "/media/") for _ in range(STREAK - 1)))
    sandbox.faults.add(Fault("http_403", "/media/"))

    with pytest.raises(LaneStoppedError, match=r"videos fail one after the other \(forbidden\).*crawl --check"):
        lane.fetch(ID)

    pause = ledger.paused(LANE)
    assert pause
    assert pause.until == clock.time + timedelta(hours=1)


def test_faults_of_single_videos_do_not_add_up(sandbox: Sandbox, lane_of: Open, ledger: Ledger) -> None:
    faults = (Fault("private") if at % 6 == 5 else Fault("http_403", "/media/") for at in range(STREAK + 4))
    fail_one_after_the_other(sandbox, lane_of(), faults)

    assert ledger.paused(LANE) is None


def test_stop_ends_a_pause_at_once_and_leaves_the_lanes_open_for_the_next_run(
    sandbox: Sandbox, store: Path, ledger: Ledger
) -> None:
    lane = MediaLane(QUICK.model_copy(update={"pause_s": (60.0, 60.0)}), ledger, sandbox.url, store)
    lane.fetch(ID)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lane.fetch, OTHER)
        time.sleep(0.2)
        assert not waiting.done()
        lane.stop()
        with pytest.raises(LaneStoppedError, match="was stopped"):
            waiting.result(timeout=5)

    assert ledger.paused(LANE) is None
    with pytest.raises(LaneStoppedError):
        lane.fetch(THIRD)


def test_stop_ends_a_transfer_and_keeps_what_has_come(sandbox: Sandbox, store: Path, ledger: Ledger) -> None:
    sandbox.faults.add(Fault("slow", "/media/", delay_s=0.5))
    lane = MediaLane(QUICK, ledger, sandbox.url, store)
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(lane.fetch, ID)
        wait_for(part(store).exists)
        lane.stop()
        with pytest.raises(LaneStoppedError, match="what has come of this one is kept"):
            fetching.result(timeout=10)

    assert files(store) == [f".unfinished/{part(store).name}"]
