"""Rows of comments and ads: strengths, what is counted and left out, the label, its interval, and why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data_catalog.catalog import Catalog
from data_catalog.schemas import TABLES
from flows.sentiment.engines import Strength, Unscored
from flows.sentiment.java import Failure
from flows.sentiment.language import LanguageIdentifier
from flows.sentiment.rows import label_ads, score_comments, sentiment_drops, unread_ads
from flows.sentiment.selection import wording
from flows.settings import SentimentSettings
from flows.stages import ScoreReason

FINGERPRINT = "scores"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog")


def add(catalog: Catalog, video_id: str, *comments: dict[str, Any], source: str = "folder") -> None:
    """An ad with comments of these strengths, each by somebody else and with words of its own unless it says so."""
    catalog.merge("ads", table("ads", {"video_id": video_id, "source": source}))
    told, scores = [], []
    for at, comment in enumerate(comments):
        said = wording(comment.get("text", f"{video_id} {'abcdefghij'[at]}"))
        comment_id = f"{video_id}{at}"
        ids = {"comment_id": comment_id, "video_id": video_id}
        told.append(
            ids
            | {"text_sha256": comment_id, "author_hash": comment.get("author", comment_id)}
            | {"like_count": comment.get("likes", 0), "published_at": datetime(2026, 1, 1, 0, at, tzinfo=UTC)}
        )
        scores.append(
            ids
            | {"positive": comment.get("positive", 1), "negative": comment.get("negative", -1)}
            | {"language": comment.get("language", "en"), "n_words": said.n_words, "words_digest": said.digest}
            | {"only_links": said.only_links, "fingerprint": FINGERPRINT, "upstream_revision": comment_id}
        )
    catalog.merge("comments", table("comments", *told))
    catalog.merge("comment_scores", table("comment_scores", *scores))


def table(name: str, *rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=TABLES[name].schema)


def rows(catalog: Catalog, **settings: Any) -> dict[str, dict[str, Any]]:
    ads = label_ads(catalog, SentimentSettings(**settings), scores_fingerprint=FINGERPRINT)
    return {row["video_id"]: row for row in ads.to_pylist()}


def drops(catalog: Catalog, **settings: Any) -> dict[str, tuple[str, str]]:
    chosen = SentimentSettings(**settings)
    ads = label_ads(catalog, chosen, scores_fingerprint=FINGERPRINT)
    return {drop.key: (drop.reason, drop.detail) for drop in sentiment_drops(ads, chosen, unread_ads(catalog))}


LOVED, HATED, NEUTRAL = {"positive": 4}, {"negative": -4}, {"positive": 1}


def test_an_ad_is_labelled_by_the_mean_of_the_comments_that_say_anything(catalog: Catalog) -> None:
    add(catalog, "good", LOVED, LOVED, NEUTRAL)
    add(catalog, "bad", HATED, HATED, HATED)
    add(catalog, "mixed", LOVED, HATED)
    found = rows(catalog)
    assert {ad: row["label"] for ad, row in found.items()} == {"good": "positive", "bad": "negative", "mixed": None}
    good = found["good"]
    assert (good["n_comments"], good["n_scored"], good["n_neutral"], good["mean_score"]) == (3, 3, 1, 4)
    assert good["mean_dominant_with_neutral"] == pytest.approx(8 / 3)
    assert (good["mean_low"], good["label_support"]) == (None, None), "two comments that count tell nothing of it"
    assert drops(catalog) == {"mixed": ("between_thresholds", "the mean of 2 comments is 0.00")}


def test_what_is_left_out_is_counted_and_does_not_count(catalog: Catalog) -> None:
    copied = {"text": "install this game for free today", **HATED}
    add(
        catalog,
        "ad",
        LOVED,
        HATED | {"language": "es"},
        HATED | {"text": "https://a.b"},
        copied,
        copied,
        copied | {"author": "ad3"},
    )
    [row] = rows(catalog).values()
    counts = {name: row[f"n_{name}"] for name in ("only_links", "other_language", "duplicates", "repeats")}
    assert counts == {"only_links": 1, "other_language": 1, "duplicates": 1, "repeats": 1}
    assert (row["n_comments"], row["n_scored"], row["mean_score"]) == (6, 2, 0)
    [everything] = rows(catalog, leave_out=[]).values()
    assert (everything["n_comments"], everything["n_scored"], everything["n_repeats"]) == (6, 6, 0)
    assert everything["mean_score"] == pytest.approx((4 - 5 * 4) / 6)


def test_a_label_has_its_support_and_an_ad_that_may_have_none_has_none(catalog: Catalog) -> None:
    add(catalog, "ad", *[LOVED] * 6)
    labelled, barred = rows(catalog)["ad"], rows(catalog, min_comments=7)["ad"]
    assert (labelled["mean_low"], labelled["mean_high"], labelled["label_support"]) == (4, 4, 1)
    assert (barred["mean_low"], barred["label"], barred["label_support"]) == (4, None, None)


def test_likes_weigh_where_the_settings_say_so(catalog: Catalog) -> None:
    add(catalog, "ad", LOVED | {"likes": 9}, HATED)
    assert rows(catalog)["ad"]["mean_score"] == 0
    liked = rows(catalog, like_weights="linear")["ad"]
    assert (liked["mean_score"], liked["label"]) == (pytest.approx((40 - 4) / 11), "positive")
    assert 0 < rows(catalog, like_weights="log")["ad"]["mean_score"] < liked["mean_score"]


def test_an_ad_with_too_few_comments_that_say_anything_has_no_label(catalog: Catalog) -> None:
    add(catalog, "ad", LOVED, LOVED, NEUTRAL, HATED | {"language": "es"})
    assert rows(catalog, min_comments=2)["ad"]["label"] == "positive"
    assert rows(catalog, min_comments=3)["ad"]["label"] is None
    assert drops(catalog, min_comments=3) == {
        "ad": ("too_few_comments", "2 of 4 comments say anything; 3 are needed (1 neutral, 1 other_language)")
    }


def test_an_ad_without_a_comment_has_no_mean_and_no_interval(catalog: Catalog) -> None:
    add(catalog, "ad")
    [row] = rows(catalog).values()
    assert {row[name] for name in ("mean_score", "mean_low", "mean_high", "label_support", "label")} == {None}
    assert drops(catalog) == {"ad": ("no_comments", "no comment of the ad has a score")}


def test_quantile_thresholds_are_those_of_the_ads_that_can_be_labelled(catalog: Catalog) -> None:
    for number in range(1, 5):
        add(catalog, f"ad{number}", {"positive": number + 1}, {"positive": number + 1})
    add(catalog, "quiet", {"positive": 5})
    add(catalog, "unread", {"positive": 5}, {"positive": 5}, source="youtube")
    found = rows(catalog, thresholds="quantile", quantile=0.25, min_comments=2)
    labels = {ad: row["label"] for ad, row in found.items()}
    assert labels == {"ad1": "negative", "ad2": None, "ad3": None, "ad4": "positive", "quiet": None, "unread": None}


def test_comments_that_were_not_read_to_the_end_give_no_label(catalog: Catalog) -> None:
    add(catalog, "ad", LOVED, source="youtube")
    assert rows(catalog)["ad"]["label"] is None
    assert drops(catalog)["ad"][0] == "comments_unread"


def test_scores_under_other_settings_are_not_the_ads(catalog: Catalog) -> None:
    add(catalog, "ad", LOVED)
    ads = label_ads(catalog, SentimentSettings(), scores_fingerprint="other")
    assert ads["n_comments"].to_pylist() == [0]


class Choosy:
    """An engine that scores no text longer than three characters."""

    name, version = "choosy", "1"

    def score(self, texts: Sequence[str]) -> list[Strength | Unscored]:
        return [Strength(2, -3) if len(text) < 4 else Unscored(Failure.SILENT, "asked alone") for text in texts]


def test_a_comment_that_the_engine_fails_on_is_a_drop_and_the_others_have_rows() -> None:
    columns = {"comment_id": ["a", "b"], "video_id": ["ad", "ad"], "text": ["so", "spoon"], "text_sha256": ["1", "2"]}
    scores, dropped = score_comments(pa.table(columns), Choosy(), LanguageIdentifier(), fingerprint="f")
    [row], [drop] = scores.to_pylist(), dropped
    assert (row["comment_id"], row["positive"], row["negative"], row["engine"]) == ("a", 2, -3, "choosy")
    assert (row["n_words"], row["only_links"], row["fingerprint"], row["upstream_revision"]) == (1, False, "f", "1")
    assert (drop.stage, drop.key, drop.video_id, drop.kind) == ("scores", "b", "ad", "failed")
    assert (drop.reason, drop.detail, drop.upstream_revision) == ("engine_silent", "asked alone", "2")


def test_every_failure_of_an_engine_is_a_reason_of_the_stage() -> None:
    assert {str(failure) for failure in Failure} == {str(reason) for reason in ScoreReason}
