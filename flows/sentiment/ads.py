"""One row of `ad_sentiment` per ad: means by every aggregation, the label, and why an ad has none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from flows.sentiment.labelling import AdMeans, Thresholds, aggregate, label_of, quantile_thresholds
from flows.settings import SentimentSettings

STAGE = "sentiment"
_UNREAD = ("comments_unread", "its comments were not read to the end; a later crawl goes on with them")


def label_ads(catalog: Catalog, settings: SentimentSettings, *, scores_fingerprint: str) -> pa.Table:
    """Means and label of every ad of `ads`, from its comments' current scores."""
    means = {ad: aggregate(counts) for ad, counts in _strengths(catalog, scores_fingerprint).items()}
    video_ids = sorted(catalog.values("ads", "video_id"))
    known = [mean for ad in video_ids if ad in means and (mean := means[ad].by(settings.aggregation)) is not None]
    thresholds = thresholds_in_force(settings, known)
    fingerprint = settings.fingerprint(scores_fingerprint)
    silent = aggregate({})
    unread = unread_ads(catalog)
    rows = [_row(ad, means.get(ad, silent), thresholds, settings, fingerprint, ad in unread) for ad in video_ids]
    return pa.Table.from_pylist(rows, schema=TABLES["ad_sentiment"].schema)


def thresholds_in_force(settings: SentimentSettings, means: Sequence[float]) -> Thresholds:
    """The fixed thresholds, or those that leave the set share of these ads' means at each end."""
    if settings.thresholds == "fixed":
        return Thresholds(positive=settings.positive, negative=settings.negative)
    return quantile_thresholds(means, settings.quantile)


def unread_ads(catalog: Catalog) -> set[str]:
    """Crawled ads whose comments were not, or not yet, read to the end: part of them would give another mean."""
    read = catalog.values("comment_fetches", "video_id", where=pc.is_valid(pc.field("completed_at")))
    return set(catalog.values("ads", "video_id", where=pc.field("source") == "youtube")).difference(read)


def sentiment_drops(ads: pa.Table, settings: SentimentSettings, unread: Collection[str] = ()) -> list[Drop]:
    """A drop for every ad without a label, with its reason; `unread` ads have not all their comments yet."""
    return [
        Drop(
            stage=STAGE,
            key=ad["video_id"],
            video_id=ad["video_id"],
            kind="filtered",
            reason=reason,
            detail=detail,
            fingerprint=ad["fingerprint"],
        )
        for ad in ads.to_pylist()
        if ad["label"] is None
        for reason, detail in [_UNREAD if ad["video_id"] in unread else _why_unlabelled(ad, settings)]
    ]


def _strengths(catalog: Catalog, fingerprint: str) -> dict[str, Counter[tuple[int, int]]]:
    """How many of an ad's comments have each pair of strengths: at most 25 pairs, however many comments."""
    scores = catalog.current(
        "comment_scores", upstream="comments", fingerprint=fingerprint, columns=["video_id", "positive", "negative"]
    )
    grouped = scores.group_by(["video_id", "positive", "negative"]).aggregate([([], "count_all")])
    by_ad: dict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for row in grouped.to_pylist():
        by_ad[row["video_id"]][row["positive"], row["negative"]] = row["count_all"]
    return by_ad


def _row(
    video_id: str,
    means: AdMeans,
    thresholds: Thresholds,
    settings: SentimentSettings,
    fingerprint: str,
    unread: bool,
) -> dict[str, Any]:
    mean = means.by(settings.aggregation)
    enough = means.n_comments - means.n_neutral >= settings.min_comments
    return {
        "video_id": video_id,
        "n_comments": means.n_comments,
        "n_neutral": means.n_neutral,
        "mean_dominant": means.dominant,
        "mean_dominant_with_neutral": means.dominant_with_neutral,
        "mean_scale": means.scale,
        "aggregation": settings.aggregation,
        "mean_score": mean,
        "label": label_of(mean, thresholds) if enough and not unread else None,
        "fingerprint": fingerprint,
    }


def _why_unlabelled(ad: dict[str, Any], settings: SentimentSettings) -> tuple[str, str]:
    n_scored = ad["n_comments"] - ad["n_neutral"]
    if not ad["n_comments"]:
        return "no_comments", "the ad has no comment"
    if n_scored < settings.min_comments:
        return (
            "too_few_comments",
            f"{n_scored} of {ad['n_comments']} comments say anything; {settings.min_comments} are needed",
        )
    return "between_thresholds", f"the mean of {ad['n_comments']} comments is {ad['mean_score']:.2f}"
