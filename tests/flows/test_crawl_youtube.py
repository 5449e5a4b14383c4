"""A whole crawl against the stand-in, on a real Prefect server: from listing to a release, paused and resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_catalog.catalog import Catalog
from data_catalog.releases import newest_release, read_manifest, verify_release
from tests.flows.conftest import Run
from tests.youtube_sandbox import Fault, Sandbox, SandboxSettings, serve
from tests.youtube_sandbox.__main__ import crawl_settings
from tests.youtube_sandbox.sample_world import world_of_folder

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]

KEY = "AIzaSandboxKeyThatMustNotShow0123456789"


@dataclass
class Place:
    """Where a test crawls: the stand-in, the settings that point at it, and a catalog of its own."""

    sandbox: Sandbox
    folder: Path
    settings: Path

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog"

    @property
    def options(self) -> tuple[str | Path, ...]:
        return ("--config", self.settings, "--catalog", self.catalog)

    def tables(self) -> Catalog:
        return Catalog(self.catalog)

    def add(self, text: str) -> None:
        self.settings.write_text(self.settings.read_text("utf-8") + text, "utf-8")


@pytest.fixture
def place(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("YTB_ADS__CRAWL__API_KEY", KEY)
    quota = {"searches_per_day": 10**6, "units_per_day": 10**6}
    with serve(world_of_folder(sample), SandboxSettings(keys=(KEY,), **quota)) as sandbox:
        settings = tmp_path / "ytb_ads.toml"
        settings.write_text(crawl_settings(sandbox.url, ads=20).replace("slice_days = 365", "slice_days = 5000"))
        yield Place(sandbox, tmp_path, settings)


def every_byte_below(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


def test_a_crawl_fills_its_categories_and_a_second_one_asks_for_nothing(place: Place, ytb_ads: Run) -> None:
    done = json.loads(ytb_ads("crawl", "--json", *place.options).stdout)["crawl"]
    tables = place.tables()
    ads = tables.read("ads").to_pylist()
    assert done["resumes_at"] is None
    with_video = [ad for ad in ads if ad["media_sha256"]]
    assert sum(category["with_video"] for category in done["categories"]) == len(with_video) > 0
    assert done["left"] == ["1 not_a_video"], "the damaged file of the sample is tried again by a later run"
    for category in done["categories"]:
        assert category["drawn"] == category["wanted"] or category["shortfall"]
    for ad in ads:
        held = tables.values("comments", "comment_id", where=f"video_id = '{ad['video_id']}'")
        assert sorted(held) == sorted(place.sandbox.world.api_comments(ad["video_id"]))
        assert ad["synthetic"], "ads of a stand-in are made up"
    for ad in with_video:
        assert (place.catalog / "media" / ad["media_path"]).stat().st_size == ad["media_size_bytes"]
        assert ad["media_tool"].startswith("yt-dlp ")
    calls = place.sandbox.counts
    ytb_ads("crawl", *place.options)
    assert place.sandbox.counts == calls


def test_a_crawl_keeps_no_key_and_no_name_in_any_file_or_line(place: Place, ytb_ads: Run) -> None:
    done = ytb_ads("build", "--source", "youtube", *place.options, check=False)
    assert KEY not in done.stdout + done.stderr
    assert len(place.tables().values("comments", "comment_id")) > 0
    people = {comment.author for video in place.sandbox.world.videos.values() for comment in video.threads}
    channels = set(place.sandbox.world.channels)
    columns = ("author_hash", "channel_hash", "query")
    kept = {
        value
        for table in ("ads", "comments", "candidates", "listings")
        for column in columns
        if column in place.tables().read(table).column_names
        for value in place.tables().values(table, column)
    }
    assert not kept & (people | channels)
    for path, content in every_byte_below(place.catalog):
        assert KEY.encode() not in content, path
        assert not [channel for channel in channels if channel.encode() in content], path


def test_a_crawl_without_quota_ends_paused_and_a_later_one_goes_on(place: Place, ytb_ads: Run) -> None:
    place.add("\n[crawl.quota]\nunits_per_day = 12\n")
    first = ytb_ads("crawl", *place.options)
    assert "paused: today's units of key" in first.stdout
    assert "can go on at" in first.stdout
    assert sum(counts["units"] for counts in place.sandbox.counts.values()) == 12
    again = ytb_ads("crawl", *place.options)
    assert "paused" in again.stdout
    assert sum(counts["units"] for counts in place.sandbox.counts.values()) == 12, "it hammers"
    place.settings.write_text(place.settings.read_text().replace("units_per_day = 12", "units_per_day = 9999"))
    done = json.loads(ytb_ads("crawl", "--json", *place.options).stdout)["crawl"]
    assert done["resumes_at"] is None
    for ad in place.tables().values("ads", "video_id"):
        held = place.tables().values("comments", "comment_id", where=f"video_id = '{ad}'")
        assert sorted(held) == sorted(place.sandbox.world.api_comments(ad))


def test_a_build_that_has_to_wait_makes_frames_and_no_release(place: Place, ytb_ads: Run) -> None:
    place.sandbox.faults.add(Fault("bot_wall", times=1, after=3))
    done = ytb_ads("build", "--source", "youtube", *place.options)
    tables = place.tables()
    assert "paused" in done.stdout
    assert "--resume-media" in done.stdout
    assert tables.count("frames") == 5 * len(tables.values("ads", "video_id", where="media_status = 'present'")) > 0
    assert not (place.catalog / "releases").exists()
    assert set(tables.values("comment_fetches", "state")) == {"complete"}, "comments go on"


def test_a_build_crawls_and_goes_on_to_a_release(place: Place, ytb_ads: Run) -> None:
    place.add('keep = false\n\n[sentiment]\nthresholds = "quantile"\nquantile = 0.5\n')
    ytb_ads("build", "--source", "youtube", *place.options)
    release = newest_release(place.catalog / "releases")
    assert verify_release(release) == []
    manifest = read_manifest(release)
    assert manifest["synthetic"] is True
    listed = next(step for step in manifest["funnel"] if step["name"] == "candidates listed")
    assert listed["rows_in"] == listed["rows_out"] + sum(listed["drops"].values())
    assert "awaits_the_draw" not in listed["drops"]
    ads = place.tables().read("ads").to_pylist()
    deleted = {ad["video_id"] for ad in ads if ad["media_status"] == "deleted"}
    assert deleted == {ad["video_id"] for ad in ads if ad["media_sha256"]} != set()
    assert not list((place.catalog / "media").glob("*.mp4"))
    asked = len(place.sandbox.media_requests)
    ytb_ads("build", "--source", "youtube", *place.options)
    again = {request[1].get("v") for request in place.sandbox.media_requests[asked:]}
    assert not again & deleted, "a video that was sampled is not fetched again"


def test_a_refused_key_is_an_error_that_does_not_name_it(
    place: Place, ytb_ads: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YTB_ADS__CRAWL__API_KEY", KEY.replace("Sandbox", "Unknown"))
    done = ytb_ads("crawl", *place.options, check=False)
    assert done.returncode == 1
    assert "accepts no key" in done.stderr
    assert KEY.replace("Sandbox", "Unknown") not in done.stderr + done.stdout


def test_the_three_questions_are_asked_one_at_a_time(ytb_ads: Run, tmp_path: Path) -> None:
    done = ytb_ads("crawl", "--plan", "--check", "--catalog", tmp_path, check=False)
    assert done.returncode == 2
    assert "one of them" in done.stderr


def test_a_check_says_what_is_ready_and_ends_with_1_when_something_is_not(place: Place, ytb_ads: Run) -> None:
    ready = ytb_ads("crawl", "--check", "--json", *place.options)
    assert all(check["ok"] is not False for check in json.loads(ready.stdout))
    place.sandbox.faults.add(Fault("key_invalid", times=100))
    failed = ytb_ads("crawl", "--check", *place.options, check=False)
    assert failed.returncode == 1
    assert "not ready to crawl" in failed.stderr
