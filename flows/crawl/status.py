"""Status of a crawl, read from the tables: what is done, what is left, and which ads turned out to be unusable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow.compute as pc
from rich import box
from rich.markup import escape
from rich.table import Table

from data_catalog.catalog import Catalog
from data_catalog.privacy.forget import remove_ads
from flows.crawl.data_api.parsing import SOURCE
from flows.crawl.draw import Draw
from flows.crawl.records import AdToRead, Fetch
from flows.errors import CrawlPausedError
from flows.settings import Settings
from flows.stages import COMMENT_PAGES, DRAW, LISTINGS, MEDIA, STAGES

_ASKING = [stage.name for stage in STAGES if stage.asks_youtube and stage is not LISTINGS]
"""Stages that ask YouTube for an ad, so that a drop of theirs may mean that it is unusable."""
_READER = "1"
"""Part of the comments' fingerprint: raise it when other comments are read under the same settings."""
_OF_YOUTUBE = pc.field("source") == SOURCE
_READ = pc.is_valid(pc.field("completed_at"))


@dataclass(frozen=True)
class CategoryStatus:
    """One category of a crawl."""

    category: str
    wanted: int
    candidates: int
    drawn: int
    """Rows of `ads`."""
    with_comments: int
    """Ads whose comments were read to the end."""
    with_video: int
    """Ads whose video was fetched, though it may have been deleted since."""
    shortfall: str
    """Reasons for missing ads, once all candidates are known; empty when none is missing."""


@dataclass(frozen=True)
class CrawlStatus:
    """Progress of a crawl, category by category, and when it can go on."""

    categories: tuple[CategoryStatus, ...]
    n_comments: int
    paused: tuple[str, ...] = ()
    resumes_at: datetime | None = None
    """When something can be done that could not be done now; None when nothing waits."""
    left: tuple[str, ...] = ()
    """Faults that a later run will try again, with their number."""

    def __str__(self) -> str:
        sums = [
            sum(getattr(each, name) for each in self.categories)
            for name in ("drawn", "wanted", "with_comments", "with_video")
        ]
        return "{:,} of {:,} ads drawn, {:,} with all comments, {:,} with video".format(*sums)

    def as_json(self) -> dict[str, Any]:
        """The status as plain values."""
        resumes_at = self.resumes_at.isoformat() if self.resumes_at else None
        categories = [vars(category) for category in self.categories]
        return {**vars(self), "categories": categories, "resumes_at": resumes_at}


@dataclass(frozen=True)
class CommentWork:
    """Ads whose comments are still to be read, the largest first, and how far earlier runs came."""

    ads: tuple[AdToRead, ...]
    earlier: dict[str, Fetch]


def read_status(
    catalog: Catalog,
    wanted: dict[str, int],
    draws: Sequence[Draw],
    pauses: Sequence[CrawlPausedError],
    max_attempts: int,
) -> CrawlStatus:
    """Count the tables.

    Args:
        catalog: the tables.
        wanted: ads wanted by category.
        draws: the last draw of each category whose candidates are all listed.
        pauses: what kept the run from going on.
        max_attempts: runs after which a fault is tried no more.
    """
    ads = catalog.read("ads", ["video_id", "category", "media_sha256"], where=_OF_YOUTUBE).to_pylist()
    read = set(catalog.values("comment_fetches", "video_id", where=_READ))
    drawn = Counter(ad["category"] for ad in ads)
    with_comments = Counter(ad["category"] for ad in ads if ad["video_id"] in read)
    with_video = Counter(ad["category"] for ad in ads if ad["media_sha256"] is not None)
    candidates = Counter(catalog.values("candidates", "category"))
    shortfalls = {draw.category: draw.shortfall() for draw in draws}
    stages = pc.field("stage").isin([LISTINGS.name, *_ASKING])
    tried_again = stages & (pc.field("kind") == "failed") & (pc.field("attempts") < max_attempts)
    left = Counter(catalog.values("drops", "reason", where=tried_again))
    return CrawlStatus(
        categories=tuple(
            CategoryStatus(
                name,
                count,
                candidates[name],
                drawn[name],
                with_comments[name],
                with_video[name],
                shortfalls.get(name, ""),
            )
            for name, count in wanted.items()
        ),
        n_comments=catalog.count("comments"),
        paused=tuple(dict.fromkeys(str(pause) for pause in pauses)),
        resumes_at=min((pause.resumes_at for pause in pauses), default=None),
        left=tuple(f"{number} {reason}" for reason, number in left.most_common()),
    )


def render_status(status: CrawlStatus) -> Table:
    """The categories as a table for the terminal."""
    table = Table(title="Crawl", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("category")
    for name in ("wanted", "candidates", "drawn", "with comments", "with video"):
        table.add_column(name, justify="right")
    for row in status.categories:
        numbers = (row.wanted, row.candidates, row.drawn, row.with_comments, row.with_video)
        table.add_row(escape(row.category), *(f"{number:,}" for number in numbers))
    return table


def comments_fingerprint(settings: Settings) -> str:
    """Fingerprint of the settings that the reading of an ad's comments depends on."""
    return settings.crawl.comments.fingerprint(_READER)


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
    earlier = {row["video_id"]: Fetch(**row) for row in catalog.read("comment_fetches").to_pylist()}
    complete = {video_id for video_id, fetch in earlier.items() if fetch.completed_at is not None}
    given_up = _given_up(catalog, [COMMENT_PAGES.name], max_attempts, complete).keys() | set(leave)
    names = ["video_id", "channel_hash", "comment_count"]
    ads = [
        ad
        for ad in catalog.read("ads", names, where=_OF_YOUTUBE).to_pylist()
        if not _is_read(earlier.get(ad["video_id"]), fingerprint, older_than) and ad["video_id"] not in given_up
    ]
    # the longest at the end would keep one connection busy while the others have nothing left to do
    ads.sort(key=lambda ad: (-(ad["comment_count"] or 0), ad["video_id"]))
    return CommentWork(tuple(_to_read(catalog, ad, earlier.get(ad["video_id"]), fingerprint) for ad in ads), earlier)


def videos_to_fetch(catalog: Catalog, *, frames_fingerprint: str, max_attempts: int) -> list[str]:
    """Ads whose comments are read and whose video is wanted: not there, and no frames of it under these settings."""
    read = set(catalog.values("comment_fetches", "video_id", where=_READ))
    given_up = _given_up(catalog, [MEDIA.name], max_attempts)
    frames = catalog.current("frames", upstream="ads", fingerprint=frames_fingerprint, columns=["video_id"])
    sampled = set(frames["video_id"].to_pylist())
    wanted = catalog.values("ads", "video_id", where=_OF_YOUTUBE & (pc.field("media_status") != "present"))
    return [id_ for id_ in wanted if id_ in read and id_ not in sampled and id_ not in given_up]


def unusable_ads(catalog: Catalog, max_attempts: int) -> dict[str, str]:
    """Ads that are not requested again, with the reason; some may no longer be in `ads`.

    A transient fault does not make an ad unusable that has its comments and its video: it occurred in a refresh.
    """
    complete = set(catalog.values("comment_fetches", "video_id", where=_READ)).intersection(
        catalog.values("ads", "video_id", where=_OF_YOUTUBE & pc.is_valid(pc.field("media_sha256")))
    )
    return _given_up(catalog, _ASKING, max_attempts, complete)


def remove_unusable(catalog: Catalog, max_attempts: int) -> list[str]:
    """Remove ads that turned out to be unusable, with everything made of them; their drops stay. Returns which."""
    of_youtube = catalog.values("ads", "video_id", where=_OF_YOUTUBE)
    found = sorted(set(of_youtube).intersection(unusable_ads(catalog, max_attempts)))
    # a candidate stays, so that it is not listed as a new one
    remove_ads(catalog, found, keep_tables=["candidates"], keep_drops=[DRAW.name, *_ASKING])
    return found


def _is_read(fetch: Fetch | None, fingerprint: str, older_than: datetime | None) -> bool:
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


def _given_up(catalog: Catalog, stages: list[str], max_attempts: int, complete: Collection[str] = ()) -> dict[str, str]:
    """Reason by id of ads that are not asked for again; transient faults never end the attempts on `complete` ones."""
    where = pc.field("stage").isin(stages)
    drops = catalog.read("drops", ["video_id", "kind", "reason", "attempts"], where=where).to_pylist()
    return {
        drop["video_id"]: drop["reason"]
        for drop in drops
        if drop["kind"] == "filtered" or (drop["attempts"] >= max_attempts and drop["video_id"] not in complete)
    }
