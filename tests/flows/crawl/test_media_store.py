"""Videos of ads come into the store by several lanes, are deleted once sampled, and are given up after many faults."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.compute as pc
import pytest

from data_catalog import Catalog
from flows.crawl.data_api.faults import Fault as RequestFault
from flows.crawl.data_api.faults import FaultError
from flows.crawl.media import store
from flows.crawl.media.downloader import tool
from flows.crawl.media.store import UNFINISHED, Video, delete_sampled, download_videos
from flows.crawl.status import unusable_ads
from flows.crawl.steps import Crawl
from flows.errors import CrawlError, LaneStoppedError
from flows.frames.sampling import frames_fingerprint, sample_ad
from flows.settings import Settings
from flows.stages import MEDIA
from tests.flows.crawl.clocked_crawl import crawl_by, ids_file, nothing, put, settings_for
from tests.youtube_sandbox import Fault, Sandbox, SandboxComment, SandboxVideo, World, serve, use_sandbox_extractor

NOON = datetime(2026, 11, 24, 20, tzinfo=UTC)
ADS = "all"
OF_VIDEO = ("media_path", "media_sha256", "media_size_bytes")
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
    frames: int = 5
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
        ids = ids_file(self.root / "ids.txt", self.sandbox.world.videos)
        crawl = {"categories": {ADS: {"count": self.wanted, "ids": ids}}}
        sections = {"media": {"lanes": self.lanes}, "frames": {"count": self.frames}}
        return settings_for(self.sandbox, crawl, max_attempts=self.max_attempts, **sections)

    @property
    def fingerprint(self) -> str:
        return frames_fingerprint(self.settings)

    def crawling(self) -> AbstractContextManager[Crawl]:
        return crawl_by(lambda: self.now, self.catalog, self.settings)

    def draw(self) -> list[str]:
        """Take the ads and their comments; nothing of their videos."""
        with self.crawling() as crawl:
            _draw(crawl)
        return self.ids

    def run(self) -> Crawl:
        """One run of a crawl, rounds included."""
        with self.crawling() as crawl:
            while True:
                _draw(crawl)
                crawl.fetch_videos(crawl.videos_to_fetch(), nothing)
                if not crawl.remove_unusable() or crawl.pauses:
                    return crawl

    def sample(self) -> None:
        """Frames of every video that is there, as the stage makes them."""
        settings = self.settings
        for ad in self.catalog.read("ads", where="media_status = 'present'").to_pylist():
            made = sample_ad(ad, {"youtube": self.media}, settings.frames, self.fingerprint)
            put(self.catalog, "frames", *made.rows)

    def ad(self, video_id: str) -> dict[str, object]:
        [row] = self.catalog.read("ads", where=pc.field("video_id") == video_id).to_pylist()
        return dict(row)

    @property
    def states(self) -> set[str]:
        """Of the ads' videos."""
        return set(self.catalog.values("ads", "media_status"))

    @property
    def blamed(self) -> list[str]:
        """Ads with a drop of this stage."""
        return self.catalog.values("drops", "key", where="stage = 'media'")

    def drop(self, video_id: str) -> tuple[str, str, int]:
        where = (pc.field("stage") == "media") & (pc.field("key") == video_id)
        [row] = self.catalog.read("drops", where=where).to_pylist()
        return row["kind"], row["reason"], row["attempts"]

    def asked(self) -> list[str]:
        """Videos whose watch page was asked for, in order."""
        return [asked["v"] for path, asked, _ in self.sandbox.media_requests if path == "/watch"]


def _draw(crawl: Crawl) -> None:
    crawl.list_candidates(ADS, nothing)
    crawl.draw_ads([ADS], nothing)
    crawl.read_comments(nothing)


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


@pytest.mark.parametrize("lanes", [1, 3])
def test_every_ad_is_asked_for_once_and_a_second_run_asks_for_none(place: Place, lanes: int) -> None:
    ids, place.lanes = place.begin("drawn"), lanes
    for _ in range(2):
        place.run()
        assert sorted(place.asked()) == sorted(ids)
    assert place.states == {"present"}


def test_the_video_of_an_ad_is_not_fetched_before_its_comments_are_read(place: Place) -> None:
    with place.crawling() as crawl:
        crawl.list_candidates(ADS, nothing)
        crawl.draw_ads([ADS], nothing)
        assert crawl.videos_to_fetch() == []
        crawl.read_comments(nothing)
        assert sorted(crawl.videos_to_fetch()) == sorted(place.ids)


def test_a_video_that_a_killed_run_left_whole_is_taken_without_a_request(place: Place) -> None:
    [video_id, *_] = place.begin("fetched")
    row = place.ad(video_id)
    put(place.catalog, "ads", {**row, "media_status": "missing", **dict.fromkeys(OF_VIDEO)})
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
    assert first not in place.ids
    assert fetched.rows_out == 0


# Lanes


def failing(before: Callable[[str], object]) -> Any:
    """A lane that gets no video; it calls `before` first."""

    def fetch(video_id: str) -> Video:
        before(video_id)
        raise FaultError(RequestFault("transient", "connection", "to be seen in its drop"), "a video")

    return SimpleNamespace(fetch=fetch)


def test_as_many_videos_are_in_hand_as_there_are_lanes_and_never_more(place: Place) -> None:
    ids, in_hand, most, both = place.begin("drawn"), set[str](), [], threading.Barrier(2)

    def together(video_id: str) -> None:
        in_hand.add(video_id)
        both.wait(10)
        most.append(len(in_hand))
        both.wait(10)
        in_hand.discard(video_id)

    download_videos(place.catalog, ids, failing(together), lanes=2)
    assert set(most) == {2}


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
    asked = []

    def stop_at_the_first(video_id: str) -> None:
        asked.append(video_id)
        if video_id == first:
            raise LaneStoppedError("no more for a while", NOON)
        time.sleep(0.3)

    with pytest.raises(LaneStoppedError):
        download_videos(place.catalog, [first, second, *rest], failing(stop_at_the_first), lanes=2)
    assert sorted(asked) == sorted([first, second])
    assert place.drop(second) == ("failed", "connection", 1)


def test_after_the_wall_nothing_is_asked_for_until_the_pause_is_over_and_no_ad_is_blamed(place: Place) -> None:
    place.begin("drawn")
    place.sandbox.faults.add(Fault("bot_wall"))
    first = place.run()
    assert first.pauses[0].resumes_at == place.now + timedelta(hours=24)
    place.now += timedelta(hours=23)
    again = place.run()
    assert len(place.asked()) == 1
    assert again.pauses[0].resumes_at == first.pauses[0].resumes_at
    assert place.blamed == []
    place.now += timedelta(hours=2)
    assert place.run().pauses == []
    assert place.states == {"present"}


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
    assert place.blamed == []


# Written some at a time


def test_some_videos_are_written_in_one_commit_and_all_when_it_ends(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = place.begin("drawn")
    monkeypatch.setattr(store, "BATCH_VIDEOS", 3)
    place.sandbox.faults.add(Fault("http_503", f"/media/{ids[1]}", times=None))
    before, told = place.catalog.versions()["ads"], list[float]()
    with place.crawling() as crawl:
        count = crawl.fetch_videos(ids, told.append)
    assert place.catalog.versions()["ads"] == before + 2
    assert (count.rows_in, count.rows_out, told) == (4, 3, [1] * 4)
    assert place.blamed == [ids[1]]
    assert [id_ for id_ in ids if place.ad(id_)["media_status"] == "present"] == [ids[0], *ids[2:]]


def test_what_was_fetched_long_ago_is_written_before_the_batch_is_full(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = place.begin("drawn")
    monkeypatch.setattr(store, "BATCH_S", 0.0)
    before = place.catalog.versions()["ads"]
    with place.crawling() as crawl:
        crawl.fetch_videos(ids, nothing)
    assert place.catalog.versions()["ads"] == before + len(ids)


def test_videos_that_a_killed_run_could_not_write_are_found_and_not_fetched_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = place.begin("drawn")
    with monkeypatch.context() as killed, place.crawling() as crawl:
        killed.setattr(store, "_write", lambda catalog, batch: MEDIA.count())
        crawl.fetch_videos(ids, nothing)
    assert place.states == {"missing"}
    asked = place.asked()
    assert place.run().pauses == []
    assert place.asked() == asked
    for id_ in ids:
        ad = place.ad(id_)
        video = place.media / str(ad["media_path"])
        assert (ad["media_status"], ad["media_tool"]) == ("present", tool())
        assert ad["media_sha256"] == hashlib.sha256(video.read_bytes()).hexdigest()
    assert [path for path in (place.media / UNFINISHED).iterdir() if not path.name.startswith("lock-")] == []


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
    place.frames = 7
    place.run()
    assert sorted(place.asked()) == sorted(ids)
    assert place.states == {"present"}


def test_an_ad_whose_video_is_wanted_anew_in_vain_stays_and_is_given_up(place: Place) -> None:
    ids = place.begin("sampled")
    delete_sampled(place.catalog, place.fingerprint)
    place.frames, place.max_attempts = 7, 1
    place.sandbox.faults.add(Fault("no_formats", times=None))
    for _ in range(2):
        place.run()
        assert sorted(place.asked()) == sorted(ids)
    assert place.ids == ids


def without_frames(place: Place, video_id: str) -> None:
    place.catalog.delete_groups("frames", column="video_id", values=[video_id])


def under_other_settings(place: Place, video_id: str) -> None:
    place.frames = 7


def of_a_folder(place: Place, video_id: str) -> None:
    put(place.catalog, "ads", *({**ad, "source": "folder"} for ad in place.catalog.read("ads").to_pylist()))


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


def test_an_ad_whose_video_can_never_be_had_is_replaced_in_the_same_run_and_asked_for_once(place: Place) -> None:
    [bad, *_] = place.begin("drawn")
    place.sandbox.faults.add(Fault("private", when={"v": bad}, times=None))
    for _ in range(2):
        place.run()
        assert place.drop(bad) == ("filtered", "private", 1)
        assert (len(place.ids), bad in place.ids, place.states) == (place.wanted, False, {"present"})
        assert place.asked().count(bad) == 1


def test_a_transient_fault_is_counted_once_a_run_and_after_the_last_attempt_the_ad_is_replaced(place: Place) -> None:
    [bad, *_] = place.begin("drawn")
    place.max_attempts = 2
    place.sandbox.faults.add(Fault("no_formats", when={"v": bad}, times=None))
    for attempts in (1, 2):
        place.run()
        assert place.drop(bad) == ("failed", "no_format", attempts)
        assert (len(place.ids), bad in place.ids) == (place.wanted, attempts < 2)
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
    assert place.blamed == []
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
