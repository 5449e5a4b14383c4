"""Means by week are those of the comments that count, each once, in the week in which it was written."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from data_catalog.catalog import Catalog
from data_catalog.privacy.forget import forget_ad
from flows.monitor.audience import Audience, Audiences, read_audiences
from flows.monitor.period import parse_period
from flows.sentiment.labelling import like_weight
from flows.settings import LikeWeights, SentimentSettings
from tests.data_catalog.builders import rows
from tests.flows.monitor_builders import FINGERPRINT, NOW, comment, opinions, write_ad, write_comments


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog")


def look(catalog: Catalog, since: str = "30d", **settings: object) -> Audiences:
    chosen = SentimentSettings.model_validate(settings)
    return read_audiences(catalog, chosen, parse_period(since, NOW), scores_fingerprint=FINGERPRINT, least=1.0)


def only(found: Audiences) -> Audience:
    [ad] = found.ads
    return ad


def pole(positive: int, negative: int) -> int:
    """The stronger side, 0 where both are as strong."""
    return positive if positive > -negative else negative if -negative > positive else 0


@pytest.fixture(params=["Pacific/Kiritimati", "America/Los_Angeles"])
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    os.environ.pop("TZ", None)
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_zone")
def test_every_week_has_the_mean_of_its_comments_wherever_it_is_computed(catalog: Catalog) -> None:
    chance = np.random.default_rng(0)
    said = opinions(chance, 60, 0.6, NOW - timedelta(days=40), 40)
    # on the edges of weeks: Sunday's last and Monday's first moment
    monday = datetime(2026, 11, 16, tzinfo=UTC)
    said += [(monday - timedelta(microseconds=1), 5, -1), (monday, 1, -5), (monday + timedelta(days=1), 1, -1)]
    write_ad(catalog, "a", said)
    since = NOW - timedelta(days=30)
    expected = defaultdict(list)
    for at, positive, negative in said:
        assert at is not None
        if at >= since and pole(positive, negative):
            expected[at.isocalendar()[:2]].append(pole(positive, negative))
    ad = only(look(catalog))
    found = {week.monday.isocalendar()[:2]: week.comments for week in ad.weeks}
    assert {week: comments.n_comments for week, comments in found.items()} == {w: len(of) for w, of in expected.items()}
    assert all(found[week].mean == pytest.approx(fmean(of)) for week, of in expected.items())
    assert [week.monday for week in ad.weeks] == sorted(week.monday for week in ad.weeks)
    assert [week.is_whole for week in ad.weeks] == [False, True, True, True, True, False]
    assert ad.period.mean == pytest.approx(fmean(value for week in expected.values() for value in week))
    assert ad.n_comments == sum(map(len, expected.values())) + 1, "the neutral one is a comment, too"
    for week in ad.weeks:
        enough = week.comments.n_comments >= 5
        assert (week.comments.low is not None) == enough
        if week.comments.low is not None and week.comments.high is not None:
            assert week.comments.low <= (week.comments.mean or 0) <= week.comments.high


def test_edited_and_deleted_comments_count_once_or_not_at_all(catalog: Catalog) -> None:
    write_ad(catalog, "a", [(NOW - timedelta(days=day), 4, -1) for day in (1, 2, 3)])
    before, versions = only(look(catalog)).period, catalog.versions()
    # one was edited: another text under the same id, scored again; one was deleted
    edited = comment("a", 0, NOW - timedelta(days=1), 1, -4, text="changed my mind", fetched_at=NOW)
    write_comments(catalog, [edited])
    catalog.delete("comments", ["a.1"])
    after = only(look(catalog))
    assert (before.n_comments, before.mean) == (3, 4)
    assert (after.n_comments, after.period.n_comments, after.period.mean) == (2, 2, 0)
    # the score of the deleted one is still there, as between two commits of a refresh
    assert catalog.count("comment_scores") == 3
    # and the earlier state can be looked at as it was
    earlier = catalog.as_of(versions)
    assert only(look(earlier)).period == before


def test_a_comment_whose_text_has_changed_since_it_was_scored_is_not_counted_and_said_so(catalog: Catalog) -> None:
    write_ad(catalog, "a", [(NOW - timedelta(days=day), 4, -1) for day in (1, 2)])
    write_comments(catalog, [comment("a", 0, NOW - timedelta(days=1), 4, -1, text="now another")], scored=False)
    found = look(catalog)
    assert (found.n_unscored, only(found).period.n_comments, only(found).n_comments) == (1, 1, 2)


def test_copies_are_left_out_as_for_the_label_also_where_the_first_is_of_another_week(catalog: Catalog) -> None:
    write_ad(catalog, "a")
    copies = [
        comment("a", number, NOW - timedelta(days=40 - 15 * number), 5, -1, words_digest=7) for number in range(3)
    ]
    write_comments(catalog, [*copies, comment("a", 9, NOW - timedelta(days=2), 3, -1)])
    assert (only(look(catalog)).period.n_comments, only(look(catalog)).period.mean) == (1, 3)
    assert only(look(catalog, leave_out=[])).period.n_comments == 3


def test_undated_and_future_comments_are_in_no_week_and_counted(catalog: Catalog) -> None:
    said = [(None, 5, -1), (NOW + timedelta(days=3), 5, -1), (NOW, 5, -1), (NOW - timedelta(seconds=1), 2, -1)]
    write_ad(catalog, "a", said)
    found = look(catalog)
    assert (found.n_undated, found.n_future, only(found).n_comments, only(found).period.mean) == (1, 2, 1, 2)


def test_ads_of_the_period_are_those_with_a_comment_or_published_in_it(catalog: Catalog) -> None:
    write_ad(catalog, "talked", [(NOW - timedelta(days=1), 5, -1)], published_at=NOW - timedelta(days=900))
    write_ad(catalog, "new", published_at=NOW - timedelta(days=1))
    write_ad(catalog, "old", [(NOW - timedelta(days=31), 5, -1)], published_at=NOW - timedelta(days=900))
    write_ad(catalog, "undated")
    found = look(catalog)
    assert ([ad.video_id for ad in found.ads], found.n_ads) == (["talked", "new"], 4)
    assert (found.ads[1].period.mean, found.ads[1].weeks, found.ads[1].change) == (None, (), None)
    assert look(catalog, "1d").ads[0].video_id == "talked"
    assert look(Catalog(f"{catalog.root}/nothing")).ads == ()


def test_an_ad_that_was_forgotten_does_not_appear(catalog: Catalog) -> None:
    for ad in ("a", "b"):
        write_ad(catalog, ad, [(NOW - timedelta(days=1), 5, -1)] * 6)
    # as a killed forgetting leaves it: noted, and its rows are still there
    forgotten = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"  # sha256 of b
    catalog.merge("forgotten", rows("forgotten", {"digest": forgotten, "kind": "ad", "at": NOW}))
    assert only(look(catalog)).video_id == "a"
    assert look(catalog).n_undated == 0
    forget_ad(catalog, "a")
    assert look(catalog).ads == ()


def test_an_ad_whose_comments_are_not_read_to_the_end_is_marked_and_not_searched_for_a_change(catalog: Catalog) -> None:
    chance = np.random.default_rng(1)
    turning = [
        *opinions(chance, 60, 1, NOW - timedelta(days=60), 50),
        *opinions(chance, 40, 0, NOW - timedelta(days=9), 8),
    ]
    write_ad(catalog, "read", turning)
    write_ad(catalog, "unread", turning, source="youtube")
    found = {ad.video_id: ad for ad in look(catalog).ads}
    change = found["read"].change
    assert change is not None
    assert change.turned
    assert NOW - timedelta(days=11) < change.at < NOW - timedelta(days=8)
    assert (found["unread"].is_unread, found["unread"].change) == (True, None)


@pytest.mark.parametrize("weights", ["none", "log", "linear"])
def test_likes_weigh_as_in_the_label(catalog: Catalog, weights: LikeWeights) -> None:
    write_ad(catalog, "a")
    likes = (0, 3, 40, None)
    told = [(4, -1), (1, -3), (5, -2), (1, -5)]
    held = [
        comment("a", at, NOW - timedelta(hours=at + 1), *strengths, like_count=count)
        for at, (count, strengths) in enumerate(zip(likes, told, strict=True))
    ]
    write_comments(catalog, held)
    weighed = [like_weight(count or 0, weights) for count in likes]
    expected = sum(w * pole(*one) for w, one in zip(weighed, told, strict=True)) / sum(weighed)
    assert only(look(catalog, like_weights=weights)).period.mean == pytest.approx(expected)


def test_each_aggregation_has_its_own_mean(catalog: Catalog) -> None:
    write_ad(catalog, "a", [(NOW - timedelta(days=1), *one) for one in ((4, -1), (1, -1), (3, -3), (2, -4))])
    means = {"dominant": 0, "dominant_with_neutral": 0, "scale": (3 + 0 + 0 - 2) / 4}
    for aggregation, mean in means.items():
        assert only(look(catalog, aggregation=aggregation)).period.mean == mean
    assert only(look(catalog)).period.n_comments == 2
