"""The lists that a category asks for: slices of time without gap, cheap lists first, and files of ids read whole."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flows.crawl.candidates import Request, read_ids, requests_of
from flows.errors import CrawlError
from flows.settings.crawl import CategorySettings, CrawlSettings, FilterSettings

NOW = datetime(2026, 11, 24, 20, tzinfo=UTC)
CHANNEL, OTHER_CHANNEL = "UC" + "a" * 22, "@somestudio"
PLAYLIST = "PL" + "p" * 32

days = st.dates(date(2005, 4, 23), date(2026, 11, 23))
lengths = st.integers(1, 4000)
instants = st.datetimes(datetime(2015, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (UTC is put on)


def settings_of(slice_days: int = 365, seed: int = 0, **filters: Any) -> CrawlSettings:
    return CrawlSettings(slice_days=slice_days, seed=seed, filters=FilterSettings.model_validate(filters))


def searches(settings: CrawlSettings, now: datetime = NOW, *phrases: str) -> list[Request]:
    wanted = CategorySettings(search=phrases or ("a phrase",))
    return list(requests_of("ads", wanted, settings, now))


def slices(settings: CrawlSettings, now: datetime = NOW) -> list[tuple[datetime, datetime]]:
    """The slices of a phrase from the oldest to the newest."""
    return sorted(bounds(request) for request in searches(settings, now))


def bounds(request: Request) -> tuple[datetime, datetime]:
    assert request.published_after
    assert request.published_before
    return request.published_after, request.published_before


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@given(days, lengths, instants)
def test_slices_tile_the_time_up_to_now_without_gap_or_overlap(start: date, length: int, now: datetime) -> None:
    found = slices(settings_of(length, published_after=start), now)
    if now <= midnight(start):
        assert found == []
        return
    assert found[0][0] == midnight(start)
    assert found[-1][0] < now <= found[-1][1]
    assert all(earlier[1] == later[0] for earlier, later in pairwise(found))
    assert all(end - begin == timedelta(days=length) for begin, end in found)


@given(days, st.integers(1, 5000), lengths)
def test_slices_of_a_range_of_dates_end_with_it(start: date, range_days: int, length: int) -> None:
    end = start + timedelta(days=range_days)
    now = midnight(end) + timedelta(hours=1)
    found = slices(settings_of(length, published_after=start, published_before=end), now)
    assert (found[0][0], found[-1][1]) == (midnight(start), midnight(end))
    assert all(earlier[1] == later[0] for earlier, later in pairwise(found))


@given(days, st.none() | st.integers(1, 12_000), st.integers(30, 4000), instants, st.integers(0, 3000))
def test_time_passing_only_adds_slices(
    start: date, range_days: int | None, length: int, now: datetime, passed: int
) -> None:
    end = start + timedelta(days=range_days) if range_days else None
    settings = settings_of(length, published_after=start, published_before=end)
    before, after = slices(settings, now), slices(settings, now + timedelta(days=passed))
    assert after[: len(before)] == before


def test_no_search_is_spent_on_a_slice_that_has_not_begun() -> None:
    settings = settings_of(30, published_after=date(2026, 1, 1), published_before=date(2030, 1, 1))
    assert max(begin for begin, _ in slices(settings)) < NOW


@given(days, st.integers(2, 4000))
def test_halves_tile_their_parent(start: date, length: int) -> None:
    [parent] = searches(settings_of(length, published_after=start), midnight(start) + timedelta(hours=1))
    first, second = (bounds(half) for half in parent.halves())
    assert (first[0], second[1]) == bounds(parent)
    assert first[0] < first[1] == second[0] < second[1]
    assert abs((first[1] - first[0]) - (second[1] - second[0])) <= timedelta(days=1)


@given(st.integers(1, 500))
def test_halving_ends_at_single_days_that_tile_the_slice(length: int) -> None:
    [whole] = searches(settings_of(length, published_after=date(2020, 1, 1)), datetime(2020, 1, 1, 1, tzinfo=UTC))
    single, queue = [], [whole]
    while queue:
        request = queue.pop()
        queue += request.halves()
        single += [] if request.halves() else [bounds(request)]
    first = midnight(date(2020, 1, 1))
    assert sorted(single) == [(first + timedelta(days=n), first + timedelta(days=n + 1)) for n in range(length)]


def test_halves_ask_for_the_same_phrase_under_the_same_filters() -> None:
    parent = searches(settings_of(region="US"))[0]
    for half in parent.halves():
        asked = half.search_parameters
        assert asked == parent.search_parameters | {name: asked[name] for name in ("publishedAfter", "publishedBefore")}


def test_what_costs_no_search_is_listed_first(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("abcdefghijk")
    wanted = CategorySettings(search=("a phrase",), channels=(CHANNEL,), playlists=(PLAYLIST,), ids=ids)
    kinds = [request.kind for request in requests_of("ads", wanted, settings_of(), NOW)]
    assert kinds[:3] == ["ids", "playlist", "channel"]
    assert set(kinds[3:]) == {"search"}


def test_another_seed_asks_for_the_same_searches_in_another_order() -> None:
    orders = [searches(settings_of(seed=seed), NOW, "one", "two") for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert set(orders[0]) == set(orders[2])


def test_the_first_searches_are_a_mixture_of_phrases_and_of_years() -> None:
    first = searches(settings_of(), NOW, "one", "two")[:12]
    assert {request.query for request in first} == {"one", "two"}
    assert len({request.published_after for request in first}) > 6


def test_a_list_that_is_named_twice_is_asked_for_once() -> None:
    wanted = CategorySettings(
        search=("a phrase", "a phrase"), channels=(CHANNEL, CHANNEL), playlists=(PLAYLIST, PLAYLIST)
    )
    asked = [request.listing_id for request in requests_of("ads", wanted, settings_of(), NOW)]
    assert len(asked) == len(set(asked))


def test_a_request_is_known_again_by_its_id_in_a_later_run() -> None:
    today, later = (
        {request.listing_id for request in searches(settings_of(), NOW + timedelta(days=passed))} for passed in (0, 800)
    )
    assert today < later


@pytest.mark.parametrize("other", [{"region": "DE"}, {"language": "fr"}, {"max_duration_s": 200}])
def test_a_search_under_other_filters_is_another_list(other: dict[str, Any]) -> None:
    before, after = searches(settings_of()), searches(settings_of(**other))
    assert not {request.listing_id for request in before} & {request.listing_id for request in after}


@pytest.mark.parametrize("kind", ["channels", "playlists"])
def test_a_channel_or_playlist_is_the_same_list_under_any_filters(kind: str) -> None:
    wanted = CategorySettings.model_validate({kind: [CHANNEL]})
    [before] = requests_of("ads", wanted, settings_of(), NOW)
    [after] = requests_of("ads", wanted, settings_of(region="DE", language="fr"), NOW)
    assert before.listing_id == after.listing_id


def test_categories_have_lists_of_their_own() -> None:
    wanted = CategorySettings(channels=(CHANNEL,))
    one, other = (next(requests_of(name, wanted, settings_of(), NOW)) for name in ("one", "other"))
    assert one.listing_id != other.listing_id


@pytest.mark.parametrize(
    ("filters", "asked"),
    [
        ({}, {"relevanceLanguage": "en"}),
        ({"language": None}, {}),
        ({"language": "pt-BR"}, {"relevanceLanguage": "pt"}),
        ({"language": None, "region": "DE"}, {"regionCode": "DE"}),
        ({"language": None, "paid_product_placement": True}, {"videoPaidProductPlacement": "true"}),
        ({"language": None, "paid_product_placement": False}, {}),
        ({"language": None, "min_duration_s": 5, "max_duration_s": 200}, {"videoDuration": "short"}),
        ({"language": None, "min_duration_s": 300, "max_duration_s": 900}, {"videoDuration": "medium"}),
        ({"language": None, "min_duration_s": 1300, "max_duration_s": 4000}, {"videoDuration": "long"}),
        ({"language": None, "min_duration_s": 5, "max_duration_s": 300}, {}),
    ],
)
def test_a_search_asks_for_what_youtube_can_filter(filters: dict[str, Any], asked: dict[str, str]) -> None:
    dates: dict[str, Any] = {"published_after": date(2020, 1, 1), "published_before": date(2020, 12, 31)}
    [found] = searches(settings_of(**filters, **dates))
    of_the_slice = {"publishedAfter": "2020-01-01T00:00:00Z", "publishedBefore": "2020-12-31T00:00:00Z"}
    assert found.search_parameters == {"q": "a phrase", **of_the_slice, **asked}


@given(st.integers(0, 3000), st.integers(1, 3000))
@example(5, 235)
@example(239, 700)
@example(300, 901)
@example(1200, 500)
def test_no_video_that_is_wanted_is_outside_the_duration_that_is_asked_for(least: int, more: int) -> None:
    filters: dict[str, Any] = {"min_duration_s": least, "max_duration_s": least + more}
    asked = searches(settings_of(**filters))[0].search_parameters.get("videoDuration")
    # below four minutes, from four to twenty, above twenty
    reach = {"short": (0, 239), "medium": (240, 1200), "long": (1201, 10**6), None: (0, 10**6)}[asked]
    assert reach[0] <= least
    assert least + more <= reach[1]


def test_the_tables_see_people_only_as_a_keyed_hash() -> None:
    shown = [Request("ads", kind, CHANNEL).shown_query(b"key") for kind in ("channel", "playlist")]
    assert not [query for query in shown if CHANNEL in query]
    assert Request("ads", "channel", CHANNEL).shown_query(b"another key") not in shown
    assert Request("ads", "search", "a phrase").shown_query(b"key") == "a phrase"


def test_a_slice_is_closed_once_its_time_had_passed_when_it_was_listed() -> None:
    newest = max(searches(settings_of()), key=bounds)
    oldest = min(searches(settings_of()), key=bounds)
    assert oldest.is_closed(NOW)
    assert not newest.is_closed(NOW)
    assert newest.is_closed(bounds(newest)[1])
    assert not Request("ads", "channel", CHANNEL).is_closed(NOW)


def test_ids_are_asked_for_by_fifty_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    ids = [f"video{number:06d}" for number in range(120)]
    path.write_text("\n".join([*ids, *ids[:30]]))
    asked = list(requests_of("ads", CategorySettings(ids=path), settings_of(), NOW))
    assert [len(request.query.split(",")) for request in asked] == [50, 50, 20]
    assert ",".join(request.query for request in asked).split(",") == ids


@pytest.mark.parametrize(
    "line",
    [
        "dQw4w9WgXcQ",
        "  dQw4w9WgXcQ  # a remark",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://www.youtube.com/watch?app=desktop&v=dQw4w9WgXcQ&list=PL123&t=42s",
        "http://m.youtube.com/watch?v=dQw4w9WgXcQ#t=30",
        "youtube.com/watch?v=dQw4w9WgXcQ",
        "https://youtu.be/dQw4w9WgXcQ?si=abc",
        "youtu.be/dQw4w9WgXcQ",
        "https://www.youtube.com/shorts/dQw4w9WgXcQ/",
        "https://www.youtube.com/embed/dQw4w9WgXcQ",
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ?rel=0",
    ],
)
def test_a_line_is_an_id_or_any_address_of_a_video(tmp_path: Path, line: str) -> None:
    path = tmp_path / "ids.txt"
    path.write_text(f"# my ads\n\n{line}\n")
    assert read_ids(path) == ("dQw4w9WgXcQ",)


@pytest.mark.parametrize(
    "line",
    [
        "not an id!",
        "tooshort",
        "dQw4w9WgXcQx",
        "https://www.youtube.com/playlist?list=PL0123456789abcdef",
        f"https://www.youtube.com/channel/{CHANNEL}",
        "https://www.youtube.com/@somestudio",
        "https://www.youtube.com/watch?v=",
        "https://www.youtube.com/",
        "https://[half an address/watch",
    ],
)
def test_a_line_that_is_no_video_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "ids.txt"
    path.write_text(f"dQw4w9WgXcQ\n{line}\n")
    with pytest.raises(CrawlError, match=r"ids\.txt, line 2: "):
        read_ids(path)


def test_a_file_as_windows_writes_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes("\ufeffdQw4w9WgXcQ\r\nabcdefghijk\r\n".encode())
    assert read_ids(path) == ("dQw4w9WgXcQ", "abcdefghijk")


@pytest.mark.parametrize("name", ["missing/ids.txt", "damaged.txt", "~nobody-of-this-name/ids.txt"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("damaged.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CrawlError, match=rf"{name}: cannot be read as a file of video ids"):
        read_ids(Path(name))


texts = st.text(st.characters(exclude_categories=["Cs"]))
addresses = st.from_regex(r"https?://[\[\]./?=&v#a-zA-Z]{0,20}")


@given(st.lists(texts | addresses | st.just("https://youtu.be/dQw4w9WgXcQ")))
def test_whatever_a_file_holds_it_is_ids_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "whatever.txt"
    path.write_text("\n".join(lines), "utf-8")
    with suppress(CrawlError):
        assert all(len(video_id) == 11 for video_id in read_ids(path))
