"""The draw: the filters with their reasons, and a choice among the rest that is fair, seeded and stable."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.crawl.data_api.parsing import VideoFacts
from flows.crawl.draw import Candidate, Draw, draw, judge, rank
from flows.settings.crawl import FilterSettings

ADS, OTHER = "ads", "other ads"
NEW_YEAR = datetime(2020, 1, 1, tzinfo=UTC)
LOOSE = FilterSettings(min_comments=0, language=None)
GOOD = VideoFacts(
    "video000000",
    "public",
    published_at=datetime(2024, 1, 1, tzinfo=UTC),
    duration_s=30.0,
    language="en",
    comment_count=10,
)


def candidate(number: int, **facts: object) -> Candidate:
    return Candidate(ADS, replace(GOOD, video_id=f"video{number:06d}", **facts))  # type: ignore[arg-type]


def drawn(
    candidates: Iterable[Candidate],
    wanted: int,
    *,
    seed: int = 0,
    filters: FilterSettings = LOOSE,
    held: Mapping[str, str] | None = None,
    lost: Mapping[str, str] | None = None,
) -> Draw:
    return draw(ADS, candidates, wanted=wanted, seed=seed, filters=filters, held=held or {}, lost=lost or {})


def ids(some: Iterable[Candidate]) -> list[str]:
    return [one.facts.video_id for one in some]


numbers = st.lists(st.integers(0, 500), unique=True, max_size=40)
facts = st.fixed_dictionaries(
    {},
    optional={
        "availability": st.sampled_from(["public", "gone", "live", "unprocessed"]),
        "duration_s": st.sampled_from([None, 1.0, 30.0, 4000.0]),
        "language": st.sampled_from([None, "en", "en-GB", "fr"]),
        "comment_count": st.sampled_from([None, 0, 1, 500]),
        "age_restricted": st.booleans(),
    },
)
mixtures = st.dictionaries(st.integers(0, 500), facts, max_size=40).map(
    lambda given: [candidate(number, **more) for number, more in given.items()]
)


@given(numbers, st.integers(0, 50), st.integers(), st.randoms())
def test_the_order_in_which_candidates_were_found_does_not_matter(
    found: list[int], wanted: int, seed: int, chance: random.Random
) -> None:
    candidates = [candidate(number) for number in found]
    before = drawn(candidates, wanted, seed=seed)
    chance.shuffle(candidates)
    assert ids(drawn(candidates, wanted, seed=seed).chosen) == ids(before.chosen)


@given(mixtures, st.integers(0, 40), st.integers(0, 40), st.integers())
def test_more_that_are_wanted_come_behind_those_that_were_drawn(
    candidates: list[Candidate], wanted: int, more: int, seed: int
) -> None:
    few, many = drawn(candidates, wanted, seed=seed), drawn(candidates, wanted + more, seed=seed)
    assert ids(many.chosen)[: len(few.chosen)] == ids(few.chosen)


@given(mixtures, st.integers(0, 30), st.integers())
def test_taking_some_ads_first_and_the_rest_later_comes_to_the_same(
    candidates: list[Candidate], wanted: int, seed: int
) -> None:
    at_once = ids(drawn(candidates, wanted, seed=seed).chosen)
    first = at_once[: len(at_once) // 2]
    rest = drawn(candidates, wanted, seed=seed, held=dict.fromkeys(first, ADS))
    assert first + ids(rest.chosen) == at_once


@given(mixtures, st.integers(0, 40), st.data())
def test_every_candidate_is_chosen_or_held_or_lost_or_has_a_drop(
    candidates: list[Candidate], wanted: int, data: st.DataObject
) -> None:
    fates = data.draw(
        st.lists(st.sampled_from(["", "held", "elsewhere", "lost"]), min_size=40, max_size=40), label="fates"
    )
    by_fate = {name: [c for c, fate in zip(candidates, fates, strict=False) if fate == name] for name in fates}
    held, elsewhere, lost = (ids(by_fate.get(name, [])) for name in ("held", "elsewhere", "lost"))
    found = drawn(
        candidates,
        wanted,
        filters=FilterSettings(),
        held=dict.fromkeys(held, ADS) | dict.fromkeys(elsewhere, OTHER),
        lost=dict.fromkeys(lost, "private"),
    )
    dropped = [drop.key.removeprefix(f"{ADS}/") for drop in found.drops]
    assert sorted(ids(found.chosen) + dropped + held + lost) == sorted(ids(candidates))
    assert found.rejected.total() == len(dropped)
    assert (found.n_candidates, found.n_held, found.lost.total()) == (len(candidates), len(held), len(lost))


@given(mixtures, st.integers(0, 40))
def test_nothing_is_chosen_that_the_filters_turn_away_and_no_place_stays_vacant_without_need(
    candidates: list[Candidate], wanted: int
) -> None:
    filters = FilterSettings()
    found = drawn(candidates, wanted, filters=filters)
    qualified = [one for one in candidates if judge(one.facts, filters) is None]
    assert set(ids(found.chosen)) <= set(ids(qualified))
    assert len(found.chosen) == min(wanted, len(qualified))
    assert found.short_by == wanted - len(found.chosen)


@given(numbers, numbers, st.integers(1, 20))
def test_candidates_found_later_only_take_places_and_give_none(first: list[int], more: list[int], wanted: int) -> None:
    before = drawn([candidate(number) for number in first], wanted)
    after = drawn([candidate(number) for number in {*first, *more}], wanted)
    assert set(ids(after.chosen)) & {f"video{number:06d}" for number in first} <= set(ids(before.chosen))


def test_another_seed_draws_other_ads() -> None:
    candidates = [candidate(number) for number in range(100)]
    draws = {tuple(ids(drawn(candidates, 10, seed=seed).chosen)) for seed in range(20)}
    assert len(draws) == 20


def test_over_many_seeds_every_candidate_is_drawn_about_as_often() -> None:
    candidates = [candidate(number) for number in range(20)]
    times = Counter(one for seed in range(1000) for one in ids(drawn(candidates, 5, seed=seed).chosen))
    # a quarter of 1,000 draws with a standard deviation of 14
    assert len(times) == 20
    assert all(180 < number < 320 for number in times.values())


def test_being_drawn_in_one_category_says_nothing_about_another() -> None:
    names = [f"video{number:06d}" for number in range(2000)]
    halves = [{name for name in names if rank(0, category, name) < "8"} for category in (ADS, OTHER)]
    assert all(900 < len(half) < 1100 for half in halves)
    assert 420 < len(halves[0] & halves[1]) < 580


@pytest.mark.parametrize(
    ("fact", "filters", "reason"),
    [
        ({"availability": "gone"}, {}, "gone"),
        ({"availability": "live"}, {}, "live"),
        ({"availability": "unprocessed"}, {}, "unprocessed"),
        ({"age_restricted": True}, {}, "age_restricted"),
        ({"duration_s": None}, {}, "no_duration"),
        ({"duration_s": 4.0}, {"min_duration_s": 5}, "too_short"),
        ({"duration_s": 301.0}, {"max_duration_s": 300}, "too_long"),
        ({"published_at": NEW_YEAR - timedelta(seconds=1)}, {"published_after": date(2020, 1, 1)}, "outside_dates"),
        ({"published_at": NEW_YEAR}, {"published_before": date(2020, 1, 1)}, "outside_dates"),
        ({"language": "fr"}, {"language": "en"}, "other_language"),
        ({"language": "eng"}, {"language": "en"}, "other_language"),
        ({"language": "pt"}, {"language": "pt-BR"}, "other_language"),
        ({"allowed_regions": ("JP", "DE")}, {"region": "US"}, "region_blocked"),
        ({"allowed_regions": ()}, {"region": "US"}, "region_blocked"),
        ({"blocked_regions": ("US",)}, {"region": "US"}, "region_blocked"),
        ({"comment_count": None}, {"min_comments": 1}, "comments_disabled"),
        ({"comment_count": 4}, {"min_comments": 5}, "too_few_comments"),
        ({"paid_product_placement": True}, {"paid_product_placement": False}, "paid_placement"),
        ({"paid_product_placement": False}, {"paid_product_placement": True}, "no_paid_placement"),
        ({"paid_product_placement": None}, {"paid_product_placement": True}, "no_paid_placement"),
    ],
)  # fmt: skip
def test_a_filter_turns_away_with_its_reason(fact: dict[str, object], filters: dict[str, object], reason: str) -> None:
    found = drawn([candidate(0, **fact)], 1, filters=FilterSettings.model_validate(filters))
    assert found.chosen == []
    assert [(drop.key, drop.video_id, drop.kind, drop.reason) for drop in found.drops] == [
        (f"{ADS}/video000000", "video000000", "filtered", reason)
    ]


@pytest.mark.parametrize(
    ("fact", "filters"),
    [
        ({"duration_s": 5.0}, {"min_duration_s": 5}),
        ({"duration_s": 300.0}, {"max_duration_s": 300}),
        ({"published_at": NEW_YEAR}, {"published_after": date(2020, 1, 1)}),
        ({"published_at": NEW_YEAR - timedelta(seconds=1)}, {"published_before": date(2020, 1, 1)}),
        ({"published_at": None}, {}),
        ({"language": "en-GB"}, {"language": "en"}),
        ({"language": "EN"}, {"language": "en"}),
        ({"language": None}, {"language": "en"}),
        ({"language": "fr"}, {"language": None}),
        ({"allowed_regions": ("US", "DE")}, {"region": "US"}),
        ({"blocked_regions": ("DE",)}, {"region": "US"}),
        ({"blocked_regions": ("US",)}, {"region": None}),
        ({"comment_count": 5}, {"min_comments": 5}),
        ({"comment_count": None}, {"min_comments": 0}),
        ({"paid_product_placement": None}, {"paid_product_placement": False}),
        ({"paid_product_placement": True}, {"paid_product_placement": True}),
        ({"paid_product_placement": True}, {"paid_product_placement": None}),
    ],
)
def test_a_filter_lets_through_what_is_just_within_it(fact: dict[str, object], filters: dict[str, object]) -> None:
    assert judge(replace(GOOD, **fact), FilterSettings.model_validate(filters)) is None  # type: ignore[arg-type]


def test_a_drop_says_what_was_found_and_what_is_asked() -> None:
    [drop] = drawn([candidate(0, duration_s=301.0)], 1).drops
    assert drop.detail == "301 s; at most 300 s"


def test_what_qualified_and_was_not_drawn_says_so() -> None:
    found = drawn([candidate(number) for number in range(5)], 2)
    assert [drop.reason for drop in found.drops] == ["not_drawn"] * 3
    assert not {drop.video_id for drop in found.drops} & set(ids(found.chosen))


def test_ads_that_are_held_stay_and_leave_fewer_places() -> None:
    candidates = [candidate(number) for number in range(6)]
    held = dict.fromkeys(["video000000", "of-an-earlier-listing"], ADS)
    found = drawn(candidates, 4, held=held)
    assert len(found.chosen) == 2
    assert "video000000" not in ids(found.chosen)
    assert drawn(candidates, 1, held=held).chosen == []


def test_a_video_belongs_to_one_category_and_the_other_says_which() -> None:
    found = drawn([candidate(0)], 1, held={"video000000": OTHER})
    assert [(drop.reason, drop.detail) for drop in found.drops] == [("in_another_category", OTHER)]
    assert found.n_held == 0


MIXED = [candidate(0), candidate(1, duration_s=1.0), candidate(2, duration_s=2.0), candidate(3, comment_count=0)]


@pytest.mark.parametrize(
    ("candidates", "wanted", "held", "short_by", "said"),
    [
        (MIXED, 9, 0, 8, "ads: 8 of 9 ads short (of 5 candidates: 2 too_short, 1 too_few_comments, 1 private)"),
        ([], 3, 0, 3, "ads: 3 of 3 ads short (of 1 candidates: 1 private)"),
        ([candidate(number) for number in range(9)], 3, 0, 0, ""),
        ([], 2, 3, 0, ""),
    ],
)
def test_a_category_that_is_short_says_by_how_much_and_why(
    candidates: list[Candidate], wanted: int, held: int, short_by: int, said: str
) -> None:
    of_old = {f"held{number}": ADS for number in range(held)}
    lost = {"video000009": "private"}
    found = drawn([*candidates, candidate(9)], wanted, filters=FilterSettings(), held=of_old, lost=lost)
    assert (found.short_by, found.shortfall()) == (short_by, said)


def test_a_category_with_too_few_candidates_says_that() -> None:
    assert drawn([candidate(0)], 3).shortfall() == "ads: 2 of 3 ads short (only 1 candidates were found)"
