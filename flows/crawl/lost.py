"""Ads that turned out to be unusable: which they are, and how they leave the tables; their drops stay and say why."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from data_catalog.privacy.references import media_of
from flows.crawl.comment_store import STAGE as COMMENT_STAGE
from flows.crawl.data_api.parsing import SOURCE
from flows.crawl.media.store import STAGE as MEDIA_STAGE
from flows.crawl.taking import STAGE as VIDEO_STAGE

STAGES = (VIDEO_STAGE, COMMENT_STAGE, MEDIA_STAGE)
"""Stages whose drops may mean that an ad is lost."""

# `ads` last: a removal that was killed in the middle is found again by it
_TABLES = (
    "comments",
    "comment_fetches",
    "comment_scores",
    "frames",
    "looks",
    "reuploads",
    "texts",
    "ad_sentiment",
    "labels",
    "ads",
)
_OF_YOUTUBE = pc.field("source") == SOURCE


def lost_ads(catalog: Catalog, max_attempts: int) -> dict[str, str]:
    """Ads that there is no use in asking for again, and the reason; among them such as are in `ads` no more.

    An ad that has its comments and its video is not lost by a fault that passes: that was met at a refresh.
    """
    stages = pc.field("stage").isin(list(STAGES))
    drops = catalog.read("drops", ["video_id", "kind", "reason", "attempts"], where=stages).to_pylist()
    whole = set(catalog.values("comment_fetches", "video_id", where=pc.is_valid(pc.field("completed_at")))) & set(
        catalog.values("ads", "video_id", where=_OF_YOUTUBE & pc.is_valid(pc.field("media_sha256")))
    )
    return {
        drop["video_id"]: drop["reason"]
        for drop in drops
        if drop["kind"] == "filtered" or (drop["attempts"] >= max_attempts and drop["video_id"] not in whole)
    }


def remove_lost(catalog: Catalog, video_ids: Sequence[str]) -> None:
    """Take ads out of every table, with what was made of them and what the stages behind the crawl said of them."""
    of_ads = pc.field("video_id").isin(pa.array(video_ids, pa.string()))
    behind = of_ads & ~pc.field("stage").isin(["draw", *STAGES])
    for path in media_of(catalog, video_ids):
        path.unlink(missing_ok=True)
    keys = catalog.read("drops", ["stage", "key"], where=behind).to_pylist()
    catalog.delete("drops", [(row["stage"], row["key"]) for row in keys])
    for table in _TABLES:
        catalog.delete_groups(table, column="video_id", values=video_ids)
