"""Sentiment as a Prefect flow: `comments` to `comment_scores`, and those to `ad_sentiment`."""

from __future__ import annotations

import logging
from typing import Any

import pyarrow as pa
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from data_catalog.catalog import Catalog
from flows.pool_worker import end_with_parent
from flows.runner import run_stage
from flows.sentiment.engines import sentiment_engine
from flows.sentiment.language import language_identifier
from flows.sentiment.rows import label_ads, score_comments, sentiment_drops, unread_ads
from flows.settings import SentimentSettings, Settings
from flows.settled import Settled
from flows.stages import SCORES, SENTIMENT, StageCount

_LABELLED_FROM = ("ads", "comments", "comment_fetches", "comment_scores")

log = logging.getLogger("ytb_ads")


@task(name="score-comments", cache_policy=NO_CACHE)
def score_batch(comments: pa.Table, *, catalog: Catalog, settings: SentimentSettings, fingerprint: str) -> StageCount:
    """Score a batch of comments and commit the scores."""
    end_with_parent()
    rows, drops = score_comments(comments, sentiment_engine(settings), language_identifier(), fingerprint=fingerprint)
    comment_ids: list[Any] = comments["comment_id"].to_pylist()
    catalog.commit("comment_scores", rows, stage=SCORES.name, drops=drops, done=comment_ids, upstream="comments")
    return SCORES.count(rows_in=comments.num_rows, rows_out=rows.num_rows, drops=drops)


@flow(name="sentiment", flow_run_name="sentiment", validate_parameters=False)
def sentiment(catalog: Catalog, settings: Settings) -> StageCount:
    """Score every comment that has no score under the present engine, then label all ads anew.

    Raises:
        StageError: a comment is lost.
        SentimentError: the lexicon cannot be read.
    """
    run_stage(SCORES, score_batch, catalog, settings, settings=settings.sentiment)
    labelled = _label(catalog, settings)
    log.info("%s", labelled)
    return labelled


def _label(catalog: Catalog, settings: Settings) -> StageCount:
    """Label all ads anew, unless that was done with just these rows and settings."""
    fingerprint = SCORES.fingerprint(settings)
    facts = fingerprint, settings.sentiment.model_dump(mode="json")
    settled = Settled.now(catalog, SENTIMENT.name, (*_LABELLED_FROM, "ad_sentiment"), *facts)
    if settled.is_noted():
        return SENTIMENT.count()
    ads = label_ads(catalog, settings.sentiment, scores_fingerprint=fingerprint)
    drops = sentiment_drops(ads, settings.sentiment, unread_ads(catalog))

    def write() -> bool:
        return catalog.replace("ad_sentiment", ads) | catalog.replace_drops(SENTIMENT.name, drops)

    changed = write()
    now = settled.again()
    # what another process did meanwhile was not looked at
    if now.agrees(settled, _LABELLED_FROM) and not write():
        now.note()
    if not changed:
        return SENTIMENT.count()
    return SENTIMENT.count(rows_in=ads.num_rows, rows_out=ads.num_rows - len(drops), drops=drops)
