"""Fetch old rows of the API again, and remove here what is gone there.

The terms of the Data API require it: data must be refreshed or deleted after thirty days. Only ads for which the
API still answers keep their rows; the tables' history, which would keep the old rows, is purged at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.table import Table

from data_catalog.catalog import Catalog
from data_catalog.privacy.forget import purge_history, remove_ads
from data_catalog.privacy.references import drops_of_comments, releases_with
from data_catalog.schemas import TABLES
from flows.crawl.data_api.parsing import SOURCE, VIDEO_PARTS, read_ad, read_video, read_videos
from flows.crawl.steps import Advance, Crawl
from flows.errors import CrawlError, CrawlPausedError

_IDS_PER_CALL = 50
_MANY, _MOST = 20, 0.5
"""If more than this share of at least this many is gone at once, a fault of the API is more likely."""
_REFRESHED = (
    "title", "description", "channel_hash", "duration_s", "language", "published_at", "view_count", "like_count",
    "comment_count", "fetched_at",
)  # fmt: skip


@dataclass
class Refreshed:
    """Result of a refresh."""

    ads: int = 0
    """Ads whose metadata were fetched again."""
    ads_gone: list[str] = field(default_factory=list)
    """Ads that were removed: deleted or private at YouTube, or without comments that can be read."""
    candidates: int = 0
    candidates_gone: int = 0
    comments: int = 0
    """Comments read anew."""
    comments_gone: int = 0
    """Comments that are no longer held, those of ads that are gone among them."""
    releases: tuple[str, ...] = ()
    """Releases that still hold ads that are gone."""
    paused: tuple[str, ...] = ()
    resumes_at: datetime | None = None

    def __str__(self) -> str:
        return (
            f"refresh: {self.ads:,} ads, {self.candidates:,} candidates and {self.comments:,} comments fetched again; "
            f"gone and removed: {len(self.ads_gone):,} ads, {self.candidates_gone:,} candidates, "
            f"{self.comments_gone:,} comments"
        )

    def as_json(self) -> dict[str, Any]:
        """The refresh as plain values."""
        return {**vars(self), "resumes_at": self.resumes_at.isoformat() if self.resumes_at else None}


def refresh_videos(crawl: Crawl, refreshed: Refreshed, advance: Advance) -> None:
    """Fetch the metadata of old ads and candidates again; remove those that are gone.

    Raises:
        CrawlError: so many are gone at once that it looks like a fault of the API; nothing was removed.
    """
    is_old = pc.field("fetched_at") < too_old(crawl)
    ads = crawl.catalog.read("ads", where=(pc.field("source") == SOURCE) & is_old).to_pylist()
    candidates = crawl.catalog.read("candidates", where=is_old).to_pylist()
    ids = list(dict.fromkeys(row["video_id"] for row in (*ads, *candidates)))
    gone: list[str] = []
    try:
        for some, items in _described(crawl, ids):
            at = crawl.now()
            present = {id_: item for id_, item in items.items() if read_video(id_, item).availability != "gone"}
            gone += [id_ for id_ in some if id_ not in present]
            refreshed.ads += _update_ads(crawl, [ad for ad in ads if ad["video_id"] in present], present, at)
            refreshed.candidates += _update_candidates(crawl, candidates, present, at)
            advance(len(some))
        gone = _still_gone(crawl, gone)
        _refuse_if_many(crawl, gone, ids)
    except CrawlPausedError as pause:
        crawl.pauses.append(pause)
        gone = []  # asked again by the run that goes on: a removal is decided on two answers
    # of one video the ad may be old and the candidate not, or the other way round: both go
    refreshed.ads_gone = sorted(set(gone).intersection(crawl.catalog.values("ads", "video_id")))
    refreshed.candidates_gone = len(set(gone).intersection(crawl.catalog.values("candidates", "video_id")))
    if gone:
        refreshed.comments_gone = remove_ads(crawl.catalog, gone).rows.get("comments", 0)


def refresh_comments(crawl: Crawl, refreshed: Refreshed, advance: Advance) -> None:
    """Read the comments of ads anew whose last reading is too old; those that do not come again are removed."""
    before = _ids(crawl.catalog, "comments")
    read = crawl.read_comments(advance, too_old(crawl))
    lost = crawl.remove_unusable()
    refreshed.comments = read.comments
    refreshed.comments_gone += _clear_up_after(crawl.catalog, before)
    refreshed.ads_gone = sorted({*refreshed.ads_gone, *lost})


def too_old(crawl: Crawl) -> datetime:
    """Rows fetched before this are due."""
    return crawl.now() - timedelta(days=crawl.settings.crawl.refresh_days)


def close_refresh(crawl: Crawl, refreshed: Refreshed) -> None:
    """Clear the history of the tables and look up which releases still hold what is gone."""
    purge_history(crawl.catalog)
    refreshed.releases = tuple(held.version for held in releases_with(crawl.catalog, refreshed.ads_gone))
    refreshed.paused = tuple(dict.fromkeys(str(pause) for pause in crawl.pauses))
    refreshed.resumes_at = min((pause.resumes_at for pause in crawl.pauses), default=None)


def render_refresh(refreshed: Refreshed) -> Table:
    """The refresh as a table for the terminal."""
    table = Table(title="Refreshed", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("", "fetched again", "gone and removed"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("ads", f"{refreshed.ads:,}", f"{len(refreshed.ads_gone):,}")
    table.add_row("candidates", f"{refreshed.candidates:,}", f"{refreshed.candidates_gone:,}")
    table.add_row("comments", f"{refreshed.comments:,}", f"{refreshed.comments_gone:,}")
    return table


def _update_ads(crawl: Crawl, ads: list[dict[str, Any]], items: dict[str, Any], at: datetime) -> int:
    rows = []
    for ad in ads:
        fresh = read_ad(
            items[ad["video_id"]],
            video_id=ad["video_id"],
            category=ad["category"],
            query=ad["query"],
            author_key=crawl.author_key,
            fetched_at=at,
        )
        if crawl.forgotten.has_author(fresh.channel_hash):
            fresh = replace(fresh, channel_hash=None)
        rows.append({**ad, **{name: getattr(fresh, name) for name in _REFRESHED}})
    return crawl.catalog.merge("ads", pa.Table.from_pylist(rows, schema=TABLES["ads"].schema))


def _update_candidates(crawl: Crawl, candidates: list[dict[str, Any]], items: dict[str, Any], at: datetime) -> int:
    """Candidates keep how they were found; a video may be one of several categories."""
    rows = [
        {**row, **asdict(read_video(row["video_id"], items[row["video_id"]])), "fetched_at": at}
        for row in candidates
        if row["video_id"] in items
    ]
    return crawl.catalog.merge("candidates", pa.Table.from_pylist(rows, schema=TABLES["candidates"].schema))


def _still_gone(crawl: Crawl, ids: Sequence[str]) -> list[str]:
    """Ask once more: the API has been seen to leave out videos that are there."""
    return [
        id_
        for some, items in _described(crawl, ids)
        for id_ in some
        if read_video(id_, items.get(id_)).availability == "gone"
    ]


def _clear_up_after(catalog: Catalog, before: pa.Array[pa.StringScalar]) -> int:
    """Remove scores of comments that are there no more, and drops that name them; returns how many are gone."""
    held = _ids(catalog, "comments")
    gone = _missing(before, held)
    if gone:
        catalog.delete("drops", drops_of_comments(catalog, set(gone)))
    # of those, too, that an earlier refresh was killed over
    catalog.delete_groups("comment_scores", column="comment_id", values=_missing(_ids(catalog, "comment_scores"), held))
    return len(gone)


def _ids(catalog: Catalog, table: str) -> pa.Array[pa.StringScalar]:
    return catalog.read(table, ["comment_id"])["comment_id"].combine_chunks()


def _missing(ids: pa.Array[pa.StringScalar], among: pa.Array[pa.StringScalar]) -> list[str]:
    found: list[Any] = ids.filter(pc.invert(pc.is_in(ids, value_set=among))).to_pylist()
    return found


def _refuse_if_many(crawl: Crawl, gone: Sequence[str], asked: Sequence[str]) -> None:
    """Doubt that most of many videos are gone, unless the API answers for most of those that were there lately.

    A run that was paused leaves those that are gone to the next one, which then asks for nothing else.
    """
    if len(asked) < _MANY or len(gone) <= _MOST * len(asked):
        return
    held = crawl.catalog.read("ads", ["video_id", "fetched_at"], where=pc.field("source") == SOURCE)
    others = held.filter(pc.invert(pc.is_in(held["video_id"], value_set=pa.array(asked, pa.string()))))
    newest: list[Any] = others.sort_by([("fetched_at", "descending")])["video_id"].to_pylist()
    control = newest[:_IDS_PER_CALL]
    missing = _still_gone(crawl, control)
    if len(control) < _MANY or len(missing) > _MOST * len(control):
        raise CrawlError(
            f"{len(gone)} of {len(asked)} videos asked for are said to be gone: that looks like a fault of the API, so "
            "none was removed. Run again tomorrow; to remove one all the same: `ytb-ads catalog forget VIDEO_ID`"
        )


def _described(crawl: Crawl, ids: Sequence[str]) -> Iterator[tuple[Sequence[str], dict[str, Mapping[str, Any]]]]:
    """Ids fifty at a time, with the API's items of those that are there."""
    for start in range(0, len(ids), _IDS_PER_CALL):
        some = ids[start : start + _IDS_PER_CALL]
        yield some, read_videos(crawl.youtube.videos(some, VIDEO_PARTS), some)
