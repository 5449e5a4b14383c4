"""Status of a crawl: numbers per category as the tables have them, and why ads are missing."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from data_catalog import TABLES, Catalog
from flows.commands.crawl import print_status
from flows.crawl.data_api.quota import next_reset
from flows.crawl.status import CategoryStatus, CrawlStatus, read_status, render_status
from flows.crawl.steps import Crawl
from flows.errors import LaneStoppedError, QuotaExhaustedError
from flows.settings import Settings
from tests.flows.crawl.clocked_crawl import crawl_by
from tests.youtube_sandbox import Fault, Sandbox, SandboxComment, SandboxVideo, World, serve, use_sandbox_extractor

NOON = datetime(2026, 11, 24, 20, tzinfo=UTC)
FOOD, CARS = "food", "cars"
FOUND = {FOOD: [f"food{number:07d}" for number in range(4)], CARS: [f"cars{number:07d}" for number in range(2)]}


@dataclass
class Place:
    """A crawl of two categories, run by run."""

    root: Path
    sandbox: Sandbox
    wanted: dict[str, int] = field(default_factory=lambda: {FOOD: 2, CARS: 1})
    units: int = 999
    max_attempts: int = 3

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.root)

    @contextmanager
    def crawling(self) -> Iterator[Crawl]:
        categories = {}
        for name, count in self.wanted.items():
            ids = self.root.with_name(f"{name}.txt")
            ids.write_text("\n".join(FOUND[name]))
            categories[name] = {"count": count, "ids": ids}
        address = {"endpoint": self.sandbox.url, "site": self.sandbox.url}
        crawl = {"api_key": "k1", "backoff_s": 0, "attempts": 1, "categories": categories, **address}
        crawl["quota"] = {"units_per_day": self.units}
        media = {"pause_s": [0, 0], "request_pause_s": 0, "timeout_s": 5}
        settings = Settings.model_validate(
            {"crawl": crawl, "media": media, "runner": {"max_attempts": self.max_attempts}}
        )
        with crawl_by(lambda: NOON, self.catalog, settings) as crawl_run:
            yield crawl_run

    def run(self, *, videos: bool = False) -> CrawlStatus:
        """One round of a crawl, as far as the quota goes."""
        with self.crawling() as crawl:
            listings = [crawl.list_candidates(category, nothing) for category in self.wanted]
            draws = crawl.draw_ads([listing.category for listing in listings if listing.complete], nothing)
            crawl.read_comments(nothing)
            if videos:
                crawl.fetch_videos(crawl.videos_to_fetch(), nothing)
            crawl.remove_unusable()
            return read_status(self.catalog, self.wanted, draws, crawl.pauses, self.max_attempts)


def nothing(more: float) -> None:
    pass


@contextmanager
def place_in(folder: Path) -> Iterator[Place]:
    videos = [
        SandboxVideo(id_, threads=[SandboxComment(f"Ugx-{id_}-{number}", "words", NOON) for number in range(3)])
        for ids in FOUND.values()
        for id_ in ids
    ]
    with serve(World(videos)) as sandbox:
        yield Place(folder / "catalog", sandbox)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with place_in(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CrawlStatus]:
    """A catalog that was crawled to the end, and its status then."""
    use_sandbox_extractor()
    with place_in(tmp_path_factory.mktemp("crawled")) as made:
        return made.root, made.run(videos=True)


@pytest.fixture
def catalog(crawled: tuple[Path, CrawlStatus], tmp_path: Path) -> Catalog:
    """A copy of it."""
    return Catalog(shutil.copytree(crawled[0], tmp_path / "catalog"))


def status_of(catalog: Catalog, wanted: dict[str, int]) -> CrawlStatus:
    return read_status(catalog, wanted, [], [], 3)


def of(status: CrawlStatus, category: str) -> CategoryStatus:
    return next(row for row in status.categories if row.category == category)


# Numbers


def test_a_crawl_that_has_not_begun_stands_at_nothing(tmp_path: Path) -> None:
    status = read_status(Catalog(tmp_path), {FOOD: 2}, [], [], 3)
    assert status == CrawlStatus((CategoryStatus(FOOD, 2, 0, 0, 0, 0, ""),), n_comments=0)
    assert list(tmp_path.iterdir()) == []


def test_every_category_has_its_own_numbers_and_a_full_one_nothing_to_explain(
    crawled: tuple[Path, CrawlStatus],
) -> None:
    _, status = crawled
    assert of(status, FOOD) == CategoryStatus(FOOD, 2, 4, 2, 2, 2, "")
    assert of(status, CARS) == CategoryStatus(CARS, 1, 2, 1, 1, 1, "")
    assert status.n_comments == 3 * 3
    assert (status.paused, status.resumes_at, status.left) == ((), None, ())


def test_an_ad_is_with_comments_only_when_they_were_read_to_the_end(catalog: Catalog) -> None:
    [ad] = catalog.values("ads", "video_id", where=f"category = '{CARS}'")
    begun = {"video_id": ad, "state": "open"}
    catalog.merge("comment_fetches", pa.Table.from_pylist([begun], schema=TABLES["comment_fetches"].schema))
    row = of(status_of(catalog, {CARS: 1}), CARS)
    assert (row.drawn, row.with_comments) == (1, 0)


def test_a_video_that_was_deleted_after_sampling_counts_as_fetched(catalog: Catalog) -> None:
    ads = [{**ad, "media_status": "deleted", "media_path": None} for ad in catalog.read("ads").to_pylist()]
    catalog.merge("ads", pa.Table.from_pylist(ads, schema=TABLES["ads"].schema))
    assert of(status_of(catalog, {FOOD: 2}), FOOD).with_video == 2


def test_ads_of_a_folder_and_of_categories_no_longer_wanted_are_not_counted(catalog: Catalog) -> None:
    folder = [{"video_id": "of a folder", "source": "folder", "category": FOOD}]
    catalog.merge("ads", pa.Table.from_pylist(folder, schema=TABLES["ads"].schema))
    assert [(row.category, row.drawn) for row in status_of(catalog, {FOOD: 2}).categories] == [(FOOD, 2)]


# Why it falls short


def test_ads_that_were_lost_are_among_the_reasons(place: Place) -> None:
    place.wanted = {CARS: 2}
    place.sandbox.faults.add(Fault("comments_disabled", "commentThreads", {"videoId": FOUND[CARS][0]}, times=None))
    place.run()
    assert of(place.run(), CARS).shortfall == "cars: 1 of 2 ads short (of 2 candidates: 1 comments_disabled)"


def test_a_category_whose_candidates_are_not_all_listed_is_not_yet_short_of_any(place: Place) -> None:
    place.wanted = {FOOD: 4, CARS: 5}
    place.units = 1
    status = place.run()
    assert of(status, CARS) == CategoryStatus(CARS, 5, 0, 0, 0, 0, "")
    assert status.resumes_at


# What waits


def test_each_pause_is_told_once_with_the_first_moment_at_which_something_can_go_on(tmp_path: Path) -> None:
    spent = QuotaExhaustedError("today's units are spent", NOON + timedelta(hours=12))
    wall = LaneStoppedError("YouTube asked whether we are a robot", NOON + timedelta(hours=1))
    status = read_status(Catalog(tmp_path), {}, [], [spent, wall, spent], 3)
    assert status.paused == (spent.reason, wall.reason)
    assert status.resumes_at == wall.resumes_at


def test_a_spent_quota_waits_for_midnight_in_california(place: Place) -> None:
    place.units = 4
    status = place.run()
    assert len(status.paused) == 1
    assert status.resumes_at == next_reset(NOON)


def test_faults_that_are_tried_again_are_numbered_by_reason(place: Place) -> None:
    place.sandbox.faults.add(Fault("http_503", "commentThreads", times=2))
    status = place.run()
    assert status.left == ("2 server_error",)
    assert place.run().left == ()


def test_what_is_given_up_is_not_left_for_a_later_run(place: Place) -> None:
    place.max_attempts = 1
    place.sandbox.faults.add(Fault("http_503", "commentThreads", times=None))
    assert place.run().left == ()


def test_what_can_never_be_had_is_not_left_for_a_later_run(place: Place) -> None:
    place.sandbox.faults.add(Fault("comments_disabled", "commentThreads", times=None))
    assert place.run().left == ()


# What is printed


def text_of(status: CrawlStatus, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> str:
    print_status(status, as_json)
    return capsys.readouterr().out


def test_the_table_has_a_line_for_every_category(crawled: tuple[Path, CrawlStatus]) -> None:
    console = Console(width=100, file=io.StringIO())
    with console.capture() as capture:
        console.print(render_status(crawled[1]))
    lines = [line.split() for line in capture.get().splitlines()]
    assert ["food", "2", "4", "2", "2", "2"] in lines
    assert ["cars", "1", "2", "1", "1", "1"] in lines


def test_shortfalls_faults_and_pauses_are_told_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    row = CategoryStatus("[cars]", 1_250, 2, 1, 0, 0, "[cars]: 1,249 of 1,250 ads short")
    text = text_of(CrawlStatus((row,), 0, ("today's units are spent",), NOON, ("3 server_error",)), capsys)
    assert ["[cars]", "1,250"] in [line.split()[:2] for line in text.splitlines()]
    assert "[cars]: 1,249 of 1,250 ads short" in text
    assert "for a later run: 3 server_error" in text
    assert "paused: today's units are spent" in text
    assert "run the same command again" in text


def test_as_json_it_says_the_same_to_programs(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.wanted = {FOOD: 2, CARS: 5}
    place.units = 1
    status = place.run()
    told = json.loads(text_of(status, capsys, as_json=True))["crawl"]
    assert told["categories"] == [vars(row) for row in status.categories]
    assert datetime.fromisoformat(told["resumes_at"]) == status.resumes_at
    assert told["paused"] == list(status.paused)
    assert told["n_comments"] == 0
