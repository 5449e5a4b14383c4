"""One row of `ad_sentiment` per ad: means by every aggregation, the label, and why an ad has none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from flows.sentiment.bootstrap import firmness
from flows.sentiment.labelling import AdMeans, Alike, Thresholds, aggregate, label_of, like_weight, quantile_thresholds
from flows.sentiment.selection import COMMENT_COLUMNS, LEFT_OUT, SCORE_COLUMNS, with_reasons
from flows.settings import SentimentSettings

STAGE = "sentiment"
_UNREAD = ("comments_unread", "its comments were not read to the end; a later crawl goes on with them")
COUNTS = {
    "only_links": "n_only_links",
    "other_language": "n_other_language",
    "duplicate": "n_duplicates",
    "repeat": "n_repeats",
}
"""Columns that count the comments left out, by reason."""


@dataclass
class AdComments:
    """An ad's scored comments: those that count, and how many do not, by reason."""

    counting: list[Alike] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def label_ads(catalog: Catalog, settings: SentimentSettings, *, scores_fingerprint: str) -> pa.Table:
    """Means and label of every ad of `ads`, from its comments' current scores."""
    comments = read_comments(catalog, settings, scores_fingerprint=scores_fingerprint)
    video_ids = sorted(catalog.values("ads", "video_id"))
    silent = AdComments()
    means = {ad: aggregate(comments.get(ad, silent).counting) for ad in video_ids}
    unread = unread_ads(catalog)
    telling = [mean for ad, mean in means.items() if ad not in unread and mean.n_telling >= settings.min_comments]
    known = [score for mean in telling if (score := mean.by(settings.aggregation)) is not None]
    thresholds = thresholds_in_force(settings, known)
    fingerprint = settings.fingerprint(scores_fingerprint)
    rows = [
        _row(ad, comments.get(ad, silent), means[ad], thresholds, settings, fingerprint, ad in unread)
        for ad in video_ids
    ]
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


def read_comments(catalog: Catalog, settings: SentimentSettings, *, scores_fingerprint: str) -> dict[str, AdComments]:
    """Every ad's comments, those alike counted together: few rows, however many comments."""
    scores = catalog.current(
        "comment_scores", upstream="comments", fingerprint=scores_fingerprint, columns=SCORE_COLUMNS
    )
    comments = catalog.read("comments", COMMENT_COLUMNS)
    selected = with_reasons(scores, comments, language=settings.language, leave_out=settings.leave_out)
    kind = ["video_id", "positive", "negative", "left_out", *(["likes"] if settings.like_weights != "none" else [])]
    counted = selected.group_by(kind).aggregate([([], "count_all")]).sort_by([(name, "ascending") for name in kind])
    by_ad: dict[str, AdComments] = defaultdict(AdComments)
    for row in counted.to_pylist():
        ad = by_ad[row["video_id"]]
        if row["left_out"]:
            ad.left_out[row["left_out"]] += row["count_all"]
        else:
            weight = like_weight(row.get("likes", 0), settings.like_weights)
            ad.counting.append(Alike(row["positive"], row["negative"], weight, row["count_all"]))
    return dict(by_ad)


def count_left_out(ad_sentiment: pa.Table) -> dict[str, int]:
    """Comments of these ads that do not count in a mean, by reason."""
    return {reason: total(ad_sentiment, COUNTS[reason]) for reason in LEFT_OUT}


def total(ad_sentiment: pa.Table, column: str) -> int:
    """Sum of a column of counts."""
    return int(pc.sum(ad_sentiment.column(column)).as_py() or 0)


def _row(
    video_id: str,
    comments: AdComments,
    means: AdMeans,
    thresholds: Thresholds,
    settings: SentimentSettings,
    fingerprint: str,
    unread: bool,
) -> dict[str, Any]:
    mean = means.by(settings.aggregation)
    firm = firmness(comments.counting, settings.aggregation, thresholds, mean=mean, seed=video_id)
    labelled = means.n_telling >= settings.min_comments and not unread
    return {
        "video_id": video_id,
        "n_comments": means.n_scored + comments.left_out.total(),
        **{COUNTS[reason]: comments.left_out[reason] for reason in LEFT_OUT},
        "n_scored": means.n_scored,
        "n_neutral": means.n_neutral,
        "mean_dominant": means.dominant,
        "mean_dominant_with_neutral": means.dominant_with_neutral,
        "mean_scale": means.scale,
        "aggregation": settings.aggregation,
        "mean_score": mean,
        "mean_low": firm and firm.low,
        "mean_high": firm and firm.high,
        "label_support": firm.label_support if firm and labelled else None,
        "label": label_of(mean, thresholds) if labelled else None,
        "fingerprint": fingerprint,
    }


def _why_unlabelled(ad: dict[str, Any], settings: SentimentSettings) -> tuple[str, str]:
    n_telling = ad["n_scored"] - ad["n_neutral"]
    if not ad["n_comments"]:
        return "no_comments", "no comment of the ad has a score"
    if n_telling < settings.min_comments:
        said = ", ".join(
            f"{ad[column]} {name}" for name, column in {"neutral": "n_neutral", **COUNTS}.items() if ad[column]
        )
        return (
            "too_few_comments",
            f"{n_telling} of {ad['n_comments']} comments say anything; {settings.min_comments} are needed ({said})",
        )
    return "between_thresholds", f"the mean of {n_telling} comments is {ad['mean_score']:.2f}"
