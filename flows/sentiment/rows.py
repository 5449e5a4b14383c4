"""Rows of `comment_scores` and of `ad_sentiment`, and drops for comments and ads without a row.

A comment's row holds its strengths and what decides whether it counts; an ad's row the means by every aggregation, the
label, and its interval.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog, Drop
from data_catalog.schemas import TABLES
from flows.sentiment.certainty import bootstrap_interval
from flows.sentiment.engines import SentimentEngine, Unscored
from flows.sentiment.labelling import (
    AdMeans,
    ScoreGroup,
    Thresholds,
    aggregate,
    label_of,
    like_weight,
    quantile_thresholds,
)
from flows.sentiment.language import LanguageIdentifier
from flows.sentiment.selection import COMMENT_COLUMNS, SCORE_COLUMNS, reasons_query, wording
from flows.settings import LeftOut, SentimentSettings
from flows.stages import SCORES, SENTIMENT, LabelReason

COUNTS = {
    LeftOut.ONLY_LINKS: "n_only_links",
    LeftOut.OTHER_LANGUAGE: "n_other_language",
    LeftOut.DUPLICATE: "n_duplicates",
    LeftOut.REPEAT: "n_repeats",
}
"""Columns of `ad_sentiment` that count the comments left out, by reason."""


@dataclass
class AdComments:
    """An ad's scored comments: those that count, and how many do not, by reason."""

    counting: list[ScoreGroup] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def score_comments(
    comments: pa.Table, engine: SentimentEngine, identifier: LanguageIdentifier, *, fingerprint: str
) -> tuple[pa.Table, list[Drop]]:
    """A row for every comment that the engine scored, a drop for every one it failed on.

    Args:
        comments: comment_id, video_id, text and text_sha256.
        engine: what scores.
        identifier: what tells languages.
        fingerprint: of engine, identifier and settings.
    """
    rows: list[dict[str, Any]] = []
    drops: list[Drop] = []
    texts: list[Any] = comments["text"].to_pylist()
    answers = zip(comments.to_pylist(), engine.score(texts), identifier.languages(texts), strict=True)
    for comment, answer, language in answers:
        comment_id, video_id, revision = comment["comment_id"], comment["video_id"], comment["text_sha256"]
        if isinstance(answer, Unscored):
            made_from = {"fingerprint": fingerprint, "upstream_revision": revision}
            drops.append(SCORES.drop(comment_id, video_id, answer.reason, answer.detail, **made_from))
            continue
        said = wording(comment["text"])
        rows.append(
            {
                "comment_id": comment_id,
                "video_id": video_id,
                "positive": answer.positive,
                "negative": answer.negative,
                "language": language,
                "n_words": said.n_words,
                "words_digest": said.digest,
                "only_links": said.only_links,
                "engine": engine.name,
                "fingerprint": fingerprint,
                "upstream_revision": revision,
            }
        )
    return pa.Table.from_pylist(rows, schema=TABLES["comment_scores"].schema), drops


def label_ads(catalog: Catalog, settings: SentimentSettings, *, scores_fingerprint: str) -> pa.Table:
    """Means and label of every ad of `ads`, from its comments' current scores."""
    comments = group_comments(catalog, settings, scores_fingerprint=scores_fingerprint)
    video_ids = sorted(catalog.values("ads", "video_id"))
    none = AdComments()
    means = {ad: aggregate(comments.get(ad, none).counting) for ad in video_ids}
    unread = unread_ads(catalog)
    enough = [mean for ad, mean in means.items() if ad not in unread and mean.n_not_neutral >= settings.min_comments]
    known = [score for mean in enough if (score := mean.by(settings.aggregation)) is not None]
    thresholds = thresholds_in_force(settings, known)
    fingerprint = settings.fingerprint(scores_fingerprint)
    rows = [
        _ad_row(ad, comments.get(ad, none), means[ad], thresholds, settings, fingerprint, ad in unread)
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
        SENTIMENT.drop(
            ad["video_id"],
            ad["video_id"],
            *_why_unlabelled(ad, settings, unread=ad["video_id"] in unread),
            fingerprint=ad["fingerprint"],
        )
        for ad in ads.to_pylist()
        if ad["label"] is None
    ]


def group_comments(catalog: Catalog, settings: SentimentSettings, *, scores_fingerprint: str) -> dict[str, AdComments]:
    """Every ad's comments, equal ones counted together: few rows, however many comments."""
    reasons, params = reasons_query(settings.language, settings.leave_out)
    kind = ["video_id", "positive", "negative", "left_out", *(["likes"] if settings.like_weights != "none" else [])]
    counted = catalog.query(
        f"""
        WITH scores AS (
            SELECT {", ".join(SCORE_COLUMNS)}, coalesce(upstream_revision, '') AS revision
            FROM comment_scores WHERE fingerprint = $fingerprint),
        held AS (
            SELECT {", ".join(COMMENT_COLUMNS)}, coalesce(text_sha256, '') AS revision FROM comments),
        selected AS ({reasons} FROM scores JOIN held USING (comment_id, revision))
        SELECT {", ".join(kind)}, count(*) AS n FROM selected GROUP BY ALL ORDER BY ALL
        """,  # noqa: S608 - names of ours
        tables=("comment_scores", "comments"),
        params={"fingerprint": scores_fingerprint, **params},
    )
    by_ad: dict[str, AdComments] = defaultdict(AdComments)
    for row in counted.to_pylist():
        ad = by_ad[row["video_id"]]
        if row["left_out"]:
            ad.left_out[row["left_out"]] += row["n"]
        else:
            weight = like_weight(row.get("likes", 0), settings.like_weights)
            ad.counting.append(ScoreGroup(row["positive"], row["negative"], weight, row["n"]))
    return dict(by_ad)


def count_left_out(ad_sentiment: pa.Table) -> dict[str, int]:
    """Comments of these ads that do not count in a mean, by reason."""
    return {reason.value: total(ad_sentiment, column) for reason, column in COUNTS.items()}


def total(ad_sentiment: pa.Table, column: str) -> int:
    """Sum of a column of counts."""
    return int(pc.sum(ad_sentiment.column(column)).as_py() or 0)


def _ad_row(
    video_id: str,
    comments: AdComments,
    means: AdMeans,
    thresholds: Thresholds,
    settings: SentimentSettings,
    fingerprint: str,
    unread: bool,
) -> dict[str, Any]:
    mean = means.by(settings.aggregation)
    interval = bootstrap_interval(comments.counting, settings.aggregation, thresholds, mean=mean, seed=video_id)
    labelled = means.n_not_neutral >= settings.min_comments and not unread
    return {
        "video_id": video_id,
        "n_comments": means.n_scored + comments.left_out.total(),
        **{column: comments.left_out[reason] for reason, column in COUNTS.items()},
        "n_scored": means.n_scored,
        "n_neutral": means.n_neutral,
        "mean_dominant": means.dominant,
        "mean_dominant_with_neutral": means.dominant_with_neutral,
        "mean_scale": means.scale,
        "aggregation": settings.aggregation,
        "mean_score": mean,
        "mean_low": interval and interval.low,
        "mean_high": interval and interval.high,
        "label_support": interval.label_support if interval and labelled else None,
        "label": label_of(mean, thresholds) if labelled else None,
        "fingerprint": fingerprint,
    }


def _why_unlabelled(ad: dict[str, Any], settings: SentimentSettings, *, unread: bool) -> tuple[LabelReason, str]:
    n_not_neutral = ad["n_scored"] - ad["n_neutral"]
    if unread:
        return LabelReason.COMMENTS_UNREAD, LabelReason.COMMENTS_UNREAD.meaning
    if not ad["n_comments"]:
        return LabelReason.NO_COMMENTS, LabelReason.NO_COMMENTS.meaning
    if n_not_neutral < settings.min_comments:
        columns = {"neutral": "n_neutral", **{reason.value: column for reason, column in COUNTS.items()}}
        counts = ", ".join(f"{ad[column]} {name}" for name, column in columns.items() if ad[column])
        detail = f"{n_not_neutral} of {ad['n_comments']} comments say anything; {settings.min_comments} are needed"
        return LabelReason.TOO_FEW_COMMENTS, f"{detail} ({counts})"
    return LabelReason.BETWEEN_THRESHOLDS, f"the mean of {n_not_neutral} comments is {ad['mean_score']:.2f}"
