"""The plan of a crawl: what is left, by what it is known, and the first day on which it can be done."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from data_catalog.catalog import Catalog
from flows.crawl.plan.schedule import CategoryWork, Day, Plan, days_alone, lay_out, plan_crawl, render_plan
from flows.crawl.steps import Crawl, open_crawl, open_ledger
from flows.errors import CrawlError
from flows.settings import Settings
from tests.flows.crawl.clocked_crawl import ids_file, nothing, settings_for
from tests.youtube_sandbox import Sandbox, SandboxSettings, World, random_world, serve

counts = st.integers(0, 400)
works = st.lists(
    st.builds(CategoryWork, list_units=counts, searches=counts, reading_units=counts, videos=counts), max_size=4
)
todays = st.builds(Day, st.integers(0, 200), st.integers(0, 500), st.floats(0, 1440))
dailies = st.builds(Day, st.integers(1, 200), st.integers(1, 500), st.floats(17, 1440))


def plan_of(catalog: Catalog, settings: Settings) -> Plan:
    with open_ledger(catalog, settings, to_look=True) as ledger:
        return plan_crawl(catalog, settings, ledger, ledger.now())


@given(works, todays, dailies, st.floats(0, 3000))
def test_no_day_holds_more_than_its_quota_and_all_of_the_work_is_laid_out(
    works: list[CategoryWork], today: Day, daily: Day, paused_videos: float
) -> None:
    outcome, days = lay_out(works, today, daily, paused_videos)
    for number, day in enumerate(days):
        room = daily if number else today
        assert day.searches <= room.searches
        assert day.units <= room.units
        assert day.videos <= room.videos + 1e-6
    if outcome == "finished":
        assert sum(day.searches for day in days) == sum(work.searches for work in works)
        units = sum(work.list_units + work.searches + work.reading_units for work in works)
        assert sum(day.units for day in days) == units
        assert sum(day.videos for day in days) == pytest.approx(sum(work.videos for work in works), abs=1e-3)


@given(works, todays, dailies)
def test_a_timetable_is_never_shorter_than_its_scarcest_resource_and_never_longer_with_more(
    works: list[CategoryWork], today: Day, daily: Day
) -> None:
    outcome, days = lay_out(works, today, daily)
    if outcome != "finished":
        return
    searches = days_alone(sum(work.searches for work in works), today.searches, daily.searches)
    units = sum(work.list_units + work.searches + work.reading_units for work in works)
    assert len(days) - 1 >= max(searches or 0, days_alone(units, today.units, daily.units) or 0)
    more = Day(50, 100, 0.0)
    assert len(lay_out(works, today + more, daily + more)[1]) <= len(days)


def test_work_without_any_quota_is_never_done() -> None:
    nothing = Day(0, 0, 0.0)
    assert lay_out([CategoryWork(searches=1)], nothing, replace(nothing, videos=8640.0))[0] == "never"
    assert lay_out([], nothing, nothing)[0] == "nothing"


def test_videos_wait_for_the_end_of_their_pause() -> None:
    room = Day(0, 0, 10.0)
    outcome, days = lay_out([CategoryWork(videos=10)], room, room, paused_videos=15.0)
    assert (outcome, [day.videos for day in days]) == ("finished", [0.0, 5.0, 5.0])


def test_a_plan_needs_neither_key_nor_catalog_and_leaves_no_trace(tmp_path: Path) -> None:
    plan = plan_of(Catalog(tmp_path / "catalog"), settings_for(None, {"api_key": None}))
    assert not plan.has_key
    assert any("no key is set" in note for note in plan.notes)
    assert plan.left.searches.expected > 100
    assert plan.finish.outcome == "finished"
    assert plan.bottleneck is not None
    assert all(estimate.basis == "assumed" for category in plan.categories for estimate in category.estimates)
    assert list(tmp_path.iterdir()) == []


def test_a_budget_of_nothing_is_never_done_and_says_so(tmp_path: Path) -> None:
    plan = plan_of(Catalog(tmp_path / "catalog"), settings_for(None, {"quota": {"searches_per_day": 0}}))
    assert plan.finish.outcome == "never"
    assert "never" in rendered(plan)


def test_more_keys_shorten_a_crawl_and_the_plan_says_by_how_much(tmp_path: Path) -> None:
    plan = plan_of(Catalog(tmp_path / "catalog"), settings_for(None, {"api_key": "k1"}))
    assert [finish.keys for finish in plan.with_more_keys][:2] == [1, 2]
    days = [finish.days or 0 for finish in plan.with_more_keys]
    assert days == sorted(days, reverse=True)
    assert days[0] < (plan.finish.days or 0)


@contextmanager
def crawl_of_ids(folder: Path, world: World, wanted: int, **crawl: Any) -> Iterator[tuple[Sandbox, Catalog, Settings]]:
    """A crawl of a file of ids, without replies: its cost is known in advance."""
    with serve(world, SandboxSettings()) as sandbox:
        categories = {"all": {"count": wanted, "ids": ids_file(folder / "ids.txt", world.videos)}}
        settings = settings_for(sandbox, {"categories": categories, "comments": {"replies": "none"}, **crawl})
        yield sandbox, Catalog(folder / "catalog"), settings


def test_what_is_known_is_planned_to_the_unit(tmp_path: Path) -> None:
    world = random_world(seed=3, videos=60, comments_per_video=(1, 250), replies=False)
    with crawl_of_ids(tmp_path, world, 20, candidates_per_ad=3) as (sandbox, catalog, settings):
        listing = plan_of(catalog, settings).left
        with open_crawl(catalog, settings) as crawl:
            crawl.list_candidates("all", nothing)
            listed = sandbox.counts["k1"]["units"]
            assert listing.describing.expected == listed == 2
            left = plan_of(catalog, settings).left
            crawl_all(crawl)
        assert left.searches.at_most == 0
        assert left.units.expected == left.units.at_most == sandbox.counts["k1"]["units"] - listed
        over = plan_of(catalog, settings)
        assert (over.left.units.at_most, over.finish.outcome) == (0, "finished")
        assert left.videos.expected == over.left.videos.expected == 20, "no video was fetched yet"


def test_a_half_done_crawl_plans_only_the_rest(tmp_path: Path) -> None:
    world = random_world(seed=4, videos=20, comments_per_video=250, replies=False)
    # one unit describes the ids, one takes the ads: twenty are left, for twenty of sixty pages
    with crawl_of_ids(tmp_path, world, 20, quota={"units_per_day": 22}) as (_, catalog, settings):
        with open_crawl(catalog, settings) as crawl:
            crawl_all(crawl)
            assert crawl.pauses
        plan = plan_of(catalog, settings)
        assert plan.left.comments.expected == 40
        assert plan.left.taking.at_most == plan.left.describing.at_most == 0
        assert plan.finish.days == 2, "today is spent, then 22 units a day"


def test_a_broken_file_of_ids_is_told_before_anything_is_planned(tmp_path: Path) -> None:
    categories = {"all": {"count": 3, "ids": ids_file(tmp_path / "ids.txt", ["not an id!"])}}
    settings = settings_for(None, {"categories": categories})
    with pytest.raises(CrawlError, match=r"ids.txt, line 1"):
        plan_of(Catalog(tmp_path / "catalog"), settings)


def test_a_plan_fits_eighty_columns_uncut_and_is_json_too(tmp_path: Path) -> None:
    plan = plan_of(Catalog(tmp_path / "catalog"), settings_for(None, {"api_key": "k1"}))
    text = rendered(plan)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    told = json.loads(json.dumps(plan.as_json()))
    assert told["resources"]["searches"]["a_day"] == 100
    assert told["left"]["units"]["expected"] == plan.left.units.expected


def rendered(plan: Plan) -> str:
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(render_plan(plan))
    return capture.get()


def crawl_all(crawl: Crawl) -> None:
    crawl.list_candidates("all", nothing)
    crawl.draw_ads(["all"], nothing)
    crawl.read_comments(nothing)
