"""What is left to do of a crawl, read off the tables: comments to read, videos to fetch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from data_catalog.catalog import Catalog
from flows.crawl.comment_store import STAGE as COMMENT_STAGE
from flows.crawl.comment_store import Fetch
from flows.crawl.comments import AdToRead
from flows.crawl.data_api.parsing import SOURCE
from flows.crawl.media.store import STAGE as MEDIA_STAGE

_OF_YOUTUBE = pc.field("source") == SOURCE
_READ = pc.is_valid(pc.field("completed_at"))


@dataclass(frozen=True)
class CommentWork:
    """Ads whose comments are still to be read, the largest first, and how far earlier runs came."""

    ads: tuple[AdToRead, ...]
    earlier: dict[str, Fetch]


def comments_to_read(
    catalog: Catalog,
    fingerprint: str,
    max_attempts: int,
    leave: Collection[str] = (),
    older_than: datetime | None = None,
) -> CommentWork:
    """Ads whose comments are still to be read under these settings.

    Args:
        catalog: the tables.
        fingerprint: of the settings.
        max_attempts: ads that failed as often are given up, unless they were read to the end once.
        leave: ads that are not asked for in this run.
        older_than: readings from before are due anew.
    """
    earlier = read_fetches(catalog)
    whole = {video_id for video_id, fetch in earlier.items() if fetch.completed_at is not None}
    given_up = _given_up(catalog, COMMENT_STAGE, max_attempts, whole).union(leave)
    names = ["video_id", "channel_hash", "comment_count"]
    ads = [
        ad
        for ad in catalog.read("ads", names, where=_OF_YOUTUBE).to_pylist()
        if not _is_done(earlier.get(ad["video_id"]), fingerprint, older_than) and ad["video_id"] not in given_up
    ]
    # the longest at the end would keep one connection busy while the others have nothing left to do
    ads.sort(key=lambda ad: (-(ad["comment_count"] or 0), ad["video_id"]))
    return CommentWork(tuple(_to_read(catalog, ad, earlier.get(ad["video_id"]), fingerprint) for ad in ads), earlier)


def videos_to_fetch(catalog: Catalog, *, frames_fingerprint: str, max_attempts: int) -> list[str]:
    """Ads whose comments are read and whose video is wanted: not there, and no frames of it under these settings."""
    read = set(catalog.values("comment_fetches", "video_id", where=_READ))
    given_up = _given_up(catalog, MEDIA_STAGE, max_attempts)
    frames = catalog.current("frames", upstream="ads", fingerprint=frames_fingerprint, columns=["video_id"])
    sampled = set(frames["video_id"].to_pylist())
    wanted = catalog.values("ads", "video_id", where=_OF_YOUTUBE & (pc.field("media_status") != "present"))
    return [id_ for id_ in wanted if id_ in read and id_ not in sampled and id_ not in given_up]


def read_fetches(catalog: Catalog, video_ids: Collection[str] | None = None) -> dict[str, Fetch]:
    """Rows of `comment_fetches` by id."""
    rows = catalog.read("comment_fetches").to_pylist()
    return {row["video_id"]: Fetch(**row) for row in rows if video_ids is None or row["video_id"] in video_ids}


def _is_done(fetch: Fetch | None, fingerprint: str, older_than: datetime | None) -> bool:
    if fetch is None or fetch.state != "complete" or fetch.fingerprint != fingerprint:
        return False
    return older_than is None or fetch.fetched_at >= older_than


def _to_read(catalog: Catalog, ad: dict[str, Any], fetch: Fetch | None, fingerprint: str) -> AdToRead:
    video_id = ad["video_id"]
    fresh = AdToRead(video_id, ad["channel_hash"], ad["comment_count"])
    if fetch is None or fetch.state == "complete" or fetch.fingerprint != fingerprint:
        return fresh
    of_ad = (pc.field("video_id") == video_id) & (pc.field("fetched_at") >= fetch.started_at)
    held = Counter(parent for parent in catalog.values("comments", "parent_id", where=of_ad) if parent)
    return replace(fresh, is_begun=True, next_page_token=fetch.next_page_token, pages=fetch.pages, held_replies=held)


def _given_up(catalog: Catalog, stage: str, max_attempts: int, whole: Collection[str] = ()) -> set[str]:
    """Ads that there is no use in asking for; a fault that may pass is met again and again by `whole` ones."""
    where = pc.field("stage") == stage
    drops = catalog.read("drops", ["key", "kind", "attempts"], where=where).to_pylist()
    return {
        drop["key"]
        for drop in drops
        if drop["kind"] == "filtered" or (drop["attempts"] >= max_attempts and drop["key"] not in whole)
    }
