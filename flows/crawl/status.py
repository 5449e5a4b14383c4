"""How a crawl stands: per category what is wanted, what is there, and why it falls short."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow.compute as pc
from rich import box
from rich.markup import escape
from rich.table import Table

from data_catalog.catalog import Catalog
from flows.crawl.data_api.parsing import SOURCE
from flows.crawl.draw import Draw
from flows.errors import CrawlPausedError


@dataclass(frozen=True)
class CategoryStanding:
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
    """Why there are fewer ads than wanted, once all candidates are known; empty when there are not."""


@dataclass(frozen=True)
class Standing:
    """A crawl as it stands."""

    categories: tuple[CategoryStanding, ...]
    n_comments: int
    paused: tuple[str, ...] = ()
    resumes_at: datetime | None = None
    """When something can be done that could not be done now; None when nothing waits."""
    left: tuple[str, ...] = ()
    """Faults that a later run will try again, with their number."""

    def as_json(self) -> dict[str, Any]:
        """The standing as plain values."""
        resumes_at = self.resumes_at.isoformat() if self.resumes_at else None
        categories = [vars(category) for category in self.categories]
        return {**vars(self), "categories": categories, "resumes_at": resumes_at}


def read_standing(
    catalog: Catalog,
    wanted: dict[str, int],
    draws: Sequence[Draw],
    pauses: Sequence[CrawlPausedError],
    max_attempts: int,
) -> Standing:
    """Count the tables.

    Args:
        catalog: the tables.
        wanted: ads wanted by category.
        draws: the last draw of each category whose candidates are all listed.
        pauses: what kept the run from going on.
        max_attempts: runs after which a fault is tried no more.
    """
    ads = catalog.read("ads", ["video_id", "category", "media_sha256"], where=pc.field("source") == SOURCE).to_pylist()
    read = set(catalog.values("comment_fetches", "video_id", where=pc.is_valid(pc.field("completed_at"))))
    drawn = Counter(ad["category"] for ad in ads)
    with_comments = Counter(ad["category"] for ad in ads if ad["video_id"] in read)
    with_video = Counter(ad["category"] for ad in ads if ad["media_sha256"] is not None)
    candidates = Counter(catalog.values("candidates", "category"))
    shortfalls = {draw.category: draw.shortfall() for draw in draws}
    return Standing(
        categories=tuple(
            CategoryStanding(
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
        left=_left(catalog, max_attempts),
    )


def render_standing(standing: Standing) -> Table:
    """The categories as a table for the terminal."""
    table = Table(title="The crawl", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("category")
    for name in ("wanted", "candidates", "drawn", "with comments", "with video"):
        table.add_column(name, justify="right")
    for row in standing.categories:
        numbers = (row.wanted, row.candidates, row.drawn, row.with_comments, row.with_video)
        table.add_row(escape(row.category), *(f"{number:,}" for number in numbers))
    return table


def _left(catalog: Catalog, max_attempts: int) -> tuple[str, ...]:
    stages = pc.field("stage").isin(["listings", "comment_pages", "media"]) & (pc.field("kind") == "failed")
    reasons = Counter(catalog.values("drops", "reason", where=stages & (pc.field("attempts") < max_attempts)))
    return tuple(f"{number} {reason}" for reason, number in reasons.most_common())
