"""Categories are filled: ads drawn, described afresh, replaced where they are gone; every other one has its reason."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES, DropKind
from data_catalog.tables.forgotten import digest_of_ad
from flows.crawl.draw import rank
from flows.crawl.records import pseudonym
from flows.crawl.status import unusable_ads
from tests.flows.crawl.clocked_crawl import put
from tests.flows.crawl.listing_builders import (
    ADS,
    CHANNEL,
    MORNING,
    PLAYLIST,
    Place,
    ids_of,
    playlist_of,
    video,
    videos,
)
from tests.youtube_sandbox import TROUBLES, Fault, SandboxVideo, World, serve

OTHER = "other ads"
OTHER_PLAYLIST = "PL" + "o" * 32

Open = Callable[..., Place]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Serve videos in a playlist of each category, and get a place that crawls so many of them."""
    with ExitStack() as stack:

        def open_place(some: list[SandboxVideo], *wanted: int, folder: Path = tmp_path, **given: Any) -> Place:
            world = World(some, playlists=[playlist_of(some), playlist_of(some, OTHER_PLAYLIST)])
            playlists = {ADS: PLAYLIST, OTHER: OTHER_PLAYLIST}
            named = zip(playlists.items(), wanted, strict=False)
            categories = {name: {"count": count, "playlists": [playlist]} for (name, playlist), count in named}
            return Place(folder, stack.enter_context(serve(world)), categories, given)

        yield open_place


def in_the_order_of_the_draw(some: list[SandboxVideo], category: str = ADS, seed: int = 0) -> list[str]:
    return sorted(ids_of(some), key=lambda video_id: rank(seed, category, video_id))


def forget(place: Place, kind: str, *digests: str) -> None:
    """What a command leaves that was killed once it had written down whom to forget."""
    put(place.catalog, "forgotten", *({"digest": digest, "kind": kind, "at": place.now} for digest in digests))


def drop(catalog: Catalog, stage: str, kind: DropKind, reason: str, key: str = "video000000", times: int = 1) -> None:
    """What a later step leaves of an ad that it could not use."""
    for _ in range(times):
        fault = Drop(stage, key, key.rpartition("/")[2], kind, reason)
        catalog.commit("comments", TABLES["comments"].schema.empty_table(), stage=stage, drops=[fault])


def test_a_category_is_filled_by_the_first_of_its_draw_and_the_others_say_so(opened: Open) -> None:
    some = videos(30)
    place = opened(some, 10)
    [drawn] = place.run()
    order = in_the_order_of_the_draw(some)
    assert place.ads() == sorted(order[:10])
    assert place.drops("draw") == {f"{ADS}/{video_id}": "not_drawn" for video_id in order[10:]}
    assert drawn.shortfall() == ""


def test_an_ad_says_where_it_is_from_and_that_its_video_is_to_come(opened: Open) -> None:
    place = opened([video(0, title="An ad", language="en-GB", view_count=7)], 1)
    place.run()
    [ad] = place.catalog.read("ads").to_pylist()
    expected = {
        "title": "An ad",
        "language": "en-GB",
        "view_count": 7,
        "comment_count": 1,
        "duration_s": 30.0,
        "category": ADS,
        "source": "youtube",
        "url": "https://www.youtube.com/watch?v=video000000",
        "media_status": "missing",
        "media_sha256": None,
        "synthetic": True,
        "fetched_at": place.now,
    }
    assert ad == ad | expected
    assert not [secret for secret in (CHANNEL, PLAYLIST) if secret in str(ad)]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"gone": True}, "gone"),
        ({"upload_status": "rejected"}, "unprocessed"),
    ],
)
def test_a_candidate_that_is_gone_at_the_draw_is_a_drop_and_the_next_one_takes_its_place(
    opened: Open, trouble: dict[str, Any], reason: str
) -> None:
    some = videos(10)
    place = opened(some, 3)
    place.list()
    order = in_the_order_of_the_draw(some)
    for name, value in trouble.items():
        setattr(place.sandbox.world.videos[order[1]], name, value)
    [drawn] = place.draw()
    assert place.ads() == sorted([order[0], order[2], order[3]])
    assert place.drops("videos") == {order[1]: reason}
    assert drawn.short_by == 0


def test_a_candidate_that_was_gone_at_the_draw_is_not_asked_for_again(opened: Open) -> None:
    some = videos(4)
    place = opened(some, 4)
    place.list()
    place.sandbox.world.delete_video("video000002")
    place.draw()
    before = place.units
    [drawn] = place.draw()
    assert place.units == before
    assert drawn.shortfall() == "ads: 1 of 4 ads short (of 4 candidates: 1 gone)"


def test_ads_are_described_by_fifty_and_a_second_draw_asks_for_nothing_and_changes_nothing(opened: Open) -> None:
    place = opened(videos(120), 110)
    place.list()
    before = place.units
    place.draw()
    assert (len(place.ads()), place.units - before) == (110, 3)
    units, versions = place.units, place.catalog.versions()
    place.run()
    assert (place.units, place.catalog.versions()) == (units, versions)


def test_more_ads_wanted_are_added_and_no_longer_called_not_drawn(opened: Open) -> None:
    some = videos(20)
    place = opened(some, 5)
    place.run()
    place.categories[ADS]["count"] = 8
    place.run()
    order = in_the_order_of_the_draw(some)
    assert place.ads() == sorted(order[:8])
    assert place.drops("draw").keys() == {f"{ADS}/{video_id}" for video_id in order[8:]}


def test_a_category_that_still_lists_has_no_ads_and_nothing_is_decided_on_its_candidates(opened: Open) -> None:
    place = opened(videos(3), 2, 2, candidates_per_ad=9, slice_days=7000)
    place.categories[OTHER]["search"] = ["a phrase"]
    place.sandbox.faults.add(Fault("http_500", "search", times=None))
    assert [drawn.category for drawn in place.run()] == [ADS]
    assert (len(place.ads(ADS)), place.ads(OTHER), len(place.candidates(OTHER))) == (2, [], 3)
    assert not [key for key in place.drops("draw") if key.startswith(OTHER)]


def test_a_video_of_two_categories_is_an_ad_of_the_first_and_the_other_says_so(opened: Open) -> None:
    place = opened(videos(4), 3, 3)
    _, drawn = place.run()
    assert (len(place.ads(ADS)), len(place.ads(OTHER))) == (3, 1)
    assert drawn.shortfall() == "other ads: 2 of 3 ads short (of 4 candidates: 3 in_another_category)"
    assert not set(place.ads(ADS)) & set(place.ads(OTHER))


def test_a_video_that_is_gone_is_gone_for_every_category(opened: Open) -> None:
    place = opened(videos(4), 4, 4)
    for category in place.categories:
        place.list(category)
    place.sandbox.world.delete_video("video000001")
    before = place.units
    assert [drawn.lost for drawn in place.draw()] == [Counter(gone=1), Counter(gone=1)]
    assert place.units - before == 1


def test_a_draw_that_the_quota_stops_keeps_what_it_took_and_goes_on_to_the_same_ads(opened: Open) -> None:
    some = videos(130)
    place = opened(some, 120, candidates_per_ad=1, quota={"units_per_day": 8})
    assert place.run() == []
    assert len(place.ads()) == 100
    place.pass_days()
    place.run()
    assert place.ads() == sorted(in_the_order_of_the_draw(some)[:120])
    assert len(place.drops("draw")) == 10


def test_a_fault_at_the_draw_lets_its_category_wait_and_no_other(opened: Open) -> None:
    place = opened(videos(5), 1, 3)
    for category in place.categories:
        place.list(category)
    # both calls for the first category's ads
    place.sandbox.faults.add(Fault("http_500", "videos", times=2))
    assert [drawn.category for drawn in place.draw()] == [OTHER]
    assert (place.ads(ADS), len(place.ads(OTHER))) == ([], 3)
    place.draw()
    assert len(place.ads(ADS)) == 1


def test_an_ad_that_turns_out_to_be_unusable_is_replaced_and_never_drawn_again(opened: Open) -> None:
    some = videos(10)
    place = opened(some, 3)
    place.run()
    order = in_the_order_of_the_draw(some)
    drop(place.catalog, "media", "filtered", "private", order[0])
    with place.crawling() as crawl:
        assert crawl.remove_unusable() == [order[0]]
    assert place.ads() == sorted(order[1:3])
    place.run()
    assert place.ads() == sorted(order[1:4])
    assert f"{ADS}/{order[0]}" not in place.drops("draw"), "its own drop says why"


@pytest.mark.parametrize(
    ("stage", "kind", "times", "is_whole", "is_unusable"),
    [
        ("comment_pages", "failed", 2, False, False),
        ("comment_pages", "failed", 3, False, True),
        # met at a refresh: the ad has its comments and its video
        ("comment_pages", "failed", 5, True, False),
        ("comment_pages", "filtered", 1, True, True),
        # stages that ask nobody for the ad
        ("frames", "filtered", 1, False, False),
        ("draw", "filtered", 1, False, False),
    ],
)
def test_an_ad_is_unusable_by_a_final_fault_or_one_met_in_as_many_runs_as_allowed(
    tmp_path: Path, stage: str, kind: DropKind, times: int, is_whole: bool, is_unusable: bool
) -> None:
    catalog, id_ = Catalog(tmp_path), "video000000"
    put(catalog, "ads", {"video_id": id_, "source": "youtube", "media_sha256": "0" if is_whole else None})
    put(catalog, "comment_fetches", {"video_id": id_, "state": "complete", "completed_at": MORNING})
    drop(catalog, stage, kind, "a_reason", f"{ADS}/{id_}" if stage == "draw" else id_, times)
    assert unusable_ads(catalog, 3) == ({id_: "a_reason"} if is_unusable else {})


def test_a_forgotten_candidate_is_not_drawn_though_it_is_still_in_the_table(opened: Open) -> None:
    some = videos(6)
    place = opened(some, 3)
    place.list()
    first, *rest = in_the_order_of_the_draw(some)
    forget(place, "ad", digest_of_ad(first))
    place.draw()
    assert place.ads() == sorted(rest[:3])
    asked = [parameters["id"] for path, parameters, _ in place.sandbox.requests if path.endswith("/videos")]
    assert first not in asked[-1]


def test_a_forgotten_candidate_does_not_count_as_one_when_more_are_listed(opened: Open) -> None:
    place = opened(videos(6), 3)
    place.list()
    forget(place, "ad", *map(digest_of_ad, ids_of(videos(6))))
    place.categories[ADS]["playlists"].append(OTHER_PLAYLIST)
    place.sandbox.world.playlists[OTHER_PLAYLIST].video_ids += ids_of([place.sandbox.world.add_video(video(9))])
    place.run()
    assert place.ads() == ["video000009"]


def test_a_new_ad_of_somebody_who_was_forgotten_does_not_say_whose_it_is(opened: Open) -> None:
    place = opened([video(0), video(1, channel_id="UC" + "b" * 22)], 2)
    with place.crawling() as crawl:
        author_hash = pseudonym(crawl.author_key, CHANNEL)
    assert author_hash
    forget(place, "author", author_hash)
    place.run()
    hidden = {row["video_id"]: row["channel_hash"] is None for row in place.catalog.read("ads").to_pylist()}
    assert hidden == {"video000000": True, "video000001": False}


@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    count=st.integers(1, 20),
    seed=st.integers(0, 1000),
    wanted=st.tuples(st.integers(1, 15), st.integers(1, 15)),
    troubles=st.dictionaries(st.integers(0, 19), st.sampled_from(sorted(TROUBLES))),
    gone_meanwhile=st.sets(st.integers(0, 19), max_size=4),
    filters=st.fixed_dictionaries(
        {},
        optional={
            "region": st.sampled_from(["US", "FR"]),
            "language": st.sampled_from([None, "en", "fr"]),
            "min_comments": st.integers(0, 2),
            "paid_product_placement": st.booleans(),
        },
    ),
)
def test_every_candidate_is_an_ad_or_has_a_row_that_says_why(
    opened: Open,
    count: int,
    seed: int,
    wanted: tuple[int, int],
    troubles: dict[int, str],
    gone_meanwhile: set[int],
    filters: dict[str, Any],
) -> None:
    some = videos(count)
    for number, trouble in troubles.items():
        if number < count:
            TROUBLES[trouble](some[number])
    with tempfile.TemporaryDirectory() as folder:
        place = opened(some, *wanted, folder=Path(folder), seed=seed, filters=filters)
        for category in place.categories:
            assert place.list(category).complete
        for number in gone_meanwhile:
            if number < count:
                place.sandbox.world.delete_video(some[number].video_id)
        draws = place.draw()
        undrawn, gone = place.drops("draw"), place.drops("videos")
        for drawn in draws:
            category, ads = drawn.category, place.ads(drawn.category)
            named = [id_ for id_ in place.candidates(category) if f"{category}/{id_}" in undrawn or id_ in gone]
            assert sorted({*ads, *named}) == place.candidates(category)
            assert len(ads) + len(named) == count
            assert not set(ads) & set(named)
            assert len(ads) == drawn.wanted - drawn.short_by
            assert bool(drawn.shortfall()) == (len(ads) < drawn.wanted)
