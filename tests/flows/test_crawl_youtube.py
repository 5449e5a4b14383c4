"""A whole crawl against the stand-in, on a real Prefect server: from listing to a release, paused and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from data_catalog.catalog import Catalog
from data_catalog.errors import YtbAdsError
from data_catalog.releases import newest_release, read_manifest, verify_release
from flows.commands.main import app
from tests.flows.conftest import Run
from tests.youtube_sandbox import Fault, Sandbox, SandboxSettings, serve, use_sandbox_extractor
from tests.youtube_sandbox.__main__ import crawl_settings
from tests.youtube_sandbox.sample_world import world_of_folder

pytestmark = pytest.mark.slow

Command = Callable[..., Result]
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


@contextmanager
def crawling(sample: Path, folder: Path, more: str = "") -> Iterator[Place]:
    endless = SandboxSettings(keys=(KEY,), searches_per_day=10**6, units_per_day=10**6)
    with serve(world_of_folder(sample), endless) as sandbox:
        place = Place(sandbox, folder, folder / "ytb_ads.toml")
        place.settings.write_text(crawl_settings(sandbox.url, ads=20).replace("slice_days = 365", "slice_days = 5000"))
        place.add(more)
        yield place


@pytest.fixture
def place(sample: Path, tmp_path: Path) -> Iterator[Place]:
    with crawling(sample, tmp_path) as made:
        yield made


@pytest.fixture
def run(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `ytb-ads` in this process; a refusal is raised."""
    use_sandbox_extractor()
    monkeypatch.setenv("YTB_ADS__CRAWL__API_KEY", KEY)

    def invoke(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(app, [*map(str, arguments)])
        if result.exception:
            raise result.exception
        return result

    return invoke


@dataclass
class Built:
    """A build from YouTube that went on to a release, and everything that it printed."""

    place: Place
    printed: str


@pytest.fixture(scope="module")
def built(sample: Path, tmp_path_factory: pytest.TempPathFactory, ytb_ads: Run) -> Iterator[Built]:
    more = 'keep = false\n\n[sentiment]\nthresholds = "quantile"\nquantile = 0.5\n'
    folder = tmp_path_factory.mktemp("built")
    with crawling(sample, folder, more) as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("YTB_ADS__CRAWL__API_KEY", KEY)
        done = ytb_ads("build", "--source", "youtube", *place.options)
        yield Built(place, done.stdout + done.stderr)


def every_byte_below(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()


def test_a_build_crawls_every_comment_and_goes_on_to_a_release(built: Built) -> None:
    tables = built.place.tables()
    for ad in tables.read("ads").to_pylist():
        held = tables.values("comments", "comment_id", where=f"video_id = '{ad['video_id']}'")
        assert sorted(held) == sorted(built.place.sandbox.world.api_comments(ad["video_id"]))
        assert ad["synthetic"], "ads of a stand-in are made up"
        assert ad["media_sha256"] is None or ad["media_tool"].startswith("yt-dlp ")
    release = newest_release(built.place.catalog / "releases")
    assert verify_release(release) == []
    manifest = read_manifest(release)
    assert manifest["synthetic"] is True
    listed = next(step for step in manifest["funnel"] if step["name"] == "candidates listed")
    assert listed["rows_in"] == listed["rows_out"] + sum(listed["drops"].values())
    assert "awaits_the_draw" not in listed["drops"]


def test_a_crawl_keeps_no_key_and_no_name_in_any_file_or_line(built: Built) -> None:
    assert KEY not in built.printed
    world, tables = built.place.sandbox.world, built.place.tables()
    people = {comment.author for video in world.videos.values() for comment in video.threads}
    kept = {
        value
        for table in ("ads", "comments", "candidates", "listings")
        for column in ("author_hash", "channel_hash", "query")
        if column in tables.read(table).column_names
        for value in tables.values(table, column)
    }
    assert kept
    assert not kept & (people | set(world.channels))
    for path, content in every_byte_below(built.place.catalog):
        assert KEY.encode() not in content, path
        assert not [channel for channel in world.channels if channel.encode() in content], path


def test_a_second_crawl_asks_for_nothing_that_was_fetched_or_sampled(built: Built, run: Command) -> None:
    place, ads = built.place, built.place.tables().read("ads").to_pylist()
    deleted = {ad["video_id"] for ad in ads if ad["media_status"] == "deleted"}
    assert deleted == {ad["video_id"] for ad in ads if ad["media_sha256"]} != set()
    assert not list((place.catalog / "media").glob("*.mp4"))
    calls, asked = (
        {key: dict(counts) for key, counts in place.sandbox.counts.items()},
        len(place.sandbox.media_requests),
    )

    done = json.loads(run("crawl", "--json", *place.options).stdout)["crawl"]

    assert place.sandbox.counts == calls
    again = {request[1].get("v") for request in place.sandbox.media_requests[asked:]}
    assert not again & deleted, "a video that was sampled is not fetched again"
    assert done["resumes_at"] is None
    assert done["left"] == ["1 not_a_video"], "the damaged file of the sample is tried again by a later run"
    assert sum(category["with_video"] for category in done["categories"]) == len(deleted)
    for category in done["categories"]:
        assert category["drawn"] == category["wanted"] or category["shortfall"]


def test_a_crawl_without_quota_ends_paused_and_a_later_one_goes_on(place: Place, run: Command) -> None:
    place.add("\n[crawl.quota]\nunits_per_day = 12\n")
    first = run("crawl", *place.options)
    assert "paused: today's units of key" in first.stdout
    assert "can continue at" in first.stdout
    assert sum(counts["units"] for counts in place.sandbox.counts.values()) == 12
    again = run("crawl", *place.options)
    assert "paused" in again.stdout
    assert sum(counts["units"] for counts in place.sandbox.counts.values()) == 12, "it hammers"
    place.settings.write_text(place.settings.read_text().replace("units_per_day = 12", "units_per_day = 9999"))
    done = json.loads(run("crawl", "--json", *place.options).stdout)["crawl"]
    assert done["resumes_at"] is None
    for ad in place.tables().values("ads", "video_id"):
        held = place.tables().values("comments", "comment_id", where=f"video_id = '{ad}'")
        assert sorted(held) == sorted(place.sandbox.world.api_comments(ad))


def test_a_build_that_has_to_wait_makes_frames_and_no_release(place: Place, run: Command) -> None:
    place.sandbox.faults.add(Fault("bot_wall", times=1, after=3))
    done = run("build", "--source", "youtube", *place.options)
    tables = place.tables()
    assert "paused" in done.stdout
    assert "--resume-media" in done.stdout
    present = tables.read("ads", where="media_status = 'present'").to_pylist()
    assert tables.count("frames") == 5 * len(present) > 0
    for ad in present:
        assert (place.catalog / "media" / ad["media_path"]).stat().st_size == ad["media_size_bytes"]
    assert not (place.catalog / "releases").exists()
    assert set(tables.values("comment_fetches", "state")) == {"complete"}, "comments go on"


def test_a_refused_key_is_an_error_that_does_not_name_it(
    place: Place, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YTB_ADS__CRAWL__API_KEY", KEY.replace("Sandbox", "Unknown"))
    with pytest.raises(YtbAdsError, match="accepts no key") as refused:
        run("crawl", *place.options)
    assert KEY.replace("Sandbox", "Unknown") not in str(refused.value)


def test_the_three_questions_are_asked_one_at_a_time(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["crawl", "--plan", "--check", "--catalog", str(tmp_path)])
    assert done.exit_code == 2
    assert "give one of them" in " ".join(done.stderr.replace("│", " ").split())
