"""Status of a crawl: numbers per category as the tables have them, and why ads are missing."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from data_catalog import Catalog
from flows.commands.crawl import print_status
from flows.crawl.data_api.quota import next_reset
from flows.crawl.status import CategoryStatus, CrawlStatus, read_status, render_status
from flows.crawl.steps import Crawl
from flows.errors import LaneStoppedError, QuotaExhaustedError
from tests.flows.crawl.clocked_crawl import crawl_by, ids_file, nothing, put, settings_for
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

    def crawling(self) -> AbstractContextManager[Crawl]:
        files = {name: ids_file(self.root.with_name(f"{name}.txt"), FOUND[name]) for name in self.wanted}
        categories = {name: {"count": count, "ids": files[name]} for name, count in self.wanted.items()}
        crawl = {"attempts": 1, "categories": categories, "quota": {"units_per_day": self.units}}
        return crawl_by(lambda: NOON, self.catalog, settings_for(self.sandbox, crawl, max_attempts=self.max_attempts))

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
    food, cars = CategoryStatus(FOOD, 2, 4, 2, 2, 2, ""), CategoryStatus(CARS, 1, 2, 1, 1, 1, "")
    assert crawled[1] == CrawlStatus((food, cars), n_comments=3 * 3)


def test_an_ad_is_with_comments_only_when_they_were_read_to_the_end(catalog: Catalog) -> None:
    [ad] = catalog.values("ads", "video_id", where=f"category = '{CARS}'")
    put(catalog, "comment_fetches", {"video_id": ad, "state": "open"})
    row = of(status_of(catalog, {CARS: 1}), CARS)
    assert (row.drawn, row.with_comments) == (1, 0)


def test_a_video_that_was_deleted_after_sampling_counts_as_fetched(catalog: Catalog) -> None:
    deleted = {"media_status": "deleted", "media_path": None}
    put(catalog, "ads", *(ad | deleted for ad in catalog.read("ads").to_pylist()))
    assert of(status_of(catalog, {FOOD: 2}), FOOD).with_video == 2


def test_ads_of_a_folder_and_of_categories_no_longer_wanted_are_not_counted(catalog: Catalog) -> None:
    put(catalog, "ads", {"video_id": "of a folder", "source": "folder", "category": FOOD})
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


@pytest.mark.parametrize(
    ("fault", "max_attempts", "left"),
    [
        ("http_503", 3, ("2 server_error",)),
        ("http_503", 1, ()),  # given up
        ("comments_disabled", 3, ()),  # can never be had
    ],
)
def test_only_faults_that_are_tried_again_are_numbered_by_reason(
    place: Place, fault: str, max_attempts: int, left: tuple[str, ...]
) -> None:
    place.max_attempts = max_attempts
    place.sandbox.faults.add(Fault(fault, "commentThreads", times=2))
    assert place.run().left == left
    assert place.run().left == ()


# What is printed


def test_the_table_has_a_line_for_every_category(crawled: tuple[Path, CrawlStatus]) -> None:
    console = Console(width=100, file=io.StringIO())
    with console.capture() as capture:
        console.print(render_status(crawled[1]))
    lines = [line.split() for line in capture.get().splitlines()]
    assert ["food", "2", "4", "2", "2", "2"] in lines
    assert ["cars", "1", "2", "1", "1", "1"] in lines


def test_shortfalls_faults_and_pauses_are_told_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    row = CategoryStatus("[cars]", 1_250, 2, 1, 0, 0, "[cars]: 1,249 of 1,250 ads short")
    print_status(CrawlStatus((row,), 0, ("today's units are spent",), NOON, ("3 server_error",)), False)
    text = capsys.readouterr().out
    assert ["[cars]", "1,250"] in [line.split()[:2] for line in text.splitlines()]
    for told in (row.shortfall, "for a later run: 3 server_error", "paused: today's units are spent", "run the same"):
        assert told in text


def test_as_json_it_says_the_same_to_programs(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.wanted = {FOOD: 2, CARS: 5}
    place.units = 1
    status = place.run()
    print_status(status, True)
    told = json.loads(capsys.readouterr().out)["crawl"]
    told["resumes_at"] = datetime.fromisoformat(told["resumes_at"])
    categories = [vars(row) for row in status.categories]
    assert told == {**vars(status), "categories": categories, "paused": list(status.paused), "left": list(status.left)}
