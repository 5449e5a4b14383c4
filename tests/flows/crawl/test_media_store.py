"""Videos of ads come into the store by several lanes, are deleted once sampled, and are given up after many faults."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data_catalog import TABLES, Catalog
from flows.crawl.data_api.faults import Fault as RequestFault
from flows.crawl.data_api.faults import FaultError
from flows.crawl.data_api.quota import Ledger
from flows.crawl.media.lane import LANE
from flows.crawl.media.store import Video, delete_sampled, download_videos, media_folder
from flows.crawl.status import unusable_ads
from flows.crawl.steps import Crawl
from flows.errors import CrawlError, LaneStoppedError, SourceError
from flows.frames.sampling import frames_fingerprint, sample_ad
from flows.settings import Settings
from tests.flows.crawl.clocked_crawl import crawl_by
from tests.youtube_sandbox import Fault, Sandbox, SandboxComment, SandboxVideo, World, serve, use_sandbox_extractor

NOON = datetime(2026, 11, 24, 20, tzinfo=UTC)
ADS = "all"
IDS = tuple(f"video{number:06d}" for number in range(6))


@pytest.fixture(scope="module", autouse=True)
def sandbox_extractor() -> None:
    use_sandbox_extractor()


@dataclass
class Place:
    """A catalog that crawls a sandbox, and the clock of both."""

    root: Path
    sandbox: Sandbox
    wanted: int = 4
    lanes: int = 1
    max_attempts: int = 3
    now: datetime = NOON
    more: dict[str, object] = field(default_factory=dict)
    seeds: Path = Path()

    def begin(self, seed: str) -> list[str]:
        """Begin with a copy of a seed; returns the ids of its ads."""
        shutil.copytree(self.seeds / seed, self.root)
        return self.ids

    @property
    def ids(self) -> list[str]:
        return self.catalog.values("ads", "video_id")

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.root)

    @property
    def media(self) -> Path:
        return self.root / "media"

    @property
    def settings(self) -> Settings:
        ids = self.root / "ids.txt"
        ids.parent.mkdir(exist_ok=True)
        ids.write_text("\n".join(self.sandbox.world.videos))
        crawl = {
            "api_key": "k1",
            "endpoint": self.sandbox.url,
            "site": self.sandbox.url,
            "backoff_s": 0,
            "categories": {ADS: {"count": self.wanted, "ids": ids}},
        }
        media = {"pause_s": [0, 0], "request_pause_s": 0, "timeout_s": 5, "max_size_mb": 1, "lanes": self.lanes}
        runner = {"max_attempts": self.max_attempts}
        return Settings.model_validate({"crawl": crawl, "media": media, "runner": runner, **self.more})

    @property
    def fingerprint(self) -> str:
        return frames_fingerprint(self.settings)

    @contextmanager
    def crawling(self) -> Iterator[Crawl]:
        with crawl_by(lambda: self.now, self.catalog, self.settings) as crawl:
            yield crawl

    def draw(self) -> list[str]:
        """Take the ads and their comments; nothing of their videos."""
        with self.crawling() as crawl:
            self._draw(crawl)
        return self.catalog.values("ads", "video_id")

    def _draw(self, crawl: Crawl) -> None:
        crawl.list_candidates(ADS, nothing)
        crawl.draw_ads([ADS], nothing)
        crawl.read_comments(nothing)

    def run(self) -> Crawl:
        """One run of a crawl, rounds included."""
        with self.crawling() as crawl:
            while True:
                self._draw(crawl)
                crawl.fetch_videos(crawl.videos_to_fetch(), nothing)
                if not crawl.remove_unusable() or crawl.pauses:
                    return crawl

    def sample(self) -> None:
        """Frames of every video that is there, as the stage makes them."""
        settings = self.settings
        for ad in self.catalog.read("ads", where="media_status = 'present'").to_pylist():
            made = sample_ad(ad, {"youtube": self.media}, settings.frames, self.fingerprint)
            self.catalog.merge("frames", pa.Table.from_pylist(list(made.frames), schema=TABLES["frames"].schema))

    def ad(self, video_id: str) -> dict[str, object]:
        [row] = self.catalog.read("ads", where=pc.field("video_id") == video_id).to_pylist()
        return dict(row)

    def drop(self, video_id: str) -> tuple[str, str, int]:
        where = (pc.field("stage") == "media") & (pc.field("key") == video_id)
        [row] = self.catalog.read("drops", where=where).to_pylist()
        return row["kind"], row["reason"], row["attempts"]

    def asked(self) -> list[str]:
        """Videos whose watch page was asked for, in order."""
        return [asked["v"] for path, asked, _ in self.sandbox.media_requests if path == "/watch"]


def nothing(more: float) -> None:
    pass


def sandbox() -> AbstractContextManager[Sandbox]:
    comments = {id_: [SandboxComment(f"Ugx-{id_}", "words", NOON)] for id_ in IDS}
    return serve(World([SandboxVideo(id_, threads=comments[id_], media_bytes=100_000) for id_ in IDS]))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Catalogs of four ads to begin with: `drawn` with their comments, `fetched` with videos, `sampled` with frames."""
    folder = tmp_path_factory.mktemp("seeds")
    with sandbox() as running:
        place = Place(folder / "drawn", running)
        place.draw()
        for before, after, step in (("drawn", "fetched", Place.run), ("fetched", "sampled", Place.sample)):
            shutil.copytree(folder / before, folder / after)
            step(Place(folder / after, running))
    return folder


@pytest.fixture
def place(tmp_path: Path, seeds: Path) -> Iterator[Place]:
    with sandbox() as running:
        yield Place(tmp_path / "catalog", running, seeds=seeds)


# Fetched


def test_a_videos_row_says_where_it_lies_what_it_is_and_what_fetched_it(place: Place) -> None:
    for video_id in place.begin("fetched"):
        ad, file = place.ad(video_id), place.media / f"{video_id}.mp4"
        assert (ad["media_status"], ad["media_path"]) == ("present", file.name)
        assert ad["media_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert (ad["media_size_bytes"], ad["width"], ad["height"]) == (100_000, 640, 360)
        assert str(ad["media_tool"]).startswith("yt-dlp ")


def test_every_ad_is_asked_for_once_and_a_second_run_asks_for_none(place: Place) -> None:
    ids = place.begin("drawn")
    place.run()
    assert sorted(place.asked()) == sorted(ids)
    place.run()
    assert len(place.asked()) == place.wanted


def test_the_video_of_an_ad_is_not_fetched_before_its_comments_are_read(place: Place) -> None:
    with place.crawling() as crawl:
        crawl.list_candidates(ADS, nothing)
        crawl.draw_ads([ADS], nothing)
        assert crawl.videos_to_fetch() == []
        crawl.read_comments(nothing)
        assert sorted(crawl.videos_to_fetch()) == sorted(place.catalog.values("ads", "video_id"))


def test_a_video_that_a_killed_run_left_whole_is_taken_without_a_request(place: Place) -> None:
    [video_id, *_] = place.begin("fetched")
    row = place.ad(video_id)
    killed = {**row, "media_status": "missing", "media_path": None, "media_sha256": None, "media_size_bytes": None}
    place.catalog.merge("ads", pa.Table.from_pylist([killed], schema=TABLES["ads"].schema))
    place.run()
    assert place.sandbox.media_requests == []
    assert place.ad(video_id)["media_sha256"] == row["media_sha256"]


def test_an_ad_that_was_removed_while_its_video_came_does_not_come_back(place: Place) -> None:
    [first, *_] = place.begin("drawn")
    remove = place.catalog.delete_groups

    def remove_it(parameters: object) -> bool:
        remove("ads", column="video_id", values=[first])
        return False

    place.sandbox.faults.add(Fault("http_503", "/media/", remove_it))
    with place.crawling() as crawl:
        fetched = crawl.fetch_videos([first], nothing)
    assert first not in place.catalog.values("ads", "video_id")
    assert fetched.rows_out == 0


def test_a_catalog_on_an_object_store_has_no_place_for_videos() -> None:
    with pytest.raises(SourceError, match="local folder"):
        media_folder(Catalog("s3://bucket/catalog"))


# Lanes


def test_several_lanes_fetch_every_video_once(place: Place) -> None:
    place.wanted, place.lanes = len(IDS), 3
    place.run()
    assert sorted(place.asked()) == sorted(IDS)
    assert set(place.catalog.values("ads", "media_status")) == {"present"}


def test_as_many_videos_are_in_hand_as_there_are_lanes_and_never_more(place: Place) -> None:
    ids = place.begin("drawn")
    lane = Counting(place)
    download_videos(place.catalog, ids, lane, lanes=2)
    assert lane.most == 2


class Counting:
    """A lane that lets as many in as come at once, and notes how many that were."""

    def __init__(self, place: Place) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()
        self._both = threading.Barrier(2)

    def fetch(self, video_id: str) -> Video:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._both.wait(10)
        with self._lock:
            self._now -= 1
        raise FaultError(RequestFault("transient", "connection", "for the count only"), "a video")


def test_a_lane_that_is_stopped_lets_the_others_end_theirs_and_takes_no_more(place: Place) -> None:
    place.lanes, place.wanted = 2, len(IDS)
    first, second, *rest = place.draw()
    place.sandbox.faults.add(
        Fault("bot_wall", when={"v": first}, times=None),
        Fault("slow", f"/media/{second}", delay_s=0.2),
    )
    with place.crawling() as crawl:
        crawl.fetch_videos([first, second, *rest], nothing)
    assert [type(pause) for pause in crawl.pauses] == [LaneStoppedError]
    assert place.ad(second)["media_status"] == "present"
    assert not set(place.asked()) & set(rest)


def test_nothing_is_begun_after_a_lane_was_stopped(place: Place) -> None:
    first, second, *rest = place.begin("drawn")
    lane = Stopping(first)
    with pytest.raises(LaneStoppedError):
        download_videos(place.catalog, [first, second, *rest], lane, lanes=2)
    assert sorted(lane.asked) == sorted([first, second])
    assert place.drop(second) == ("failed", "connection", 1)


class Stopping:
    """A lane that one video stops at once, while any other takes its time."""

    def __init__(self, stops_at: str) -> None:
        self.asked: list[str] = []
        self._stops_at = stops_at

    def fetch(self, video_id: str) -> Video:
        self.asked.append(video_id)
        if video_id == self._stops_at:
            raise LaneStoppedError("no more for a while", NOON)
        time.sleep(0.3)
        raise FaultError(RequestFault("transient", "connection", "to be seen in its drop"), "a video")


def test_after_the_wall_nothing_is_asked_for_until_the_pause_is_over_and_no_ad_is_blamed(place: Place) -> None:
    place.begin("drawn")
    place.sandbox.faults.add(Fault("bot_wall"))
    first = place.run()
    assert first.pauses[0].resumes_at == place.now + timedelta(hours=24)
    place.now += timedelta(hours=23)
    again = place.run()
    assert len(place.asked()) == 1
    assert again.pauses[0].resumes_at == first.pauses[0].resumes_at
    assert place.catalog.values("drops", "key", where="stage = 'media'") == []
    place.now += timedelta(hours=2)
    assert place.run().pauses == []
    assert set(place.catalog.values("ads", "media_status")) == {"present"}


def test_a_pause_that_is_taken_back_ends_at_once(place: Place) -> None:
    place.begin("drawn")
    place.sandbox.faults.add(Fault("bot_wall"))
    place.run()
    ledger = Ledger(place.root / "quota.sqlite", limits={}, now=lambda: place.now)
    ledger.resume(LANE)
    ledger.close()
    assert place.run().pauses == []


def test_what_came_before_the_wall_is_counted_and_kept(place: Place) -> None:
    ids = place.begin("drawn")
    place.sandbox.faults.add(Fault("bot_wall", after=2, times=None))
    told: list[float] = []
    with place.crawling() as crawl:
        crawl.fetch_videos(ids, told.append)
    assert told == [1, 1]
    assert sorted(place.catalog.values("ads", "media_status")) == ["missing", "missing", "present", "present"]


def test_a_store_that_cannot_be_written_ends_the_run_and_blames_no_ad(place: Place) -> None:
    ids = place.begin("drawn")
    place.media.write_text("a file where the folder should be")
    with place.crawling() as crawl, pytest.raises(CrawlError, match="media store"):
        crawl.fetch_videos(ids, nothing)
    assert place.catalog.values("drops", "key", where="stage = 'media'") == []


# Deleted once sampled


def test_a_sampled_video_is_deleted_its_frames_and_hash_stay_and_it_is_not_fetched_again(place: Place) -> None:
    before = {id_: place.ad(id_) for id_ in place.begin("sampled")}
    n_frames = place.catalog.count("frames")
    assert delete_sampled(place.catalog, place.fingerprint) == place.wanted
    assert list(place.media.glob("*.mp4")) == []
    assert place.catalog.count("frames") == n_frames > 0
    for id_, was in before.items():
        assert place.ad(id_) == {**was, "media_status": "deleted", "media_path": None}
    place.run()
    assert place.asked() == []


def test_a_deleted_video_is_fetched_again_when_other_frames_are_wanted_of_it(place: Place) -> None:
    ids = place.begin("sampled")
    delete_sampled(place.catalog, place.fingerprint)
    place.more = {"frames": {"count": 7}}
    place.run()
    assert sorted(place.asked()) == sorted(ids)
    assert set(place.catalog.values("ads", "media_status")) == {"present"}


def test_an_ad_whose_video_is_wanted_anew_in_vain_stays_and_is_given_up(place: Place) -> None:
    ids = place.begin("sampled")
    delete_sampled(place.catalog, place.fingerprint)
    place.more, place.max_attempts = {"frames": {"count": 7}}, 1
    place.sandbox.faults.add(Fault("no_formats", times=None))
    for _ in range(2):
        place.run()
        assert sorted(place.asked()) == sorted(ids)
    assert place.ids == ids


def without_frames(place: Place, video_id: str) -> None:
    place.catalog.delete_groups("frames", column="video_id", values=[video_id])


def under_other_settings(place: Place, video_id: str) -> None:
    place.more = {"frames": {"count": 7}}


def of_a_folder(place: Place, video_id: str) -> None:
    ads = [{**ad, "source": "folder"} for ad in place.catalog.read("ads").to_pylist()]
    place.catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))


@pytest.mark.parametrize(("change", "n_stay"), [(without_frames, 1), (under_other_settings, 4), (of_a_folder, 4)])
def test_videos_without_current_frames_and_those_of_a_folder_are_not_deleted(
    place: Place, change: Callable[[Place, str], None], n_stay: int
) -> None:
    [first, *_] = place.begin("sampled")
    change(place, first)
    assert delete_sampled(place.catalog, place.fingerprint) == place.wanted - n_stay
    assert len(list(place.media.glob("*.mp4"))) == n_stay
    assert place.ad(first)["media_status"] == "present"


def test_a_deletion_that_was_killed_before_it_was_written_down_is_finished_by_the_next(place: Place) -> None:
    place.begin("sampled")
    next(place.media.glob("*.mp4")).unlink()
    assert delete_sampled(place.catalog, place.fingerprint) == place.wanted
    assert delete_sampled(place.catalog, place.fingerprint) == 0


# Faults


@pytest.mark.parametrize("trouble", ["private", "members_only", "live"])
def test_an_ad_whose_video_can_never_be_had_is_replaced_in_the_same_run_and_asked_for_once(
    place: Place, trouble: str
) -> None:
    [bad, *_] = place.begin("drawn")
    place.sandbox.faults.add(Fault(trouble, when={"v": bad}, times=None))
    place.run()
    assert place.drop(bad) == ("filtered", trouble, 1)
    assert bad not in place.ids
    assert place.catalog.values("ads", "media_status") == ["present"] * place.wanted
    place.run()
    assert place.asked().count(bad) == 1


def test_a_transient_fault_is_counted_once_a_run_and_after_the_last_attempt_the_ad_is_replaced(place: Place) -> None:
    [bad, *_] = place.begin("drawn")
    place.max_attempts = 2
    place.sandbox.faults.add(Fault("no_formats", when={"v": bad}, times=None))
    place.run()
    assert place.drop(bad) == ("failed", "no_format", 1)
    assert bad in place.ids
    place.run()
    assert place.drop(bad) == ("failed", "no_format", 2)
    assert (len(place.ids), bad in place.ids) == (place.wanted, False)
    for table in ("comments", "comment_fetches"):
        assert set(place.catalog.values(table, "video_id")) == set(place.ids), table
    asked = len(place.asked())
    place.run()
    assert len(place.asked()) == asked, "it is neither asked for nor drawn again"
    assert unusable_ads(place.catalog, 2) == {bad: "no_format"}


def test_a_fault_that_passed_leaves_no_drop(place: Place) -> None:
    [bad, *_] = place.begin("drawn")
    place.sandbox.faults.add(Fault("no_formats", when={"v": bad}))
    place.run()
    assert place.drop(bad)[0] == "failed"
    place.run()
    assert place.catalog.values("drops", "key", where="stage = 'media'") == []
    assert place.ad(bad)["media_status"] == "present"


def test_what_had_come_of_the_video_of_an_unusable_ad_is_deleted(place: Place) -> None:
    [bad, *_] = place.begin("drawn")
    place.max_attempts = 1
    place.sandbox.faults.add(Fault("cut_off", f"/media/{bad}", times=None, at_byte=50_000))
    place.run()
    assert bad not in place.ids
    assert [path for path in place.media.rglob("*") if bad in path.name] == []


def test_every_ad_that_goes_in_comes_out_or_has_a_drop_and_no_candidate_is_left_to_replace_it(place: Place) -> None:
    place.wanted = len(IDS)
    ids = place.draw()
    place.sandbox.faults.add(
        Fault("private", when={"v": ids[0]}, times=None), Fault("no_formats", when={"v": ids[1]}, times=None)
    )
    with place.crawling() as crawl:
        count = crawl.fetch_videos(ids, nothing)
    assert count.rows_in == count.rows_out + sum(count.dropped.values()) == len(IDS)
    assert count.dropped == {"private": 1, "no_format": 1}
    place.run()
    assert sorted(place.ids) == sorted(set(ids) - {ids[0]})
