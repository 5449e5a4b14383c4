"""Listing candidates: what it costs, where it goes on, and that no list's fault takes anything from another."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from data_catalog.privacy.forget import forget_ad
from flows.crawl.candidates import Listing, is_done
from flows.crawl.candidates import Request as ListRequest
from flows.crawl.data_api.parsing import read_video
from flows.settings.crawl import CrawlSettings
from tests.flows.crawl.clocked_crawl import nothing
from tests.flows.crawl.listing_builders import (
    ADS,
    CHANNEL,
    PLAYLIST,
    Place,
    ids_of,
    playlist_of,
    video,
    videos,
)
from tests.flows.crawl.scripted_server import Raw, Request, answer, scripted
from tests.youtube_sandbox import Fault, SandboxSettings, Storm, World, serve

PHRASE = "a phrase"
OTHER_PLAYLIST = "PL" + "o" * 32
ONE_SLICE = {"slice_days": 7000}
FROM_PLAYLIST = {ADS: {"count": 1000, "playlists": [PLAYLIST]}}
FROM_BOTH = {ADS: {"count": 1000, "playlists": [PLAYLIST, OTHER_PLAYLIST]}}
FROM_CHANNEL = {ADS: {"count": 1000, "channels": [CHANNEL]}}
FROM_SEARCH = {ADS: {"count": 1000, "search": [PHRASE]}}

Open = Callable[..., Place]


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Serve a world and get a place that crawls it."""
    with ExitStack() as stack:

        def open_place(world: World, categories: dict[str, Any], **given: Any) -> Place:
            quota = given.pop("sandbox", SandboxSettings())
            attempts = given.pop("max_attempts", 3)
            return Place(tmp_path, stack.enter_context(serve(world, quota)), categories, given, attempts)

        yield open_place


@contextmanager
def killing_after(number: int) -> Iterator[Callable[[float], None]]:
    """What counts candidates, and ends the process when it has counted so often."""
    left = number

    def advance(more: float) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise Killed

    with pytest.raises(Killed):
        yield advance


def listed_world(count: int, **more: Any) -> World:
    """Videos that one playlist, their channel, and a search for the phrase list alike."""
    made = videos(count, found_by=(PHRASE,), **more)
    return World(made, playlists=[playlist_of(made)])


def searched(opened: Open, count: int, until: str = "2020-11-01", **given: Any) -> Place:
    """A place that searches for videos published evenly from New Year 2020 to a day."""
    since, end = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in ("2020-01-01", until))
    step = (end - since) / count
    found = [
        video(number, found_by=(PHRASE,), published_at=since + number * step + timedelta(minutes=1))
        for number in range(count)
    ]
    filters = {"published_after": "2020-01-01", "published_before": until}
    return opened(World(found), FROM_SEARCH, filters=filters, **given)


# What is listed, and what that costs


@pytest.mark.parametrize(
    ("where", "searches", "units"),
    [
        ({"playlists": [PLAYLIST]}, 0, 2 * 3),
        ({"channels": [CHANNEL]}, 0, 2 * 3),
        ({"channels": ["@sandbox"]}, 0, 1 + 2 * 3),
        ({"ids": "ids.txt"}, 0, 3),
        ({"search": [PHRASE]}, 3, 3),
    ],
    ids=["playlist", "channel", "handle", "ids", "search"],
)
def test_fifty_candidates_cost_what_the_documents_say(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: dict[str, Any], searches: int, units: int
) -> None:
    monkeypatch.chdir(tmp_path)
    place = opened(listed_world(120), {ADS: {"count": 1000, **where}}, **ONE_SLICE)
    place.ids_file(place.sandbox.world.videos)
    done = place.list()
    assert place.candidates() == sorted(place.sandbox.world.videos)
    assert (done.complete, done.new_candidates) == (True, 120)
    assert (len(place.searches), place.units) == (searches, units)


def test_of_a_file_that_has_grown_only_the_new_ids_are_described(opened: Open, tmp_path: Path) -> None:
    place = opened(World(videos(70)), {ADS: {"count": 1000, "ids": tmp_path / "ids.txt"}})
    place.ids_file(ids_of(videos(60)))
    place.list()
    place.ids_file(ids_of(videos(70)))
    place.list()
    asked = [video_id for _, parameters, _ in place.sandbox.requests for video_id in parameters["id"].split(",")]
    assert sorted(asked) == sorted(ids_of(videos(70)))


def test_no_search_is_made_while_the_cheap_lists_give_enough(opened: Open) -> None:
    place = opened(listed_world(40), {ADS: {"count": 20, "playlists": [PLAYLIST], "search": [PHRASE]}})
    assert place.list().complete
    assert place.searches == []


def test_candidates_that_the_filters_turn_away_do_not_count_as_enough(opened: Open) -> None:
    short = videos(30, start=100, duration_s=1)
    found = videos(40, found_by=(PHRASE,))
    place = opened(
        World([*short, *found], playlists=[playlist_of(short)]),
        {ADS: {"count": 15, "playlists": [PLAYLIST], "search": [PHRASE]}},
        **ONE_SLICE,
    )
    place.list()
    assert len(place.candidates()) == 70
    assert len(place.searches) == 1


def test_one_video_may_be_a_candidate_of_two_categories(opened: Open) -> None:
    place = opened(listed_world(3), {**FROM_PLAYLIST, "other": {"count": 9, "channels": [CHANNEL]}})
    place.list()
    place.list("other")
    assert place.candidates() == place.candidates("other") == sorted(place.sandbox.world.videos)


def test_what_a_playlist_holds_of_deleted_and_private_videos_is_listed_as_gone(opened: Open) -> None:
    world = listed_world(4)
    world.videos["video000001"].gone = True
    world.videos["video000002"].privacy = "private"
    place = opened(world, FROM_PLAYLIST)
    place.list()
    rows = place.catalog.read("candidates", ["video_id", "availability"]).to_pylist()
    assert {row["video_id"]: row["availability"] for row in rows} == {
        "video000000": "public",
        "video000001": "gone",
        "video000002": "gone",
        "video000003": "public",
    }


@pytest.mark.parametrize(
    ("item", "availability"),
    [
        (None, "gone"),
        ({"status": {"privacyStatus": "private"}}, "gone"),
        ({"status": {"privacyStatus": "unlisted"}}, "public"),
        ({"status": {"uploadStatus": "failed"}}, "unprocessed"),
        ({"snippet": {"liveBroadcastContent": "live"}}, "live"),
        ({"status": [], "snippet": "none", "contentDetails": None, "statistics": 7}, "public"),
    ],
)
def test_what_the_api_says_of_a_video_tells_whether_it_can_be_had(item: Any, availability: str) -> None:
    assert read_video("video000000", item).availability == availability


def test_a_forgotten_ad_is_never_listed_again(opened: Open, tmp_path: Path) -> None:
    world = listed_world(3)
    place = opened(
        world,
        {ADS: {"count": 9, "playlists": [PLAYLIST], "channels": [CHANNEL], "search": [PHRASE], "ids": tmp_path / "i"}},
        **ONE_SLICE,
    )
    place.ids_file(world.videos, "i")
    forget_ad(place.catalog, "video000001")
    place.list()
    assert place.candidates() == ["video000000", "video000002"]
    described = [asked["id"] for path, asked, _ in place.sandbox.requests if path.endswith("/videos")]
    assert not [ids for ids in described if "video000001" in ids]


def test_candidates_that_became_ads_of_another_category_do_not_count_as_enough(opened: Open) -> None:
    shared, more = videos(20), videos(20, start=100, found_by=(PHRASE,))
    categories = {
        ADS: {"count": 20, "playlists": [PLAYLIST]},
        "other": {"count": 20, "playlists": [PLAYLIST], "search": [PHRASE]},
    }
    place = opened(
        World([*shared, *more], playlists=[playlist_of(shared)]), categories, candidates_per_ad=1, **ONE_SLICE
    )
    place.run()
    assert place.ads("other") == []
    place.run()
    assert place.ads("other") == ids_of(more)


# Slices of a search


def test_a_capped_search_is_halved_until_its_slices_hold_everything(opened: Open) -> None:
    place = searched(opened, 800, slice_days=400)
    done = place.list()
    assert done.complete
    assert len(place.candidates()) == 800
    states = Counter(place.catalog.values("listings", "state"))
    assert states == {"capped": 1, "complete": 2}


def test_halves_go_on_where_they_were_and_a_capped_search_is_not_made_again(opened: Open) -> None:
    place = searched(opened, 520, slice_days=400, quota={"searches_per_day": 12})
    while place.list().paused:
        place.pass_days()
    assert len(place.candidates()) == 520
    assert max(Counter(map(str, place.searches)).values()) == 1


def test_a_capped_day_ends_there(opened: Open) -> None:
    place = searched(opened, 510, "2020-01-02")
    assert place.list().complete
    assert place.catalog.values("listings", "state") == ["capped"]
    assert len(place.candidates()) == 500


def test_a_search_is_not_halved_when_there_are_candidates_enough(opened: Open) -> None:
    place = opened(listed_world(460), {ADS: {"count": 10, "search": [PHRASE]}}, **ONE_SLICE)
    assert place.list().complete
    assert len(place.searches) == 10


def test_a_slice_that_has_passed_is_listed_once_and_the_newest_one_within_a_week(opened: Open) -> None:
    place = opened(World(), FROM_SEARCH, filters={"published_after": "2026-01-01"}, slice_days=300)
    place.list()
    place.pass_days(4)
    place.list()
    assert len(place.searches) == 2
    place.pass_days(1)
    place.list()
    assert [asked["publishedAfter"] for asked in place.searches[2:]] == ["2026-10-28T00:00:00Z"]


def test_a_channel_is_listed_again_after_a_week_while_the_category_is_short(opened: Open) -> None:
    world = listed_world(3)
    place = opened(world, FROM_CHANNEL)
    place.list()
    world.add_video(video(3))
    place.list()
    assert len(place.candidates()) == 3
    place.pass_days(7)
    place.list()
    assert len(place.candidates()) == 4


def test_a_category_that_is_full_lists_nothing_again(opened: Open) -> None:
    place = opened(listed_world(3), {ADS: {"count": 1, "channels": [CHANNEL]}})
    place.list()
    before = place.units
    place.pass_days(100)
    place.list()
    assert place.units == before


# Going on after a stop


def test_after_a_spent_quota_listing_goes_on_at_the_page_after_the_last_one_kept(opened: Open) -> None:
    place = opened(listed_world(240), FROM_SEARCH, **ONE_SLICE, quota={"searches_per_day": 2})
    first = place.list()
    assert first.paused
    assert not first.complete
    assert len(place.candidates()) == 100
    assert place.drops("listings") == {}, "a spent quota is no fault of the list"
    place.pass_days()
    place.list()
    place.pass_days()
    assert place.list().complete
    assert len(place.candidates()) == 240
    assert len(place.searches) == len({asked.get("pageToken") for asked in place.searches}) == 5


def test_units_that_end_between_a_page_and_its_description_cost_that_page_again_and_nothing_more(
    opened: Open,
) -> None:
    place = opened(listed_world(120), FROM_PLAYLIST, quota={"units_per_day": 3})
    while place.list().paused:
        place.pass_days()
    assert len(place.candidates()) == 120
    assert place.units == 2 * 3 + 2


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_killed_listing_asks_at_most_for_the_page_again_that_it_was_at(opened: Open, page: int) -> None:
    place = opened(listed_world(150), FROM_PLAYLIST)
    with killing_after(page) as advance:
        place.list(advance=advance)
    assert len(place.candidates()) == 50 * page, "what was described is kept"
    assert place.list().complete
    assert place.candidates() == sorted(place.sandbox.world.videos)
    described = [asked["id"] for path, asked, _ in place.sandbox.requests if path.endswith("/videos")]
    assert len(described) == len(set(described)) == 3
    pages = [asked.get("pageToken") for path, asked, _ in place.sandbox.requests if path.endswith("/playlistItems")]
    assert len(pages) == 4


# Faults of lists


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ({"playlists": ["PL" + "x" * 32]}, "playlist_not_found"),
        ({"channels": ["UC" + "x" * 22]}, "playlist_not_found"),
        ({"channels": ["@nobody-of-this-name"]}, "channel_not_found"),
    ],
)
def test_a_list_that_does_not_exist_is_a_drop_and_the_others_are_listed(
    opened: Open, missing: dict[str, list[str]], reason: str
) -> None:
    place = opened(listed_world(3), {ADS: {"count": 9, **missing, "search": [PHRASE]}}, **ONE_SLICE)
    done = place.list()
    assert [(drop.kind, drop.reason) for drop in done.drops] == [("filtered", reason)]
    assert list(place.drops("listings").values()) == [reason]
    assert (done.complete, len(place.candidates())) == (True, 3)
    spent = place.units
    place.list()
    assert place.units == spent, "it is not asked for again this week"


def test_a_drop_of_a_list_does_not_say_whose_it_was(opened: Open) -> None:
    place = opened(listed_world(1), {ADS: {"count": 9, "channels": ["@nobody-of-this-name", "UC" + "x" * 22]}})
    place.list()
    details = place.catalog.values("drops", "detail")
    assert len(details) == 2
    assert not [detail for detail in details if "nobody-of-this-name" in detail or "x" * 22 in detail]


def test_a_fault_of_one_list_ends_that_list_only(opened: Open) -> None:
    one, other = videos(60), videos(60, start=100)
    place = opened(World([*one, *other], playlists=[playlist_of(one), playlist_of(other, OTHER_PLAYLIST)]), FROM_BOTH)
    place.sandbox.faults.add(Fault("http_500", "playlistItems", {"playlistId": PLAYLIST}, times=None, after=1))
    done = place.list()
    assert not done.complete
    assert place.candidates() == sorted([*ids_of(one)[:50], *ids_of(other)])
    assert list(place.drops("listings").values()) == ["server_error"]


@pytest.mark.parametrize(
    ("kind", "met_at"),
    [
        ("http_500", 0),
        ("http_500", 1),
        ("invalid_token", 0),
        ("invalid_token", 1),
        ("processing_failure", 0),
        ("http_403", 0),
        ("http_418", 1),
    ],
)
def test_a_list_that_fails_in_every_run_is_given_up_after_so_many(opened: Open, kind: str, met_at: int) -> None:
    place = opened(listed_world(120), FROM_PLAYLIST)
    on_a_later_page = (lambda asked: "pageToken" in asked) if met_at else None
    place.sandbox.faults.add(Fault(kind, "playlistItems", on_a_later_page, times=None))
    for _ in range(2):
        assert not place.list().complete
    assert place.list().complete, "the draw does not wait for a list that is asked for no more"
    [drop] = place.catalog.read("drops", where="stage = 'listings'").to_pylist()
    assert (drop["kind"], drop["attempts"]) == ("failed", 3)
    before = place.units
    assert place.list().complete
    assert place.units == before


def test_a_run_asks_once_for_a_list_that_fails_however_often_it_lists(opened: Open) -> None:
    place = opened(listed_world(3), FROM_PLAYLIST)
    place.sandbox.faults.add(Fault("http_500", "playlistItems", times=None))
    with place.crawling() as crawl:
        rounds = [crawl.list_candidates(ADS, nothing) for _ in range(3)]
    assert not [done for done in rounds if done.complete]
    assert place.catalog.values("drops", "attempts") == [1]


def test_a_list_that_comes_further_with_every_run_is_not_given_up(opened: Open) -> None:
    place = opened(listed_world(240), FROM_PLAYLIST, max_attempts=2)
    for _ in range(4):
        place.sandbox.faults.add(Fault("http_500", "playlistItems", times=2, after=1))
        assert not place.list().complete
        place.sandbox.faults.clear()
    assert place.list().complete
    assert len(place.candidates()) == 240


def test_a_token_that_is_not_accepted_on_resuming_begins_the_list_anew(opened: Open) -> None:
    place = opened(listed_world(240), FROM_SEARCH, **ONE_SLICE, quota={"searches_per_day": 2})
    place.list()
    place.pass_days()
    place.given["quota"] = {"searches_per_day": 100}
    place.sandbox.faults.add(Fault("invalid_token", "search", times=1))
    assert place.list().complete
    assert len(place.candidates()) == 240
    assert place.drops("listings") == {}


@pytest.mark.parametrize(
    ("kind", "calls"), [("repeat_page", 3), ("loop_tokens", 2), ("ignore_token", 2), ("empty_page", 2)]
)
def test_pages_that_lead_in_a_circle_end_their_list_in_a_few_calls(opened: Open, kind: str, calls: int) -> None:
    one, other = videos(240), videos(3, start=500)
    place = opened(World([*one, *other], playlists=[playlist_of(one), playlist_of(other, OTHER_PLAYLIST)]), FROM_BOTH)
    place.sandbox.faults.add(Fault(kind, "playlistItems", {"playlistId": PLAYLIST}, times=None))
    assert place.list().complete
    pages = [asked for path, asked, _ in place.sandbox.requests if path.endswith("Items")]
    assert len([asked for asked in pages if asked["playlistId"] == PLAYLIST]) == calls
    assert set(ids_of(other)) <= set(place.candidates())


@pytest.mark.parametrize(("fresh_videos", "calls"), [(False, 3), (True, 20)])
def test_a_list_whose_tokens_never_end_is_ended(tmp_path: Path, fresh_videos: bool, calls: int) -> None:
    pages = itertools.count(1)

    def endless(request: Request) -> Raw:
        if request.path.endswith("/videos"):
            return answer({})
        number = next(pages)
        items = [{"id": {"videoId": f"video{number if fresh_videos else 0:06d}"}}]
        return answer({"items": items, "nextPageToken": f"token {number}"})

    with scripted(endless) as server:
        place = Place(tmp_path, server, FROM_SEARCH, ONE_SLICE)  # type: ignore[arg-type]
        assert place.list().complete
        assert len([asked for asked in server.requests if asked.path.endswith("/search")]) == calls


@pytest.mark.parametrize("kind", ["repeat_page", "empty_page"])
def test_a_page_that_brings_nothing_once_costs_no_candidate(opened: Open, kind: str) -> None:
    place = opened(listed_world(240), FROM_PLAYLIST)
    place.sandbox.faults.add(Fault(kind, "playlistItems", lambda asked: "pageToken" in asked, times=1, after=1))
    assert place.list().complete
    assert place.candidates() == sorted(place.sandbox.world.videos)


@pytest.mark.parametrize("met_at", ["playlistItems", "videos"])
def test_a_fault_that_passes_is_cured_by_the_next_run_where_it_was_met(opened: Open, met_at: str) -> None:
    place = opened(listed_world(120), FROM_PLAYLIST)
    place.sandbox.faults.add(Fault("http_500", met_at, times=2, after=1))
    assert not place.list().complete
    assert place.list().complete
    assert place.candidates() == sorted(place.sandbox.world.videos)
    assert place.drops("listings") == {}
    lists = [asked for path, asked, _ in place.sandbox.requests if path.endswith("Items")]
    assert len([asked for asked in lists if "pageToken" not in asked]) == 1


# Whatever comes together


storms = st.builds(
    Storm,
    seed=st.integers(0, 1000),
    probability=st.floats(0.0, 0.35),
    kinds=st.just(("http_500", "truncated_json", "drop_after_headers", "rate_limited_403", "invalid_token")),
)


@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    count=st.integers(1, 260),
    units=st.integers(4, 12),
    searches=st.integers(1, 4),
    storm=storms,
    kill=st.integers(1, 9),
)
@example(count=200, units=5, searches=2, storm=Storm(7, 0.3), kill=2)
def test_whatever_stops_it_listing_comes_to_everything_there_is(
    count: int, units: int, searches: int, storm: Storm, kill: int
) -> None:
    one, other = videos(count // 2), videos(count - count // 2, start=500, found_by=(PHRASE,))
    world = World([*one, *other], playlists=[playlist_of(one)])
    with serve(world, SandboxSettings()) as sandbox, tempfile.TemporaryDirectory() as folder:
        categories = {ADS: {"count": 1000, "playlists": [PLAYLIST], "search": [PHRASE]}}
        quota = {"searches_per_day": searches, "units_per_day": units}
        place = Place(Path(folder), sandbox, categories, {**ONE_SLICE, "quota": quota}, max_attempts=100)
        sandbox.faults.add(storm)
        left = kill

        def advance(more: float) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed

        for day in range(60):
            if day == 12:
                sandbox.faults.clear()
            try:
                done = place.list(advance=advance)
            except Killed:
                continue
            if done.complete:
                break
            place.pass_days()
        assert place.candidates() == sorted(world.videos)
        assert place.drops("listings") == {}


@given(st.timedeltas(timedelta(), timedelta(days=1, hours=8)), st.timedeltas(timedelta(), timedelta(minutes=30)))
def test_a_weekly_rebuild_lists_a_channel_again_that_the_one_before_has_listed(
    lasted: timedelta, late: timedelta
) -> None:
    monday = datetime(2027, 3, 8, 3, tzinfo=UTC)
    request = ListRequest(ADS, "channel", CHANNEL)
    # by a run that began late, or by the one that went on when the quota's next day had begun
    listed = Listing(request.listing_id, ADS, "channel", CHANNEL, None, None, "complete", None, 1, 3, monday + lasted)
    assert not is_done(
        request, listing=listed, now=monday + timedelta(weeks=1) + late, relist_days=CrawlSettings().relist_days
    )
