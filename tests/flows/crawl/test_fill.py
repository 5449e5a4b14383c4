"""Categories are filled: ads drawn, described afresh, replaced where they are gone; every other one has its reason."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from data_catalog.catalog import Drop
from data_catalog.schemas import TABLES
from data_catalog.tables.forgotten import digest_of_ad
from flows.crawl.draw import rank
from flows.crawl.records import pseudonym
from flows.crawl.status import unusable_ads
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
from tests.youtube_sandbox import TROUBLES, Fault, SandboxVideo, World, serve

OTHER = "other ads"
OTHER_PLAYLIST = "PL" + "o" * 32

Open = Callable[..., Place]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Serve videos, all in one playlist, and get a place that crawls them."""
    with ExitStack() as stack:

        def open_place(some: list[SandboxVideo], count: int, **given: Any) -> Place:
            attempts = given.pop("max_attempts", 3)
            return place_of(tmp_path, stack, some, {ADS: {"count": count, "playlists": [PLAYLIST]}}, given, attempts)

        yield open_place


def place_of(
    folder: Path,
    stack: ExitStack,
    some: list[SandboxVideo],
    categories: dict[str, Any],
    given: dict[str, Any],
    max_attempts: int = 3,
) -> Place:
    world = World(some, playlists=[playlist_of(some), playlist_of(some, OTHER_PLAYLIST)])
    return Place(folder, stack.enter_context(serve(world)), categories, given, max_attempts)


def in_the_order_of_the_draw(some: list[SandboxVideo], category: str = ADS, seed: int = 0) -> list[str]:
    return sorted(ids_of(some), key=lambda video_id: rank(seed, category, video_id))


def forget(place: Place, kind: str, digest: str) -> None:
    """What a command leaves that was killed once it had written down whom to forget."""
    rows = [{"digest": digest, "kind": kind, "at": place.now}]
    place.catalog.merge("forgotten", pa.Table.from_pylist(rows, schema=TABLES["forgotten"].schema))


def drop(place: Place, stage: str, video_id: str, kind: str, reason: str, *, times: int = 1) -> None:
    """What a later step leaves of an ad that it could not use."""
    for _ in range(times):
        fault = Drop(stage, video_id, video_id, kind, reason)  # type: ignore[arg-type]
        place.catalog.commit("comments", TABLES["comments"].schema.empty_table(), stage=stage, drops=[fault])


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
    assert (
        ad
        | {
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
        == ad
    )
    assert CHANNEL not in str(ad)
    assert PLAYLIST not in str(ad)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"gone": True}, "gone"),
        ({"privacy": "private"}, "gone"),
        ({"live": "upcoming"}, "live"),
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


def test_ads_are_described_by_fifty(opened: Open) -> None:
    place = opened(videos(120), 120)
    place.list()
    before = place.units
    place.draw()
    assert len(place.ads()) == 120
    assert place.units - before == 3


def test_a_second_draw_asks_for_nothing_and_changes_nothing(opened: Open) -> None:
    place = opened(videos(20), 5)
    place.run()
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


def test_a_category_that_still_lists_has_no_ads_and_nothing_is_decided_on_its_candidates(tmp_path: Path) -> None:
    with ExitStack() as stack:
        categories = {
            ADS: {"count": 2, "playlists": [PLAYLIST]},
            OTHER: {"count": 2, "playlists": [OTHER_PLAYLIST], "search": ["a phrase"]},
        }
        place = place_of(tmp_path, stack, videos(3), categories, {"candidates_per_ad": 9, "slice_days": 7000})
        place.sandbox.faults.add(Fault("http_500", "search", times=None))
        [drawn] = place.run()
        assert drawn.category == ADS
        assert (len(place.ads(ADS)), place.ads(OTHER)) == (2, [])
        assert len(place.candidates(OTHER)) == 3
        assert not [key for key in place.drops("draw") if key.startswith(OTHER)]


def test_a_video_of_two_categories_is_an_ad_of_the_first_and_the_other_says_so(tmp_path: Path) -> None:
    with ExitStack() as stack:
        categories = {ADS: {"count": 3, "playlists": [PLAYLIST]}, OTHER: {"count": 3, "playlists": [OTHER_PLAYLIST]}}
        place = place_of(tmp_path, stack, videos(4), categories, {})
        _, drawn = place.run()
        assert len(place.ads(ADS)) == 3
        assert len(place.ads(OTHER)) == 1
        assert drawn.shortfall() == "other ads: 2 of 3 ads short (of 4 candidates: 3 in_another_category)"
        assert not set(place.ads(ADS)) & set(place.ads(OTHER))


def test_a_video_that_is_gone_is_gone_for_every_category(tmp_path: Path) -> None:
    with ExitStack() as stack:
        categories = {ADS: {"count": 4, "playlists": [PLAYLIST]}, OTHER: {"count": 4, "playlists": [OTHER_PLAYLIST]}}
        place = place_of(tmp_path, stack, videos(4), categories, {})
        for category in categories:
            place.list(category)
        place.sandbox.world.delete_video("video000001")
        before = place.units
        draws = place.draw()
        assert [drawn.lost for drawn in draws] == [Counter(gone=1), Counter(gone=1)]
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


def test_a_fault_at_the_draw_lets_its_category_wait_and_no_other(tmp_path: Path) -> None:
    with ExitStack() as stack:
        categories = {ADS: {"count": 1, "playlists": [PLAYLIST]}, OTHER: {"count": 3, "playlists": [OTHER_PLAYLIST]}}
        place = place_of(tmp_path, stack, videos(5), categories, {})
        for category in categories:
            place.list(category)
        # both calls for the first category's ads
        place.sandbox.faults.add(Fault("http_500", "videos", times=2))
        draws = place.draw()
        assert [drawn.category for drawn in draws] == [OTHER]
        assert (place.ads(ADS), len(place.ads(OTHER))) == ([], 3)
        place.draw()
        assert len(place.ads(ADS)) == 1


def test_an_ad_that_turns_out_to_be_unusable_is_replaced_and_never_drawn_again(opened: Open) -> None:
    some = videos(10)
    place = opened(some, 3)
    place.run()
    order = in_the_order_of_the_draw(some)
    drop(place, "media", order[0], "filtered", "private")
    with place.crawling() as crawl:
        assert crawl.remove_unusable() == [order[0]]
    assert place.ads() == sorted(order[1:3])
    place.run()
    assert place.ads() == sorted(order[1:4])
    assert f"{ADS}/{order[0]}" not in place.drops("draw"), "its own drop says why"


def test_an_ad_is_lost_once_a_passing_fault_was_met_in_as_many_runs_as_allowed(opened: Open) -> None:
    place = opened(videos(3), 3)
    place.run()
    drop(place, "comment_pages", "video000000", "failed", "server_error", times=2)
    assert unusable_ads(place.catalog, 3) == {}
    drop(place, "comment_pages", "video000000", "failed", "server_error")
    assert unusable_ads(place.catalog, 3) == {"video000000": "server_error"}


def test_an_ad_that_is_whole_is_not_lost_by_a_fault_that_passes(opened: Open) -> None:
    place = opened(videos(1), 1)
    place.run()
    [ad] = place.catalog.read("ads").to_pylist()
    place.catalog.merge("ads", pa.Table.from_pylist([ad | {"media_sha256": "0"}], schema=TABLES["ads"].schema))
    fetch = {"video_id": "video000000", "state": "complete", "completed_at": place.now}
    schema = TABLES["comment_fetches"].schema
    place.catalog.merge("comment_fetches", pa.Table.from_pylist([fetch], schema=schema))
    drop(place, "comment_pages", "video000000", "failed", "server_error", times=5)
    assert unusable_ads(place.catalog, 3) == {}
    drop(place, "comment_pages", "video000000", "filtered", "comments_disabled")
    assert unusable_ads(place.catalog, 3) == {"video000000": "comments_disabled"}


def test_drops_of_other_stages_lose_no_ad(opened: Open) -> None:
    place = opened(videos(1), 1)
    place.run()
    drop(place, "frames", "video000000", "filtered", "no_picture")
    drop(place, "draw", f"{ADS}/video000000", "filtered", "too_long")
    assert unusable_ads(place.catalog, 3) == {}


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
    for video_id in ids_of(videos(6)):
        forget(place, "ad", digest_of_ad(video_id))
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
    hashes = {row["video_id"]: row["channel_hash"] for row in place.catalog.read("ads").to_pylist()}
    assert hashes["video000000"] is None
    assert hashes["video000001"] is not None


@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
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
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        categories = {
            ADS: {"count": wanted[0], "playlists": [PLAYLIST]},
            OTHER: {"count": wanted[1], "playlists": [OTHER_PLAYLIST]},
        }
        place = place_of(Path(folder), stack, some, categories, {"seed": seed, "filters": filters})
        for category in categories:
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
